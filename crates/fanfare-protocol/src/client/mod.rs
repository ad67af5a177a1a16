//! The Socket.IO client without I/O: reconnection, transports, namespaces, buffers and acknowledgements as one
//! deterministic state machine.
//!
//! [`Manager`] owns no socket and reads no clock. Whoever drives it
//!
//! 1. tells it what the application wants ([`Manager::connect`], [`Manager::emit`], …) and what the network did
//!    ([`Manager::handle`]), always with the current [`Instant`](std::time::Instant);
//! 2. carries out every [`Action`] of [`Manager::poll_action`] and hands on every [`Event`] of
//!    [`Manager::poll_event`];
//! 3. calls [`Manager::handle_timeout`] when the instant of [`Manager::poll_timeout`] has come.
//!
//! The crate `fanfare-client` does so on tokio. The tests of this module do so in virtual time.
//!
//! The behaviour is that of the JavaScript client 4.8 (its manager, socket and Engine.IO client), with the
//! improvements listed in `docs/client.md`: every buffer is bounded, jitter also applies at the longest
//! reconnection delay, and packets replayed by a recovery that was cut short are not delivered twice.

mod backoff;
mod codec;
mod config;
mod engine;
mod event;
mod manager;
mod socket;

#[cfg(test)]
mod tests;

pub use backoff::Backoff;
pub use codec::{Parser, Payload};
pub use config::{BufferLimits, BufferPolicy, Config, SocketConfig, Transport};
pub use event::{
    AckError, AckKey, Action, AuthError, Body, ConnectError, ConnectionId, DisconnectReason,
    EmitError, EmitOptions, Emitted, Event, IncomingEvent, Input, ManagerEvent, Packet,
    SocketEvent, SocketId, TransportError,
};
pub use manager::Manager;
