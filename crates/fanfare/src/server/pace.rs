//! Closing of many connections without a rush on the other servers.

use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::Connection;
use tokio::time::Instant;

use crate::client::Client;

/// Minimum interval between two disconnections, if the deadline allows: the other servers have to accept the
/// connections.
const PACE_INTERVAL: Duration = Duration::from_millis(10);
/// Time that a session on long-polling has to fetch its queued packets and its close. A client that is alive polls
/// again as soon as it has had a response.
pub(super) const FETCH_TIMEOUT: Duration = Duration::from_secs(2);

/// Closes connections one after the other, in random order and with jitter, over up to three quarters of `limit`.
/// Returns the number of those that were open.
pub(super) async fn close_paced(
    mut connections: Vec<Arc<Connection<Client>>>,
    start: Instant,
    limit: Duration,
) -> usize {
    let mut random = Random::new();
    random.shuffle(&mut connections);
    let n = u32::try_from(connections.len()).unwrap_or(u32::MAX);
    let window = limit
        .saturating_sub(limit / 4)
        .min(PACE_INTERVAL.saturating_mul(n));
    let mut closed = 0;
    for (k, conn) in connections.into_iter().enumerate() {
        let share = (k as f64 + random.fraction()) / f64::from(n.max(1));
        tokio::time::sleep_until(start + window.mul_f64(share)).await;
        closed += usize::from(conn.is_open());
        fanfare_engine::batch(|| conn.state().shut_down());
        conn.close_within(FETCH_TIMEOUT);
    }
    closed
}

/// Pseudo-random numbers, sufficient for jitter.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new() -> Self {
        let mut seed = [0; 8];
        // Without a random seed the order is only less random.
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

    pub(super) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            let j = (self.next() % (i as u64 + 1)) as usize;
            items.swap(i, j);
        }
    }
}
