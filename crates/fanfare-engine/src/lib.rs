//! The Engine.IO v4 server as a [`tower_service::Service`].
//!
//! Engine.IO carries messages between a client and a server over HTTP long-polling or WebSocket, and moves a session
//! from the one to the other without loss or reordering. This crate implements the server: requests, sessions,
//! heartbeat, the bounded outbox of each connection and broadcasts. The [`Handler`] above it gives the messages their
//! meaning.
#![forbid(unsafe_code)]

mod batch;
mod broadcast;
mod clock;
mod coalesce_buffer;
mod config;
mod connection;
mod contain;
mod deadline_queue;
mod encoded_message;
mod encodings;
mod engine;
mod error;
mod fields;
mod flags;
mod handler;
mod handshake;
mod http_options;
mod log_target;
mod log_throttle;
mod outbox;
mod outgoing_frames;
mod proxy;
mod query;
mod rejection;
pub mod relay;
mod scratch;
mod serve;
mod service;
mod shared_segment;
mod sid;
mod sync;
mod table;
mod websocket;

pub use batch::batch;
pub use broadcast::{BroadcastOptions, DeliveryReport, broadcast};
pub use config::{EngineConfig, SlowConsumer};
pub use connection::Connection;
pub use contain::contain;
pub use encoded_message::{EncodedMessage, MessageBuilder};
pub use engine::Engine;
pub use error::SendError;
pub use fanfare_protocol::engine::{CloseReason, Protocol, Transport, Transports};
pub use fanfare_websocket::deflate::Config as PerMessageDeflate;
pub use handler::{AllowFuture, CloseMode, ConnectionError, GenerateIdFuture, Handler};
pub use handshake::{HandshakeRequest, Headers, Peer, RemoteAddr, Secure};
pub use http_options::{
    ContentEncoding, Cookie, CookiePriority, Cors, CorsOrigin, HttpCompression, SameSite,
};
pub use log_throttle::LogThrottle;
pub use proxy::{ForwardedHeader, NetworkError, Networks, TrustedProxies};
pub use rejection::HttpRejection;
pub use serve::{
    ServeBody, ServeBodyError, ServeOptions, bind, serve, serve_connection, serve_handshake,
};
pub use service::{EngineBody, EngineFuture, EngineService};
pub(crate) use service::{Plain, Reply};

/// Decoders that are otherwise private, for the targets in `fuzz/`.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::proxy::fuzz_header as proxy_header;
}
