//! Throttle for log messages about frequent events.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Passes one event per interval, and counts the events in between.
///
/// ```
/// use std::time::{Duration, Instant};
/// use fanfare_protocol::diagnostics::LogThrottle;
///
/// static REJECTED: LogThrottle = LogThrottle::every(Duration::from_secs(10));
/// let now = Instant::now();
/// assert_eq!(REJECTED.hit(now), Some(1));
/// assert_eq!(REJECTED.hit(now), None);
/// assert_eq!(REJECTED.hit(now + Duration::from_secs(10)), Some(2));
/// ```
#[derive(Debug)]
pub struct LogThrottle {
    interval: Duration,
    /// Time of the last event that passed, and number of events since.
    said: Mutex<(Option<Instant>, u64)>,
}

impl LogThrottle {
    /// Creates a throttle that passes one event per interval, the first one at once.
    pub const fn every(interval: Duration) -> LogThrottle {
        LogThrottle {
            interval,
            said: Mutex::new((None, 0)),
        }
    }

    /// Counts an event. `Some`: it is time to log, with the number of events since the last time, this one included.
    pub fn hit(&self, now: Instant) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.1 += 1;
        if said
            .0
            .is_some_and(|at| now.duration_since(at) < self.interval)
        {
            return None;
        }
        said.0 = Some(now);
        Some(std::mem::take(&mut said.1))
    }
}
