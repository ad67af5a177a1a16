//! Ids of handlers and listeners.

use std::sync::atomic::{AtomicU64, Ordering};

/// Id of a handler or listener that was added to a socket, to remove it again. It is unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

impl ListenerId {
    /// Returns a new id, for a listener that is being added.
    #[allow(
        clippy::new_without_default,
        reason = "ids are not values to fall back to"
    )]
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}
