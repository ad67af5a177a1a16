use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_protocol::socket::IntoArgs;

use crate::error::EmitError;
use crate::socket::Socket;

/// Answers an event whose sender may wait for an acknowledgement; for handlers that answer before they end, or in
/// another task. Most handlers just return [`Ack`](crate::Ack).
///
/// If several handlers answer one event, the first answer counts; the others are dropped, as in Node.
///
/// ```
/// use fanfare::{AckSender, Data, Namespace};
///
/// let ns = Namespace::new("/").on("save", async |Data(text): Data<String>, ack: AckSender| {
///     ack.send((true, text.len())).ok();
///     // … whatever takes longer than the client should wait
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
        if let Some(answered) = &self.answered
            && answered.swap(true, Ordering::Relaxed)
        {
            tracing::debug!(socket = %self.socket.id(), id, "acknowledged already");
            return Ok(());
        }
        self.socket.send_ack(id, args)
    }
}
