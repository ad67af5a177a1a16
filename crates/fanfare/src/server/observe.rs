//! Statistics of a running server: panics of its hooks, and the publication of its counters.

use std::sync::{Once, Weak};
use std::time::Duration;

use metrics::{gauge, histogram};

use super::IoInner;
use crate::contain::panicked;

/// Interval in which the counters are published.
const PUBLISH_INTERVAL: Duration = Duration::from_secs(1);

/// Publishes once a second for as long as the server lives.
pub(super) async fn run(io: Weak<IoInner>) {
    loop {
        tokio::time::sleep(PUBLISH_INTERVAL).await;
        let Some(io) = io.upgrade() else { return };
        io.publish();
    }
}

impl IoInner {
    /// Publishes the changes since the last time.
    pub(super) fn publish(&self) {
        static DESCRIBED: Once = Once::new();
        DESCRIBED.call_once(crate::adapter::describe_metrics);
        let mut published = self.stats.published.lock();
        self.stats.publish(&mut published);
        let handlers = self.running.count();
        gauge!("fanfare_handlers_running").increment(handlers as f64 - published.handlers as f64);
        published.handlers = handlers;
        if let Some(cluster) = &self.settings.cluster {
            cluster.publish_metrics();
        }
        let Some(engine) = self.engine() else { return };
        // Samples one part of the connections each time, because visiting all of many connections would be expensive.
        let depth = histogram!("fanfare_outbox_bytes");
        let more = engine.for_each_of(published.part, |conn| {
            depth.record(conn.pending_bytes() as f64);
        });
        published.part = if more { published.part + 1 } else { 0 };
    }
}

impl IoInner {
    /// Calls a function of the application, and counts a panic of it in the server's statistics.
    #[inline]
    pub(crate) fn contain<R>(&self, hook: &'static str, f: impl FnOnce() -> R) -> Option<R> {
        self.stats.contain(hook, f)
    }

    /// Counts a panic that the engine has contained.
    pub(crate) fn panicked(&self, hook: &'static str, panic: &str) {
        panicked(hook, panic);
        self.stats.count_panic();
    }
}
