//! How one event is sent.

use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;

use crate::ack::AckRequest;
use crate::error::EmitError;
use crate::protocol::{EmitOptions, Emitted};
use crate::socket::Socket;

/// Emits an event otherwise than by default: what [`Socket::compress`] returns.
#[derive(Debug, Clone, Copy)]
#[must_use = "nothing is sent before `emit`"]
pub struct Emitter<'a> {
    socket: &'a Socket,
    options: EmitOptions,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(socket: &'a Socket, options: EmitOptions) -> Self {
        Self { socket, options }
    }

    /// As [`Socket::emit`].
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    #[allow(clippy::needless_pass_by_value)]
    pub fn emit(self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.socket
            .emit_with(event.as_ref(), &args, self.options)
            .map(drop)
    }

    /// As [`Socket::emit_volatile`].
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    #[allow(clippy::needless_pass_by_value)]
    pub fn emit_volatile(
        self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<bool, EmitError> {
        let options = self.options.volatile(true);
        let emitted = self.socket.emit_with(event.as_ref(), &args, options)?;
        Ok(emitted != Emitted::Dropped)
    }

    /// As [`Socket::emit_with_ack`].
    pub fn emit_with_ack<R: DeserializeOwned>(
        self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckRequest<R> {
        self.socket
            .emit_with_ack(event, args)
            .compress(self.options.compress)
    }
}
