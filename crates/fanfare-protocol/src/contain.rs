//! Calls of the application's functions, with panics contained.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls a function of the application; a panic becomes the error, with its message.
///
/// # Errors
///
/// The message of the panic.
#[inline]
pub fn contain<R>(f: impl FnOnce() -> R) -> Result<R, String> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|panic| panic_message(&*panic).to_owned())
}

/// Returns the message of a panic, `(no message)` if its payload is not a text.
#[cold]
pub fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)")
}
