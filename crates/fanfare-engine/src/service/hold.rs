//! Delay of requests that may have overtaken others, so that what arrived before a request is handled before it.
//!
//! The requests of a session arrive on several connections, each read by a separate task. The scheduler decides which
//! task runs first: of those that became ready together, Tokio's workers run the last one first, and steal others from
//! each other. So the few requests that would find a session in a wrong state if they had overtaken another wait a
//! short time for that one. See decision 140.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::task::yield_now;
use tokio::time::sleep;

use crate::clock;

/// Maximum delay of a request. What arrived before it is handled within microseconds, unless the machine has no CPU to
/// spare.
const MAX_HOLD: Duration = Duration::from_millis(50);

/// Wait of a request that may have overtaken another, with its result.
pub(super) type Hold<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Whether an early request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IfEarly {
    /// The request waits.
    Wait,
    /// The request has waited for the maximum time.
    GoOn,
}

/// Waits until `attempt` has a result: for at most 50 ms, after which it is called with [`IfEarly::GoOn`].
///
/// Checking whether the request is early and handling it are one step, because another thread may handle a request of
/// the same session in between.
pub(super) fn hold<T>(mut attempt: impl FnMut(IfEarly) -> Option<T> + Send + 'static) -> Hold<T> {
    Box::pin(async move {
        let start = clock::now();
        // Usually its turn comes as soon as this task yields.
        for _ in 0..2 {
            yield_now().await;
            if let Some(result) = attempt(IfEarly::Wait) {
                return result;
            }
        }
        let mut step = Duration::from_millis(1);
        loop {
            sleep(step).await;
            step *= 2;
            let if_early = match clock::now() - start < MAX_HOLD {
                true => IfEarly::Wait,
                false => IfEarly::GoOn,
            };
            if let Some(result) = attempt(if_early) {
                return result;
            }
        }
    })
}
