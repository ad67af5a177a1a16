//! Socket.IO servers behind any load balancer, without sticky sessions.
//!
//! A client that begins with long-polling sends each request on a connection of its own choice, and the requests of one
//! session must reach the server that holds it. With a [`Relay`] they do, whichever server a load balancer gives them
//! to: the id of a session tells the servers of a cluster, but no client, where it lives, and the server that got the
//! request sends it there. Sessions that only use WebSocket never pay for it.
//!
//! ```
//! use fanfare::SocketIo;
//! use fanfare_relay::Relay;
//!
//! // The same key on all servers; each with its own address, and those of the others.
//! let relay = Relay::new("a secret of at least 16 bytes", "10.0.0.1:3000")?
//!     .peers(["10.0.0.2:3000", "10.0.0.3:3000"])?;
//! let io = SocketIo::builder().relay(relay).build()?;
//! # drop(io);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The servers speak plain HTTP/1.1 with each other, so their addresses belong to a private network. The key protects
//! the ids of sessions, and marks relayed requests, which are never relayed twice.

#![forbid(unsafe_code)]

mod client;
mod key;
mod peers;
mod relay;
mod seal;

pub use peers::PeerAddressError;
pub use relay::{Relay, RelayError};
