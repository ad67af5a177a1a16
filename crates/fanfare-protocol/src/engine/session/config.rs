//! Timers of a session.

use std::time::Duration;

/// Timers of a session; [`Duration::MAX`] means never. Defaults are those of Node's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Time between a pong and the next ping (`pingInterval`, 25 s).
    pub ping_interval: Duration,
    /// Timeout of a client's pong (`pingTimeout`, 20 s).
    pub ping_timeout: Duration,
    /// Timeout from the WebSocket of an upgrade to the client's `upgrade` packet (`upgradeTimeout`, 10 s).
    pub upgrade_timeout: Duration,
    /// Interval at which a pending GET is ended by a noop during an upgrade (100 ms).
    pub noop_interval: Duration,
    /// Timeout of a close that waits for its transport (30 s).
    pub close_timeout: Duration,
}

impl SessionConfig {
    /// Maximum time until the next ping of a client of revision 3.
    pub(super) fn patience(&self) -> Duration {
        self.ping_interval.saturating_add(self.ping_timeout)
    }
}

impl Default for SessionConfig {
    fn default() -> Self {
        SessionConfig {
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            noop_interval: Duration::from_millis(100),
            close_timeout: Duration::from_secs(30),
        }
    }
}
