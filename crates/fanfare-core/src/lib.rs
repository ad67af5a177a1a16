//! Handlers and extractors of `fanfare` and `fanfare-client`: what both sides of a connection share.
//!
//! Applications use them through the server or the client. A library with extractors for both depends on this crate.
//!
//! - [`Handler`]: an async function of extractors.
//! - [`FromContext`], [`OptionalFromContext`]: extractors; [`Data`], [`EventName`], [`Attachments`] are the common ones.
//! - [`IntoAck`], [`IntoOutcome`]: the return types of handlers; [`Ack`] acknowledges.
//! - [`EventError`], [`ConnectError`], [`Rejection`]: errors, with a part for the peer and a part for the log.
//! - [`ListenerId`]: the id of a handler or listener of a socket.
//! - [`AckSink`], [`PendingAck`]: the connection of a handler's output to the side that runs it.

#![forbid(unsafe_code)]

mod data;
mod error;
mod extract;
mod handler;
mod kind;
mod listener;
mod output;
mod pending_ack;
mod requirements;
#[cfg(feature = "validation")]
mod valid;

pub use data::{Attachments, Data, EventName};
pub use error::{ConnectError, EventError, INTERNAL, Rejection};
pub use extract::{FromContext, OptionalFromContext};
pub use handler::Handler;
pub use kind::{HandlerKind, HasSocket};
pub use listener::ListenerId;
pub use output::{Ack, Acknowledges, Discardable, IntoAck, IntoOutcome};
pub use pending_ack::{AckSink, PendingAck};
pub use requirements::{ContractId, Requirements};
#[cfg(feature = "validation")]
pub use valid::Valid;
