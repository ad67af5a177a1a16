//! Graceful shutdown.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare_protocol::deadline as after;
use tokio::time::Instant;

use super::SocketIo;
use super::pace::{FETCH_TIMEOUT, close_paced};
use crate::log_target;

/// Time within which a client that was closed comes back to another server: the longest delay of official clients.
const RETURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two looks at the sessions that other servers have not asked for, all of which are looked at.
const HAND_OVER_PAUSE: Duration = Duration::from_millis(50);

/// Outcome of a [drain](SocketIo::drain).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// Number of connections that were closed in time.
    pub closed: usize,
    /// Number of connections that were still open at the deadline and have been aborted.
    pub connections: usize,
    /// Number of handlers that were still running at the deadline: they continue as long as the runtime does.
    pub handlers: usize,
    /// Duration of the drain.
    pub took: Duration,
}

impl DrainReport {
    /// Whether nothing was left at the deadline.
    pub fn is_complete(&self) -> bool {
        self.connections == 0 && self.handlers == 0
    }
}

impl SocketIo {
    /// Whether the server accepts new connections: for readiness probes. False once [`drain`](Self::drain) or
    /// [`close`](Self::close) was called.
    pub fn is_ready(&self) -> bool {
        !self.0.leaving.load(Ordering::Acquire)
    }

    /// Empties the server before it stops, within `deadline`:
    ///
    /// 1. New connections are rejected (503 with `Retry-After`), [`is_ready`](Self::is_ready) is false; existing ones
    ///    continue.
    /// 2. They are closed one after the other, in no particular order and with jitter, over up to three quarters of the
    ///    deadline, so that they do not overload the other servers of a cluster all at once. Messages that were sent to
    ///    a client before reach it. Its sockets are disconnected with the reason `server shutting down`; the client
    ///    sees its transport closed and reconnects. A client on long-polling that has no request pending has two
    ///    seconds to fetch its close.
    /// 3. The server waits for running handlers.
    /// 4. With connection state recovery through the memory of the servers of a cluster, it waits until the others have
    ///    asked for the sessions of the clients that it has closed, for at most 5 s.
    /// 5. Connections that are left at the deadline are aborted and reported; then [`serve`](crate::serve()) returns.
    ///
    /// [`close`](Self::close) does all of it at once: queued messages are dropped, and it waits for handlers without a
    /// deadline.
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
    ///
    /// # Cancel safety
    /// The server cannot be reopened: after a dropped call new connections are still rejected, those that are not closed yet stay
    /// open. Another call, or [`close`](Self::close), completes the work.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let start = Instant::now();
        let end = Instant::from_std(after(start.into_std(), deadline));
        self.0.leaving.store(true, Ordering::Release);
        let engine = self.engine();
        engine.reject_new();
        let mut connections = Vec::with_capacity(engine.connections());
        engine.for_each(|conn| connections.push(conn.clone()));
        tracing::debug!(target: log_target::DRAIN, connections = connections.len(), ?deadline, "draining");
        let mut closed = close_paced(connections, start, deadline).await;
        // Connections whose handshake was pending when new connections were stopped.
        engine.for_each(|conn| {
            if conn.is_open() {
                closed += 1;
                conn.state().shut_down();
                conn.close_within(FETCH_TIMEOUT);
            }
        });
        while engine.connections() > 0 && Instant::now() < end {
            tokio::time::sleep(HAND_OVER_PAUSE).await;
        }
        let _ = tokio::time::timeout_at(end, self.settled()).await;
        let left = engine.connections();
        self.hand_over_sessions(start, end).await;
        engine.close();
        self.0.drained.store(true, Ordering::Release);
        self.0.closed.set();
        if let Some(cluster) = &self.0.settings.cluster {
            // Tells the other nodes that this server is gone, but waits no longer than this for it.
            let _ = tokio::time::timeout(Duration::from_secs(1), cluster.adapter.close()).await;
        }
        self.0.publish();
        let report = DrainReport {
            closed: closed.saturating_sub(left),
            connections: left,
            handlers: self.0.running.count(),
            took: start.elapsed(),
        };
        tracing::debug!(target: log_target::DRAIN, ?report, "drained");
        report
    }

    /// Waits until the other servers have taken the sessions of the clients that were closed, if these are recovered
    /// through this server.
    async fn hand_over_sessions(&self, start: Instant, end: Instant) {
        let Some((_, budget)) = &self.0.settings.recovery else {
            return;
        };
        let end = end.min(Instant::from_std(after(
            Instant::now().into_std(),
            RETURN_TIMEOUT,
        )));
        while budget.has_absent(start.into_std()) && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
