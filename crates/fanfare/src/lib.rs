//! Socket.IO for production, in Rust: the server.
//!
//! Unmodified official clients (JavaScript, Java, Swift, Dart, C++, Python, …) connect to it over WebSocket or
//! long-polling.
//!
//! ```no_run
//! use fanfare::{Ack, Data, Namespace, Socket, SocketIo};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let chat = Namespace::new("/chat")
//!         .on("join", async |socket: Socket, Data(room): Data<String>| socket.join(room))
//!         .on("say", async |socket: Socket, Data((room, text)): Data<(String, String)>| {
//!             socket.to(&room).emit("said", (socket.id(), &text))?;
//!             Ok::<_, fanfare::EmitError>(Ack("delivered"))
//!         });
//!     let io = SocketIo::builder().namespace(chat).build()?;
//!     fanfare::serve(io).bind("127.0.0.1:3000").await?;
//!     Ok(())
//! }
//! ```
//!
//! In a browser, `io("http://127.0.0.1:3000/chat")` of the official `socket.io-client` connects to it.
//!
//! # Overview
//!
//! The root has what a first program needs. Everything else is in the module of its subject:
//!
//! | to | type | and more of it |
//! |---|---|---|
//! | declare behaviour | [`Namespace`]: [`on`](Namespace::on), [`on_connect`](Namespace::on_connect), [`middleware`](Namespace::middleware), [`pattern`](Namespace::pattern) | [`namespace`]: parameters, room events |
//! | write handlers | [`Data`], [`State`], [`Extension`], [`Handshake`], [`Params`]; [`Ack`], [`EventError`], [`ConnectError`] | [`extract`] and [`handler`]: custom extractors, parameters and return types |
//! | talk to one client | [`Socket`]: [`emit`](Socket::emit), [`emit_with_ack`](Socket::emit_with_ack), [`join`](Socket::join), [`data`](Socket::data), [`extensions`](Socket::extensions) | [`socket`]: listeners, outgoing events |
//! | talk to many clients | [`BroadcastOperator`]: [`to`](BroadcastOperator::to), [`except`](BroadcastOperator::except), [`volatile`](BroadcastOperator::volatile), from [`SocketIo`], [`NamespaceHandle`] or [`Socket`] | [`broadcast`]: room names, reports |
//! | wait for answers | [`AckError`] | [`ack`]: the futures, answers before a handler returns |
//! | pass any arguments | [`AllArgs`], [`Value`] | [`args`]: types that are the arguments of an event |
//! | have events checked by the compiler | | [`typed`]: names, arguments and acknowledgements as types |
//! | configure the server | [`SocketIo::builder`], [`SocketIoBuilder`] | [`engine`]: transports, heartbeat, WebSocket compression; [`http`]: CORS, cookies, compression |
//! | serve it alone | [`serve()`] | [`mod@serve`]: timeouts, TLS, other streams; [`runtime`]: a fair Tokio runtime |
//! | mount it | [`SocketIo::service`], [`SocketIo::layer`] | [`service`]: for axum, hyper and anything made of `tower` services |
//! | put it behind a proxy | | [`proxy`]: trusted proxies, the PROXY protocol |
//! | bound what clients cost | [`Limits`] | [`limits`]: admission, rates, clients that do not read |
//! | resume lost connections | [`Socket::recovery`] | [`recovery`] |
//! | run several servers as one | | [`adapter`] |
//! | speak another encoding | | [`parser`]: MessagePack, custom encodings |
//! | shut down, observe | [`SocketIo::close`], [`SocketIo::drain`], [`SocketIo::stats`] | [`server`]: their reports |
//! | handle errors | [`EmitError`], [`JoinError`], [`AckError`], [`BuildError`]; [`DisconnectReason`] | |
//!
//! The book (`book/` of the repository) has a guide from the first line to production; runnable programs are in
//! `crates/fanfare/examples`.
//!
//! # Features
//!
//! - `rt-multi-thread` (on): `runtime::block_on`, which needs the multi-threaded runtime of Tokio.
//! - `macros` (off): `#[fanfare::debug_handler]`, which makes the compiler explain errors in a handler;
//!   `#[derive(TypedEvent)]` and `#[derive(Contract)]`.
//! - `export` (off): TypeScript declarations and AsyncAPI documents of contracts, [`typed::export`].
//! - `validation` (off): checks the rules of `garde` on typed events, acknowledgements and [`Valid`](extract::Valid)
//!   arguments that arrive.
//! - `brotli` (off): `br` for bodies that are compressed on the fly.
//! - `operations` (off): status, drain and rebalancing of a cluster for its operators, over HTTP under a key.
//! - `client-files` (off): `serve_embedded_client`, the browser client embedded in the program.

#![forbid(unsafe_code)]

pub mod ack;
pub mod adapter;
mod begun;
pub mod broadcast;
mod client;
mod client_files;
mod clock;
mod codec;
mod contain;
mod disconnect_reason;
mod encode;
pub mod engine;
mod error;
pub mod extract;
pub mod handler;
mod hooks;
mod id;
pub mod limits;
mod log_target;
pub mod namespace;
#[cfg(feature = "operations")]
pub mod operations;
pub mod parser;
pub mod recovery;
mod rooms;
#[cfg(feature = "rt-multi-thread")]
pub mod runtime;
pub mod serve;
pub mod server;
pub mod service;
pub mod socket;
mod states;
mod stats;
mod type_map;
pub mod typed;

pub use ack::future::AckError;
pub use broadcast::operator::BroadcastOperator;
pub use disconnect_reason::DisconnectReason;
pub use error::{BuildError, EmitError, JoinError};
pub use extract::extension::Extension;
pub use extract::params::Params;
pub use extract::state::State;
pub use fanfare_core::{Ack, ConnectError, Data, EventError};
#[cfg(feature = "macros")]
pub use fanfare_macros::debug_handler;
pub use fanfare_protocol::socket::AllArgs;
pub use fanfare_protocol::{Limits, Value};
pub use id::SocketId;
pub use namespace::builder::Namespace;
pub use namespace::running::NamespaceHandle;
pub use server::builder::SocketIoBuilder;
pub use server::handle::SocketIo;
pub use socket::extensions::Extensions;
pub use socket::handle::Socket;
pub use socket::handshake::Handshake;

/// Serves Socket.IO alone, without a framework: `serve(io).bind("0.0.0.0:3000").await`.
///
/// The returned [`Serve`](serve::Serve) takes options, then an address, a listener or a connection.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let io = fanfare::SocketIo::builder().build()?;
/// fanfare::serve(io).bind("127.0.0.1:3000").await?;
/// # Ok(())
/// # }
/// ```
pub fn serve(io: SocketIo) -> serve::Serve<SocketIo> {
    fanfare_engine::serve(io)
}

/// Arguments of events: what [`emit`](Socket::emit) takes.
///
/// There are two types for arguments of any shape. [`Value`] is one argument with its binary parts in place.
/// [`serde_json::Value`] is meant where only JSON can be: [`Socket::data`], the data of an [`EventError`].
pub mod args {
    pub use fanfare_protocol::socket::{ArgsError, EncodeError, IntoArgs};
}

/// HTTP: permissions of browsers on other origins, cookies, compression, and what is rejected below Engine.IO.
pub mod http {
    pub use fanfare_engine::http::{
        Cookie, CookiePriority, Cors, CorsOrigin, HttpCompression, HttpRejection, SameSite,
    };
}

/// Load balancers in front of the server, and the addresses of the clients behind them.
pub mod proxy {
    pub use fanfare_engine::proxy::{
        ForwardedHeader, NetworkError, Networks, Peer, RemoteAddr, Secure, TrustedProxies,
    };
}
