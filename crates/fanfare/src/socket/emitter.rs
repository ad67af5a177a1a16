use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;

use super::Socket;
use crate::ack::AckFuture;
use crate::broadcast::{BroadcastOperator, RoomNames};
use crate::error::EmitError;

/// How an event is sent to one socket: `socket.volatile()`, `socket.timeout(…)`.
#[derive(Debug, Clone)]
#[must_use = "this only says how to send: call `emit`"]
pub struct SocketEmitter {
    socket: Socket,
    how: How,
    timeout: Option<Duration>,
}

/// The flags of one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(super) volatile: bool,
    pub(super) compress: bool,
}

impl Default for How {
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
            how: How::default(),
            timeout: None,
        }
    }

    /// The event may be dropped, see [`Socket::volatile`].
    pub fn volatile(mut self) -> Self {
        self.how.volatile = true;
        self
    }

    /// Whether the event is worth compressing, see [`Socket::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.how.compress = compress;
        self
    }

    /// How long the acknowledgement may take.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event, see [`Socket::emit`]. A volatile one that was dropped is no error.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        self.socket.send_event(None, event, &args, self.how)
    }

    /// Sends an event and waits for its acknowledgement, see [`Socket::emit_with_ack`].
    ///
    /// # Errors
    /// As [`Socket::emit_with_ack`].
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        let timeout = self
            .timeout
            .unwrap_or_else(|| self.socket.io_inner().ack_timeout);
        self.socket
            .request(event, &args, timeout, self.how.compress)
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

    /// Everyone in the namespace but this socket, with these flags.
    pub fn broadcast(&self) -> BroadcastOperator {
        self.operator()
    }

    /// Those in these rooms but not this socket, with these flags.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.operator().to(rooms)
    }
}
