//! What goes into the state machine and what comes out.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Payload, Transport};
use crate::socket::ArgsBuf;

/// One attempt at a connection over one first transport. Inputs of an older one are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(super) u64);

/// A socket of a manager: one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub(super) u32);

/// An acknowledgement that is awaited. Stays the same over the attempts of the `retries` queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckKey(pub(super) u64);

/// One Engine.IO packet ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// What is written.
    pub body: Body,
    /// Whether a WebSocket with permessage-deflate may compress it.
    pub compress: bool,
}

/// The bytes of a [`Packet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// UTF-8 text with its type digit: a WebSocket text message.
    Text(Bytes),
    /// An attachment: a WebSocket binary message.
    Binary(Bytes),
}

impl Packet {
    /// UTF-8 text with its type digit, which may be compressed.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self {
            body: Body::Text(text.into()),
            compress: true,
        }
    }

    /// An attachment, which may be compressed.
    #[must_use]
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self {
            body: Body::Binary(data.into()),
            compress: true,
        }
    }

    /// Bytes of the packet before base64.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.body {
            Body::Text(bytes) | Body::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether the packet has no bytes (an empty attachment).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What the driver has to do. There is at most one GET, one POST, one WebSocket and one unfinished write per
/// connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send a long-polling GET and answer with [`Input::Get`]. Without `sid` it is the handshake.
    Get {
        /// The connection it belongs to.
        connection: ConnectionId,
        /// Session id.
        sid: Option<Arc<str>>,
    },
    /// Send a POST and answer with [`Input::Post`].
    Post {
        /// The connection it belongs to.
        connection: ConnectionId,
        /// Session id.
        sid: Arc<str>,
        /// The payload, `text/plain`.
        body: Bytes,
    },
    /// Open a WebSocket and answer with [`Input::Open`] or [`Input::Closed`]. With `sid` it is an upgrade.
    OpenWebSocket {
        /// The connection it belongs to.
        connection: ConnectionId,
        /// Session id.
        sid: Option<Arc<str>>,
    },
    /// Write these messages to the WebSocket, then answer with [`Input::Written`].
    Write {
        /// The connection it belongs to.
        connection: ConnectionId,
        /// The messages, in order.
        packets: Vec<Packet>,
        /// Write only after a WebSocket ping was answered, so that the server has handled all before these. If no
        /// answer comes in reasonable time, write nevertheless.
        after_pong: bool,
    },
    /// Close the WebSocket with a closing handshake. No answer is expected.
    CloseWebSocket {
        /// The connection it belongs to.
        connection: ConnectionId,
    },
    /// Give up everything of this connection at once. No answer is expected.
    Abort {
        /// The connection that ended.
        connection: ConnectionId,
    },
    /// Find the `auth` payload of a socket and answer with [`Manager::authenticated`](super::Manager::authenticated).
    Authenticate {
        /// The socket that connects.
        socket: SocketId,
        /// To be handed back.
        attempt: u64,
    },
}

/// What the network did.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// The GET was answered with status 200 and this body, or failed.
    Get(Result<Bytes, TransportError>),
    /// The POST was answered with status 200, or failed.
    Post(Result<(), TransportError>),
    /// The WebSocket is open.
    Open,
    /// A text message came. Must be UTF-8.
    Text(Bytes),
    /// A binary message came.
    Binary(Bytes),
    /// The messages of the last [`Action::Write`] were handed to the operating system.
    Written,
    /// The WebSocket closed (with what is known about it), could not be opened or failed.
    Closed(Result<Option<String>, TransportError>),
}

/// Why a transport failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportError {
    /// The JavaScript client's message: `xhr poll error`, `xhr post error`, `websocket error`, `timeout`, …
    pub message: Cow<'static, str>,
    /// What happened below, as text: a status code, an I/O or TLS error.
    pub description: Option<String>,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The host could not be reached at all, so that another transport would not help either.
    pub unreachable: bool,
}

impl TransportError {
    /// An error with only a message.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            description: None,
            status: None,
            unreachable: false,
        }
    }

    /// Adds what happened below.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Marks the host as unreachable.
    #[must_use]
    pub fn unreachable(mut self) -> Self {
        self.unreachable = true;
        self
    }
}

impl std::fmt::Display for TransportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if let Some(status) = self.status {
            write!(f, " (status {status})")?;
        }
        if let Some(description) = &self.description {
            write!(f, ": {description}")?;
        }
        Ok(())
    }
}

impl std::error::Error for TransportError {}

/// What the application wants to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Something happened to a socket.
    Socket(SocketId, SocketEvent),
    /// Something happened to the connection.
    Manager(ManagerEvent),
    /// An acknowledgement was answered or failed. Comes exactly once per key.
    Ack(AckKey, Result<ArgsBuf, AckError>),
}

/// Events of one socket, as of the JavaScript client's `Socket`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SocketEvent {
    /// `connect`: the namespace was joined, for the first time or again.
    Connect {
        /// The socket's id until it disconnects.
        id: Arc<str>,
        /// The server restored the session; nothing was missed.
        recovered: bool,
    },
    /// `connect_error`: the connection or the namespace was refused.
    ConnectError(ConnectError),
    /// `disconnect`: comes exactly once after each `connect`.
    Disconnect {
        /// Why.
        reason: DisconnectReason,
        /// What happened below, if known.
        details: Option<TransportError>,
    },
    /// An event of the server.
    Event(IncomingEvent),
    /// An event is sent to the server; only with [`Manager::report_outgoing`](super::Manager::report_outgoing).
    Outgoing(Payload),
}

/// An event that the server emitted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IncomingEvent {
    /// The event's name.
    pub name: Arc<str>,
    /// Its arguments without the name.
    pub args: ArgsBuf,
    /// Set if the server awaits an acknowledgement; for [`Manager::ack`](super::Manager::ack).
    pub ack: Option<u64>,
    /// Which connection of the socket it came over; an acknowledgement is only valid on the same one.
    pub epoch: u64,
}

impl IncomingEvent {
    /// Bytes that the arguments and attachments hold.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        super::codec::args_len(&self.args)
    }
}

/// Events of the connection, as of the JavaScript client's `Manager`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// `open`: a connection stands.
    Open {
        /// Its first transport.
        transport: Transport,
    },
    /// `upgrade`: the connection moved to another transport.
    Upgrade {
        /// The new transport.
        transport: Transport,
    },
    /// An upgrade did not work out; the connection stays where it is.
    UpgradeError(TransportError),
    /// `error`: a connection could not be opened.
    Error(TransportError),
    /// `close`: the connection ended.
    Close {
        /// Why.
        reason: DisconnectReason,
        /// What happened below, if known.
        details: Option<TransportError>,
    },
    /// `ping`: a heartbeat came.
    Ping,
    /// A Socket.IO packet came; only with `report_packets`.
    Packet {
        /// Its type, 0 to 6.
        kind: u8,
        /// Its namespace.
        namespace: Arc<str>,
    },
    /// The next attempt was scheduled.
    ReconnectScheduled {
        /// Which attempt it will be, from 1.
        attempt: u32,
        /// When it will start.
        delay: Duration,
    },
    /// `reconnect_attempt`: an attempt starts.
    ReconnectAttempt(u32),
    /// `reconnect_error`: an attempt failed.
    ReconnectError(TransportError),
    /// `reconnect`: an attempt succeeded.
    Reconnect(u32),
    /// `reconnect_failed`: no more attempts.
    ReconnectFailed,
    /// Nothing is open, flushing or scheduled any more.
    Idle,
}

/// Why a connected socket was disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The server disconnected the socket. No automatic reconnection.
    IoServerDisconnect,
    /// The application disconnected the socket. No automatic reconnection.
    IoClientDisconnect,
    /// No heartbeat came in time.
    PingTimeout,
    /// The connection was closed.
    TransportClose,
    /// The connection failed.
    TransportError,
    /// The server sent something that could not be understood.
    ParseError,
}

impl DisconnectReason {
    /// The JavaScript client's text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IoServerDisconnect => "io server disconnect",
            Self::IoClientDisconnect => "io client disconnect",
            Self::PingTimeout => "ping timeout",
            Self::TransportClose => "transport close",
            Self::TransportError => "transport error",
            Self::ParseError => "parse error",
        }
    }

    /// Whether the socket comes back without being told to.
    #[must_use]
    pub fn reconnects(self) -> bool {
        !matches!(self, Self::IoServerDisconnect | Self::IoClientDisconnect)
    }
}

impl std::fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a socket could not connect.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection could not be opened. Tried again if reconnection is on.
    #[error("{0}")]
    Transport(TransportError),
    /// The server refused the namespace: an unknown namespace, or a middleware said no. Not tried again: the
    /// application must call `connect`.
    #[error("{message}")]
    Refused {
        /// The server's message.
        message: String,
        /// The error's `data`, as JSON text.
        data: Option<Box<str>>,
    },
    /// The `auth` callback failed. Tried again after a delay.
    #[error("{0}")]
    Auth(#[from] AuthError),
}

impl ConnectError {
    /// Whether the socket stays active, so that it connects later by itself (if reconnection is on).
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// The `auth` callback failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("auth payload not available: {0}")]
pub struct AuthError(pub String);

/// Why an event was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The arguments cannot be serialized, or the event name is reserved.
    #[error("event cannot be encoded: {0}")]
    NotSerializable(String),
    /// No room: the buffer holds `pending` of at most `limit` (events or bytes, whichever was reached).
    #[error("buffer full: {pending} pending, limit {limit}")]
    Full {
        /// What waits already.
        pending: usize,
        /// The limit.
        limit: usize,
    },
    /// `limit` acknowledgements are awaited already.
    #[error("too many acknowledgements awaited, limit {limit}")]
    TooManyAcks {
        /// The limit.
        limit: usize,
    },
    /// The socket was removed.
    #[error("socket closed")]
    Closed,
}

/// What became of an accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emitted {
    /// On its way.
    Sent,
    /// Kept until the socket connects (or until its turn comes in the `retries` queue).
    Buffered,
    /// Dropped, as was asked for: volatile and the transport not writable, or [`super::BufferPolicy::DropNewest`].
    Dropped,
}

/// Why an acknowledgement did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The deadline passed. If the event was still buffered, it was withdrawn.
    #[error("operation has timed out")]
    Timeout,
    /// The connection ended after the event was sent: whether the server handled it is unknown.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The event left the offline buffer unsent: it was too old, or made room for newer ones.
    #[error("event dropped from the offline buffer")]
    Evicted,
    /// The event was volatile and the transport not writable, or the buffer dropped it at once.
    #[error("event dropped")]
    Dropped,
    /// The socket was closed for good with the event still buffered.
    #[error("socket closed")]
    Closed,
}

/// How to emit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmitOptions {
    /// Drop the event if the transport is not writable now.
    pub volatile: bool,
    /// Compress the event where the WebSocket has permessage-deflate. Default: true.
    pub compress: bool,
    /// Ask for an acknowledgement.
    pub ack: bool,
    /// Deadline of the acknowledgement, over [`ack_timeout`](super::SocketConfig::ack_timeout).
    pub timeout: Option<Duration>,
}

impl Default for EmitOptions {
    fn default() -> Self {
        Self {
            volatile: false,
            compress: true,
            ack: false,
            timeout: None,
        }
    }
}

impl EmitOptions {
    /// An event without acknowledgement.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Drop the event if the transport is not writable now.
    #[must_use]
    pub fn volatile(mut self, volatile: bool) -> Self {
        self.volatile = volatile;
        self
    }

    /// Compress the event where the WebSocket has permessage-deflate.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Ask for an acknowledgement, with this deadline.
    #[must_use]
    pub fn ack(mut self, timeout: Option<Duration>) -> Self {
        self.ack = true;
        self.timeout = timeout;
        self
    }
}
