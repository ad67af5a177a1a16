//! Fairness between connections: a limit on the work that one does in a row.

use std::task::{Context, Poll};

/// Number of requests or reads after which a connection yields to others.
const STEPS_PER_TURN: u32 = 16;

/// Steps of a connection since it last yielded. Tokio's own budget counts operations on sockets, not their
/// consequences, and not operations on other streams.
#[derive(Debug, Default)]
pub(crate) struct Turn(u32);

impl Turn {
    /// Counts a step before it begins. Pending: the connection yields; the task is woken at once.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.0 == STEPS_PER_TURN {
            self.0 = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.0 += 1;
        Poll::Ready(())
    }

    /// Records the result of a step: where it waits, others get their turn anyway.
    pub(crate) fn ends_with<T>(&mut self, step: Poll<T>) -> Poll<T> {
        if step.is_pending() {
            self.0 = 0;
        }
        step
    }
}
