//! Messages and state machines of a Socket.IO cluster, without I/O.
//!
//! The adapters and the emitters of Fanfare share this crate: the [messages](ClusterMessage) that the nodes of a cluster
//! send each other, in the sense of Node's `ClusterAdapter`. The server `fanfare` exports them as `fanfare::adapter`; a
//! program that only emits needs this crate and no server.
//!
//! - [`dialect`]: the wire format of Node's `ClusterAdapter`, in JSON and in MessagePack.
//! - [`publish_queue`]: a bounded queue of messages to a broker.
//! - [`Inbox`]: a bounded queue of messages from a broker, which are delivered together.
//! - [`Membership`]: the nodes of the cluster, known by their heartbeats.
//! - [`Subscriptions`]: the subscriptions to rooms that have members on this node.
//! - [`RecentJoins`]: rooms that nodes may not have subscribed to yet.
//! - [`DuplicateFilter`]: a filter of messages that arrive twice.
//! - [`Emitter`]: the operations of a program that only emits.
//! - [`HealthState`]: the state of the connection to the broker.

#![forbid(unsafe_code)]

pub mod dialect;

mod announcement;
mod duplicates;
mod emitter;
mod handshake_data;
mod health;
mod id;
mod inbox;
mod interest;
mod membership;
mod message;
mod node;
mod outcome;
mod queue;
mod recent;
mod reconnect;
mod socket_data;

pub use announcement::{MAX_ANNOUNCEMENT_BYTES, NodeAnnouncement};
pub use duplicates::DuplicateFilter;
pub use emitter::{BoxFuture, Emitter, EmitterError, EmitterTransport};
pub use handshake_data::HandshakeData;
pub use health::{Health, HealthState};
pub use id::{EMITTER_ID, unique_id};
pub use inbox::{Inbox, turn_len};
pub use interest::{SubscriptionChange, SubscriptionOptions, Subscriptions};
pub use membership::{Membership, MembershipEvent, MembershipOptions};
pub use message::{
    Broadcast, ClusterAnswer, ClusterFlags, ClusterMessage, ClusterOptions, ClusterResponse,
    DisconnectSockets, FetchSockets, PeerRequest, ServerSideEmit, SocketsJoin, SocketsLeave,
};
pub use node::{NodeInfo, Peers};
pub use outcome::{AdapterError, PublishOutcome};
pub use queue::{PublishQueue, PushError, QueueLimits, QueueReader, publish_queue};
pub use recent::RecentJoins;
pub use reconnect::reconnection_delays;
pub use socket_data::SocketData;
