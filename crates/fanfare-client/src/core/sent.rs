//! Events that were sent, for the listeners of outgoing events.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Shared;
use crate::protocol::Payload;

/// Queue of events that were handed to the connection and not yet passed to the listeners. Listeners run without the
/// lock of the state machine, so that they may emit. One thread at a time empties the whole queue, so that listeners
/// get the events in the order of sending.
#[derive(Debug, Default)]
pub(crate) struct SentEvents {
    events: VecDeque<(Arc<Shared>, Payload)>,
    /// Whether a thread is calling the listeners.
    reporting: bool,
}

impl SentEvents {
    pub(crate) fn push(&mut self, socket: Arc<Shared>, payload: Payload) {
        self.events.push_back((socket, payload));
    }

    /// Whether the caller must call the listeners, until [`next`](Self::next) returns nothing more.
    pub(crate) fn begin(&mut self) -> bool {
        !self.events.is_empty() && !std::mem::replace(&mut self.reporting, true)
    }

    pub(crate) fn next(&mut self) -> Option<(Arc<Shared>, Payload)> {
        let next = self.events.pop_front();
        self.reporting = next.is_some();
        next
    }
}
