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
        /// Limit in bytes (see [`Limits::outbox_bytes`](fanfare_protocol::Limits::outbox_bytes)). An outbox is also
        /// full when it holds [`Limits::outbox_packets`](fanfare_protocol::Limits) packets; then fewer bytes may be
        /// pending.
        limit: usize,
    },
    /// The connection is closing or closed.
    #[error("the connection is closed")]
    Closed,
}
