//! Values of a socket's events of connection.

use std::sync::Arc;

use crate::error::TransportError;
use crate::protocol::DisconnectReason;

/// Connection of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// Id of the socket.
    pub id: Arc<str>,
    /// Whether the server restored the session, so that no event was missed.
    pub recovered: bool,
}

/// Disconnection of the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnected {
    /// Reason for the disconnection.
    pub reason: DisconnectReason,
    /// Underlying cause, if known.
    pub details: Option<TransportError>,
}

impl Connected {
    pub(crate) fn new(id: Arc<str>, recovered: bool) -> Self {
        Self { id, recovered }
    }
}

impl Disconnected {
    pub(crate) fn new(reason: DisconnectReason, details: Option<TransportError>) -> Self {
        Self { reason, details }
    }
}
