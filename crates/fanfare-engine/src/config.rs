//! The options of an [`Engine`](crate::Engine).

use std::time::Duration;

use fanfare_protocol::Limits;

use crate::{Cookie, Cors, HttpCompression, PerMessageDeflate, Prepared};

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
    /// The path under which requests are answered. A slash at its end does not matter. Default `/socket.io/`.
    pub path: String,
    /// Whether a slash is expected behind the path (`addTrailingSlash`). Without, `/socket.io?EIO=4…` is answered, for
    /// clients with the same option. Default: yes.
    pub add_trailing_slash: bool,
    /// How often the server pings. Default 25 s.
    pub ping_interval: Duration,
    /// How long a client may take to answer a ping. Default 20 s.
    pub ping_timeout: Duration,
    /// How long the close of a polling session waits for a GET to carry it. Default 30 s.
    pub close_timeout: Duration,
    /// The transports that clients may use. Default: all.
    pub transports: Transports,
    /// Whether a polling session may upgrade to WebSocket (`allowUpgrades`). Default: yes.
    pub allow_upgrades: bool,
    /// Whether clients of Engine.IO v3 (Socket.IO v2) are let in (`allowEIO3`). Default: no.
    pub allow_eio3: bool,
    /// What browsers of other origins may do. Default: nothing.
    pub cors: Option<Cors>,
    /// A cookie with the session id. Default: none.
    pub cookie: Option<Cookie>,
    /// A message that every session begins with, right behind its `open` packet (`initialPacket`). Default: none.
    pub initial_packet: Option<Prepared>,
    /// Compression of long-polling answers (`httpCompression`). Default: from 1024 bytes on.
    pub http_compression: Option<HttpCompression>,
    /// Compression of WebSocket messages (`perMessageDeflate`, RFC 7692), for clients that offer it. Default: none, as
    /// in Node; it costs time, and with context takeover memory (see [`PerMessageDeflate`]).
    pub per_message_deflate: Option<PerMessageDeflate>,
    /// What happens to a connection whose outbox is full. Default: it is closed.
    pub slow_consumer: SlowConsumer,
    /// What a peer may cost: `max_payload`, `upgrade_timeout`, `outbox_bytes`, `outbox_packets`, `max_connections`
    /// and `max_header_bytes` are the engine's business.
    pub limits: Limits,
}

impl Config {
    /// The path as it is compared: with the slash at its end, or without, as is configured.
    pub(crate) fn normalise_path(&mut self) {
        while self.path.ends_with('/') {
            self.path.pop();
        }
        if self.add_trailing_slash {
            self.path.push('/');
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            path: "/socket.io/".to_owned(),
            add_trailing_slash: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(30),
            transports: Transports::default(),
            allow_upgrades: true,
            allow_eio3: false,
            cors: None,
            cookie: None,
            initial_packet: None,
            http_compression: Some(HttpCompression::default()),
            per_message_deflate: None,
            slow_consumer: SlowConsumer::Disconnect,
            limits: Limits::default(),
        }
    }
}
