//! Listeners for what is sent.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::socket::{Args, ArgsBuf, ArgsError};
use serde::de::DeserializeOwned;

use crate::core::Shared;
use crate::protocol::Payload;
use crate::socket::Socket;

/// An event on its way to the server, as [`on_any_outgoing`](Socket::on_any_outgoing) sees it.
#[derive(Debug, Clone)]
pub struct OutgoingEvent {
    name: Arc<str>,
    args: ArgsBuf,
}

impl OutgoingEvent {
    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The arguments, still encoded.
    #[must_use]
    pub fn args(&self) -> Args<'_> {
        self.args.as_args()
    }

    /// How many arguments there are.
    #[must_use]
    pub fn arg_count(&self) -> usize {
        self.args().len()
    }

    /// The binary attachments, in order.
    #[must_use]
    pub fn attachments(&self) -> Vec<Bytes> {
        self.args().attachments().to_vec()
    }

    /// The arguments as `T`: a tuple takes several, `()` none, anything else the first.
    ///
    /// # Errors
    ///
    /// [`ArgsError`] says which argument did not fit, and where in it.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.args.decode()
    }
}

pub(crate) type OutgoingListener = Arc<dyn Fn(&Socket, &OutgoingEvent) + Send + Sync>;

/// What was handed to the connection and has not been told yet. Listeners run without the lock of the state machine, so
/// that they may emit; whoever tells, tells everything, so that they hear of events in the order in which these left.
#[derive(Debug, Default)]
pub(crate) struct Untold {
    events: VecDeque<(Arc<Shared>, Payload)>,
    /// Somebody is at it.
    telling: bool,
}

impl Untold {
    pub(crate) fn push(&mut self, socket: Arc<Shared>, payload: Payload) {
        self.events.push_back((socket, payload));
    }

    /// Whether the caller has to tell what there is, until [`next`](Self::next) has nothing more.
    pub(crate) fn begin(&mut self) -> bool {
        !self.events.is_empty() && !std::mem::replace(&mut self.telling, true)
    }

    pub(crate) fn next(&mut self) -> Option<(Arc<Shared>, Payload)> {
        let next = self.events.pop_front();
        self.telling = next.is_some();
        next
    }
}

/// Tells the listeners of a socket.
pub(crate) fn tell(socket: &Shared, payload: &Payload) {
    // Without a socket there is nobody who could listen.
    let Some(socket) = socket.owner() else {
        return;
    };
    let listeners = socket.outgoing_listeners();
    if listeners.is_empty() {
        return;
    }
    let Some((name, args)) = payload.decode() else {
        return tracing::debug!("nested too deep for those who listen to what is sent");
    };
    let event = OutgoingEvent { name, args };
    for listener in listeners {
        if std::panic::catch_unwind(AssertUnwindSafe(|| listener(&socket, &event))).is_err() {
            tracing::error!(event = event.name(), "listener panicked");
        }
    }
}
