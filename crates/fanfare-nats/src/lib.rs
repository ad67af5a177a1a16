//! Cluster of Fanfare servers over [NATS](https://nats.io): an adapter with a subject per room, and recovery over
//! JetStream.
//!
//! ```no_run
//! use fanfare::SocketIo;
//! use fanfare_nats::{JetStream, Nats};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let adapter = Nats::new("nats://127.0.0.1:4222")
//!     .prefix("shop")
//!     .jetstream(JetStream::new()) // for recovery on any node; otherwise not needed
//!     .adapter()?;
//! let io = SocketIo::builder().adapter(adapter.clone()).build()?;
//! adapter.ready().await;
//! io.emit("news", "to the clients of all nodes")?;
//! # Ok(())
//! # }
//! ```
//!
//! A node subscribes to the rooms that have members there. An event for a room without members there costs it nothing,
//! and a subscription costs about 200 bytes.
//!
//! | fault | effect |
//! |---|---|
//! | NATS cannot be reached when the server starts | the server works alone, and keeps trying |
//! | the connection is lost | messages are queued, at most for [`max_outage`](Nats::max_outage); then they are dropped, which `emit` reports |
//! | the servers send faster than NATS accepts | the queue is [bounded](Nats::queue); further messages are dropped, which `emit` reports |
//! | NATS does not answer for 4 s | the connection is replaced |
//! | the connection is restored | all subscriptions are restored; with JetStream, the node also receives the events that it missed |
//! | JetStream has lost its data | positions start again, and earlier clients are not recovered |
//!
//! The format of the messages is documented in `book/en/src/guide/cluster-nats.md` of the project, so that programs in other languages
//! can send events.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "adapter"),
    allow(dead_code, reason = "an emitter sends and does not receive")
)]

#[cfg(feature = "adapter")]
mod adapter;
mod config;
mod connection;
mod emitter;
mod error;
#[cfg(fuzzing)]
pub mod fuzzing;
mod jetstream;
mod log_target;
mod options;
mod parts;
mod protocol;
mod publisher;
mod subject;
#[cfg(feature = "tls")]
mod tls;

#[cfg(feature = "adapter")]
pub use adapter::NatsAdapter;
pub use config::Nats;
pub use error::ConfigError;
pub use fanfare_cluster::{Emitter, EmitterError};
pub use jetstream::JetStream;
