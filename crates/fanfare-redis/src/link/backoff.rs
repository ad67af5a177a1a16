//! Delays between attempts to connect.

use std::time::Duration;

/// First delay.
const FIRST: Duration = Duration::from_millis(50);
/// Longest delay, so that deliveries resume within a second of the server's return.
const LONGEST: Duration = Duration::from_millis(500);

/// Doubling delays with jitter, so that the nodes of a cluster do not reconnect at the same time.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    attempts: u32,
}

impl Backoff {
    /// Returns the next delay: between half of the current bound and all of it.
    pub(super) fn next(&mut self) -> Duration {
        let bound = FIRST.saturating_mul(1 << self.attempts.min(8)).min(LONGEST);
        self.attempts = self.attempts.saturating_add(1);
        let mut random = [0; 2];
        // Without randomness the nodes reconnect at the same time, which is better than not at all.
        let _ = getrandom::fill(&mut random);
        let share = f64::from(u16::from_be_bytes(random)) / f64::from(u16::MAX);
        bound.mul_f64(0.5 + share / 2.0)
    }

    /// Resets the delay to the shortest one.
    pub(super) fn reset(&mut self) {
        self.attempts = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound() {
        let mut backoff = Backoff::default();
        for bound in [50, 100, 200, 400, 500, 500, 500, 500, 500, 500, 500] {
            let (delay, bound) = (backoff.next(), Duration::from_millis(bound));
            assert!(
                delay >= bound / 2 && delay <= bound,
                "{delay:?} of {bound:?}"
            );
        }
        backoff.reset();
        assert!(backoff.next() <= FIRST);
    }
}
