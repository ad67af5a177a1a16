//! Listeners for outgoing events.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::socket::{Args, ArgsBuf, ArgsError};
use serde::de::DeserializeOwned;

use crate::core::Shared;
use crate::log_target;
use crate::protocol::Payload;
use crate::socket::Socket;

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

/// Queue of events that were handed to the connection and not yet passed to the listeners. Listeners run without the
/// lock of the state machine, so that they may emit. One thread at a time empties the whole queue, so that listeners
/// get the events in the order of sending.
#[derive(Debug, Default)]
pub(crate) struct OutgoingNotifications {
    events: VecDeque<(Arc<Shared>, Payload)>,
    /// Whether a thread is calling the listeners.
    telling: bool,
}

impl OutgoingNotifications {
    pub(crate) fn push(&mut self, socket: Arc<Shared>, payload: Payload) {
        self.events.push_back((socket, payload));
    }

    /// Whether the caller must call the listeners, until [`next`](Self::next) returns nothing more.
    pub(crate) fn begin(&mut self) -> bool {
        !self.events.is_empty() && !std::mem::replace(&mut self.telling, true)
    }

    pub(crate) fn next(&mut self) -> Option<(Arc<Shared>, Payload)> {
        let next = self.events.pop_front();
        self.telling = next.is_some();
        next
    }
}

/// Calls the listeners of a socket.
pub(crate) fn tell(socket: &Shared, payload: &Payload) {
    // Without a socket there are no listeners.
    let Some(socket) = socket.owner() else {
        return;
    };
    let listeners = socket.outgoing_listeners();
    if listeners.is_empty() {
        return;
    }
    let Some((name, args)) = payload.decode() else {
        return tracing::debug!(target: log_target::HANDLER, "nested too deep for those who listen to what is sent");
    };
    let event = OutgoingEvent { name, args };
    for listener in listeners {
        if std::panic::catch_unwind(AssertUnwindSafe(|| listener(&socket, &event))).is_err() {
            tracing::error!(target: log_target::HANDLER, event = event.name(), "listener panicked");
        }
    }
}
