//! Emission of one event with options.

use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;

use super::Socket;
use crate::ack::AckFuture;
use crate::error::EmitError;
use crate::protocol::{EmitOptions, Payload};

/// Flags of an event: `socket.volatile()`, `socket.timeout(…)`, `socket.compress(false)`.
#[derive(Debug, Clone)]
#[must_use = "this only says how to send: call `emit`"]
pub struct SocketEmitter {
    socket: Socket,
    options: EmitOptions,
}

impl SocketEmitter {
    pub(super) fn new(socket: Socket) -> Self {
        let options = EmitOptions::new();
        Self { socket, options }
    }

    /// Makes the event volatile, see [`Socket::volatile`].
    pub fn volatile(mut self) -> Self {
        self.options.volatile = true;
        self
    }

    /// Sets whether the event may be compressed, see [`Socket::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.options.compress = compress;
        self
    }

    /// Sets the timeout of the acknowledgement, see [`Socket::timeout`].
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Emits an event as [`Socket::emit`] does. Dropping a volatile event is not an error.
    ///
    /// # Errors
    ///
    /// The same as [`Socket::emit`].
    #[allow(clippy::needless_pass_by_value)]
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        let payload = Payload::event(self.socket.core().parser, event.as_ref(), &args)?;
        let id = self.socket.id_in_manager();
        self.socket
            .core()
            .with(|state, now| state.emit(now, id, payload, self.options))
            .map(drop)
    }

    /// Emits an event and awaits its acknowledgement, as [`Socket::emit_with_ack`] does.
    #[allow(clippy::needless_pass_by_value)]
    pub fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        let payload = Payload::event(self.socket.core().parser, event.as_ref(), &args);
        let options = self.options.ack(self.options.timeout);
        self.socket.emit_for_ack(payload, options)
    }
}
