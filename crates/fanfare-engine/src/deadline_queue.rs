//! Deadline queue: one timer for all connections of an engine.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fanfare_protocol::deadline;
use fanfare_protocol::engine::session::Session;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock;

/// Connections (by their index) under the tick, a millisecond since the epoch, at which each has to be checked.
///
/// An entry costs four bytes, because most share ticks that are some way apart. A connection has one valid entry; a
/// superseded one is ignored when its tick comes, as is the entry of a connection that is gone.
#[derive(Debug)]
pub(crate) struct DeadlineQueue {
    epoch: Instant,
    /// Distance between the coarse ticks that most entries share, in milliseconds.
    coarse: u64,
    slots: Mutex<Slots>,
    /// Last tick that was taken.
    reached: AtomicU64,
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    by_tick: BTreeMap<u64, Vec<u32>>,
    /// Tick that the task sleeps towards; `u64::MAX` = it waits for an entry.
    sleeping_to: u64,
}

impl DeadlineQueue {
    /// Creates a queue. `shortest`: the shortest interval that will be scheduled. Entries that may be late are late by at
    /// most 1/32 of it, limited to the range from 2 ms to 60 ms.
    pub(crate) fn new(shortest: Duration) -> DeadlineQueue {
        let coarse = (shortest / 32).clamp(Duration::from_millis(2), Duration::from_millis(60));
        DeadlineQueue {
            epoch: clock::now(),
            coarse: coarse.as_millis() as u64,
            slots: Mutex::default(),
            reached: AtomicU64::new(0),
            sooner: Notify::new(),
        }
    }

    /// Returns the first tick that is not before `at`. Never 0.
    #[inline]
    fn tick_of(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch);
        let millis = u64::from(since.subsec_nanos().div_ceil(1_000_000));
        let tick = since.as_secs().saturating_mul(1000).saturating_add(millis);
        tick.max(1)
    }

    /// Returns the tick for a deadline that may be handled a little late.
    #[inline]
    fn tick_about(&self, at: Instant) -> u64 {
        self.tick_of(at)
            .checked_next_multiple_of(self.coarse)
            .unwrap_or(u64::MAX)
    }

    /// Returns the tick for a deadline that must not be handled late: a coarse one before it while one is still to
    /// come, since hardly any of these deadlines is reached without being postponed; then the exact tick.
    #[inline]
    fn tick_until(&self, at: Instant) -> u64 {
        let tick = self.tick_of(at);
        let before = tick - tick % self.coarse;
        if before > self.reached.load(Ordering::Relaxed) {
            before
        } else {
            tick
        }
    }

    /// Returns the tick at which a connection has to be checked next.
    pub(crate) fn tick_for(&self, session: &Session, deadline: Option<Instant>) -> Option<u64> {
        let next = session.next_deadline()?;
        let tick = match session.next_is_ping() {
            true => self.tick_about(next),
            false => self.tick_until(next),
        };
        Some(deadline.map_or(tick, |deadline| tick.min(self.tick_about(deadline))))
    }

    pub(crate) fn add(&self, tick: u64, index: u32) {
        let mut slots = self.slots.lock();
        slots.by_tick.entry(tick).or_default().push(index);
        if tick < slots.sleeping_to {
            slots.sleeping_to = tick;
            drop(slots);
            self.sooner.notify_one();
        }
    }

    /// Takes the earliest slot that is due, or returns the time of the next one.
    pub(crate) fn take_due(&self, now: Instant) -> Result<(u64, Vec<u32>), Option<Instant>> {
        let mut slots = self.slots.lock();
        let Some(entry) = slots.by_tick.first_entry() else {
            slots.sleeping_to = u64::MAX;
            return Err(None);
        };
        let tick = *entry.key();
        let at = deadline(self.epoch, Duration::from_millis(tick));
        if at <= now {
            self.reached.store(tick, Ordering::Relaxed);
            return Ok((tick, entry.remove()));
        }
        slots.sleeping_to = tick;
        Err(Some(at))
    }

    /// Waits until something is due sooner than [`take_due`](DeadlineQueue::take_due) said.
    pub(crate) async fn sooner(&self) {
        self.sooner.notified().await;
    }

    /// Ends the wait of the task.
    pub(crate) fn wake(&self) {
        self.sooner.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::engine::session::SessionConfig;
    use fanfare_protocol::engine::{Protocol, Transport};

    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn slots_come_in_order_and_never_early() {
        let queue = DeadlineQueue::new(Duration::from_secs(1));
        let start = queue.epoch;
        let (late, early) = (start + ms(500), start + ms(100));
        queue.add(queue.tick_about(late), 2);
        queue.add(queue.tick_about(early), 1);
        queue.add(queue.tick_about(early), 3);
        let Err(Some(at)) = queue.take_due(start) else {
            panic!("nothing is due yet")
        };
        assert!(at >= early && at < early + ms(32));
        assert_eq!(queue.take_due(at).unwrap().1, [1, 3]);
        let Err(Some(at)) = queue.take_due(at) else {
            panic!("the other is not due yet")
        };
        assert!(at >= late);
        assert_eq!(queue.take_due(at).unwrap().1, [2]);
        assert_eq!(queue.take_due(at), Err(None));
    }

    #[test]
    fn what_is_a_long_way_off_is_not_due_now() {
        let queue = DeadlineQueue::new(ms(50));
        for at in [Duration::from_secs(400 * 24 * 3600), Duration::MAX] {
            queue.add(queue.tick_about(deadline(queue.epoch, at)), 1);
            queue.add(queue.tick_until(deadline(queue.epoch, at)), 1);
        }
        // Also after the 99 days that a 32-bit count of two-millisecond ticks covers.
        let now = queue.epoch + Duration::from_secs(100 * 24 * 3600);
        assert!(queue.take_due(now).is_err());
    }

    /// Follows a session through virtual time, as the engine does, until it is closed.
    fn lives(interval: Duration, timeout: Duration, born: Duration) -> Duration {
        let times = SessionConfig {
            ping_interval: interval,
            ping_timeout: timeout,
            ..SessionConfig::default()
        };
        let queue = DeadlineQueue::new(interval.min(timeout));
        let born = queue.epoch + born;
        let mut session = Session::new(born, Transport::WebSocket, Protocol::V4, &times);
        let mut now = born;
        while let Some(tick) = queue.tick_for(&session, None) {
            queue.add(tick, 0);
            if let Err(Some(at)) = queue.take_due(now) {
                // A timer of Tokio is late by up to a millisecond.
                now = at + ms(1);
                assert!(queue.take_due(now).is_ok());
            }
            let _ = session.tick(now, &times);
        }
        now - born
    }

    #[test]
    fn a_silent_client_is_gone_when_its_time_is_over() {
        for micros in (0..70_000).step_by(777) {
            let born = Duration::from_micros(micros);
            let lived = lives(ms(300), ms(200), born);
            assert!(
                lived >= ms(500) && lived <= ms(502),
                "{lived:?} from {born:?}"
            );
            let lived = lives(ms(25_000), ms(20_000), born);
            assert!(
                lived >= ms(45_000) && lived <= ms(45_002),
                "{lived:?} from {born:?}"
            );
        }
    }
}
