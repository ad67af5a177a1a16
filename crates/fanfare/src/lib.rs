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
//! - [`Namespace`] declares behaviour: middlewares, event handlers made of [extractors](extract), connect and
//!   disconnect handlers.
//! - [`Socket`] is one client in one namespace: [`emit`](Socket::emit), rooms, acknowledgements, data.
//! - [`BroadcastOperator`] reaches many: [`to`](BroadcastOperator::to), [`except`](BroadcastOperator::except),
//!   [`volatile`](BroadcastOperator::volatile), [`emit_with_ack`](BroadcastOperator::emit_with_ack).
//! - [`SocketIo::service`] mounts into axum, hyper and anything made of `tower` services; [`serve`] runs alone.
//! - [`Limits`] bounds what a client can cost.
#![forbid(unsafe_code)]

mod ack;
mod adapter;
mod broadcast;
mod bundles;
mod client;
mod codec;
mod encode;
mod error;
pub mod extract;
mod guard;
pub mod handler;
mod id;
mod io;
mod namespace;
pub mod parser;
mod reason;
mod recovery;
mod rooms;
mod serve;
mod service;
mod socket;
mod stats;

pub use ack::{AckError, AckFuture, AckSender, BroadcastAckError, BroadcastAckFuture};
pub use adapter::{
    Adapter, AdapterError, BoxFuture, Cluster, ClusterFlags, ClusterMessage, ClusterOptions,
    ClusterResponse, FetchSocketsError, HandshakeData, Peers, RemoteSocket, ServerEvent,
    ServerSideEmitError, SocketData,
};
pub use broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
pub use error::{BuildError, EmitError};
pub use extract::{Data, Handshake, State};
pub use fanfare_engine::{
    Config, ForwardedHeader, NetworkError, Networks, Protocol, RemoteAddr, Secure, ServeOptions,
    SlowConsumer, Transports, TrustedProxies,
};
#[cfg(feature = "macros")]
pub use fanfare_macros::debug_handler;
pub use fanfare_protocol::socket::{AllArgs, ArgsError, EncodeError, IntoArgs};
pub use fanfare_protocol::{Limits, Value};
pub use guard::{Admission, Excess, RateLimits};
pub use handler::{Ack, ConnectError, EventError};
pub use id::SocketId;
pub use io::{DrainReport, SocketIo, SocketIoBuilder};
pub use namespace::{Namespace, NamespaceHandle, ParentNamespace, RoomEvent, RoomEvents};
pub use reason::DisconnectReason;
pub use recovery::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
pub use serve::{serve, serve_listener, serve_with};
pub use service::{Layered, LayeredBody, SocketIoFuture, SocketIoLayer, SocketIoService};
pub use socket::{Extensions, ListenerId, OutgoingEvent, Socket, SocketEmitter};
pub use stats::Snapshot as Stats;
