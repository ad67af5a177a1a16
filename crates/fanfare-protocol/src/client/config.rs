//! Options of the manager and of one socket.

use std::time::Duration;

use super::Parser;
use crate::Limits;

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

impl Transport {
    /// The name in the query string: `polling` or `websocket`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Polling => "polling",
            Self::WebSocket => "websocket",
        }
    }
}

impl std::fmt::Display for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Options of a [`Manager`](super::Manager). The names are those of the JavaScript client where it has the option.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Transports in the order in which they are tried. Default: WebSocket, then polling.
    pub transports: Vec<Transport>,
    /// Try the next transport when the first cannot open (`tryAllTransports`). Default: true.
    pub try_all_transports: bool,
    /// Upgrade from polling to WebSocket when the server offers it. Default: true.
    pub upgrade: bool,
    /// Begin with WebSocket if the last connection was upgraded to it, or began with it (`rememberUpgrade`). Matters
    /// where polling comes first. Default: false.
    pub remember_upgrade: bool,
    /// How long an upgrade may take before the connection stays on polling. Default: 10 s.
    pub upgrade_timeout: Duration,
    /// How long opening a connection may take, over all transports. Default: 20 s.
    pub timeout: Duration,
    /// How long a closing connection may take to flush. Default: 5 s.
    pub close_timeout: Duration,
    /// Reconnect after a connection was lost or could not be opened. Default: true.
    pub reconnection: bool,
    /// Attempts before giving up; `None` (the default) is for ever.
    pub reconnection_attempts: Option<u32>,
    /// First reconnection delay. Default: 1 s. See [`Backoff`](super::Backoff).
    pub reconnection_delay: Duration,
    /// Longest reconnection delay. Default: 5 s.
    pub reconnection_delay_max: Duration,
    /// Jitter, 0 (none) to 1 (full). Default: 1.
    pub randomization_factor: f64,
    /// Seed of the jitter.
    pub seed: u64,
    /// Bytes that may wait for the transport while connected, beyond which emits are refused. One message is
    /// always allowed. Default: 16 MiB.
    pub write_buffer: usize,
    /// Report every incoming Socket.IO packet as [`ManagerEvent::Packet`](super::ManagerEvent::Packet). Default: false.
    pub report_packets: bool,
    /// Send bytes as base64 text over WebSocket too (`forceBase64`). Default: false.
    pub force_base64: bool,
    /// How packets are written. Default: JSON.
    pub parser: Parser,
    /// Bounds on what a server may send: by default 64 MiB per message and 1000 attachments.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        // A client trusts its server more than a server trusts its clients: bounds, but generous ones.
        let limits = Limits {
            max_payload: 64 << 20,
            max_attachments: 1000,
            max_attachment_bytes: 64 << 20,
            ..Limits::default()
        };
        Self {
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
    /// With `Some(n)`, every non-volatile event waits for its acknowledgement in a strict queue, one in flight, and
    /// is sent again up to `n` times (`retries`). Default: `None`.
    pub retries: Option<u32>,
    /// Deadline of acknowledgements that set none of their own (`ackTimeout`). Default: `None`.
    pub ack_timeout: Option<Duration>,
    /// Bounds of what is kept while the socket is not connected, and of the `retries` queue.
    pub buffer: BufferLimits,
    /// Acknowledgements that may be awaited at a time. Default: 16 384.
    pub max_pending_acks: usize,
    /// Events that may be received before the namespace's CONNECT answer (a recovery replays them first), and
    /// their bytes. More closes the connection with `parse error`. Default: 65 536 events, 64 MiB.
    pub receive_buffer: (usize, usize),
}

impl Default for SocketConfig {
    fn default() -> Self {
        Self {
            retries: None,
            ack_timeout: None,
            buffer: BufferLimits::default(),
            max_pending_acks: 16_384,
            receive_buffer: (65_536, 64 << 20),
        }
    }
}

/// Bounds of the offline buffer (`sendBuffer` of the JavaScript client, which has none).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct BufferLimits {
    /// Most events kept. Default: 10 000.
    pub count: usize,
    /// Most bytes kept (encoded arguments and attachments). Default: 16 MiB.
    pub bytes: usize,
    /// Events that waited longer than this are dropped instead of sent. Default: `None`, they never grow too old.
    pub age: Option<Duration>,
    /// What happens to an event for which there is no room. Default: [`BufferPolicy::Refuse`].
    pub policy: BufferPolicy,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self {
            count: 10_000,
            bytes: 16 << 20,
            age: None,
            policy: BufferPolicy::Refuse,
        }
    }
}

/// What a full offline buffer does with one more event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BufferPolicy {
    /// `emit` returns [`EmitError::Full`](super::EmitError::Full).
    #[default]
    Refuse,
    /// The oldest events make room; their acknowledgements fail with [`AckError::Evicted`](super::AckError::Evicted).
    DropOldest,
    /// The new event is dropped and `emit` returns [`Emitted::Dropped`](super::Emitted::Dropped).
    DropNewest,
}
