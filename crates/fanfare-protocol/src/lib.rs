//! Engine.IO and Socket.IO without I/O.
//!
//! This crate holds all parts of the two protocols that need no socket, no clock and no runtime: packets, payloads, the
//! arguments of events, limits. Servers and clients are built on top of it.
//!
//! - [`engine`]: Engine.IO 4 (and 3, for Socket.IO v2 clients): packets, long-polling payloads, the open packet,
//!   error codes, close reasons.
//! - [`socket`]: Socket.IO protocol 5 (and 4, for the same old clients): packets, event arguments, binary attachments.
//! - [`msgpack`]: the binary packet encoding of `socket.io-msgpack-parser`.
//! - [`json`]: reading of JSON without a tree of values.
//! - [`recovery`]: the log of connection state recovery.
//! - [`typed`]: events as types, which the compiler checks.
//! - [`EncodedEvent`]: an event that is encoded once, for clients and for the servers of a cluster.
//! - [`Limits`]: the resources that a peer may use, in one place.
//! - [`Escaped`]: a peer's text, escaped for logs; [`diagnostics`]: panics of an application, throttled log messages.
//!
//! No input from a peer causes a panic, and decoding a text event allocates nothing before the handler's own types.

#![forbid(unsafe_code)]

pub mod client;
pub mod engine;
pub mod json;
pub mod msgpack;
pub mod recovery;
pub mod socket;
pub mod typed;

mod contain;
mod deadline;
mod encoded;
mod escaped;
mod limits;
mod log_throttle;
mod setters;
mod value;

pub use deadline::{deadline, finite};
pub use encoded::{EncodedEvent, EncodedValue};
pub use escaped::Escaped;
pub use limits::Limits;
pub use value::Value;

/// Panics of an application's functions, and throttled log messages.
pub mod diagnostics {
    pub use crate::contain::{contain, panic_message};
    pub use crate::log_throttle::LogThrottle;
}
