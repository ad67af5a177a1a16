//! Redis for clusters of Socket.IO servers: adapters for servers, emitters for programs without clients.
//!
//! | type | for | compatible with |
//! |---|---|---|
//! | [`Classic`] | the common case, also with Node.js in the cluster | `createAdapter` of `@socket.io/redis-adapter` 8, `@socket.io/redis-emitter` 5 |
//! | [`Sharded`] | large clusters, Redis Cluster: a node gets only what its clients' rooms need | `createShardedAdapter` of `@socket.io/redis-adapter` 8 |
//! | [`Streams`] | recovery of connections on any server | `@socket.io/redis-streams-adapter` 0.3 |
//!
//! ```
//! use fanfare::SocketIo;
//! use fanfare_redis::Classic;
//!
//! # let runtime = tokio::runtime::Runtime::new()?;
//! # let _entered = runtime.enter();
//! let adapter = Classic::new("redis://127.0.0.1:6379").adapter()?;
//! let io = SocketIo::builder().adapter(adapter).build()?;
//! io.emit("hello", "to the clients of all servers")?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(
    not(feature = "adapter"),
    allow(dead_code, reason = "emitters use a part of the connection")
)]

#[cfg(feature = "adapter")]
mod adapter;
mod classic;
#[cfg(fuzzing)]
pub mod fuzzing;
mod link;
mod log_target;
#[cfg(feature = "adapter")]
mod nodes;
mod options;
mod server;
mod sharded;
#[cfg(feature = "adapter")]
mod space;
mod streams;

#[cfg(feature = "adapter")]
pub use self::adapter::RedisAdapter;
pub use self::classic::Classic;
pub use self::server::{ConfigError, RedisServer};
pub use self::sharded::{Sharded, SubscriptionMode};
pub use self::streams::Streams;
pub use fanfare_cluster::{Emitter, EmitterError, Health, PublishOutcome, QueueLimits};
