//! Options and outcome of an emitted event.

use std::time::Duration;

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
