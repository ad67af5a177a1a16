//! Calls of the application's functions, with their panics contained.
//!
//! Every function that the application has given to the builder, a namespace, a socket, a parser or an adapter is
//! called through this file, under the name of the hook. Handlers and middlewares are the exception: their panics are
//! reported with their socket (`handler::reports`).

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use fanfare_engine::diagnostics::LogThrottle;
use fanfare_protocol::Escaped;
use metrics::counter;
use parking_lot::Mutex;

use crate::log_target;

/// Interval in which panics of one hook are logged once; the rest goes to the level `debug`.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

static LOGGED: Mutex<BTreeMap<&'static str, LogThrottle>> = Mutex::new(BTreeMap::new());

/// Calls a function of the application. A panic is counted and logged under the name of the hook, and the result is
/// `None`, for which the caller substitutes a default.
#[inline]
pub(crate) fn contain<R>(hook: &'static str, f: impl FnOnce() -> R) -> Option<R> {
    fanfare_engine::diagnostics::contain(f)
        .map_err(|panic| panicked(hook, &panic))
        .ok()
}

/// Does the same as [`contain`], for a function that returns a future.
pub(crate) async fn contain_future<'a, T>(
    hook: &'static str,
    f: impl FnOnce() -> Pin<Box<dyn Future<Output = T> + Send + 'a>>,
) -> Option<T> {
    let mut future = contain(hook, f)?;
    poll_fn(|cx| match contain(hook, || future.as_mut().poll(cx)) {
        Some(poll) => poll.map(Some),
        None => Poll::Ready(None),
    })
    .await
}

/// Counts and logs a panic of a hook.
#[cold]
pub(crate) fn panicked(hook: &'static str, panic: &str) {
    counter!("fanfare_hook_panics_total", "hook" => hook).increment(1);
    let panic = Escaped(panic);
    let mut logged = LOGGED.lock();
    let log = logged
        .entry(hook)
        .or_insert_with(|| LogThrottle::every(LOG_INTERVAL));
    match log.hit(Instant::now()) {
        Some(times) => {
            tracing::error!(target: log_target::HOOK, hook, %panic, times, "a hook panicked");
        }
        None => tracing::debug!(target: log_target::HOOK, hook, %panic, "a hook panicked"),
    }
}
