//! Calls of the application's functions, with panics contained.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::engine::Engine;
use crate::handler::Handler;

/// Calls a function of the application; a panic becomes the error, with its message.
///
/// # Errors
///
/// The message of the panic.
#[inline]
pub fn contain<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| message(&*panic))
}

#[cold]
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}

impl<H: Handler> Engine<H> {
    /// Calls a hook of the application. The handler is informed of a panic under the name of the hook; the caller
    /// supplies the result that is missing then.
    pub(crate) fn contain<R>(&self, hook: &'static str, f: impl FnOnce() -> R) -> Option<R> {
        contain(f)
            .map_err(|panic| self.handler.panicked(hook, &panic))
            .ok()
    }

    /// Polls a future of the application and contains its panics likewise.
    pub(crate) fn poll_contained<T>(
        &self,
        hook: &'static str,
        future: &mut Pin<Box<dyn Future<Output = T> + Send>>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<T>> {
        match self.contain(hook, || future.as_mut().poll(cx)) {
            Some(poll) => poll.map(Some),
            None => Poll::Ready(None),
        }
    }
}
