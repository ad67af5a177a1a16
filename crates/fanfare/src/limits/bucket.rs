//! A token bucket in one word.

use std::time::{Duration, Instant};

use fanfare_protocol::{deadline, finite};

/// Average rate per second, and burst.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// Cost of one unit, in nanoseconds.
    cost: f64,
    /// Time that may be used up in advance.
    burst: Duration,
}

impl Rate {
    pub(crate) fn per_second(rate: u64, burst: Duration) -> Self {
        Self {
            cost: 1e9 / rate.max(1) as f64,
            burst: finite(burst),
        }
    }
}

/// Time up to which everything is used up. A full bucket has a time that has passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket(Option<Instant>);

impl Bucket {
    pub(crate) const fn full() -> Self {
        Self(None)
    }

    /// Takes `n` if anything is left. The last call may take more than there is, and later ones wait for the
    /// difference: a message that is bigger than the bucket must pass at some time.
    pub(crate) fn take(&mut self, rate: Rate, n: u64, now: Instant) -> bool {
        let used = self.0.map_or(now, |used| used.max(now));
        if used - now >= rate.burst {
            return false;
        }
        let cost = Duration::from_nanos((rate.cost * n as f64).ceil() as u64);
        self.0 = Some(deadline(used, cost));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns how many of `n` pass at this time.
    fn pass(bucket: &mut Bucket, rate: Rate, n: usize, now: Instant) -> usize {
        (0..n).filter(|_| bucket.take(rate, 1, now)).count()
    }

    #[test]
    fn a_burst_then_the_rate() {
        let (start, rate) = (Instant::now(), Rate::per_second(10, SECOND));
        let mut bucket = Bucket::full();
        assert_eq!(pass(&mut bucket, rate, 100, start), 10);
        assert_eq!(pass(&mut bucket, rate, 100, start + SECOND / 2), 5);
        assert_eq!(pass(&mut bucket, rate, 100, start + SECOND / 2), 0);
        // Unused time accumulates only up to the burst.
        assert_eq!(pass(&mut bucket, rate, 100, start + 60 * SECOND), 10);
    }

    #[test]
    fn a_steady_stream_at_the_rate_passes() {
        let (start, rate) = (Instant::now(), Rate::per_second(100, SECOND));
        let mut bucket = Bucket::full();
        let passed = (0..10_000)
            .filter(|n| bucket.take(rate, 1, start + *n * SECOND / 100))
            .count();
        assert_eq!(passed, 10_000);
        let mut bucket = Bucket::full();
        let passed = (0..10_000)
            .filter(|n| bucket.take(rate, 1, start + *n * SECOND / 200))
            .count();
        assert!((5_000..=5_101).contains(&passed), "{passed}");
    }

    #[test]
    fn what_is_bigger_than_the_bucket_passes_and_is_paid_for() {
        let (start, rate) = (Instant::now(), Rate::per_second(1000, SECOND));
        let mut bucket = Bucket::full();
        assert!(bucket.take(rate, 5000, start));
        assert!(!bucket.take(rate, 1, start + 4 * SECOND));
        assert!(bucket.take(rate, 1, start + 4 * SECOND + SECOND / 2));
    }
}
