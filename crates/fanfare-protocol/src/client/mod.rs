//! The Socket.IO client without I/O: reconnection, transports, namespaces, buffers and acknowledgements as one
//! deterministic state machine.
//!
//! [`Manager`] owns no socket and reads no clock. Its driver
//!
//! 1. passes in the application's calls ([`Manager::connect`], [`Manager::emit`], …) and the network's events
//!    ([`Manager::handle`]), always with the current [`Instant`](std::time::Instant);
//! 2. carries out every [`Action`] of [`Manager::poll_action`] and delivers every [`Event`] of
//!    [`Manager::poll_event`];
//! 3. calls [`Manager::handle_timeout`] when the instant of [`Manager::poll_timeout`] has come.
//!
//! The crate `fanfare-client` does so on tokio. The tests of this module do so in virtual time.
//!
//! The behaviour is that of the JavaScript client 4.8 (its manager, socket and Engine.IO client), with the
//! improvements listed in `book/en/src/guide/client.md`: every buffer is bounded, jitter also applies at the longest
//! reconnection delay, and packets replayed by a recovery that was cut short are not delivered twice.
//!
//! With [`Config::protocol`] it is the client of servers of Socket.IO 1 and 2, which speak Engine.IO 3.

mod backoff;
mod codec;
mod config;
mod emit;
mod engine;
mod error;
mod event;
mod id;
mod manager;
mod packet;
mod socket;
mod sockets;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use codec::Payload;
pub use config::{BufferLimits, BufferPolicy, Config, Parser, SocketConfig};
pub use emit::{EmitOptions, Emitted};
pub use engine::max_payload;
pub use error::{AckError, AuthError, ConnectError, DisconnectReason, EmitError, TransportError};
pub use event::{Action, Event, IncomingEvent, Input, ManagerEvent, SocketEvent};
pub use id::{AckKey, ConnectionId, SocketId};
pub use manager::Manager;
pub use packet::{Body, Packet};

use crate::engine::Transport;
