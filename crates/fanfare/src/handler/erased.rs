//! Handlers without their types, as the router keeps them.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tracing::Instrument;

use super::context::{EventContext, HasSocket, Moment, OnConnect, OnDisconnect, OnEvent};
use super::output::{ConnectError, EventError, IntoAck, IntoOutcome};
use super::{Handler, Requirements, reports};
use crate::ack::AckSender;
use crate::client::{AtWork, Client};
use crate::extract::Rejection;
use crate::socket::Socket;

pub(crate) type EventHandler = Arc<dyn ErasedEvent>;
pub(crate) type ConnectHandler = Arc<dyn ErasedHandler<OnConnect>>;
pub(crate) type DisconnectHandler = Arc<dyn ErasedHandler<OnDisconnect>>;
/// Says whether a client may join.
pub(crate) type Middleware = Arc<dyn ErasedGuard<OnConnect, ConnectError>>;
/// Says whether an event may reach its handlers.
pub(crate) type PacketMiddleware = Arc<dyn ErasedGuard<OnEvent, EventError>>;
pub(crate) type GuardFuture<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send>>;

/// Events: the output acknowledges.
pub(crate) trait ErasedEvent: Send + Sync {
    fn call(&self, cx: &EventContext<'_>);
    fn requirements(&self, needs: &mut Requirements);
}

/// Comings and goings: the output is only logged.
pub(crate) trait ErasedHandler<M: Moment>: Send + Sync {
    fn call(&self, cx: &M::Context<'_>);
    fn requirements(&self, needs: &mut Requirements);
}

/// Middlewares: the output decides.
pub(crate) trait ErasedGuard<M: Moment, E>: Send + Sync {
    fn call(&self, cx: &M::Context<'_>) -> GuardFuture<E>;
    fn requirements(&self, needs: &mut Requirements);
}

struct Erased<H, T> {
    handler: H,
    types: PhantomData<fn(T)>,
}

impl<H, T> Erased<H, T> {
    fn new(handler: H) -> Arc<Self> {
        Arc::new(Self {
            handler,
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
    Erased::new(handler)
}

pub(crate) fn erase<M, H, T>(handler: H) -> Arc<dyn ErasedHandler<M>>
where
    M: Moment,
    H: Handler<M, T>,
    H::Output: IntoOutcome<EventError>,
    T: 'static,
{
    Erased::new(handler)
}

pub(crate) fn erase_guard<M, E, H, T>(handler: H) -> Arc<dyn ErasedGuard<M, E>>
where
    M: Moment,
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
        let ack = || AckSender::new(cx.socket, cx.ack, cx.answered);
        let future = match contained(cx.socket, || self.handler.call(cx)) {
            Some(Ok(future)) => future,
            Some(Err(rejection)) => {
                reports::rejection(cx.socket, &rejection);
                let _ = ack().send(&EventError::from(rejection));
                return;
            }
            None => return,
        };
        let ack = ack();
        let work = || Some(Client::work(cx.socket.connection(), cx.args.byte_len()));
        run(cx.socket, future, work, move |socket, output: H::Output| {
            if let Err(error) = output.into_ack(ack) {
                reports::failure(socket, &error);
            }
        });
    }

    fn requirements(&self, needs: &mut Requirements) {
        self.handler.requirements(needs);
    }
}

impl<M, H, T> ErasedHandler<M> for Erased<H, T>
where
    M: Moment,
    H: Handler<M, T>,
    H::Output: IntoOutcome<EventError>,
    T: 'static,
{
    fn call(&self, cx: &M::Context<'_>) {
        match contained(cx.socket(), || self.handler.call(cx)) {
            Some(Ok(future)) => {
                let finish = |socket: &Socket, output: H::Output| {
                    if let Err(error) = output.into_outcome() {
                        reports::failure(socket, &error);
                    }
                };
                // As many as the client has namespaces, which is bounded already.
                run(cx.socket(), future, || None, finish);
            }
            Some(Err(rejection)) => reports::rejection(cx.socket(), &rejection),
            None => {}
        }
    }

    fn requirements(&self, needs: &mut Requirements) {
        self.handler.requirements(needs);
    }
}

impl<M, E, H, T> ErasedGuard<M, E> for Erased<H, T>
where
    M: Moment,
    E: From<Rejection> + From<Panicked> + 'static,
    H: Handler<M, T>,
    H::Output: IntoOutcome<E>,
    T: 'static,
{
    fn call(&self, cx: &M::Context<'_>) -> GuardFuture<E> {
        match contained(cx.socket(), || self.handler.call(cx)) {
            Some(Ok(future)) => {
                let socket = cx.socket().clone();
                Box::pin(async move {
                    match CatchUnwind(Box::pin(future)).await {
                        Ok(output) => output.into_outcome(),
                        Err(panic) => {
                            reports::panic(&socket, &*panic);
                            Err(Panicked.into())
                        }
                    }
                })
            }
            Some(Err(rejection)) => {
                reports::rejection(cx.socket(), &rejection);
                Box::pin(async move { Err(rejection.into()) })
            }
            None => Box::pin(async { Err(Panicked.into()) }),
        }
    }

    fn requirements(&self, needs: &mut Requirements) {
        self.handler.requirements(needs);
    }
}

/// What a client learns of a middleware that panicked.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("internal error")]
pub(crate) struct Panicked;

/// Calls user code; a panic ends here, not in the connection.
fn contained<R>(socket: &Socket, f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|panic| reports::panic(socket, &*panic))
        .ok()
}

/// Polls the future once, here and now, so that handlers start in the order of their events; what is not finished then
/// goes on in a task of its own, for the time of which `work` counts it.
fn run<F>(
    socket: &Socket,
    future: F,
    work: impl FnOnce() -> Option<AtWork>,
    finish: impl FnOnce(&Socket, F::Output) + Send + 'static,
) where
    F: Future + Send + 'static,
{
    let mut future = Box::pin(future);
    let poll = || {
        future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    };
    match contained(socket, poll) {
        Some(Poll::Ready(output)) => {
            contained(socket, || finish(socket, output));
        }
        Some(Poll::Pending) => {
            let socket = socket.clone();
            let running = (socket.io_inner().running.enter(), work());
            let span = tracing::debug_span!("handler", socket = %socket.id(), namespace = socket.namespace());
            let task = async move {
                let _running = running;
                match CatchUnwind(future).await {
                    Ok(output) => {
                        contained(&socket, || finish(&socket, output));
                    }
                    Err(panic) => reports::panic(&socket, &*panic),
                }
            };
            tokio::spawn(task.instrument(span));
        }
        None => {}
    }
}

/// A future whose panics are values.
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
