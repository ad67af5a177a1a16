//! One client in a namespace: what a [`Socket`] gives to its handlers and listeners.

mod early_events;
mod early_rooms;
mod emitter;
pub(crate) mod extensions;
pub(crate) mod handle;
pub(crate) mod handshake;
mod lifecycle;
mod listeners;
mod membership;
mod outgoing;
mod receive;
mod send;

pub(crate) use early_rooms::EarlyRooms;
use emitter::EmitFlags;
pub use emitter::SocketEmitter;
pub(crate) use extensions::Extensions;
pub use fanfare_core::ListenerId;
pub(crate) use handle::Socket;
use handle::{CONNECTED, CONNECTING, DISCONNECTED, LEAVING};
pub(crate) use handshake::Handshake;
pub use outgoing::OutgoingEvent;
pub(crate) use outgoing::OutgoingHandler;
