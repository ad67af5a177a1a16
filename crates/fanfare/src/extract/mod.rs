//! Extractors: the parameters of handlers.

mod data;
mod event;
pub(crate) mod extension;
mod handshake;
pub(crate) mod params;
pub(crate) mod state;
#[cfg(feature = "validation")]
mod valid;

pub use event::Event;
#[cfg(feature = "validation")]
pub use fanfare_core::Valid;
pub use fanfare_core::{Attachments, EventName, FromContext, OptionalFromContext, Rejection};

use crate::ack::AckSender;
use crate::disconnect_reason::DisconnectReason;
use crate::handler::{EventContext, HandlerKind, HasSocket, OnDisconnect, OnEvent, Requirements};
use crate::server::SocketIo;
use crate::socket::Socket;

impl<M: HandlerKind<Socket = Self>> FromContext<M> for Socket {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.socket().clone())
    }
}

impl<M: HandlerKind<Socket = Socket>> FromContext<M> for SocketIo {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.socket().io())
    }
}

impl FromContext<OnEvent> for AckSender {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self::new(cx.socket, cx.ack, cx.answered))
    }

    fn requirements(needs: &mut Requirements) {
        needs.ack_sender();
    }
}

/// Extracts `None` if the sender does not wait for an acknowledgement.
impl OptionalFromContext<OnEvent> for AckSender {
    fn optional_from_context(cx: &EventContext<'_>) -> Result<Option<Self>, Rejection> {
        cx.wants_ack().then(|| Self::from_context(cx)).transpose()
    }

    fn optional_requirements(needs: &mut Requirements) {
        needs.ack_sender();
    }
}

impl FromContext<OnDisconnect> for DisconnectReason {
    fn from_context(cx: &<OnDisconnect as HandlerKind>::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.reason)
    }
}
