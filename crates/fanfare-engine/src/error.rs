//! Errors of sending.

/// Reason for which a message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection's outbox is full: the peer reads more slowly than we write.
    #[error("the outbox is full: {pending} bytes are waiting, the limit is {limit}")]
    Full {
        /// Number of bytes that wait to be written to this connection.
        pending: usize,
        /// Limit that was reached, in bytes (see [`Limits::outbox_bytes`](fanfare_protocol::Limits::outbox_bytes)).
        limit: usize,
    },
    /// The connection is closing or closed.
    #[error("the connection is closed")]
    Closed,
}
