//! Acknowledgements: the future of one that the server sends, and the sender of one that it expects.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use fanfare_core::{AckSink, EventError};
use fanfare_protocol::socket::{ArgsBuf, ArgsError, IntoArgs};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::error::{AckError, EmitError};
use crate::protocol::{self, AckKey, IncomingEvent, Parser, Payload, SocketId};

/// Acknowledgement that arrived, or the reason for which none will.
pub(crate) type AckResult = Result<ArgsBuf, protocol::AckError>;

/// Emitter of the event of an [`AckFuture`], which keeps the connection open meanwhile.
pub(crate) trait AckSource: Send + Sync {
    /// Withdraws an event whose acknowledgement is no longer awaited.
    fn cancel(&self, key: AckKey);
}

/// Connection over which an [`AckSender`] answers.
pub(crate) trait AckConnection: Send + Sync {
    /// Encoding of packets.
    fn parser(&self) -> Parser;

    /// Sends an acknowledgement, unless the connection of its event, which `epoch` counts, has ended.
    fn send_ack(
        self: Arc<Self>,
        socket: SocketId,
        epoch: u64,
        id: u64,
        payload: &Payload,
    ) -> Result<(), EmitError>;
}

/// Future of an event's acknowledgement, see [`Socket::emit_with_ack`](crate::Socket::emit_with_ack).
///
/// The event has already been emitted when this exists. Dropping it stops the waiting, and withdraws the event if it is
/// still buffered.
#[must_use = "the answer arrives only if this is awaited"]
pub struct AckFuture<R> {
    source: Arc<dyn AckSource>,
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
    /// Creates the future of an event that has been emitted, or not; `None` if its acknowledgement will not come.
    pub(crate) fn new(
        source: Arc<dyn AckSource>,
        emitted: Result<Option<(AckKey, oneshot::Receiver<AckResult>)>, EmitError>,
    ) -> Self {
        let state = match emitted {
            Ok(Some((key, answer))) => State::Waiting(key, answer),
            Ok(None) => State::Done,
            Err(error) => State::Failed(error),
        };
        Self {
            source,
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
            self.source.cancel(key);
        }
    }
}

impl<R> fmt::Debug for AckFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckFuture")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

struct AckTarget {
    connection: Weak<dyn AckConnection>,
    socket: SocketId,
    epoch: u64,
    id: u64,
    used: AtomicBool,
}

/// Sender of an acknowledgement. Only the first [`send`](Self::send) of all clones counts.
#[derive(Clone)]
pub struct AckSender {
    target: Option<Arc<AckTarget>>,
}

impl AckSender {
    pub(crate) fn new(
        connection: Weak<dyn AckConnection>,
        socket: SocketId,
        event: &IncomingEvent,
    ) -> Self {
        let target = event.ack.map(|id| AckTarget {
            connection,
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
        let Some(connection) = target.connection.upgrade() else {
            return Ok(());
        };
        let payload = Payload::ack(connection.parser(), &args)?;
        if !target.used.swap(true, Ordering::AcqRel) {
            connection.send_ack(target.socket, target.epoch, target.id, &payload)?;
        }
        Ok(())
    }
}

impl fmt::Debug for AckSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckSender")
            .field("id", &self.target.as_ref().map(|target| target.id))
            .finish_non_exhaustive()
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
