//! Acknowledgements: the future of one that the server sends, and the sender of one that it expects.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use fanfare_core::{AckSink, EventError};
use fanfare_protocol::socket::{ArgsError, IntoArgs};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::core::{AckResult, Core};
use crate::error::{AckError, EmitError};
use crate::protocol::{AckKey, EmitOptions, IncomingEvent, Payload, SocketId};
use crate::socket::Socket;

/// Future of an event's acknowledgement, see [`Socket::emit_with_ack`].
///
/// The event has already been emitted when this exists. Dropping it stops the waiting, and withdraws the event if it is
/// still buffered.
#[derive(Debug)]
#[must_use = "the answer arrives only if this is awaited"]
pub struct AckFuture<R> {
    socket: Socket,
    state: State,
    /// Checks the rules of an answer.
    check: fn(&R) -> Result<(), ArgsError>,
}

#[derive(Debug)]
enum State {
    Waiting(AckKey, oneshot::Receiver<AckResult>),
    Failed(EmitError),
    Done,
}

impl<R> AckFuture<R> {
    pub(crate) fn new(
        socket: Socket,
        payload: Result<Payload, EmitError>,
        options: EmitOptions,
    ) -> Self {
        let emitted = payload.and_then(|payload| {
            let (tx, rx) = oneshot::channel();
            let id = socket.id_in_manager();
            socket.core().with(|state, now| {
                let key = state.emit(now, id, payload, options)?;
                if let Some(key) = key {
                    state.acks.insert(key, tx);
                }
                Ok(key.map(|key| State::Waiting(key, rx)))
            })
        });
        let state = match emitted {
            Ok(waiting) => waiting.unwrap_or(State::Done),
            Err(error) => State::Failed(error),
        };
        Self {
            socket,
            state,
            check: |_| Ok(()),
        }
    }

    /// Returns the future of an answer that must pass `check`.
    pub(crate) fn checked(mut self, check: fn(&R) -> Result<(), ArgsError>) -> Self {
        self.check = check;
        self
    }
}

impl<R: DeserializeOwned> Future for AckFuture<R> {
    type Output = Result<R, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &mut self.state {
            State::Waiting(_, rx) => ready!(Pin::new(rx).poll(cx)),
            State::Failed(_) | State::Done => {
                return Poll::Ready(Err(match std::mem::replace(&mut self.state, State::Done) {
                    State::Failed(error) => error.into(),
                    _ => AckError::Closed,
                }));
            }
        };
        self.state = State::Done;
        Poll::Ready(match result {
            Ok(Ok(args)) => {
                let answer = args.decode().map_err(AckError::Args)?;
                (self.check)(&answer).map_err(AckError::Args)?;
                Ok(answer)
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(AckError::Closed),
        })
    }
}

impl<R> Drop for AckFuture<R> {
    fn drop(&mut self) {
        if let State::Waiting(key, _) = self.state {
            let id = self.socket.id_in_manager();
            self.socket.core().with(|state, now| {
                if state.acks.remove(&key).is_some() {
                    state.manager.cancel_ack(now, id, key);
                }
            });
        }
    }
}

#[derive(Debug)]
struct AckTarget {
    core: Weak<Core>,
    socket: SocketId,
    epoch: u64,
    id: u64,
    used: AtomicBool,
}

/// Sender of an acknowledgement. Only the first [`send`](Self::send) of all clones counts.
#[derive(Debug, Clone)]
pub struct AckSender {
    target: Option<Arc<AckTarget>>,
}

impl AckSender {
    pub(crate) fn new(core: &Arc<Core>, socket: SocketId, event: &IncomingEvent) -> Self {
        let target = event.ack.map(|id| AckTarget {
            core: Arc::downgrade(core),
            socket,
            epoch: event.epoch,
            id,
            used: AtomicBool::new(false),
        });
        Self {
            target: target.map(Arc::new),
        }
    }

    /// Whether the server expects an acknowledgement.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.target.is_some()
    }

    /// Sends the acknowledgement: `&T` is one argument, a tuple is several. Does nothing if none is expected, if it was
    /// sent already, or if the connection of the event has ended.
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`], or [`EmitError::Full`] when the write buffer is full.
    #[allow(clippy::needless_pass_by_value)]
    pub fn send(self, args: impl IntoArgs) -> Result<(), EmitError> {
        let Some(target) = &self.target else {
            return Ok(());
        };
        let Some(core) = target.core.upgrade() else {
            return Ok(());
        };
        let payload = Payload::ack(core.parser, &args)?;
        if !target.used.swap(true, Ordering::AcqRel) {
            core.with(|state, now| {
                state
                    .manager
                    .ack(now, target.socket, target.epoch, target.id, &payload)
            })?;
        }
        Ok(())
    }
}

impl AckSink for AckSender {
    fn answer(self, args: impl IntoArgs) -> Result<(), EventError> {
        self.send(args).map_err(EventError::from)
    }

    fn fail(self, error: &EventError) {
        // A string and a JSON value can always be serialized; a full buffer is reported where it is filled.
        let _ = self.send(error);
    }

    fn spare(&self) -> Option<Self> {
        self.is_wanted().then(|| self.clone())
    }
}
