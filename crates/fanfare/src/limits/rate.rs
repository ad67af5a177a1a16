//! Rate limits of one connection.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::bucket::{Bucket, Rate};

/// Action for a client that exceeds a rate limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RateLimitAction {
    /// Logs the excess (at most once in 10 s for each connection) and counts it; the event is handled.
    Warn,
    /// Drops the event and counts it. A client that waits for an acknowledgement gets `{"error":{"message":"too many
    /// events"}}`. The default.
    #[default]
    Drop,
    /// Closes the connection.
    Disconnect,
}

/// Limits on the rate at which one connection sends, over all its namespaces: averages, with a burst.
///
/// ```
/// use fanfare::limits::{RateLimitAction, RateLimits};
/// use fanfare::SocketIo;
///
/// let limits = RateLimits::new().events_per_second(50).bytes_per_second(100_000).excess(RateLimitAction::Disconnect);
/// let io = SocketIo::builder().rate_limits(limits).build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct RateLimits {
    events: Option<u32>,
    bytes: Option<u64>,
    burst: Option<Duration>,
    excess: RateLimitAction,
}

impl RateLimits {
    /// Creates a value without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum average number of events per second. Joining a namespace counts as one; acknowledgements do
    /// not.
    pub fn events_per_second(mut self, n: u32) -> Self {
        self.events = Some(n);
        self
    }

    /// Sets the maximum average number of bytes per second: messages of any kind, attachments included. A message that
    /// is longer than a burst passes if nothing was sent before, and its excess delays those after it.
    pub fn bytes_per_second(mut self, n: u64) -> Self {
        self.bytes = Some(n);
        self
    }

    /// Sets the time for which the rates may be used up at once. Default: 2 s.
    pub fn burst(mut self, burst: Duration) -> Self {
        self.burst = Some(burst);
        self
    }

    /// Sets the action for a client that exceeds a limit. Default: [`RateLimitAction::Drop`].
    pub fn excess(mut self, excess: RateLimitAction) -> Self {
        self.excess = excess;
        self
    }

    /// Returns the name of a limit that rejects everything, if there is one.
    pub(crate) fn unsound(&self) -> Option<&'static str> {
        match self {
            _ if self.events == Some(0) => Some("events_per_second"),
            _ if self.bytes == Some(0) => Some("bytes_per_second"),
            _ if self.burst == Some(Duration::ZERO) => Some("burst"),
            _ => None,
        }
    }

    /// Returns the meter of a new connection.
    pub(crate) fn meter(&self) -> Option<Box<Meter>> {
        if self.events.is_none() && self.bytes.is_none() {
            return None;
        }
        let burst = self.burst.unwrap_or(Duration::from_secs(2));
        Some(Box::new(Meter {
            events: self.events.map(|n| Rate::per_second(n.into(), burst)),
            bytes: self.bytes.map(|n| Rate::per_second(n, burst)),
            excess: self.excess,
            state: Mutex::new(State {
                events: Bucket::full(),
                bytes: Bucket::full(),
                warned: None,
            }),
        }))
    }
}

/// Recent usage of one connection.
#[derive(Debug)]
pub(crate) struct Meter {
    events: Option<Rate>,
    bytes: Option<Rate>,
    excess: RateLimitAction,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    events: Bucket,
    bytes: Bucket,
    warned: Option<Instant>,
}

/// Verdict on a message or an event that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// A limit was exceeded, for this cause.
    Excess {
        cause: &'static str,
        action: RateLimitAction,
        /// Whether to log it, because nothing was logged recently.
        log: bool,
    },
}

impl Meter {
    pub(crate) fn event(&self, now: Instant) -> Verdict {
        let Some(rate) = self.events else {
            return Verdict::Pass;
        };
        let mut state = self.state.lock();
        let passes = state.events.take(rate, 1, now);
        self.verdict(&mut state, passes, "event_rate", now)
    }

    pub(crate) fn message(&self, len: usize, now: Instant) -> Verdict {
        let Some(rate) = self.bytes else {
            return Verdict::Pass;
        };
        let mut state = self.state.lock();
        let passes = state.bytes.take(rate, len as u64, now);
        self.verdict(&mut state, passes, "byte_rate", now)
    }

    fn verdict(
        &self,
        state: &mut State,
        passes: bool,
        cause: &'static str,
        now: Instant,
    ) -> Verdict {
        if passes {
            return Verdict::Pass;
        }
        let silent = Duration::from_secs(10);
        let log = state.warned.is_none_or(|warned| now - warned >= silent);
        if log {
            state.warned = Some(now);
        }
        Verdict::Excess {
            cause,
            action: self.excess,
            log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excess_is_logged_now_and_then() {
        let limits = RateLimits::new()
            .events_per_second(1)
            .burst(Duration::from_secs(1));
        let meter = limits.meter().unwrap();
        let start = Instant::now();
        let excess = |log| Verdict::Excess {
            cause: "event_rate",
            action: RateLimitAction::Drop,
            log,
        };
        assert_eq!(meter.event(start), Verdict::Pass);
        assert_eq!(meter.event(start), excess(true));
        assert_eq!(meter.event(start), excess(false));
        let later = start + Duration::from_secs(10);
        assert_eq!(meter.event(later), Verdict::Pass);
        assert_eq!(meter.event(later), excess(true));
        assert_eq!(meter.message(usize::MAX, start), Verdict::Pass);
        assert!(RateLimits::new().meter().is_none());
    }
}
