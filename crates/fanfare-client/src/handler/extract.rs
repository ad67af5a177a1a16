//! What handlers can ask for.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::socket::ArgsError;
use serde::de::DeserializeOwned;

use super::{
    ConnectContext, ConnectErrorContext, DisconnectContext, EventContext, Moment, OnConnect,
    OnConnectError, OnDisconnect, OnEvent,
};
use crate::error::{ConnectError, TransportError};
use crate::event::{AckSender, Event};
use crate::protocol::DisconnectReason;
use crate::socket::Socket;

/// Why an extractor could not make its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The arguments of the event do not fit the type.
    #[error(transparent)]
    Args(#[from] ArgsError),
    /// An extractor of the application said no.
    #[error("{0}")]
    Other(String),
}

/// A value that a [`Handler`](super::Handler) can have as argument.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be extracted here",
    note = "event handlers take `Socket`, `Data<T>`, `Typed<E>`, `AckSender`, `EventName`, `Attachments`, `Event`; \
            connect handlers `Socket`, `Connected`; disconnect handlers `Socket`, `Disconnected`; \
            connect error handlers `Socket`, `ConnectError`"
)]
pub trait FromContext<M: Moment>: Sized {
    /// Makes the value.
    ///
    /// # Errors
    ///
    /// [`Rejection`]: the handler does not run.
    fn from_context(cx: &M::Context) -> Result<Self, Rejection>;
}

/// The arguments of an event: a tuple takes several, `()` none, anything else the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Data<T>(pub T);

/// The name of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(pub Arc<str>);

/// The binary attachments of an event, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachments(pub Vec<Bytes>);

/// The socket connected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connected {
    /// The socket's id.
    pub id: Arc<str>,
    /// The server restored the session; nothing was missed.
    pub recovered: bool,
}

/// The socket disconnected.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Disconnected {
    /// Why.
    pub reason: DisconnectReason,
    /// What happened below, if known.
    pub details: Option<TransportError>,
}

impl Connected {
    pub(crate) fn new(id: Arc<str>, recovered: bool) -> Self {
        Self { id, recovered }
    }
}

impl Disconnected {
    pub(crate) fn new(reason: DisconnectReason, details: Option<TransportError>) -> Self {
        Self { reason, details }
    }
}

impl<T: DeserializeOwned> FromContext<OnEvent> for Data<T> {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(Self(cx.event.data()?))
    }
}

impl FromContext<OnEvent> for Event {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(cx.event.clone())
    }
}

impl FromContext<OnEvent> for AckSender {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(cx.event.ack())
    }
}

impl FromContext<OnEvent> for EventName {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(Self(cx.event.inner.name.clone()))
    }
}

impl FromContext<OnEvent> for Attachments {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(Self(cx.event.attachments()))
    }
}

macro_rules! sockets {
    ($($moment:ty, $context:ty;)+) => {$(
        impl FromContext<$moment> for Socket {
            fn from_context(cx: &$context) -> Result<Self, Rejection> {
                Ok(cx.socket.clone())
            }
        }
    )+};
}

sockets! {
    OnEvent, EventContext;
    OnConnect, ConnectContext;
    OnDisconnect, DisconnectContext;
    OnConnectError, ConnectErrorContext;
}

impl FromContext<OnConnect> for Connected {
    fn from_context(cx: &ConnectContext) -> Result<Self, Rejection> {
        Ok(cx.connected.clone())
    }
}

impl FromContext<OnDisconnect> for Disconnected {
    fn from_context(cx: &DisconnectContext) -> Result<Self, Rejection> {
        Ok(cx.disconnected.clone())
    }
}

impl FromContext<OnDisconnect> for DisconnectReason {
    fn from_context(cx: &DisconnectContext) -> Result<Self, Rejection> {
        Ok(cx.disconnected.reason)
    }
}

impl FromContext<OnConnectError> for ConnectError {
    fn from_context(cx: &ConnectErrorContext) -> Result<Self, Rejection> {
        Ok(cx.error.clone())
    }
}

impl<M: Moment, E: FromContext<M>> FromContext<M> for Option<E> {
    fn from_context(cx: &M::Context) -> Result<Self, Rejection> {
        Ok(E::from_context(cx).ok())
    }
}

impl<M: Moment, E: FromContext<M>> FromContext<M> for Result<E, Rejection> {
    fn from_context(cx: &M::Context) -> Result<Self, Rejection> {
        Ok(E::from_context(cx))
    }
}
