//! Deadline of a packet, from its first part to its last.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::clock;

/// Whether a connection has sent part of a packet, and the time of the first part. It costs eight bytes and no timer.
#[derive(Debug, Default)]
pub(crate) struct Begun {
    /// Time of the first part, in tenths of a second since the server started; 0 if no packet is incomplete.
    at: AtomicU32,
    /// Whether the connection's deadline has been set for this packet.
    watched: AtomicBool,
}

impl Begun {
    /// Whether a packet is incomplete.
    #[inline]
    pub(crate) fn is_under_way(&self) -> bool {
        self.at.load(Ordering::Relaxed) != 0
    }

    /// Records that a message has been read. Returns `true` if a packet has begun and no deadline has been set for it
    /// yet.
    pub(crate) fn read(&self, incomplete: bool, epoch: Instant) -> bool {
        if !incomplete {
            self.at.store(0, Ordering::Relaxed);
            return false;
        }
        if self.is_under_way() {
            return false;
        }
        // Rounded up, so that the packet's time is not shorter than promised.
        self.at.store(tenths(epoch) + 1, Ordering::Relaxed);
        !self.watched.load(Ordering::Relaxed)
    }

    /// Restarts the packet's time after a pause in reading: the missing part may have arrived meanwhile.
    pub(crate) fn restart(&self, epoch: Instant) {
        let now = tenths(epoch) + 1;
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        let restarted = |at| (at != 0).then_some(now);
        let _ = self.at.fetch_update(set, fetch, restarted);
    }

    pub(crate) fn watch(&self) {
        self.watched.store(true, Ordering::Relaxed);
    }

    /// Records that the deadline has passed. Returns `None` if it was not set for a packet.
    pub(crate) fn unwatch(&self) -> Option<()> {
        self.watched.swap(false, Ordering::Relaxed).then_some(())
    }

    /// Returns the time that is left for the packet, if one is incomplete.
    pub(crate) fn left(&self, epoch: Instant, limit: Duration) -> Option<Duration> {
        let at = self.at.load(Ordering::Relaxed);
        (at != 0).then(|| {
            let age = Duration::from_millis(100) * tenths(epoch).saturating_sub(at);
            limit.saturating_sub(age)
        })
    }
}

fn tenths(epoch: Instant) -> u32 {
    u32::try_from(clock::now().saturating_duration_since(epoch).as_millis() / 100)
        .map_or(u32::MAX - 1, |at| at.min(u32::MAX - 1))
}
