//! Socket.IO servers behind any load balancer, without sticky sessions.
//!
//! A client that begins with long-polling may send each request on another connection, and the requests of one session
//! must reach the server that has it. With a [`Relay`] they do, whichever server the load balancer selects: the id of a
//! session tells the servers of a cluster, but no client, which server has it, and the server that received the request
//! forwards it there. A session that only uses WebSocket needs no forwarding.
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
