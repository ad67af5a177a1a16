//! Options of the manager and of one socket.

use std::time::Duration;

use super::{Backoff, Transport};
use crate::Limits;
use crate::engine::Protocol;

/// Options of a [`Manager`](super::Manager). The names are those of the JavaScript client where it has the option.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Revision of Engine.IO, which decides about the revision of Socket.IO too. Default: [`Protocol::V4`], for servers of
    /// Socket.IO 3 and 4. With [`Protocol::V3`], for servers of Socket.IO 1 and 2, the client sends the heartbeats, the
    /// server joins the main namespace unasked, and the `auth` payload of another namespace is sent as the query of its
    /// CONNECT. The main namespace has none: its credentials belong in the query of the requests.
    pub protocol: Protocol,
    /// Transports in the order in which they are tried. Default: WebSocket, then polling.
    pub transports: Vec<Transport>,
    /// Try the next transport when the first cannot open (`tryAllTransports`). Default: true.
    pub try_all_transports: bool,
    /// Upgrade from polling to WebSocket when the server offers it. Default: true.
    pub upgrade: bool,
    /// Begin with WebSocket if the last connection used it, from the start or after an upgrade (`rememberUpgrade`). Has
    /// an effect only where polling comes first. Default: false.
    pub remember_upgrade: bool,
    /// Timeout of an upgrade, after which the connection stays on polling. Default: 10 s.
    pub upgrade_timeout: Duration,
    /// Timeout for opening a connection, over all transports. Default: 20 s.
    pub timeout: Duration,
    /// Timeout for flushing a closing connection. Default: 5 s.
    pub close_timeout: Duration,
    /// Reconnect after a connection was lost or could not be opened. Default: true.
    pub reconnection: bool,
    /// Attempts before giving up; `None` (the default) for no limit. An attempt that ends before a namespace answered
    /// counts, as do the failures of one socket's `auth` callback.
    pub reconnection_attempts: Option<u32>,
    /// First reconnection delay. Default: 1 s. See [`Backoff`](super::Backoff).
    pub reconnection_delay: Duration,
    /// Maximum reconnection delay. Default: 5 s.
    pub reconnection_delay_max: Duration,
    /// Jitter, 0 (none) to 1 (full). Default: 1.
    pub randomization_factor: f64,
    /// Seed of the jitter.
    pub seed: u64,
    /// Capacity of the write buffer while connected, in bytes, beyond which emits are rejected. One message is always
    /// accepted. Default: 16 MiB.
    pub write_buffer: usize,
    /// Report every incoming Socket.IO packet as [`ManagerEvent::Packet`](super::ManagerEvent::Packet). Default: false.
    pub report_packets: bool,
    /// Send bytes as base64 text over WebSocket too (`forceBase64`). Default: false.
    pub force_base64: bool,
    /// Encoding of packets. Default: JSON.
    pub parser: Parser,
    /// Limits on data received from a server: by default 64 MiB per message and 1000 attachments.
    pub limits: Limits,
}

impl Config {
    /// Returns the delays between attempts.
    pub(super) fn backoff(&self) -> Backoff {
        Backoff::new(
            self.reconnection_delay,
            self.reconnection_delay_max,
            self.randomization_factor,
            self.seed,
        )
    }
}

impl Default for Config {
    fn default() -> Self {
        // A client trusts its server more than a server trusts its clients, so the limits are generous.
        let limits = Limits {
            max_payload: 64 << 20,
            max_attachments: 1000,
            max_attachment_bytes: 64 << 20,
            ..Limits::default()
        };
        Self {
            protocol: Protocol::V4,
            transports: vec![Transport::WebSocket, Transport::Polling],
            try_all_transports: true,
            upgrade: true,
            remember_upgrade: false,
            upgrade_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(20),
            close_timeout: Duration::from_secs(5),
            reconnection: true,
            reconnection_attempts: None,
            reconnection_delay: Duration::from_secs(1),
            reconnection_delay_max: Duration::from_secs(5),
            randomization_factor: 1.0,
            seed: 0x5eed,
            write_buffer: 16 << 20,
            report_packets: false,
            force_base64: false,
            parser: Parser::Json,
            limits,
        }
    }
}

/// Options of one socket (one namespace).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SocketConfig {
    /// Number of retries: with `Some(n)`, every non-volatile event waits for its acknowledgement in a strict queue, one
    /// in flight, and is sent again up to `n` times (`retries`). Default: `None`.
    pub retries: Option<u32>,
    /// Timeout of acknowledgements that set none (`ackTimeout`). Default: `None`.
    pub ack_timeout: Option<Duration>,
    /// Limits of the offline buffer and of the `retries` queue.
    pub buffer: BufferLimits,
    /// Maximum number of pending acknowledgements. Default: 16 384.
    pub max_pending_acks: usize,
    /// Timeout for the server's answer to CONNECT once the connection is open. The time of the `auth` callback does not
    /// count, and packets replayed by a recovery postpone the deadline. Default: 45 s, the time that a Node server
    /// waits for a client.
    pub join_timeout: Duration,
    /// Maximum number of events, and of their bytes, received before the namespace's CONNECT answer (a recovery replays
    /// them first). More closes the connection with `parse error`. Default: 65 536 events, 64 MiB.
    pub receive_buffer: (usize, usize),
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            retries: None,
            ack_timeout: None,
            buffer: BufferLimits::default(),
            max_pending_acks: 16_384,
            join_timeout: Duration::from_secs(45),
            receive_buffer: (65_536, 64 << 20),
        }
    }
}

/// Limits of the offline buffer (`sendBuffer` of the JavaScript client, which has no limits).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BufferLimits {
    /// Maximum number of events. Default: 10 000.
    pub count: usize,
    /// Maximum number of bytes (encoded arguments and attachments). Default: 16 MiB.
    pub bytes: usize,
    /// Maximum age; older events are dropped instead of sent. Default: `None`, no limit.
    pub age: Option<Duration>,
    /// Policy for an event that exceeds the capacity. Default: [`BufferPolicy::Reject`].
    pub policy: BufferPolicy,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self {
            count: 10_000,
            bytes: 16 << 20,
            age: None,
            policy: BufferPolicy::Reject,
        }
    }
}

/// Policy of a full offline buffer for one more event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BufferPolicy {
    /// `emit` returns [`EmitError::Full`](super::EmitError::Full).
    #[default]
    Reject,
    /// The oldest events are evicted; their acknowledgements fail with [`AckError::Evicted`](super::AckError::Evicted).
    DropOldest,
    /// The new event is dropped and `emit` returns [`Emitted::Dropped`](super::Emitted::Dropped).
    DropNewest,
}

/// Encoding of packets, which must be the same on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Parser {
    /// JSON text with binary attachments, the default of every server.
    #[default]
    Json,
    /// MessagePack: the npm package `socket.io-msgpack-parser`.
    Msgpack,
}
