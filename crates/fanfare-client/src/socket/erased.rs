//! Type-erased handlers, as a socket keeps them.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfare_core::{AckSink, EventError, Handler, HandlerKind, IntoAck, IntoOutcome, PendingAck};
use fanfare_protocol::diagnostics::contain;

use super::Socket;
use super::kinds::{EventContext, OnEvent};

/// Failure of a handler, which has been answered already.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An extractor failed, and the handler did not run.
    Rejected(String),
    /// The handler returned an error.
    Error(EventError),
    /// The handler panicked, with this message.
    Panicked(String),
}

/// Future of a handler and of what follows from its output. Panics in either become [`Failure::Panicked`].
pub(crate) struct HandlerFuture(Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>);

impl Future for HandlerFuture {
    type Output = Result<(), Failure>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match contained(|| self.0.as_mut().poll(cx)) {
            Ok(poll) => poll,
            Err(panicked) => Poll::Ready(Err(panicked)),
        }
    }
}

/// Handler of the kind `M` whose output has been dealt with.
pub(crate) trait Erased<M: HandlerKind>: Send + Sync {
    /// Calls the handler. Its panics, also later in the future, become [`Failure::Panicked`].
    fn call(&self, cx: &M::Context<'_>) -> Result<HandlerFuture, Failure>;
}

/// Handler of events, whose output acknowledges.
struct Answering<H, T>(H, PhantomData<fn() -> T>);

/// Handler of the life of the socket, whose output is only logged.
struct Silent<H, T>(H, PhantomData<fn() -> T>);

pub(crate) fn erase_event<H, T>(handler: H) -> Arc<dyn Erased<OnEvent>>
where
    H: Handler<OnEvent, T, Output: IntoAck>,
    T: 'static,
{
    Arc::new(Answering(handler, PhantomData))
}

pub(crate) fn erase<M, H, T>(handler: H) -> Arc<dyn Erased<M>>
where
    M: HandlerKind<Socket = Socket>,
    H: Handler<M, T, Output: IntoOutcome<EventError>>,
    T: 'static,
{
    Arc::new(Silent(handler, PhantomData))
}

impl<H, T> Erased<OnEvent> for Answering<H, T>
where
    H: Handler<OnEvent, T, Output: IntoAck>,
    T: 'static,
{
    fn call(&self, cx: &EventContext) -> Result<HandlerFuture, Failure> {
        let pending = PendingAck::new(cx.event.ack());
        let future = match contained(|| self.0.call(cx))? {
            Ok(future) => future,
            Err(rejection) => {
                let text = rejection.to_string();
                pending.settle(|ack| ack.fail(&EventError::rejected(rejection)));
                return Err(Failure::Rejected(text));
            }
        };
        let finish = |output: H::Output| {
            let answered = pending.settle(|ack| output.into_ack(ack));
            answered.unwrap_or(Ok(())).map_err(Failure::Error)
        };
        Ok(finished(future, finish))
    }
}

impl<M, H, T> Erased<M> for Silent<H, T>
where
    M: HandlerKind,
    H: Handler<M, T, Output: IntoOutcome<EventError>>,
    T: 'static,
{
    fn call(&self, cx: &M::Context<'_>) -> Result<HandlerFuture, Failure> {
        let future = contained(|| self.0.call(cx))?
            .map_err(|rejection| Failure::Rejected(rejection.to_string()))?;
        Ok(finished(future, |output: H::Output| {
            output.into_outcome().map_err(Failure::Error)
        }))
    }
}

/// Returns the future of a handler together with what follows from its output.
fn finished<F: Future + Send + 'static>(
    future: F,
    finish: impl FnOnce(F::Output) -> Result<(), Failure> + Send + 'static,
) -> HandlerFuture {
    HandlerFuture(Box::pin(async move { finish(future.await) }))
}

/// Calls user code and contains its panics.
fn contained<R>(f: impl FnOnce() -> R) -> Result<R, Failure> {
    contain(f).map_err(Failure::Panicked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_message_of_a_panic_is_kept() {
        async fn fails(panics: bool) {
            assert!(!panics, "out of tea");
        }
        let handler = finished(fails(true), |()| Ok(()));
        assert!(
            matches!(handler.await, Err(Failure::Panicked(message)) if message == "out of tea")
        );
        let output = finished(fails(false), |()| panic!("no milk"));
        assert!(matches!(output.await, Err(Failure::Panicked(message)) if message == "no milk"));
        assert!(finished(fails(false), |()| Ok(())).await.is_ok());
    }
}
