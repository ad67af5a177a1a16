//! The options of an [`Engine`](crate::Engine).

use std::time::Duration;

/// What happens to a connection whose outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SlowConsumer {
    /// The connection is closed (`transport error`), so that the client reconnects and recovers. The default.
    #[default]
    Disconnect,
    /// Volatile messages are dropped once half of the outbox is used; at the limit the connection is closed.
    DropVolatileFirst,
    /// The message that does not fit is dropped; the connection stays.
    DropNewest,
}

/// The transports that clients may use (Node's `transports` option).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transports {
    /// HTTP long-polling.
    pub polling: bool,
    /// WebSocket.
    pub websocket: bool,
}

impl Default for Transports {
    fn default() -> Self {
        Transports {
            polling: true,
            websocket: true,
        }
    }
}

/// The options of an [`Engine`](crate::Engine). The names and defaults are those of Node's server.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The path under which requests are answered, with its trailing slash. Default `/socket.io/`.
    pub path: String,
    /// How often the server pings. Default 25 s.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping. Default 20 s.
    pub ping_timeout: Duration,
    /// How long an upgrade may take before the probe is closed. Default 10 s.
    pub upgrade_timeout: Duration,
    /// How long the close of a polling session waits for a GET to carry it. Default 30 s.
    pub close_timeout: Duration,
    /// The longest message or POST body, in bytes (`maxHttpBufferSize`). Default 1,000,000.
    pub max_payload: usize,
    /// The transports that clients may use. Default: all.
    pub transports: Transports,
    /// Whether a polling session may upgrade to WebSocket (`allowUpgrades`). Default: yes.
    pub allow_upgrades: bool,
    /// Whether clients of Engine.IO v3 (Socket.IO v2) are let in (`allowEIO3`). Default: no.
    pub allow_eio3: bool,
    /// How many bytes may wait in the outbox of one connection. One message is always taken if nothing waits.
    /// Default 1 MiB.
    pub outbox_bytes: usize,
    /// How many packets may wait in the outbox of one connection. Default 4096.
    pub outbox_packets: usize,
    /// What happens to a connection whose outbox is full. Default: it is closed.
    pub slow_consumer: SlowConsumer,
    /// How many connections may be open at once; beyond, handshakes are refused with 503. Default: no limit.
    pub max_connections: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path: "/socket.io/".to_owned(),
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            upgrade_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(30),
            max_payload: 1_000_000,
            transports: Transports::default(),
            allow_upgrades: true,
            allow_eio3: false,
            outbox_bytes: 1 << 20,
            outbox_packets: 4096,
            slow_consumer: SlowConsumer::Disconnect,
            max_connections: usize::MAX,
        }
    }
}
