//! State of an adapter's connection to its broker.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

/// State of an adapter's connection to its broker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Health {
    /// The adapter is establishing its first connection.
    Connecting,
    /// The connection is open: messages are sent and received.
    #[default]
    Up,
    /// The adapter works with a limitation.
    #[non_exhaustive]
    Degraded {
        /// Human-readable limitation.
        reason: Arc<str>,
    },
    /// There is no connection: until it is restored, this node serves only its own clients.
    #[non_exhaustive]
    Down {
        /// Time at which the connection was lost.
        since: Instant,
        /// Human-readable reason.
        reason: Arc<str>,
    },
}

impl Health {
    /// Maximum length of a reason, in bytes; a longer one is truncated.
    pub const MAX_REASON: usize = 512;

    /// Creates a [`Degraded`](Self::Degraded) state.
    pub fn degraded(reason: impl fmt::Display) -> Self {
        Self::Degraded {
            reason: cut(&reason.to_string()),
        }
    }

    /// Creates a [`Down`](Self::Down) state.
    pub fn down(since: Instant, reason: impl fmt::Display) -> Self {
        Self::Down {
            since,
            reason: cut(&reason.to_string()),
        }
    }

    /// Whether messages are sent and received, possibly with a limitation.
    #[must_use]
    pub const fn is_ready(&self) -> bool {
        matches!(self, Self::Up | Self::Degraded { .. })
    }

    /// Returns a short name, for metrics: `connecting`, `up`, `degraded` or `down`.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Degraded { .. } => "degraded",
            Self::Down { .. } => "down",
        }
    }
}

fn cut(reason: &str) -> Arc<str> {
    let mut end = reason.len().min(Health::MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default().into()
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connecting => f.write_str("connecting"),
            Self::Up => f.write_str("up"),
            Self::Degraded { reason } => write!(f, "degraded: {reason}"),
            Self::Down { since, reason } => {
                write!(f, "down for {:.1?}: {reason}", since.elapsed())
            }
        }
    }
}

/// Shared [`Health`] that an adapter's task sets and that can be read at any time. Cheap to clone.
///
/// ```
/// use std::time::Instant;
/// use fanfare_cluster::{Health, HealthState};
///
/// let state = HealthState::new();
/// assert_eq!(state.get(), Health::Connecting);
/// state.set(Health::Up);
/// assert!(state.get().is_ready());
/// state.down(Instant::now(), "connection reset by peer");
/// assert_eq!(state.get().label(), "down");
/// ```
#[derive(Debug, Clone)]
pub struct HealthState(Arc<watch::Sender<Health>>);

impl HealthState {
    /// Creates the state [`Health::Connecting`].
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Health::Connecting)))
    }

    /// Returns the current state.
    #[must_use]
    pub fn get(&self) -> Health {
        self.0.borrow().clone()
    }

    /// Sets the state; returns whether it has changed.
    pub fn set(&self, health: Health) -> bool {
        self.0.send_if_modified(|present| {
            let changed = *present != health;
            *present = health;
            changed
        })
    }

    /// Records that there is no connection. If that was recorded before, only the reason is replaced: the time at which
    /// the connection was lost is kept. Returns whether there was a connection before.
    pub fn down(&self, now: Instant, reason: impl fmt::Display) -> bool {
        let mut was_up = false;
        self.0.send_if_modified(|present| {
            let since = match present {
                Health::Down { since, .. } => *since,
                _ => now,
            };
            was_up = !matches!(present, Health::Down { .. });
            let health = Health::down(since, reason);
            let changed = *present != health;
            *present = health;
            changed
        });
        was_up
    }

    /// Waits until the state fulfils a condition, and returns it.
    pub async fn wait_for(&self, condition: impl FnMut(&Health) -> bool) -> Health {
        let mut receiver = self.0.subscribe();
        // `wait_for` fails only if the sender is dropped, and `self` is the sender.
        let found = receiver
            .wait_for(condition)
            .await
            .map(|found| found.clone());
        found.unwrap_or_default()
    }

    /// Waits until the adapter [is ready](Health::is_ready).
    pub async fn ready(&self) {
        self.wait_for(Health::is_ready).await;
    }
}

impl Default for HealthState {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_of_the_loss_stays_while_reasons_change() {
        let (state, start) = (HealthState::new(), Instant::now());
        assert!(state.set(Health::Up));
        assert!(!state.set(Health::Up));
        assert!(state.down(start, "reset"));
        assert!(!state.down(start + Duration::from_secs(9), "refused"));
        assert_eq!(state.get(), Health::down(start, "refused"));
        assert!(state.set(Health::degraded("one of three brokers")));
        assert!(state.get().is_ready());
        assert_eq!(state.get().to_string(), "degraded: one of three brokers");
        assert!(state.down(start + Duration::from_secs(10), "reset"));
        let since = start + Duration::from_secs(10);
        assert_eq!(state.get(), Health::down(since, "reset"));
    }

    #[test]
    fn a_reason_is_cut_at_a_character() {
        let Health::Degraded { reason } = Health::degraded("é".repeat(10_000)) else {
            panic!("not degraded");
        };
        assert_eq!(reason.len(), Health::MAX_REASON);
    }

    #[tokio::test]
    async fn waiters_see_the_change() {
        let state = HealthState::new();
        let waiting = tokio::spawn({
            let state = state.clone();
            async move { state.ready().await }
        });
        state.set(Health::Up);
        waiting.await.unwrap();
    }
}
