//! Conversion of durations to deadlines.

use std::time::{Duration, Instant};

/// Limit from which a duration means "never": 30 years.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Returns the instant `after` from `now`. [`Duration::MAX`], and any duration longer than 30 years, means never: the
/// result is an instant that no process reaches, where `now + after` would panic.
#[inline]
#[must_use]
#[allow(
    clippy::arithmetic_side_effects,
    reason = "no clock is 30 years from its end"
)]
pub fn deadline(now: Instant, after: Duration) -> Instant {
    now + finite(after)
}

/// Returns `time`, or 30 years if it is longer, for APIs that add it to an instant themselves.
#[inline]
#[must_use]
pub const fn finite(time: Duration) -> Duration {
    if time.as_secs() < NEVER.as_secs() {
        time
    } else {
        NEVER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_duration_is_never() {
        let now = Instant::now();
        assert_eq!(
            deadline(now, Duration::from_secs(1)),
            now + Duration::from_secs(1)
        );
        assert_eq!(deadline(now, Duration::MAX), now + NEVER);
        assert_eq!(
            deadline(deadline(now, Duration::MAX), Duration::MAX),
            now + 2 * NEVER
        );
    }
}
