//! Engine.IO and Socket.IO without I/O.
//!
//! This crate holds everything about the two protocols that needs no socket, no clock and no runtime: packets,
//! payloads, the arguments of events, limits. Servers and clients are built on top of it.
//!
//! - [`engine`]: Engine.IO 4 (and 3, for Socket.IO v2 clients): packets, long-polling payloads, the open packet,
//!   error codes, close reasons.
//! - [`socket`]: Socket.IO protocol 5 (and 4, for the same old clients): packets, event arguments, binary attachments.
//! - [`msgpack`]: the binary packet form of `socket.io-msgpack-parser`.
//! - [`recovery`]: the log of connection state recovery.
//! - [`typed`]: events as types, which the compiler checks.
//! - [`Limits`]: what a peer may cost, in one place.
//!
//! Nothing here panics on what a peer sends, and nothing allocates for a text event up to the handler's own types.

#![forbid(unsafe_code)]

pub mod client;
pub mod engine;
pub mod msgpack;
pub mod recovery;
pub mod socket;
pub mod typed;

mod limits;
mod value;

pub use engine::CloseReason;
#[cfg(feature = "macros")]
pub use fanfare_macros::{Contract, TypedEvent};
pub use limits::Limits;
pub use typed::{Contract, NoAck, Typed, TypedEvent};
pub use value::Value;
