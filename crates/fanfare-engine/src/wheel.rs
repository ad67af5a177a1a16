//! One timer for all connections of an engine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Connections (by their index) under the tick at which each wants to be looked at.
///
/// An entry costs four bytes. A connection has one valid entry; one that it has outlived is ignored when its tick
/// comes, as is the entry of a connection that is gone.
#[derive(Debug)]
pub(crate) struct Wheel {
    epoch: Instant,
    granularity: Duration,
    slots: Mutex<Slots>,
    sooner: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    by_tick: BTreeMap<u64, Vec<u32>>,
    /// The tick the task sleeps towards; `u64::MAX` = it waits for an entry.
    sleeping_to: u64,
}

impl Wheel {
    /// `shortest`: the shortest of the intervals that will be asked for; they are late by 1/32 of it at most.
    pub(crate) fn new(shortest: Duration) -> Wheel {
        Wheel {
            epoch: Instant::now(),
            granularity: (shortest / 32).clamp(Duration::from_millis(2), Duration::from_millis(60)),
            slots: Mutex::default(),
            sooner: Notify::new(),
        }
    }

    /// The first tick that is not before `at`. Never 0.
    #[inline]
    pub(crate) fn tick_of(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.epoch).as_nanos() as u64;
        nanos.div_ceil(self.granularity.as_nanos() as u64).max(1)
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

    /// Takes the earliest slot that is due, or says when the next one is.
    pub(crate) fn take_due(&self, now: Instant) -> Result<(u64, Vec<u32>), Option<Instant>> {
        let mut slots = self.slots.lock();
        let Some(entry) = slots.by_tick.first_entry() else {
            slots.sleeping_to = u64::MAX;
            return Err(None);
        };
        let tick = *entry.key();
        let at = self.epoch
            + self
                .granularity
                .saturating_mul(u32::try_from(tick).unwrap_or(u32::MAX));
        if at <= now {
            return Ok((tick, entry.remove()));
        }
        slots.sleeping_to = tick;
        Err(Some(at))
    }

    /// Waits until something is due sooner than what [`take_due`](Wheel::take_due) said.
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
    use super::*;

    #[test]
    fn slots_come_in_order_and_never_early() {
        let wheel = Wheel::new(Duration::from_secs(1));
        let start = wheel.epoch;
        let (late, early) = (
            start + Duration::from_millis(500),
            start + Duration::from_millis(100),
        );
        wheel.add(wheel.tick_of(late), 2);
        wheel.add(wheel.tick_of(early), 1);
        wheel.add(wheel.tick_of(early), 3);
        let Err(Some(at)) = wheel.take_due(start) else {
            panic!("nothing is due yet")
        };
        assert!(at >= early && at < early + Duration::from_millis(32));
        assert_eq!(wheel.take_due(at).unwrap().1, [1, 3]);
        let Err(Some(at)) = wheel.take_due(at) else {
            panic!("the other is not due yet")
        };
        assert!(at >= late);
        assert_eq!(wheel.take_due(at).unwrap().1, [2]);
        assert_eq!(wheel.take_due(at), Err(None));
    }
}
