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
//! let id: u64 = socket.emit_with_ack("message", &message).timeout(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! It speaks Socket.IO protocol 5 over Engine.IO 4 (Node's `socket.io` 3 and 4, and Fanfare), by WebSocket with
//! long-polling as fallback, or the other way round; it reconnects for ever, keeps what was emitted meanwhile, and
//! resumes sessions where the server supports it. The guide is `docs/client.md`.

#![forbid(unsafe_code)]

mod ack;
#[cfg(feature = "blocking")]
pub mod blocking;
mod core;
mod emitter;
mod error;
mod event;
mod handler;
mod io;
mod manager;
mod options;
mod outgoing;
mod queue;
mod socket;
pub mod typed;

use fanfare_protocol::client as protocol;

pub use crate::ack::AckRequest;
pub use crate::emitter::Emitter;
pub use crate::error::{
    AckError, BuildError, ConnectError, EmitError, StartError, TlsError, TransportError,
};
pub use crate::event::{AckSender, Event, Events, Listen, SocketEvent};
pub use crate::handler::{
    Ack, Acknowledges, Attachments, ConnectContext, ConnectErrorContext, Connected, Data,
    DisconnectContext, Disconnected, EventContext, EventError, EventName, FromContext, Handler,
    IntoReply, ListenerId, Moment, OnConnect, OnConnectError, OnDisconnect, OnEvent, Rejection,
};
pub use crate::io::connector::PerMessageDeflate;
pub use crate::io::tls::Tls;
pub use crate::io::url::UrlError;
pub use crate::manager::{Manager, ManagerEvents};
pub use crate::options::{ClientBuilder, ManagerBuilder, SocketBuilder, TransportOptions};
pub use crate::outgoing::OutgoingEvent;
pub use crate::socket::Socket;
pub use crate::typed::{Contract, NoAck, Typed, TypedEvent, TypedSocket};
#[cfg(feature = "macros")]
pub use fanfare_macros::{ContractOfClient as Contract, TypedEventOfClient as TypedEvent};
pub use fanfare_protocol::client::{
    AuthError, BufferLimits, BufferPolicy, DisconnectReason, ManagerEvent, Parser, Transport,
};
pub use fanfare_protocol::socket::{Args, ArgsError, IntoArgs, RawArgs};

/// The revision of the Socket.IO protocol that is spoken.
pub const PROTOCOL: u32 = 5;

/// Connects to a server: `http`, `https`, `ws` or `wss`, and the namespace as path (`http://localhost:3000/chat`).
///
/// Awaiting the returned builder gives a connected [`Socket`]. As long as reconnection is on (the default), it keeps
/// trying when the server cannot be reached; see [`ClientBuilder::fail_fast`] for scripts. It ends with an error when the
/// server refuses the namespace.
///
/// Each call opens a connection of its own; use a [`Manager`] for several namespaces over one.
pub fn connect(url: impl AsRef<str>) -> ClientBuilder {
    ClientBuilder::new(url.as_ref())
}
