//! Extractors: the parameters of handlers.

mod data;
#[cfg(feature = "validation")]
mod valid;

#[cfg(feature = "validation")]
pub use fanfare_core::Valid;
pub use fanfare_core::{Attachments, EventName, FromContext, OptionalFromContext, Rejection};
use fanfare_core::{HandlerKind, HasSocket};

use crate::ack::AckSender;
use crate::error::ConnectError;
use crate::event::Event;
pub use crate::event::lifecycle::{Connected, Disconnected};
use crate::protocol::DisconnectReason;
use crate::socket::Socket;
use crate::socket::kinds::{
    ConnectContext, ConnectErrorContext, DisconnectContext, EventContext, OnConnect,
    OnConnectError, OnDisconnect, OnEvent,
};

/// `None` if the server does not expect an acknowledgement.
impl OptionalFromContext<OnEvent> for AckSender {
    fn optional_from_context(cx: &EventContext) -> Result<Option<Self>, Rejection> {
        Ok(cx.event.wants_ack().then(|| cx.event.ack()))
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
        Ok(Self(cx.event.name().to_owned()))
    }
}

impl FromContext<OnEvent> for Attachments {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(Self(cx.event.attachments()))
    }
}

impl<M: HandlerKind<Socket = Self>> FromContext<M> for Socket {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.socket().clone())
    }
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
