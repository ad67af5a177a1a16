//! Acknowledgements that handlers owe.

use fanfare_protocol::socket::IntoArgs;

use crate::{EventError, INTERNAL};

/// Means of answering one event, which the server and the client implement.
pub trait AckSink: Sized {
    /// Sends the acknowledgement. Does nothing if none was asked for, or if there is one already.
    ///
    /// # Errors
    /// The values cannot be serialized, or another failure that is worth a report.
    fn answer(self, args: impl IntoArgs) -> Result<(), EventError>;

    /// Acknowledges with an error, if an acknowledgement was asked for.
    fn fail(self, error: &EventError);

    /// Returns a second sink that can answer if this one panics while it answers; `None` if no acknowledgement was
    /// asked for.
    fn spare(&self) -> Option<Self>;
}

/// Acknowledgement that a handler or an event middleware owes to a peer that waits for it. If the handler does not
/// finish, because it panics or its future is dropped, the peer gets an error.
#[derive(Debug)]
pub struct PendingAck<S: AckSink>(Option<S>);

impl<S: AckSink> PendingAck<S> {
    /// Creates the pending acknowledgement of one event.
    pub fn new(ack: S) -> Self {
        Self(Some(ack))
    }

    /// Sends the answer of a handler that has finished; a panic in this (of a `Serialize`, for example) counts as well.
    pub fn settle<R>(mut self, answer: impl FnOnce(S) -> R) -> Option<R> {
        let ack = self.0.take()?;
        self.0 = ack.spare();
        let result = answer(ack);
        self.0 = None;
        Some(result)
    }
}

impl<S: AckSink> Drop for PendingAck<S> {
    fn drop(&mut self) {
        if let Some(ack) = self.0.take() {
            ack.fail(&EventError::new(INTERNAL));
        }
    }
}
