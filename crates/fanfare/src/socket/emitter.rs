use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;

use super::Socket;
use crate::ack::AckFuture;
use crate::broadcast::{BroadcastOperator, RoomNames};
use crate::error::EmitError;

/// Flags of an event to one socket: `socket.volatile()`, `socket.timeout(…)`.
#[derive(Debug, Clone)]
#[must_use = "this only says how to send: call `emit`"]
pub struct SocketEmitter {
    socket: Socket,
    how: EmitFlags,
    timeout: Option<Duration>,
}

/// Flags of one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EmitFlags {
    pub(super) volatile: bool,
    pub(super) compress: bool,
}

impl Default for EmitFlags {
    fn default() -> Self {
        Self {
            volatile: false,
            compress: true,
        }
    }
}

impl SocketEmitter {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            how: EmitFlags::default(),
            timeout: None,
        }
    }

    /// Makes the event volatile, see [`Socket::volatile`].
    pub fn volatile(mut self) -> Self {
        self.how.volatile = true;
        self
    }

    /// Sets whether the event is worth compressing, see [`Socket::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.how.compress = compress;
        self
    }

    /// Sets the timeout of the acknowledgement.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event, see [`Socket::emit`]. Dropping a volatile event is not an error.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.socket
            .send_event(None, event.as_ref(), &args, self.how)
    }

    /// Sends an event and waits for its acknowledgement, see [`Socket::emit_with_ack`].
    ///
    /// # Errors
    /// As [`Socket::emit_with_ack`].
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        let timeout = self
            .timeout
            .unwrap_or_else(|| self.socket.io_inner().ack_timeout);
        self.socket
            .request(event.as_ref(), &args, timeout, self.how.compress)
    }

    fn operator(&self) -> BroadcastOperator {
        let mut operator = self.socket.broadcast().compress(self.how.compress);
        if self.how.volatile {
            operator = operator.volatile();
        }
        if let Some(timeout) = self.timeout {
            operator = operator.timeout(timeout);
        }
        operator
    }

    /// Selects all sockets of the namespace but this one, with these flags.
    pub fn broadcast(&self) -> BroadcastOperator {
        self.operator()
    }

    /// Selects the sockets in these rooms but this one, with these flags.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.operator().to(rooms)
    }
}
