use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_protocol::socket::IntoArgs;

use crate::error::EmitError;
use crate::handler::{AckSink, EventError, INTERNAL};
use crate::log_target;
use crate::socket::Socket;

/// Answers an event whose sender may wait for an acknowledgement; for handlers that answer before they return, or in
/// another task. Most handlers just return [`Ack`](crate::Ack).
///
/// If several handlers answer one event, the first answer counts; the others are dropped, as in Node.
///
/// ```
/// use fanfare::ack::AckSender;
/// use fanfare::{Data, Namespace};
///
/// let ns = Namespace::new("/").on("save", async |Data(text): Data<String>, ack: AckSender| {
///     ack.send((true, text.len())).ok();
///     // … work that takes longer than the client should wait
/// });
/// ```
#[derive(Debug)]
pub struct AckSender {
    socket: Socket,
    id: Option<u64>,
    answered: Option<Answered>,
}

/// Whether one of several handlers has answered.
pub(crate) type Answered = Arc<AtomicBool>;

/// An attempt to write an answer: if it fails or panics, another answer may follow.
struct Attempt<'a>(&'a Answered);

impl Attempt<'_> {
    fn succeeds(self) {
        std::mem::forget(self);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

impl AckSender {
    pub(crate) fn new(socket: &Socket, id: Option<u64>, answered: Option<&Answered>) -> Self {
        Self {
            socket: socket.clone(),
            id,
            answered: answered.cloned(),
        }
    }

    /// Whether the sender of the event asked for an acknowledgement.
    pub fn is_wanted(&self) -> bool {
        self.id.is_some()
    }

    /// Sends the acknowledgement: `&T` is one argument, a tuple is several. Does nothing if none was asked for.
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn send(self, args: impl IntoArgs) -> Result<(), EmitError> {
        let Some(id) = self.id else {
            return Ok(());
        };
        let Some(answered) = &self.answered else {
            return self.socket.send_ack(id, args);
        };
        if answered.swap(true, Ordering::Relaxed) {
            tracing::debug!(target: log_target::EVENT, socket = %self.socket.id(), id, "acknowledged already");
            return Ok(());
        }
        let attempt = Attempt(answered);
        let sent = self.socket.send_ack(id, args);
        if !matches!(sent, Err(EmitError::NotSerializable(_))) {
            attempt.succeeds();
        }
        sent
    }
}

impl AckSink for AckSender {
    fn answer(self, args: impl IntoArgs) -> Result<(), EventError> {
        match self.send(args) {
            Err(error @ EmitError::NotSerializable(_)) => Err(error.into()),
            // A disconnected peer or a full outbox; both are reported where they are detected.
            _ => Ok(()),
        }
    }

    /// Acknowledges with an error, in the namespace's format for errors. All automatic error answers go through here.
    fn fail(self, error: &EventError) {
        if self.id.is_none() {
            return;
        }
        let shape = self.socket.0.namespace.behaviour.ack_errors.clone();
        // Sending fails only for a disconnected peer or a full outbox; both are reported where they are detected.
        let _ = match shape {
            None => self.send(error),
            Some(shape) => {
                let io = self.socket.io_inner();
                let shaped = io.contain("ack_errors", || shape(error));
                match shaped {
                    Some(send) => send(self),
                    None => self.send(&EventError::new(INTERNAL)),
                }
            }
        };
    }

    fn spare(&self) -> Option<Self> {
        self.id.map(|id| Self::new(&self.socket, Some(id), None))
    }
}
