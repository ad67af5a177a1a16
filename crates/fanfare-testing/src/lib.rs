//! Tests of Socket.IO applications: a server in memory, clients, virtual time, and connections that break, stall or are
//! partitioned.
//!
//! [`TestServer`] serves a [`SocketIo`](fanfare::SocketIo) over a network of pipes in the test's process. There are no
//! ports, so that tests run in parallel, and nothing depends on the kernel, so that Tokio's paused clock works: when
//! every task waits, the clock jumps to the next timer. An hour of heartbeats takes milliseconds.
//!
//! ```
//! use std::time::Duration;
//!
//! use fanfare::{Ack, Data, Namespace, SocketIo};
//! use fanfare_testing::TestServer;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a test: #[tokio::test(start_paused = true)]
//! let chat = Namespace::new("/").on("length", async |Data(text): Data<String>| Ack(text.len()));
//! let server = TestServer::start(SocketIo::builder().namespace(chat).build()?);
//! let socket = server.client().await?;
//!
//! // An idle hour, with a ping every 25 s.
//! tokio::time::sleep(Duration::from_secs(3600)).await;
//! let length: usize = socket.emit_with_ack("length", "hello").await?;
//! assert_eq!(length, 5);
//! # Ok(())
//! # }
//! ```
//!
//! # Overview
//!
//! | to | use |
//! |---|---|
//! | start a server | [`TestServer::start`] |
//! | connect the Rust client | [`TestServer::client`], or [`Link::client`] to reach its connections later |
//! | see every packet | [`Peer`]: a WebSocket without the logic of a client |
//! | speak HTTP, or send single WebSocket frames | [`wire::Http`] and [`wire::WebSocket`] over a [`Link::connect`] |
//! | play the server that a client connects to | [`Link::to`], with [`wire`]'s server ends |
//! | break the connections to a server elsewhere | [`Link::to`], with a function that connects to it |
//! | count the bytes on the wire | [`Link::transferred`] |
//! | break connections | [`Link::cut`] |
//! | stop the bytes in one or both directions | [`Link::stall`], [`Link::resume`] |
//! | separate clients and server for a while | [`Link::partition`], [`Link::heal`] |
//! | reject new connections | [`Link::refuse`], [`Link::accept`] |
//! | test an adapter | [`cluster::exercise`]: every operation across three nodes |
//! | wait with a deadline | [`within`], [`until`] |
//! | pass time | Tokio's `sleep` and `advance`, with the clock paused |
//!
//! # Virtual time
//!
//! `#[tokio::test(start_paused = true)]` needs a dependency on `tokio` with the features `macros` and `rt`; this crate
//! adds `test-util`. Server and client take the time of heartbeats, timeouts, recovery, reconnection and rate limits
//! from Tokio's clock. The clock does not jump while a task of `spawn_blocking` runs, and the jump is to the next timer
//! of any task: a handler that waits for something outside of the runtime, such as a database, does not stop it.
//! Throttles of log messages use the system's clock.
//!
//! Prefer `sleep` to `advance`: `sleep` stops at every timer on the way, whereas `advance` jumps over all of them at
//! once, as if the machine had been suspended.

#![forbid(unsafe_code)]

pub mod cluster;
mod network;
mod peer;
mod server;
mod wait;
pub mod wire;

pub use crate::network::{Flow, Link, PIPE_BYTES, Stream, Transferred};
pub use crate::peer::{Peer, Received};
pub use crate::server::TestServer;
pub use crate::wait::{DEADLINE, until, within};
