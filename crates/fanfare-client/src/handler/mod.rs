//! Handlers: async functions of extractors.

mod dispatch;
mod extract;
mod reply;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub use dispatch::ListenerId;
pub(crate) use dispatch::{Handlers, dispatch};
pub use extract::{Attachments, Connected, Data, Disconnected, EventName, FromContext, Rejection};
pub use reply::{Ack, Acknowledges, EventError, IntoReply};

use crate::error::ConnectError;
use crate::event::Event;
use crate::socket::Socket;

/// When a handler runs; decides what it can extract and return.
pub trait Moment: Send + Sync + 'static {
    /// What there is to extract from.
    type Context: Clone + Send + Sync + 'static;
}

/// An event came.
#[derive(Debug)]
pub enum OnEvent {}
/// The socket connected.
#[derive(Debug)]
pub enum OnConnect {}
/// The socket disconnected.
#[derive(Debug)]
pub enum OnDisconnect {}
/// The socket could not connect.
#[derive(Debug)]
pub enum OnConnectError {}

impl Moment for OnEvent {
    type Context = EventContext;
}
impl Moment for OnConnect {
    type Context = ConnectContext;
}
impl Moment for OnDisconnect {
    type Context = DisconnectContext;
}
impl Moment for OnConnectError {
    type Context = ConnectErrorContext;
}

/// An event and its socket.
#[derive(Debug, Clone)]
pub struct EventContext {
    /// The socket.
    pub socket: Socket,
    /// The event.
    pub event: Event,
}

/// A connection and its socket.
#[derive(Debug, Clone)]
pub struct ConnectContext {
    /// The socket.
    pub socket: Socket,
    /// What is new.
    pub connected: Connected,
}

/// The end of a connection and its socket.
#[derive(Debug, Clone)]
pub struct DisconnectContext {
    /// The socket.
    pub socket: Socket,
    /// Why.
    pub disconnected: Disconnected,
}

/// A failed connection and its socket.
#[derive(Debug, Clone)]
pub struct ConnectErrorContext {
    /// The socket.
    pub socket: Socket,
    /// Why.
    pub error: ConnectError,
}

pub(crate) type Outcome = Result<(), EventError>;
pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// An async function whose arguments are extractors: `async fn message(socket: Socket, Data(m): Data<Message>)`.
///
/// Up to six arguments in any order:
///
/// | argument | at | what |
/// |---|---|---|
/// | [`Socket`] | always | the socket |
/// | [`Data<T>`] | event | the arguments, deserialized |
/// | [`Typed<E>`](crate::Typed) | event | the arguments of an event that is a type |
/// | [`AckSender`](crate::AckSender) | event | to acknowledge before the handler ends |
/// | [`EventName`], [`Attachments`], [`Event`] | event | its name, its binary attachments, all of it |
/// | [`Connected`] | connect | id, recovered |
/// | [`Disconnected`] | disconnect | reason, details |
/// | [`ConnectError`] | connect error | what went wrong |
/// | `Option<E>`, `Result<E, Rejection>` | always | another extractor that may fail |
///
/// It returns `()`, [`Ack<T>`](Ack) to acknowledge the event, or a `Result` of these. When an extractor fails, the
/// handler does not run; the rejection is logged and sent to the server if that awaits an acknowledgement.
///
/// Handlers of one socket start in the order in which the events came and then run concurrently: one that waits does
/// not hold up others, nor the connection.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler",
    label = "not an async function of extractors",
    note = "all arguments must be extractors: `Socket`, `Data<T>`, `AckSender`, `EventName`, `Event`, …, with their types written out",
    note = "it must return a `Send` future of `()`, `Ack<T>` or a `Result` of these"
)]
pub trait Handler<M: Moment, T>: Send + Sync + 'static {
    /// What the future resolves to.
    type Output;

    #[doc(hidden)]
    fn call(&self, cx: &M::Context) -> Result<HandlerFuture, Rejection>;
}

macro_rules! handlers {
    ($($($name:ident)*;)+) => {$(
        impl<M, F, Fut, R, $($name),*> Handler<M, (M, $($name,)*)> for F
        where
            M: Moment,
            F: Fn($($name),*) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = R> + Send + 'static,
            R: IntoReply<M>,
            $($name: FromContext<M> + Send,)*
        {
            type Output = R;

            #[allow(non_snake_case)]
            fn call(&self, cx: &M::Context) -> Result<HandlerFuture, Rejection> {
                $(let $name = $name::from_context(cx)?;)*
                let (future, cx) = (self($($name),*), cx.clone());
                Ok(Box::pin(async move { future.await.into_reply(&cx) }))
            }
        }
    )+};
}

handlers! {
    ;
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E G;
}

/// A handler without its type.
pub(crate) trait Erased<M: Moment>: Send + Sync {
    fn call(&self, cx: &M::Context) -> Result<HandlerFuture, Rejection>;
}

struct Typed<H, T>(H, std::marker::PhantomData<fn() -> T>);

impl<M: Moment, H: Handler<M, T>, T> Erased<M> for Typed<H, T> {
    fn call(&self, cx: &M::Context) -> Result<HandlerFuture, Rejection> {
        self.0.call(cx)
    }
}

pub(crate) fn erase<M: Moment, T: 'static>(handler: impl Handler<M, T>) -> Arc<dyn Erased<M>> {
    Arc::new(Typed(handler, std::marker::PhantomData))
}
