//! Type-erased handlers, as the router keeps them.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fanfare_core::Rejection;
use fanfare_protocol::Escaped;
use tracing::Instrument;

use super::reports;
use super::{
    AckSink, ConnectError, EventContext, EventError, Handler, HandlerKind, HasSocket, INTERNAL,
    IntoAck, IntoOutcome, OnConnect, OnDisconnect, OnEvent, PendingAck, Requirements,
};
use crate::ack::{AckSender, Answered};
use crate::client::Client;
use crate::log_target;
use crate::socket::Socket;

pub(crate) type EventHandler = Arc<dyn ErasedEvent>;
pub(crate) type ConnectHandler = Arc<dyn ErasedHandler<OnConnect>>;
pub(crate) type DisconnectHandler = Arc<dyn ErasedHandler<OnDisconnect>>;
/// Middleware that decides whether a client may join.
pub(crate) type Middleware = Arc<dyn ErasedMiddleware<OnConnect, ConnectError>>;
/// Middleware that decides whether an event may reach its handlers.
pub(crate) type PacketMiddleware = Arc<dyn ErasedMiddleware<OnEvent, EventError>>;
pub(crate) type MiddlewareFuture<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// Handlers of events, whose output acknowledges.
pub(crate) trait ErasedEvent: Send + Sync {
    fn call(&self, cx: &EventContext<'_>);
    fn requirements(&self, needs: &mut Requirements);
}

/// Handlers of connections and disconnections, whose output is only logged.
pub(crate) trait ErasedHandler<M: HandlerKind<Socket = Socket>>: Send + Sync {
    fn call(&self, cx: &M::Context<'_>);
    fn requirements(&self, needs: &mut Requirements);
}

/// Middlewares, whose output decides.
pub(crate) trait ErasedMiddleware<M: HandlerKind<Socket = Socket>, E>: Send + Sync {
    fn call(&self, cx: &M::Context<'_>) -> MiddlewareFuture<E>;
    fn requirements(&self, needs: &mut Requirements);
}

struct Erased<H, T> {
    handler: H,
    /// Whether the handler may acknowledge before it returns.
    answers_early: bool,
    types: PhantomData<fn(T)>,
}

impl<H, T> Erased<H, T> {
    fn new(handler: H) -> Arc<Self> {
        Self::with(handler, false)
    }

    fn with(handler: H, answers_early: bool) -> Arc<Self> {
        Arc::new(Self {
            handler,
            answers_early,
            types: PhantomData,
        })
    }
}

pub(crate) fn erase_event<H, T>(handler: H) -> EventHandler
where
    H: Handler<OnEvent, T>,
    H::Output: IntoAck,
    T: 'static,
{
    let mut needs = Requirements::default();
    handler.requirements(&mut needs);
    Erased::with(handler, needs.takes_ack_sender())
}

pub(crate) fn erase<M, H, T>(handler: H) -> Arc<dyn ErasedHandler<M>>
where
    M: HandlerKind<Socket = Socket>,
    H: Handler<M, T>,
    H::Output: IntoOutcome<EventError>,
    T: 'static,
{
    Erased::new(handler)
}

pub(crate) fn erase_middleware<M, E, H, T>(handler: H) -> Arc<dyn ErasedMiddleware<M, E>>
where
    M: HandlerKind<Socket = Socket>,
    E: From<Rejection> + From<Panicked> + 'static,
    H: Handler<M, T>,
    H::Output: IntoOutcome<E>,
    T: 'static,
{
    Erased::new(handler)
}

impl<H, T> ErasedEvent for Erased<H, T>
where
    H: Handler<OnEvent, T>,
    H::Output: IntoAck,
    T: 'static,
{
    fn call(&self, cx: &EventContext<'_>) {
        // An answer that the handler sends before it panics must remain the only one.
        let shared = (self.answers_early && cx.ack.is_some() && cx.answered.is_none())
            .then(Answered::default);
        let cx = &EventContext {
            answered: cx.answered.or(shared.as_ref()),
            ..*cx
        };
        let pending = PendingAck::new(AckSender::new(cx.socket, cx.ack, cx.answered));
        let future = match contained(cx, || self.handler.call(cx)) {
            Some(Ok(future)) => future,
            Some(Err(rejection)) => {
                reports::rejection(cx, &rejection);
                pending.settle(|ack| ack.fail(&EventError::rejected(rejection)));
                return;
            }
            None => return,
        };
        let work = || {
            let held = size_of::<H::Future>() + cx.args.decoded_bytes();
            Client::work(cx.socket.connection(), held)
        };
        run(cx, future, work, move |at, output: H::Output| {
            if let Some(Err(error)) = pending.settle(|ack| output.into_ack(ack)) {
                reports::failure(at, &error);
            }
        });
    }

    fn requirements(&self, needs: &mut Requirements) {
        self.handler.requirements(needs);
    }
}

impl<M, H, T> ErasedHandler<M> for Erased<H, T>
where
    M: HandlerKind<Socket = Socket>,
    H: Handler<M, T>,
    H::Output: IntoOutcome<EventError>,
    T: 'static,
{
    fn call(&self, cx: &M::Context<'_>) {
        match contained(cx, || self.handler.call(cx)) {
            Some(Ok(future)) => {
                let finish = |at: &dyn HasSocket<Socket = Socket>, output: H::Output| {
                    if let Err(error) = output.into_outcome() {
                        reports::failure(at, &error);
                    }
                };
                // At most one for each of the client's namespaces, whose number is already bounded.
                run(cx, future, || cx.socket().keep_rooms(), finish);
            }
            Some(Err(rejection)) => reports::rejection(cx, &rejection),
            None => {}
        }
    }

    fn requirements(&self, needs: &mut Requirements) {
        self.handler.requirements(needs);
    }
}

impl<M, E, H, T> ErasedMiddleware<M, E> for Erased<H, T>
where
    M: HandlerKind<Socket = Socket>,
    E: From<Rejection> + From<Panicked> + 'static,
    H: Handler<M, T>,
    H::Output: IntoOutcome<E>,
    T: 'static,
{
    fn call(&self, cx: &M::Context<'_>) -> MiddlewareFuture<E> {
        match contained(cx, || self.handler.call(cx)) {
            Some(Ok(future)) => {
                let at = At::of(cx);
                Box::pin(async move {
                    match CatchUnwind(Box::pin(future)).await {
                        Ok(output) => output.into_outcome(),
                        Err(panic) => {
                            reports::panic(&at, &*panic);
                            Err(Panicked.into())
                        }
                    }
                })
            }
            Some(Err(rejection)) => {
                reports::rejection(cx, &rejection);
                Box::pin(async move { Err(rejection.into()) })
            }
            None => Box::pin(async { Err(Panicked.into()) }),
        }
    }

    fn requirements(&self, needs: &mut Requirements) {
        self.handler.requirements(needs);
    }
}

/// A middleware has panicked, which has been reported.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panicked;

impl From<Panicked> for EventError {
    fn from(_: Panicked) -> Self {
        Self::new(INTERNAL)
    }
}

impl From<Panicked> for ConnectError {
    fn from(_: Panicked) -> Self {
        Self::new(INTERNAL)
    }
}

/// Socket and event of a running handler, for its logs.
struct At {
    socket: Socket,
    event: Box<str>,
}

impl At {
    fn of(cx: &impl HasSocket<Socket = Socket>) -> Self {
        Self {
            socket: cx.socket().clone(),
            event: cx.event_name().into(),
        }
    }
}

impl HasSocket for At {
    type Socket = Socket;

    fn socket(&self) -> &Socket {
        &self.socket
    }

    fn event_name(&self) -> &str {
        &self.event
    }
}

/// Calls user code and contains its panics, so that the connection survives.
fn contained<R>(at: &impl HasSocket<Socket = Socket>, f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|panic| reports::panic(at, &*panic))
        .ok()
}

/// Polls the future once, immediately, so that handlers start in the order of their events; if it is not finished then,
/// it continues in a separate task, which holds the guard of `work` until its end.
fn run<F, G>(
    cx: &impl HasSocket<Socket = Socket>,
    future: F,
    work: impl FnOnce() -> G,
    finish: impl FnOnce(&dyn HasSocket<Socket = Socket>, F::Output) + Send + 'static,
) where
    F: Future + Send + 'static,
    G: Send + 'static,
{
    let mut future = Box::pin(future);
    let poll = || {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    };
    match contained(cx, poll) {
        Some(Poll::Ready(output)) => {
            contained(cx, || finish(cx, output));
        }
        Some(Poll::Pending) => {
            let at = At::of(cx);
            let running = (at.socket.io_inner().running.enter(), work());
            let span = tracing::debug_span!(
                target: log_target::HANDLER,
                "handler",
                socket = %at.socket.id(),
                namespace = %Escaped(at.socket.namespace_name()),
                event = %Escaped(&at.event),
            );
            let task = async move {
                let _running = running;
                match CatchUnwind(future).await {
                    Ok(output) => {
                        contained(&at, || finish(&at, output));
                    }
                    Err(panic) => reports::panic(&at, &*panic),
                }
            };
            tokio::spawn(task.instrument(span));
        }
        None => {}
    }
}

/// A future whose panics become values.
struct CatchUnwind<F>(Pin<Box<F>>);

impl<F: Future> Future for CatchUnwind<F> {
    type Output = Result<F::Output, Box<dyn Any + Send>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    }
}
