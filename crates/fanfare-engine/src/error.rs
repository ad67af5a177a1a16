//! Errors of sending.

use std::fmt;

/// Reason for which a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection's outbox is full: the peer reads more slowly than we write.
    #[error("the outbox is full: {pending} {unit} are waiting, the limit is {limit}")]
    Full {
        /// Number of bytes or packets that wait to be written to this connection.
        pending: usize,
        /// The limit that the message would exceed, in the same unit:
        /// [`Limits::outbox_bytes`](fanfare_protocol::Limits::outbox_bytes) or
        /// [`Limits::outbox_packets`](fanfare_protocol::Limits::outbox_packets), or the limit of a burst.
        limit: usize,
        /// Unit of both.
        unit: OutboxUnit,
    },
    /// The connection is closing or closed.
    #[error("the connection is closed")]
    Closed,
}

/// Unit in which an outbox is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutboxUnit {
    /// Bytes, framing included.
    Bytes,
    /// Packets of Engine.IO.
    Packets,
}

impl fmt::Display for OutboxUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Packets => "packets",
        })
    }
}
