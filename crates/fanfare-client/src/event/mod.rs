//! Events of the server and of the connection, and streams of them.

pub(crate) mod lifecycle;

use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_protocol::socket::{Args, ArgsError};
use futures_core::Stream;
use serde::de::DeserializeOwned;

use crate::ack::AckSender;
use crate::error::ConnectError;
pub use crate::error::{ListenError, TransportError};
pub use crate::protocol::ManagerEvent;
use crate::protocol::{self, DisconnectReason};
use crate::queue::{Item, Receiver};

/// Event that the server emitted. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Event {
    pub(crate) inner: Arc<protocol::IncomingEvent>,
    ack: AckSender,
}

impl Event {
    pub(crate) fn new(event: protocol::IncomingEvent, ack: AckSender) -> Self {
        Self {
            inner: Arc::new(event),
            ack,
        }
    }

    /// Returns the event's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Returns the arguments, still encoded. With connection state recovery the last one may be the offset that the
    /// server appended.
    #[must_use]
    pub fn args(&self) -> Args<'_> {
        self.inner.args.as_args()
    }

    /// Deserializes the arguments into `T`: a tuple takes several, `()` none, any other type the first. Missing ones
    /// are `null`, surplus ones ignored. Binary attachments are used wherever `T` has bytes.
    ///
    /// # Errors
    ///
    /// [`ArgsError`] with the argument that did not fit, and the path in it.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.inner.args.decode()
    }

    /// Returns the binary attachments, in order.
    #[must_use]
    pub fn attachments(&self) -> Vec<Bytes> {
        self.args().attachments().to_vec()
    }

    /// Whether the server expects an acknowledgement.
    #[must_use]
    pub fn wants_ack(&self) -> bool {
        self.ack.is_wanted()
    }

    /// Returns the sender of the event's acknowledgement.
    #[must_use]
    pub fn ack(&self) -> AckSender {
        self.ack.clone()
    }
}

/// Event in the life of a socket, in order.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SocketEvent {
    /// `connect`: the namespace was joined, for the first time or again.
    Connect {
        /// Id of the socket until it disconnects.
        id: Arc<str>,
        /// Whether the server restored the session, so that no event was missed.
        recovered: bool,
    },
    /// `connect_error`: the connection or the namespace was rejected.
    ConnectError(ConnectError),
    /// `disconnect`: exactly once after each `connect`.
    Disconnect {
        /// Reason for the disconnection.
        reason: DisconnectReason,
        /// Underlying cause, if known.
        details: Option<TransportError>,
    },
    /// The server emitted an event.
    Event(Event),
    /// The receiver was too slow: this number of events was dropped here.
    Lagged(u64),
}

impl Item for SocketEvent {
    fn weight(&self) -> Option<usize> {
        match self {
            Self::Event(event) => Some(event.inner.byte_len()),
            _ => None,
        }
    }

    fn lagged(missed: u64) -> Self {
        Self::Lagged(missed)
    }
}

/// Stream of all events of a socket: see [`Socket::events`](crate::Socket::events).
#[derive(Debug)]
#[must_use = "events are lost when the stream is dropped"]
pub struct Events {
    pub(crate) receiver: Receiver<SocketEvent>,
}

impl Events {
    /// Waits for the next event; returns `None` when the socket is gone.
    ///
    /// # Cancel safety
    /// As a branch of `select!`, no event is lost.
    pub async fn next(&mut self) -> Option<SocketEvent> {
        self.receiver.next().await
    }
}

impl Stream for Events {
    type Item = SocketEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<SocketEvent>> {
        self.receiver.poll_next(cx)
    }
}

/// Stream of the events of one name, decoded: see [`Socket::listen`](crate::Socket::listen).
#[derive(Debug)]
#[must_use = "events are lost when the stream is dropped"]
pub struct EventStream<T> {
    pub(crate) receiver: Receiver<SocketEvent>,
    pub(crate) kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> EventStream<T> {
    /// Waits for the next event; returns `None` when the socket is gone.
    ///
    /// # Cancel safety
    /// As a branch of `select!`, no event is lost.
    pub async fn next(&mut self) -> Option<Result<T, ListenError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<T, ListenError>>> {
        loop {
            match ready!(self.receiver.poll_next(cx)) {
                None => return Poll::Ready(None),
                Some(SocketEvent::Event(event)) => {
                    return Poll::Ready(Some(event.data().map_err(ListenError::from)));
                }
                Some(SocketEvent::Lagged(missed)) => {
                    return Poll::Ready(Some(Err(ListenError::Lagged(missed))));
                }
                Some(_) => {}
            }
        }
    }
}

impl<T: DeserializeOwned> Stream for EventStream<T> {
    type Item = Result<T, ListenError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

/// Stream of a connection's events: see [`Manager::events`](crate::Manager::events).
#[derive(Debug)]
#[must_use = "events are lost when the stream is dropped"]
pub struct ManagerEvents {
    pub(crate) receiver: Receiver<ManagerEvent>,
}

impl Item for ManagerEvent {
    fn weight(&self) -> Option<usize> {
        match self {
            Self::Ping => Some(0),
            Self::Packet { namespace, .. } => Some(namespace.len()),
            _ => None,
        }
    }

    fn lagged(missed: u64) -> Self {
        Self::Lagged(missed)
    }
}

impl ManagerEvents {
    /// Waits for the next event; returns `None` when the manager is gone.
    ///
    /// # Cancel safety
    /// As a branch of `select!`, no event is lost.
    pub async fn next(&mut self) -> Option<ManagerEvent> {
        self.receiver.next().await
    }
}

impl Stream for ManagerEvents {
    type Item = ManagerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ManagerEvent>> {
        self.receiver.poll_next(cx)
    }
}
