//! Inputs and outputs of the state machine.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::id::Serial;
use super::{Payload, SocketId, Transport};
use crate::socket::ArgsBuf;

/// One attempt at a connection over one first transport. Inputs of an older one are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub(super) Serial);

/// Key of a pending acknowledgement, constant over the attempts of the `retries` queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AckKey(pub(super) Serial);

/// One Engine.IO packet ready for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Content of the packet.
    pub body: Body,
    /// Whether a WebSocket with permessage-deflate may compress it.
    pub compress: bool,
}

/// Bytes of a [`Packet`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// UTF-8 text with its type digit: a WebSocket text message.
    Text(Bytes),
    /// An attachment: a WebSocket binary message.
    Binary(Bytes),
}

impl Packet {
    /// Creates a packet from UTF-8 text with its type digit, which may be compressed.
    #[must_use]
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self {
            body: Body::Text(text.into()),
            compress: true,
        }
    }

    /// Creates a packet from an attachment, which may be compressed.
    #[must_use]
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self {
            body: Body::Binary(data.into()),
            compress: true,
        }
    }

    /// Length of the packet before base64, in bytes.
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

/// Task for the driver. There is at most one GET, one POST, one WebSocket and one unfinished write per connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Send a long-polling GET and answer with [`Input::Get`]. Without `sid` it is the handshake.
    Get {
        /// Connection of the request.
        connection: ConnectionId,
        /// Session id.
        sid: Option<Arc<str>>,
    },
    /// Send a POST and answer with [`Input::Post`].
    Post {
        /// Connection of the request.
        connection: ConnectionId,
        /// Session id.
        sid: Arc<str>,
        /// Payload, `text/plain`.
        body: Bytes,
    },
    /// Open a WebSocket and answer with [`Input::Open`] or [`Input::Closed`]. With `sid` it is an upgrade.
    OpenWebSocket {
        /// Connection of the WebSocket.
        connection: ConnectionId,
        /// Session id.
        sid: Option<Arc<str>>,
    },
    /// Write these messages to the WebSocket, then answer with [`Input::Written`].
    Write {
        /// Connection of the WebSocket.
        connection: ConnectionId,
        /// Messages, in order.
        packets: Vec<Packet>,
        /// Whether to write only after a WebSocket ping was answered, so that the server has handled all earlier
        /// messages before these. If no answer comes in reasonable time, write nevertheless.
        after_pong: bool,
    },
    /// Send a WebSocket ping behind everything written before, and answer with [`Input::Pong`] when it is answered.
    /// Several may be in flight. If no answer comes, the state machine continues after a timeout.
    Ping {
        /// Connection of the WebSocket.
        connection: ConnectionId,
    },
    /// Close the WebSocket with a closing handshake. No answer is expected.
    CloseWebSocket {
        /// Connection of the WebSocket.
        connection: ConnectionId,
    },
    /// Drop everything of this connection at once. No answer is expected.
    Abort {
        /// Connection that ended.
        connection: ConnectionId,
    },
    /// Fetch the `auth` payload of a socket and answer with [`Manager::authenticated`](super::Manager::authenticated).
    Authenticate {
        /// Socket that connects.
        socket: SocketId,
        /// Number to pass back unchanged.
        attempt: u64,
    },
}

/// Result or event from the network.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Input {
    /// The GET was answered with status 200 and this body, or failed.
    Get(Result<Bytes, TransportError>),
    /// The POST was answered with status 200, or failed.
    Post(Result<(), TransportError>),
    /// The WebSocket is open.
    Open,
    /// A text message arrived. Must be UTF-8.
    Text(Bytes),
    /// A binary message arrived.
    Binary(Bytes),
    /// The messages of the last [`Action::Write`] were handed to the operating system.
    Written,
    /// The oldest [`Action::Ping`] in flight was answered.
    Pong,
    /// The WebSocket closed (with the known details), could not be opened or failed.
    Closed(Result<Option<String>, TransportError>),
}

/// Reason for which a transport failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransportError {
    /// Message of the JavaScript client: `xhr poll error`, `xhr post error`, `websocket error`, `timeout`, …
    pub message: Cow<'static, str>,
    /// Underlying cause, as text: a status code, an I/O or TLS error.
    pub description: Option<String>,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Whether the host could not be reached at all, so that another transport would not help either.
    pub unreachable: bool,
}

impl TransportError {
    /// Creates an error with only a message.
    #[must_use]
    pub fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            message: message.into(),
            description: None,
            status: None,
            unreachable: false,
        }
    }

    /// Adds the underlying cause.
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

/// Notification for the application.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// Event of a socket.
    Socket(SocketId, SocketEvent),
    /// Event of the connection.
    Manager(ManagerEvent),
    /// An acknowledgement arrived or failed. Reported exactly once per key.
    Ack(AckKey, Result<ArgsBuf, AckError>),
}

/// Event of one socket, as of the JavaScript client's `Socket`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SocketEvent {
    /// `connect`: the namespace was joined, for the first time or again.
    Connect {
        /// Id of the socket until it disconnects.
        id: Arc<str>,
        /// Whether the server restored the session, so that no event was missed.
        recovered: bool,
    },
    /// `connect_error`: the connection or the namespace was rejected.
    ConnectError(ConnectError),
    /// `disconnect`: reported exactly once after each `connect`.
    Disconnect {
        /// Reason for the disconnection.
        reason: DisconnectReason,
        /// Underlying cause, if known.
        details: Option<TransportError>,
    },
    /// The server emitted an event.
    Event(IncomingEvent),
    /// An event is sent to the server; reported only with
    /// [`Manager::report_outgoing`](super::Manager::report_outgoing).
    Outgoing(Payload),
}

/// Event that the server emitted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IncomingEvent {
    /// Name of the event.
    pub name: Arc<str>,
    /// Its arguments without the name.
    pub args: ArgsBuf,
    /// Wire id if the server expects an acknowledgement; for [`Manager::ack`](super::Manager::ack).
    pub ack: Option<u64>,
    /// Number of the socket's connection that delivered it; an acknowledgement is valid only on the same one.
    pub epoch: u64,
}

impl IncomingEvent {
    /// Number of bytes that the arguments and attachments hold.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        super::codec::args_len(&self.args)
    }
}

/// Event of the connection, as of the JavaScript client's `Manager`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// `open`: a connection is open.
    Open {
        /// Its first transport.
        transport: Transport,
    },
    /// `upgrade`: the connection switched to another transport.
    Upgrade {
        /// New transport.
        transport: Transport,
    },
    /// An upgrade failed; the connection keeps its transport.
    UpgradeError(TransportError),
    /// `error`: a connection could not be opened.
    Error(TransportError),
    /// `close`: the connection ended.
    Close {
        /// Reason for the end.
        reason: DisconnectReason,
        /// Underlying cause, if known.
        details: Option<TransportError>,
    },
    /// `ping`: a heartbeat arrived, or the answer to one that this client sent.
    Ping,
    /// A Socket.IO packet arrived; reported only with `report_packets`.
    Packet {
        /// Its type, 0 to 6.
        kind: u8,
        /// Its namespace.
        namespace: Arc<str>,
    },
    /// The next attempt was scheduled.
    ReconnectScheduled {
        /// Number of that attempt, from 1.
        attempt: u32,
        /// Time until it starts.
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
    /// Nothing is open, flushing or scheduled any longer.
    Idle,
    /// The observer was too slow: this number of events was dropped here. Reported by drivers; the state machine itself
    /// drops none.
    Lagged(u64),
}

/// Reason for which a connected socket was disconnected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The server disconnected the socket. No automatic reconnection.
    IoServerDisconnect,
    /// The application disconnected the socket. No automatic reconnection.
    IoClientDisconnect,
    /// The heartbeat timed out.
    PingTimeout,
    /// The connection was closed.
    TransportClose,
    /// The connection failed.
    TransportError,
    /// The server sent data that could not be decoded.
    ParseError,
}

impl DisconnectReason {
    /// Returns the JavaScript client's text.
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

    /// Whether the socket reconnects without a call to `connect`.
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

/// Reason for which a socket could not connect.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection could not be opened. Retried if reconnection is on.
    #[error("{0}")]
    Transport(TransportError),
    /// The server rejected the namespace: it is unknown, or a middleware rejected the connection. Not retried: the
    /// application must call `connect`.
    #[error("{message}")]
    Refused {
        /// Message of the server.
        message: String,
        /// JSON text of the error's `data`.
        data: Option<Box<str>>,
    },
    /// The `auth` callback failed. Retried after a delay, if reconnection is on.
    #[error("{0}")]
    Auth(#[from] AuthError),
    /// The connection is open, but the server did not answer for the namespace
    /// ([`join_timeout`](super::SocketConfig::join_timeout)). Retried if reconnection is on.
    #[error("the namespace did not answer within {0:?}")]
    JoinTimeout(Duration),
}

impl ConnectError {
    /// Whether the socket stays active, so that it connects later without a call (if reconnection is on).
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(self, Self::Refused { .. })
    }
}

/// Failure of the `auth` callback.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("auth payload not available: {0}")]
pub struct AuthError(pub String);

/// Reason for which an event was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The arguments cannot be serialized, or the event name is reserved.
    #[error("event cannot be encoded: {0}")]
    NotSerializable(String),
    /// The buffer is full: it holds `pending` of at most `limit` (events or bytes, depending on the limit that was
    /// reached).
    #[error("buffer full: {pending} pending, limit {limit}")]
    Full {
        /// Current amount.
        pending: usize,
        /// Limit in events or bytes.
        limit: usize,
    },
    /// `limit` acknowledgements are pending already.
    #[error("too many acknowledgements awaited, limit {limit}")]
    TooManyAcks {
        /// Maximum number of pending acknowledgements.
        limit: usize,
    },
    /// The socket was removed.
    #[error("socket closed")]
    Closed,
}

/// Outcome of an accepted event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emitted {
    /// Handed to the connection.
    Sent,
    /// Kept until the socket connects (or until it is first in the `retries` queue).
    Buffered,
    /// Dropped as requested: volatile and the transport not writable, or [`super::BufferPolicy::DropNewest`].
    Dropped,
}

/// Reason for which an acknowledgement did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The deadline passed. If the event was still buffered, it was withdrawn.
    #[error("operation has timed out")]
    Timeout,
    /// The connection ended after the event was sent: whether the server handled it is unknown.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The event left the offline buffer unsent: it was too old, or was evicted for newer ones.
    #[error("event dropped from the offline buffer")]
    Evicted,
    /// The event was volatile and the transport not writable, or the buffer dropped it at once.
    #[error("event dropped")]
    Dropped,
    /// The socket was removed with the event still buffered.
    #[error("socket closed")]
    Closed,
}

/// Options of one emit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EmitOptions {
    /// Whether to drop the event if the transport is not writable now.
    pub volatile: bool,
    /// Whether to compress the event where the WebSocket has permessage-deflate. Default: true.
    pub compress: bool,
    /// Whether to ask for an acknowledgement.
    pub ack: bool,
    /// Timeout of the acknowledgement, overriding [`ack_timeout`](super::SocketConfig::ack_timeout).
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
    /// Returns the options of an event without acknowledgement.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Drops the event if the transport is not writable now.
    #[must_use]
    pub fn volatile(mut self, volatile: bool) -> Self {
        self.volatile = volatile;
        self
    }

    /// Compresses the event where the WebSocket has permessage-deflate.
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Asks for an acknowledgement, with this timeout.
    #[must_use]
    pub fn ack(mut self, timeout: Option<Duration>) -> Self {
        self.ack = true;
        self.timeout = timeout;
        self
    }
}
