//! Listeners for outgoing events.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::socket::{Args, ArgsBuf, ArgsError};
use serde::de::DeserializeOwned;

use super::{Inner, Socket};
use crate::log_target;
use crate::protocol::Payload;

/// Event that is sent to the server, as passed to [`on_any_outgoing`](Socket::on_any_outgoing).
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    name: Arc<str>,
    args: ArgsBuf,
}

impl OutgoingEvent {
    /// Returns the event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the arguments, still encoded.
    #[must_use]
    pub fn args(&self) -> Args<'_> {
        self.args.as_args()
    }

    /// Number of arguments.
    #[must_use]
    pub fn arg_count(&self) -> usize {
        self.args().len()
    }

    /// Returns the binary attachments, in order.
    #[must_use]
    pub fn attachments(&self) -> Vec<Bytes> {
        self.args().attachments().to_vec()
    }

    /// Deserializes the arguments into `T`: a tuple takes several, `()` none, any other type the first.
    ///
    /// # Errors
    ///
    /// [`ArgsError`] with the argument that did not fit, and the path in it.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.args.decode()
    }
}

pub(crate) type OutgoingListener = Arc<dyn Fn(&Socket, &OutgoingEvent) + Send + Sync>;

impl Inner {
    /// Calls the listeners of outgoing events.
    pub(super) fn sent(self: Arc<Self>, payload: &Payload) {
        let listeners = self.handlers.outgoing();
        if listeners.is_empty() {
            return;
        }
        let Some((name, args)) = payload.decode() else {
            return tracing::debug!(target: log_target::HANDLER, "event not shown to outgoing listeners: nested too deep");
        };
        let (socket, event) = (Socket::from_inner(self), OutgoingEvent { name, args });
        for listener in listeners {
            if std::panic::catch_unwind(AssertUnwindSafe(|| listener(&socket, &event))).is_err() {
                tracing::error!(target: log_target::HANDLER, event = event.name(), "listener panicked");
            }
        }
    }
}
