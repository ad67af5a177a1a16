//! What can go wrong when sending.

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection's outbox is full: the peer reads more slowly than we write.
    #[error("the outbox is full: {pending} bytes are waiting, the limit is {limit}")]
    Full {
        /// Bytes that wait to be written to this connection.
        pending: usize,
        /// The limit that was reached, in bytes (see [`Config::outbox_bytes`](fanfare_protocol::Limits::outbox_bytes)).
        limit: usize,
    },
    /// The connection is closing or closed.
    #[error("the connection is closed")]
    Closed,
}
