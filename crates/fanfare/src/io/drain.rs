//! Going away gently.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare_engine::{CloseMode, CloseReason};
use tokio::time::Instant;

use super::SocketIo;

/// With time enough, no more connections than one in this time are sent away: the other servers have to take them.
const PACE: Duration = Duration::from_millis(10);

/// What a [drain](SocketIo::drain) has left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Connections that were sent away in time.
    pub closed: usize,
    /// Connections that were still there at the deadline: they have been cut.
    pub connections: usize,
    /// Handlers that were still at work at the deadline: they go on for as long as the runtime does.
    pub handlers: usize,
    /// How long it took.
    pub took: Duration,
}

impl DrainReport {
    /// Whether nothing was left.
    pub fn is_complete(&self) -> bool {
        self.connections == 0 && self.handlers == 0
    }
}

impl SocketIo {
    /// Whether the server takes new connections: for readiness probes. False once [`drain`](Self::drain) or
    /// [`close`](Self::close) was called.
    pub fn is_ready(&self) -> bool {
        !self.0.leaving.load(Ordering::Acquire)
    }

    /// Empties the server before it stops, within `deadline`:
    ///
    /// 1. New connections are refused (503 with `Retry-After`), [`is_ready`](Self::is_ready) is false; those that are
    ///    there go on.
    /// 2. They are closed one after the other, in no particular order and with jitter, over up to three quarters of
    ///    the deadline, so that the other servers of a cluster are not run down by all of them at once. What was sent
    ///    to a client before reaches it. Its sockets are disconnected with the reason `server shutting down`; the
    ///    client sees its transport closed and reconnects.
    /// 3. Handlers that are at work are waited for.
    /// 4. What is left at the deadline is cut, and reported; then [`serve`](crate::serve) returns.
    ///
    /// [`close`](Self::close) does all of it at once: nothing that waits to be written is sent, and handlers are waited
    /// for without a deadline.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn f(io: fanfare::SocketIo) {
    /// let report = io.drain(Duration::from_secs(25)).await;
    /// if !report.is_complete() {
    ///     eprintln!("left: {} connections, {} handlers", report.connections, report.handlers);
    /// }
    /// # }
    /// ```
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let start = Instant::now();
        let end = start + deadline;
        self.0.leaving.store(true, Ordering::Release);
        let engine = self.engine();
        engine.refuse_new();
        let mut connections = Vec::with_capacity(engine.connections());
        engine.for_each(|conn| connections.push(conn.clone()));
        tracing::debug!(connections = connections.len(), ?deadline, "draining");
        let mut random = Random::new();
        random.shuffle(&mut connections);
        let n = u32::try_from(connections.len()).unwrap_or(u32::MAX);
        let window = (deadline * 3 / 4).min(PACE.saturating_mul(n));
        let mut closed = 0;
        for (k, conn) in connections.drain(..).enumerate() {
            let share = (k as f64 + random.fraction()) / f64::from(n.max(1));
            tokio::time::sleep_until(start + window.mul_f64(share)).await;
            closed += usize::from(conn.is_open());
            fanfare_engine::batch(|| conn.state().shut_down());
            conn.close(CloseMode::Flush, CloseReason::ForcedClose);
        }
        // Those whose handshake was under way when the door was shut.
        engine.for_each(|conn| {
            if conn.is_open() {
                closed += 1;
                conn.state().shut_down();
                conn.close(CloseMode::Flush, CloseReason::ForcedClose);
            }
        });
        while engine.connections() > 0 && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let _ = tokio::time::timeout_at(end, self.0.running.finished()).await;
        let left = engine.connections();
        engine.close();
        self.0.closed.set();
        if let Some(cluster) = &self.0.settings.cluster {
            // The others learn that this server is gone; it does not wait for them for long.
            let _ = tokio::time::timeout(Duration::from_secs(1), cluster.adapter.close()).await;
        }
        self.0.publish();
        let report = DrainReport {
            closed: closed.saturating_sub(left),
            connections: left,
            handlers: self.0.running.count(),
            took: start.elapsed(),
        };
        tracing::debug!(?report, "drained");
        report
    }
}

/// Good enough for jitter.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let mut seed = [0; 8];
        // Without randomness the order is only less random.
        let _ = getrandom::fill(&mut seed);
        Self(u64::from_ne_bytes(seed) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = (self.next() % (i as u64 + 1)) as usize;
            items.swap(i, j);
        }
    }
}
