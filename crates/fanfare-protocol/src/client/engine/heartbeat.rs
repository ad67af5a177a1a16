//! Heartbeats: in revision 4 the server sends them, in revision 3 the client.

use std::time::{Duration, Instant};

use super::after;
use crate::engine::Protocol;

/// Minimum time between two heartbeats that the client sends, even if a server announces a shorter one.
const MIN_PING_INTERVAL: Duration = Duration::from_millis(100);

/// Timers of an open connection.
#[derive(Debug, Default)]
pub(super) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    /// Time of the next heartbeat that the client sends.
    ping_at: Option<Instant>,
    /// Time at which the connection counts as lost.
    deadline: Option<Instant>,
}

impl Heartbeat {
    /// Starts the timers with the times that the server announced.
    pub(super) fn start(
        protocol: Protocol,
        interval: Duration,
        timeout: Duration,
        now: Instant,
    ) -> Self {
        let mut heartbeat = Self {
            interval,
            timeout,
            ping_at: None,
            deadline: None,
        };
        if protocol == Protocol::V3 {
            heartbeat.interval = interval.max(MIN_PING_INTERVAL);
            heartbeat.ping_at = Some(after(now, heartbeat.interval));
        }
        heartbeat.received(now);
        heartbeat
    }

    /// Records a packet that proves the server alive.
    pub(super) fn received(&mut self, now: Instant) {
        let silence = self.interval.saturating_add(self.timeout);
        self.deadline = Some(after(now, silence));
    }

    /// Whether the server has been silent for too long.
    pub(super) fn is_expired(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Returns whether the client must send a heartbeat now, and schedules the next one.
    pub(super) fn take_ping(&mut self, now: Instant) -> bool {
        let due = self.ping_at.is_some_and(|at| at <= now);
        if due {
            self.ping_at = Some(after(now, self.interval));
            // The answer is due earlier than any other packet.
            let answer = after(now, self.timeout);
            self.deadline = self.deadline.map(|deadline| deadline.min(answer));
        }
        due
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        [self.ping_at, self.deadline].into_iter().flatten().min()
    }
}
