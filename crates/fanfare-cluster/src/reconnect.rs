//! Delays between attempts to connect to a broker.

use std::time::Duration;

use fanfare_protocol::client::Backoff;

/// Delay before the second attempt.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// Share of a delay that is random.
const JITTER: f64 = 0.5;

/// Returns the delays between attempts to connect to a broker: from 50 ms they double up to `longest`, and a random part
/// of up to a half is subtracted, so that the nodes of a cluster do not reconnect at the same time.
///
/// ```
/// use std::time::Duration;
///
/// let mut delays = fanfare_cluster::reconnection_delays(Duration::from_millis(500));
/// let (first, second) = (delays.next_delay(), delays.next_delay());
/// assert!(first >= Duration::from_millis(25) && first <= Duration::from_millis(50));
/// assert!(second >= Duration::from_millis(50) && second <= Duration::from_millis(100));
/// ```
#[must_use]
pub fn reconnection_delays(longest: Duration) -> Backoff {
    let mut seed = [0; 8];
    // Without randomness the nodes reconnect at the same time, which is better than not at all.
    let _ = getrandom::fill(&mut seed);
    Backoff::new(FIRST_DELAY, longest, JITTER, u64::from_be_bytes(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_a_bound() {
        let mut delays = reconnection_delays(Duration::from_millis(500));
        for bound in [50, 100, 200, 400, 500, 500, 500, 500, 500, 500, 500] {
            let (delay, bound) = (delays.next_delay(), Duration::from_millis(bound));
            assert!(
                delay >= bound / 2 && delay <= bound,
                "{delay:?} of {bound:?}"
            );
        }
        delays.reset();
        assert!(delays.next_delay() <= FIRST_DELAY);
    }
}
