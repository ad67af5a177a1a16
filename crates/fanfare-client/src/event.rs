//! Events of the server, and streams of them.

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_protocol::socket::{Args, ArgsError, IntoArgs};
use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::core::Core;
use crate::error::{ConnectError, EmitError, TransportError};
use crate::protocol::{self, DisconnectReason, SocketId};
use crate::queue::{Receiver, Take};

/// An event that the server emitted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Event {
    pub(crate) inner: Arc<protocol::IncomingEvent>,
    ack: AckSender,
}

impl Event {
    pub(crate) fn new(core: &Arc<Core>, socket: SocketId, event: protocol::IncomingEvent) -> Self {
        let wanted = event.ack.map(|id| AckTarget {
            core: Arc::downgrade(core),
            socket,
            epoch: event.epoch,
            id,
            used: AtomicBool::new(false),
        });
        Self {
            inner: Arc::new(event),
            ack: AckSender {
                target: wanted.map(Arc::new),
            },
        }
    }

    /// The event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The arguments, still encoded. With connection state recovery the last one may be the offset that the server
    /// appended.
    #[must_use]
    pub fn args(&self) -> Args<'_> {
        self.inner.args.as_args()
    }

    /// The arguments as `T`: a tuple takes several, `()` none, anything else the first. Missing ones are `null`, surplus
    /// ones ignored. Binary attachments are found wherever `T` has bytes.
    ///
    /// # Errors
    ///
    /// [`ArgsError`] says which argument did not fit, and where in it.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.inner.args.decode()
    }

    /// The binary attachments, in order.
    #[must_use]
    pub fn attachments(&self) -> Vec<Bytes> {
        self.args().attachments().to_vec()
    }

    /// Whether the server awaits an acknowledgement.
    #[must_use]
    pub fn wants_ack(&self) -> bool {
        self.ack.is_wanted()
    }

    /// To acknowledge the event.
    #[must_use]
    pub fn ack(&self) -> AckSender {
        self.ack.clone()
    }
}

#[derive(Debug)]
struct AckTarget {
    core: std::sync::Weak<Core>,
    socket: SocketId,
    epoch: u64,
    id: u64,
    used: AtomicBool,
}

/// Acknowledges an event of the server. Only the first [`send`](Self::send) of all clones counts.
#[derive(Debug, Clone)]
pub struct AckSender {
    target: Option<Arc<AckTarget>>,
}

impl AckSender {
    /// Whether the server awaits an acknowledgement.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.target.is_some()
    }

    /// Sends the acknowledgement: `&T` is one argument, a tuple is several. Does nothing if none is wanted, if it was
    /// sent already, or if the connection over which the event came has ended.
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`], or [`EmitError::Full`] when too much waits for the network already.
    #[allow(clippy::needless_pass_by_value)]
    pub fn send(self, args: impl IntoArgs) -> Result<(), EmitError> {
        let Some(target) = &self.target else {
            return Ok(());
        };
        let Some(core) = target.core.upgrade() else {
            return Ok(());
        };
        let payload = protocol::Payload::ack(core.parser, &args)?;
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

/// What happens to a socket, in order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SocketEvent {
    /// `connect`: the namespace was joined, for the first time or again.
    Connect {
        /// The socket's id until it disconnects.
        id: Arc<str>,
        /// The server restored the session; nothing was missed.
        recovered: bool,
    },
    /// `connect_error`: the connection or the namespace was refused.
    ConnectError(ConnectError),
    /// `disconnect`: exactly once after each `connect`.
    Disconnect {
        /// Why.
        reason: DisconnectReason,
        /// What happened below, if known.
        details: Option<TransportError>,
    },
    /// An event of the server.
    Event(Event),
    /// The receiver was too slow: so many events were dropped before the next one.
    Lagged(u64),
}

/// All that happens to a socket, as a stream: see [`Socket::events`](crate::Socket::events).
#[derive(Debug)]
pub struct Events {
    pub(crate) receiver: Receiver,
}

impl Events {
    /// The next one; `None` when the socket is gone. Cancellation-safe.
    pub async fn next(&mut self) -> Option<SocketEvent> {
        std::future::poll_fn(|cx| self.receiver.poll_next(cx))
            .await
            .map(Take::into_inner)
    }
}

impl Stream for Events {
    type Item = SocketEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SocketEvent>> {
        self.receiver
            .poll_next(cx)
            .map(|item| item.map(Take::into_inner))
    }
}

/// The events of one name, decoded: see [`Socket::listen`](crate::Socket::listen).
#[derive(Debug)]
pub struct Listen<T> {
    pub(crate) receiver: Receiver,
    pub(crate) name: String,
    pub(crate) kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Listen<T> {
    /// The next one; `None` when the socket is gone. Cancellation-safe.
    pub async fn next(&mut self) -> Option<Result<T, ArgsError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, ArgsError>>> {
        loop {
            match ready!(self.receiver.poll_next(cx)).map(Take::into_inner) {
                None => return Poll::Ready(None),
                Some(SocketEvent::Event(event)) if event.name() == self.name => {
                    return Poll::Ready(Some(event.data()));
                }
                Some(_) => {}
            }
        }
    }
}

impl<T: DeserializeOwned> Stream for Listen<T> {
    type Item = Result<T, ArgsError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}
