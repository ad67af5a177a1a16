//! Clock that deadlines are measured with.

use std::time::Instant;

/// Returns the current time of Tokio's clock. It is the system's monotonic clock unless a test has paused it
/// (`tokio::time::pause`), also outside of a runtime.
#[inline]
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
