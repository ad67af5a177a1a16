//! One namespace of a connection: what a [`Socket`] gives to its listeners.

mod emitter;
pub(crate) mod handle;
mod outgoing;

pub use emitter::SocketEmitter;
pub(crate) use handle::{Inner, Socket};
pub use outgoing::OutgoingEvent;
pub(crate) use outgoing::{OutgoingListener, OutgoingNotifications, tell};

pub use crate::handler::dispatch::ListenerId;
