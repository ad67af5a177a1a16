//! The times that govern a session.

use std::time::Duration;

/// The times that govern a session. Defaults are those of Node's server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionConfig {
    /// Time between a pong and the next ping (`pingInterval`, 25 s).
    pub ping_interval: Duration,
    /// Time a client may take for its pong (`pingTimeout`, 20 s).
    pub ping_timeout: Duration,
    /// Time from the WebSocket of an upgrade to the client's `upgrade` packet (`upgradeTimeout`, 10 s).
    pub upgrade_timeout: Duration,
    /// How often a waiting GET is ended by a noop while an upgrade is under way (100 ms).
    pub noop_interval: Duration,
    /// How long a close waits for its transport to carry it (30 s).
    pub close_timeout: Duration,
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
