//! Primitives that threads share. The unit tests of this crate replace them with a scheduler that tries many orders of
//! the threads' steps, and a socket that it controls.

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

#[cfg(not(test))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicU8, Ordering};
#[cfg(not(test))]
pub(crate) use std::thread_local;
#[cfg(not(test))]
pub(crate) use tokio::net::tcp::OwnedWriteHalf;

#[cfg(test)]
pub(crate) use model::{Mutex, MutexGuard, OwnedWriteHalf};
#[cfg(test)]
pub(crate) use shuttle::sync::atomic::{AtomicU8, Ordering};
#[cfg(test)]
pub(crate) use shuttle::thread_local;

/// Writing end of a socket, as outboxes hold it.
#[cfg(not(test))]
pub(crate) fn write_half(half: OwnedWriteHalf) -> OwnedWriteHalf {
    half
}

/// Never called: real sockets are for the tests in `tests/`.
#[cfg(test)]
pub(crate) fn write_half(_: tokio::net::tcp::OwnedWriteHalf) -> OwnedWriteHalf {
    unreachable!("a real socket under the scheduler")
}
