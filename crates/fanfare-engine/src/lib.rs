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
mod http_server;
mod log_target;
mod outbox;
mod outgoing_frames;
mod proxies;
mod query;
mod rejection;
pub mod relay;
mod reply;
mod scratch;
mod service;
mod shared_segment;
mod sid;
mod stream;
mod sync;
mod table;
mod websocket;

pub use batch::batch;
pub use broadcast::{BroadcastOptions, DeliveryReport, broadcast};
pub use config::{EngineConfig, SlowConsumer};
pub use connection::{CloseMode, Connection};
pub use encoded_message::{EncodedMessage, MessageBuilder};
pub use engine::Engine;
pub use error::{OutboxUnit, SendError};
pub use fanfare_protocol::engine::{CloseReason, Protocol, Transport, Transports};
pub use fanfare_websocket::deflate::Config as PerMessageDeflate;
pub use handler::Handler;
pub use handshake::HandshakeRequest;
pub use http_server::serve;
pub use service::EngineService;

/// Types of the optional methods of a [`Handler`].
pub mod hooks {
    pub use crate::handler::{AllowFuture, ConnectionError, GenerateIdFuture};
    pub use crate::handshake::Headers;
}

/// HTTP: permissions of browsers on other origins, cookies, compression, bodies, and what is rejected below Engine.IO.
pub mod http {
    pub use crate::http_options::{
        ContentEncoding, Cookie, CookiePriority, Cors, CorsOrigin, HttpCompression, SameSite,
    };
    pub use crate::rejection::HttpRejection;
    pub use crate::reply::EngineBody;
    pub use crate::service::EngineFuture;
}

/// A server for the engine: accepts connections and speaks HTTP/1.1 and HTTP/2 on them.
///
/// [`serve()`] prepares it, [`Serve`](serve::Serve) has its options.
///
/// HTTP/1 is parsed here, so that one rule decides where a request ends. A request that arrives in one piece, as nearly
/// all of Engine.IO's do, is read into a buffer of the thread, answered with one `write`, and costs the connection no
/// buffer. Hyper serves HTTP/2. A connection with much input yields to others.
pub mod serve {
    pub use crate::http_server::{
        HttpService, IdleConnections, OpenSessions, Serve, ServeBody, ServeBodyError, Served, bind,
    };
    pub use crate::service::EngineServer;
}

/// Load balancers in front of the server, and the addresses of the clients behind them.
pub mod proxy {
    pub use crate::handshake::{Peer, RemoteAddr, Secure};
    pub use crate::proxies::{ForwardedHeader, NetworkError, Networks, TrustedProxies};
}

/// Diagnostics of servers above the engine: panics of an application's functions, throttled log messages.
pub mod diagnostics {
    pub use fanfare_protocol::diagnostics::{LogThrottle, contain, panic_message};
}

/// Decoders that are otherwise private, for the targets in `fuzz/`.
#[cfg(fuzzing)]
pub mod fuzzing {
    pub use crate::proxies::fuzz_header as proxy_header;
}
