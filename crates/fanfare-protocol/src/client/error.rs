//! Errors, and reasons for which connections end.

use std::borrow::Cow;
use std::time::Duration;

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
    Rejected {
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
        !matches!(self, Self::Rejected { .. })
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
