//! A token bucket in one word.

use std::time::{Duration, Instant};

/// So many in a second on average, so many at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// What one costs, in nanoseconds.
    cost: f64,
    /// The time that may be used up in advance.
    burst: Duration,
}

impl Rate {
    pub(crate) fn per_second(rate: u64, burst: Duration) -> Self {
        Self {
            cost: 1e9 / rate.max(1) as f64,
            burst,
        }
    }
}

/// The moment up to which everything is used up. A full bucket is a moment that has passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket(Option<Instant>);

impl Bucket {
    pub(crate) const fn full() -> Self {
        Self(None)
    }

    /// Takes `n` if there is anything left. The last one may take more than there is, which the next ones wait for: a
    /// message that is bigger than the bucket must pass some time.
    pub(crate) fn take(&mut self, rate: Rate, n: u64, now: Instant) -> bool {
        let used = self.0.map_or(now, |used| used.max(now));
        if used - now >= rate.burst {
            return false;
        }
        let cost = Duration::from_nanos((rate.cost * n as f64).ceil() as u64);
        self.0 = Some(used + cost);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How many of `n` pass at this moment.
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
        // Time that was not used is not saved up beyond the burst.
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
