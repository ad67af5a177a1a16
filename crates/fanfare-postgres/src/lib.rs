//! PostgreSQL adapter for clusters of Socket.IO servers, compatible with `@socket.io/postgres-adapter` 0.5 and older.
//!
//! ```no_run
//! use fanfare::SocketIo;
//! use fanfare_postgres::Postgres;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let adapter = Postgres::new("postgres://app:secret@127.0.0.1/app").adapter()?;
//! let io = SocketIo::builder().adapter(adapter.clone()).build()?;
//! adapter.ready().await;
//! io.emit("news", "to the clients of all nodes")?;
//! # Ok(())
//! # }
//! ```
//!
//! Messages are notifications (`LISTEN`, `NOTIFY`) on a channel per namespace. Messages that contain binary values or
//! have 8,000 bytes or more go through a table, which the adapter creates. A node has two connections, which must reach
//! the server itself or a pooler in session mode, not a replica.
//!
//! | fault | effect |
//! |---|---|
//! | PostgreSQL cannot be reached when the server starts | the server works alone, and keeps trying |
//! | a connection is lost | messages are queued, at most for [`max_outage`](Postgres::max_outage); then they are dropped, which `emit` reports. Messages of other servers are lost meanwhile |
//! | the servers send faster than PostgreSQL accepts | the queue is [bounded](Postgres::queue); further messages are dropped, which `emit` reports |
//! | PostgreSQL does not answer for 4 s | the connections are replaced |
//! | PostgreSQL rejects a statement | the message is lost, which is logged |
//!
//! There is no log, so only the node to which a client was connected can recover it.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "adapter"),
    allow(dead_code, reason = "an emitter sends and does not receive")
)]

#[cfg(feature = "adapter")]
mod adapter;
mod config;
mod emitter;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod log_target;
mod node;
mod outgoing;
mod task;
mod tls;

#[cfg(feature = "adapter")]
pub use adapter::PostgresAdapter;
pub use config::Postgres;
pub use error::ConfigError;
pub use fanfare_cluster::{Emitter, EmitterError};
