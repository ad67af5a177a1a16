//! One namespace of a connection: what a [`Socket`] gives to its listeners.
//!
//! A socket holds its handlers, and their parameters are made of the socket: both are in this module. The public names of
//! handlers are in [`handler`](crate::handler) and [`extract`](crate::extract).

mod dispatch;
mod emit;
mod emitter;
pub(crate) mod erased;
pub(crate) mod handle;
pub(crate) mod kinds;
mod listen;
mod options;
mod outgoing;
mod table;

pub use emitter::SocketEmitter;
pub use fanfare_core::ListenerId;
use handle::Inner;
pub(crate) use handle::Socket;
pub(crate) use options::SocketOptions;
pub use outgoing::OutgoingEvent;
use outgoing::OutgoingListener;
