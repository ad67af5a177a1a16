//! The Engine.IO v4 server as a [`tower_service::Service`].
//!
//! Engine.IO carries messages between a client and a server over HTTP long-polling or WebSocket, and moves a session
//! from the one to the other without losing or reordering anything. This crate implements the server: requests,
//! sessions, heartbeat, the bounded outbox of each connection and broadcasts. What the messages mean is the business
//! of the [`Handler`] above.
#![forbid(unsafe_code)]

mod batch;
mod broadcast;
mod config;
mod connection;
mod engine;
mod error;
mod flags;
mod forms;
mod handler;
mod handshake;
mod http_options;
mod occasionally;
mod outbox;
mod prepared;
mod proxy;
mod refusal;
mod run;
mod scratch;
mod serve;
mod service;
mod sid;
mod sync;
mod table;
mod websocket;
mod wheel;

pub use batch::batch;
pub use broadcast::{BroadcastOptions, BroadcastReport, broadcast};
pub use config::{Config, SlowConsumer, Transports};
pub use connection::Connection;
pub use engine::Engine;
pub use error::SendError;
pub use fanfare_protocol::engine::CloseReason;
pub use fanfare_websocket::deflate::Config as PerMessageDeflate;
pub use handler::{
    AllowFuture, CloseMode, ConnectionError, GenerateIdFuture, Handler, Protocol, Transport,
};
pub use handshake::{Handshake, Headers, RemoteAddr, Secure};
pub use http_options::{ContentEncoding, Cookie, Cors, CorsOrigin, HttpCompression, SameSite};
pub use occasionally::Occasionally;
pub use prepared::{Prepared, PreparedBuf};
pub use proxy::{ForwardedHeader, NetworkError, Networks, TrustedProxies};
pub use refusal::HttpRefusal;
pub use serve::{ServeBody, ServeBodyError, ServeOptions, serve, serve_connection};
pub use service::{EngineBody, EngineFuture, EngineService};

/// Decoders that are not public otherwise, for the targets in `fuzz/`.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::proxy::fuzz_header as proxy_header;
}
