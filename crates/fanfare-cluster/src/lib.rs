//! Messages and state machines of a Socket.IO cluster, without I/O.
//!
//! The adapters and the emitters of Fanfare share this crate: the [messages](ClusterMessage) that the nodes of a cluster
//! send each other, in the sense of Node's `ClusterAdapter`. The server `fanfare` exports them as `fanfare::adapter`; a
//! program that only emits needs this crate and no server.

mod message;
mod node;
mod socket_data;

pub use message::{
    Broadcast, ClusterAnswer, ClusterFlags, ClusterMessage, ClusterOptions, ClusterResponse,
    DisconnectSockets, FetchSockets, ServerSideEmit, SocketsJoin, SocketsLeave,
};
pub use node::{NodeInfo, Peers};
pub use socket_data::{HandshakeData, SocketData};
