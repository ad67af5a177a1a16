//! Reconnection delays.

use std::time::Duration;

/// Exponential backoff whose jitter also holds at the cap.
///
/// The `n`-th delay (from 0) is drawn uniformly from `[c·(1−f), c]`, where `c = min(max, base·2ⁿ)` and `f` is the
/// randomization factor. With `f = 1` ("full jitter", the default), a thousand clients that lost the same server
/// reconnect spread over the whole interval. The JavaScript client applies its cap *after* the jitter, so that from the
/// fifth attempt on every client waits exactly the maximum.
///
/// ```
/// use fanfare_protocol::client::Backoff;
/// use std::time::Duration;
///
/// let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5), 1.0, 42);
/// for _ in 0..100 {
///     assert!(backoff.next_delay() <= Duration::from_secs(5));
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    factor: f64,
    attempts: u32,
    random: u64,
}

impl Backoff {
    /// Creates a backoff from `base` to `max`; `factor` is clamped to 0..=1, and `seed` makes the jitter reproducible.
    #[must_use]
    pub fn new(base: Duration, max: Duration, factor: f64, seed: u64) -> Self {
        let factor = if factor.is_nan() {
            1.0
        } else {
            factor.clamp(0.0, 1.0)
        };
        Self {
            base,
            max: max.max(base),
            factor,
            attempts: 0,
            random: seed | 1,
        }
    }

    /// Number of delays drawn since the last [`reset`](Self::reset).
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Draws the next delay and counts an attempt.
    pub fn next_delay(&mut self) -> Duration {
        let doubled = self
            .base
            .checked_mul(1u32.checked_shl(self.attempts).unwrap_or(u32::MAX));
        let ceiling = doubled.unwrap_or(self.max).min(self.max);
        self.attempts = self.attempts.saturating_add(1);
        ceiling.mul_f64((1.0 - self.factor * self.unit()).clamp(0.0, 1.0))
    }

    /// Restarts from the base delay.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Returns the next pseudo-random number of [0, 1) by splitmix64, which is good enough to spread clients.
    fn unit(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_also_at_the_cap() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5), 1.0, 7);
        let late: Vec<Duration> = (0..1000).map(|_| backoff.next_delay()).skip(10).collect();
        assert!(late.iter().all(|d| *d <= Duration::from_secs(5)));
        let below_half = late
            .iter()
            .filter(|d| **d < Duration::from_millis(2500))
            .count();
        assert!(
            (350..650).contains(&below_half),
            "{below_half} of {} delays below half the cap",
            late.len()
        );
    }

    #[test]
    fn without_randomization_the_delays_double() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5), 0.0, 7);
        let delays: Vec<u64> = (0..5).map(|_| backoff.next_delay().as_secs()).collect();
        assert_eq!(delays, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.next_delay(), Duration::from_secs(1));
    }

    #[test]
    fn extreme_values_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::MAX, Duration::MAX, f64::NAN, 0);
        for _ in 0..200 {
            let _ = backoff.next_delay();
        }
    }
}
