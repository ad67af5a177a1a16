//! Saying something that happens often not too often.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lets something be said once in an interval, and counts what is left unsaid meanwhile.
///
/// ```
/// use std::time::{Duration, Instant};
/// use fanfare_engine::Occasionally;
///
/// static REFUSED: Occasionally = Occasionally::every(Duration::from_secs(10));
/// let now = Instant::now();
/// assert_eq!(REFUSED.say(now), Some(1));
/// assert_eq!(REFUSED.say(now), None);
/// assert_eq!(REFUSED.say(now + Duration::from_secs(10)), Some(2));
/// ```
#[derive(Debug)]
pub struct Occasionally {
    interval: Duration,
    /// When it was said last, and how often it has happened since.
    said: Mutex<(Option<Instant>, u64)>,
}

impl Occasionally {
    /// Once in this interval, for the first time at once.
    pub const fn every(interval: Duration) -> Occasionally {
        Occasionally {
            interval,
            said: parking_lot::const_mutex((None, 0)),
        }
    }

    /// It has happened. `Some`: it is time to say so, and how often it has happened since the last time, this time
    /// included.
    pub fn say(&self, now: Instant) -> Option<u64> {
        let mut said = self.said.lock();
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
