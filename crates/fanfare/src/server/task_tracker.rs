//! Tracking of running handlers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Waker};

use tokio::sync::Notify;

/// Counts handlers that run in separate tasks, so that shutting down can wait for them.
#[derive(Debug, Clone, Default)]
pub(crate) struct TaskTracker(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    count: AtomicUsize,
    idle: Notify,
}

/// Counts a running handler until it is dropped.
#[derive(Debug)]
pub(crate) struct Guard(TaskTracker);

impl TaskTracker {
    pub(crate) fn enter(&self) -> Guard {
        self.0.count.fetch_add(1, Ordering::AcqRel);
        Guard(self.clone())
    }

    /// Returns the number of running handlers.
    pub(crate) fn count(&self) -> usize {
        self.0.count.load(Ordering::Acquire)
    }

    /// Waits until no handler runs.
    pub(crate) async fn finished(&self) {
        loop {
            let idle = self.0.idle.notified();
            if self.0.count.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.0.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.idle.notify_waiters();
        }
    }
}

/// A flag that is set once, and that tasks can wait for.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    set: AtomicBool,
    waiting: Notify,
}

impl Latch {
    pub(crate) fn set(&self) {
        self.set.store(true, Ordering::Release);
        self.waiting.notify_waiters();
    }

    pub(crate) fn is_set(&self) -> bool {
        self.set.load(Ordering::Acquire)
    }

    pub(crate) async fn wait(&self) {
        loop {
            let notified = self.waiting.notified();
            if self.is_set() {
                return;
            }
            notified.await;
        }
    }
}

/// Polls the future once, immediately; if it is not finished then, it continues in a separate task.
pub(crate) fn run_or_spawn(
    running: &TaskTracker,
    future: impl Future<Output = ()> + Send + 'static,
) {
    let mut future = Box::pin(future);
    if future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
        .is_pending()
    {
        let guard = running.enter();
        tokio::spawn(async move {
            let _guard = guard;
            future.await;
        });
    }
}
