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
//!     fanfare::serve("127.0.0.1:3000", io).await?;
//!     Ok(())
//! }
//! ```
//!
//! In a browser, `io("http://127.0.0.1:3000/chat")` of the official `socket.io-client` is all there is to it.
//!
//! # Where to find what
//!
//! | | |
//! |---|---|
//! | behaviour | [`Namespace`]: middlewares, handlers of events, of connections and of disconnections; [`Namespace::pattern`] for names with parameters |
//! | handlers | async functions of [extractors](extract); what they may be and return: [`handler`] |
//! | one client | [`Socket`]: [`emit`](Socket::emit), [`emit_with_ack`](Socket::emit_with_ack), [`join`](Socket::join), [`data`](Socket::data), [`extensions`](Socket::extensions) |
//! | many clients | [`BroadcastOperator`]: [`to`](BroadcastOperator::to), [`except`](BroadcastOperator::except), [`volatile`](BroadcastOperator::volatile), [`emit_with_ack`](BroadcastOperator::emit_with_ack), from [`SocketIo`], [`NamespaceHandle`] or [`Socket`] |
//! | events as types | [`typed`]: names, arguments and acknowledgements that the compiler checks, per namespace |
//! | the server | [`SocketIo::builder`]; [`serve`] runs alone, [`block_on`] on a runtime made for it, [`serve_connection`] takes a stream of any kind, [`SocketIo::service`] and [`SocketIo::layer`] mount into axum, hyper and anything made of `tower` services |
//! | bounds | [`Limits`] is what a client can cost, [`SlowConsumer`] what becomes of one that does not read, [`Admission`] and [`RateLimits`] who may come in and send how much |
//! | lost connections | [`ConnectionStateRecovery`], [`Socket::recovery`] |
//! | several servers | [`Adapter`] |
//! | going away | [`SocketIo::close`], [`SocketIo::drain`] |
//! | errors | [`EmitError`], [`AckError`], [`JoinError`], [`BuildError`], [`ConnectError`], [`EventError`]; [`DisconnectReason`] |
//!
//! A guide from the first line to production is `docs/guide.md` of the repository; runnable programs are in
//! `crates/fanfare/examples`.
//!
//! # Features
//!
//! - `macros` (off): `#[fanfare::debug_handler]`, which makes the compiler say what is wrong with a handler;
//!   `#[derive(TypedEvent)]` and `#[derive(Contract)]`.

#![forbid(unsafe_code)]

mod ack;
mod adapter;
mod broadcast;
mod bundles;
mod client;
mod codec;
mod conn;
mod encode;
mod error;
pub mod extract;
mod guard;
pub mod handler;
mod hooks;
mod id;
mod io;
mod namespace;
pub mod parser;
mod reason;
mod recovery;
mod rooms;
mod runtime;
mod serve;
mod service;
mod socket;
mod stats;
pub mod typed;

pub use ack::{AckError, AckFuture, AckSender, BroadcastAckError, BroadcastAckFuture};
pub use adapter::{
    Adapter, AdapterError, BoxFuture, Cluster, ClusterFlags, ClusterMessage, ClusterOptions,
    ClusterResponse, FetchSocketsError, HandshakeData, Peers, RemoteSocket, ServerEvent,
    ServerSideEmitError, SocketData,
};
pub use broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
pub use conn::{Conn, ConnEvent};
pub use error::{BuildError, EmitError, JoinError};
pub use extract::{Data, Handshake, State};
pub use fanfare_engine::{
    CloseReason, Config, ConnectionError, Cookie, Cors, CorsOrigin, ForwardedHeader,
    Handshake as HandshakeRequest, HttpCompression, HttpRefusal, NetworkError, Networks,
    PerMessageDeflate, Protocol, RemoteAddr, SameSite, Secure, ServeOptions, SlowConsumer,
    Transports, TrustedProxies,
};
#[cfg(feature = "macros")]
pub use fanfare_macros::{
    ContractOfServer as Contract, TypedEventOfServer as TypedEvent, debug_handler,
};
pub use fanfare_protocol::engine::ErrorCode;
pub use fanfare_protocol::socket::{AllArgs, ArgsError, EncodeError, IntoArgs};
pub use fanfare_protocol::{Limits, Value};
pub use guard::{Admission, Excess, RateLimits};
pub use handler::{Ack, ConnectError, EventError};
pub use id::SocketId;
pub use io::{DrainReport, SocketIo, SocketIoBuilder};
pub use namespace::{Namespace, NamespaceHandle, ParentNamespace, RoomEvent, RoomEvents};
pub use reason::DisconnectReason;
pub use recovery::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
pub use runtime::block_on;
pub use serve::{serve, serve_connection, serve_connection_with, serve_listener, serve_with};
pub use service::{Layered, LayeredBody, SocketIoFuture, SocketIoLayer, SocketIoService};
pub use socket::{Extensions, ListenerId, OutgoingEvent, Socket, SocketEmitter};
pub use stats::Snapshot as Stats;
pub use typed::{Contract, NoAck, Typed, TypedEvent};

/// The programs of the guide and of the readme compile.
#[cfg(doctest)]
#[cfg_attr(feature = "macros", doc = include_str!("../../../docs/guide.md"))]
#[doc = include_str!("../../../README.md")]
pub struct Documents;
