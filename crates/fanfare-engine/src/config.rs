//! The options of an [`Engine`](crate::engine::Engine).

use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::Limits;

use crate::PerMessageDeflate;
use crate::encoded_message::EncodedMessage;
use crate::http_options::{Cookie, Cors, HttpCompression};
use crate::relay::SessionRelay;
use fanfare_protocol::engine::Transports;

/// Policy for a connection whose outbox is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SlowConsumer {
    /// Closes the connection (`transport error`), so that the client reconnects and recovers. The default.
    #[default]
    Disconnect,
    /// Drops volatile messages at the limit, the oldest first; closes the connection if that does not free enough
    /// space. Until then volatile messages wait in the outbox as others do, where the other policies drop them as soon
    /// as anything waits. (With context takeover in compression they are sent or dropped at once, as with the other
    /// policies.)
    DropVolatileFirst,
    /// Drops the message that does not fit; the connection stays open.
    DropNewest,
}

/// The options of an [`Engine`](crate::engine::Engine). The names and defaults are those of Node's server.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_engine::EngineConfig;
///
/// let config = EngineConfig::new().path("/live/").ping_interval(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Path under which requests are answered. A trailing slash does not matter. Default `/socket.io/`.
    pub path: String,
    /// Whether the path ends in a slash (`addTrailingSlash`). Without it, `/socket.io?EIO=4…` is answered as well, for
    /// clients with the same option. Default: yes.
    pub add_trailing_slash: bool,
    /// Interval between the server's pings. Default 25 s.
    pub ping_interval: Duration,
    /// Time within which a client has to answer a ping. Default 20 s.
    pub ping_timeout: Duration,
    /// Time for which the close of a polling session waits for a GET that carries it. Default 30 s.
    pub close_timeout: Duration,
    /// Transports that clients may use. Default: all.
    pub transports: Transports,
    /// Whether a polling session may upgrade to WebSocket (`allowUpgrades`). Default: yes.
    pub allow_upgrades: bool,
    /// Whether clients of Engine.IO v3 (Socket.IO v2) are accepted (`allowEIO3`). Default: no.
    pub allow_eio3: bool,
    /// Permissions of browsers on other origins. Default: none.
    pub cors: Option<Cors>,
    /// The only origins whose pages are accepted, over any transport. Requests with another `Origin` are rejected with
    /// `Forbidden`; those without one do not come from a page of another origin, and are accepted. Default: all, as in
    /// Node.
    pub origins: Option<Vec<String>>,
    /// Cookie that carries the session id. Default: none.
    pub cookie: Option<Cookie>,
    /// Message that every session begins with, right behind its `open` packet (`initialPacket`). Default: none.
    pub initial_packet: Option<EncodedMessage>,
    /// Compression of long-polling responses (`httpCompression`). Default: from 1024 bytes on.
    pub http_compression: Option<HttpCompression>,
    /// Compression of WebSocket messages (`perMessageDeflate`, RFC 7692), for clients that offer it. Default: none, as
    /// in Node; it costs CPU time and, with context takeover, memory (see [`PerMessageDeflate`]).
    pub per_message_deflate: Option<PerMessageDeflate>,
    /// Policy for a connection whose outbox is full. Default: it is closed.
    pub slow_consumer: SlowConsumer,
    /// Relay of the requests whose session lives on another server. Default: none, so a load balancer must send all
    /// requests of a session to one server.
    pub relay: Option<Arc<dyn SessionRelay>>,
    /// Limits on the resources of a peer. The engine applies `max_payload`, `upgrade_timeout`, `outbox_bytes`,
    /// `outbox_packets`, `burst_bytes`, `burst_packets`, `max_connections` and `max_header_bytes`.
    pub limits: Limits,
}

impl EngineConfig {
    /// Creates the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fanfare_protocol::setters! {
        path: into String,
        add_trailing_slash: bool,
        ping_interval: Duration,
        ping_timeout: Duration,
        close_timeout: Duration,
        transports: into Transports,
        allow_upgrades: bool,
        allow_eio3: bool,
        cors: some Cors,
        origins: some Vec<String>,
        cookie: some Cookie,
        initial_packet: some EncodedMessage,
        http_compression: some HttpCompression,
        per_message_deflate: some PerMessageDeflate,
        slow_consumer: SlowConsumer,
        limits: Limits,
    }

    /// Sets the relay of requests whose session lives on another server.
    #[must_use]
    pub fn relay(mut self, relay: impl SessionRelay) -> Self {
        self.relay = Some(Arc::new(relay));
        self
    }

    /// Sends long-polling responses without compression.
    #[must_use]
    pub fn without_http_compression(mut self) -> Self {
        self.http_compression = None;
        self
    }

    /// Normalises the path for comparison: with or without a trailing slash, as configured.
    pub(crate) fn normalise_path(&mut self) {
        while self.path.ends_with('/') {
            self.path.pop();
        }
        if self.add_trailing_slash {
            self.path.push('/');
        }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        EngineConfig {
            path: "/socket.io/".to_owned(),
            add_trailing_slash: true,
            ping_interval: Duration::from_secs(25),
            ping_timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(30),
            transports: Transports::default(),
            allow_upgrades: true,
            allow_eio3: false,
            cors: None,
            origins: None,
            cookie: None,
            initial_packet: None,
            http_compression: Some(HttpCompression::default()),
            per_message_deflate: None,
            slow_consumer: SlowConsumer::Disconnect,
            relay: None,
            limits: Limits::default(),
        }
    }
}
