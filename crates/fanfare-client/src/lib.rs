//! The Socket.IO client.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use fanfare_client::Data;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Message {
//!     text: String,
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = fanfare_client::connect("http://localhost:3000/chat")
//!     .auth(serde_json::json!({ "token": "…" }))
//!     .on("message", |Data(message): Data<Message>| async move { println!("{}", message.text) })
//!     .await?;
//!
//! let message = Message { text: "hello".into() };
//! socket.emit("message", &message)?;
//! let id: u64 = socket.timeout(Duration::from_secs(5)).emit_with_ack("message", &message).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Overview
//!
//! The root has what a first program needs. Everything else is in the module of its subject:
//!
//! | to | type | and more of it |
//! |---|---|---|
//! | connect | [`connect()`], [`ClientBuilder`]; [`Manager`] for several namespaces | [`options`]: TLS, proxies, transports, buffers |
//! | send | [`Socket`]: [`emit`](Socket::emit), [`emit_with_ack`](Socket::emit_with_ack) | [`ack`]: the future of an answer; [`args`]: types that are arguments |
//! | receive by handlers | [`Data`], [`Ack`], [`EventError`] | [`extract`] and [`handler`]: their parameters and return types |
//! | receive by streams | [`Socket::listen`], [`Socket::events`] | [`event`]: events of sockets and of connections |
//! | take any arguments | [`AllArgs`], [`Value`] | [`args`] |
//! | have events checked by the compiler | | [`typed`] |
//! | work without async | | `blocking` (feature) |
//! | look at each step of a connection, in tools | | [`net`]: addresses, TCP, TLS, HTTP |
//! | handle errors | [`ConnectError`], [`EmitError`], [`AckError`], [`BuildError`], [`StartError`]; [`DisconnectReason`] | |
//!
//! It implements Socket.IO protocol 5 over Engine.IO 4 (Node's `socket.io` 3 and 4, and Fanfare) and, on request,
//! protocol 4 over Engine.IO 3 (`socket.io` 1 and 2), over WebSocket with long-polling as fallback, or the other way
//! round. It reconnects without limit, buffers events in the meantime, and resumes sessions where the server supports
//! it. The guide is `book/en/src/guide/client.md`.

#![forbid(unsafe_code)]

pub mod ack;
#[cfg(feature = "blocking")]
pub mod blocking;
mod clock;
mod core;
mod error;
pub mod event;
pub mod extract;
pub mod handler;
mod io;
mod log_target;
mod manager;
pub mod net;
pub mod options;
mod queue;
pub mod socket;
pub mod typed;

use fanfare_protocol::client as protocol;

pub use crate::error::{AckError, BuildError, ConnectError, EmitError, StartError};
pub use crate::manager::Manager;
pub use crate::options::client::ClientBuilder;
pub use crate::socket::handle::Socket;
pub use fanfare_core::{Ack, Data, EventError};
pub use fanfare_protocol::Value;
pub use fanfare_protocol::client::DisconnectReason;
pub use fanfare_protocol::engine::Transport;
pub use fanfare_protocol::socket::AllArgs;

/// Arguments of events: types that [`emit`](Socket::emit) takes and that received events contain.
pub mod args {
    pub use fanfare_protocol::socket::{Args, ArgsError, IntoArgs, RawArgs};
}

/// Revision of the Socket.IO protocol.
pub const PROTOCOL: u32 = 5;

/// Connects to a server: `http`, `https`, `ws` or `wss`, and the namespace as path (`http://localhost:3000/chat`).
///
/// Awaiting the returned builder returns a connected [`Socket`]. As long as reconnection is on (the default), the
/// future waits and retries while the server cannot be reached; see [`ClientBuilder::fail_fast`] for scripts. It
/// returns an error when the server rejects the namespace.
///
/// Each call opens a separate connection; use a [`Manager`] for several namespaces over one.
pub fn connect(url: impl AsRef<str>) -> ClientBuilder {
    ClientBuilder::new(url.as_ref())
}
