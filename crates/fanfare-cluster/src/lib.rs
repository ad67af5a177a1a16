//! Messages and state machines of a Socket.IO cluster, without I/O.
//!
//! The adapters and the emitters of Fanfare share this crate: the [messages](ClusterMessage) that the nodes of a cluster
//! send each other, in the sense of Node's `ClusterAdapter`. The server `fanfare` exports them as `fanfare::adapter`; a
//! program that only emits needs this crate and no server.
//!
//! - [`dialect`]: the wire format of Node's `ClusterAdapter`, in JSON and in MessagePack.
//! - [`publish_queue`]: what waits to be sent to a broker, bounded.
//! - [`Membership`]: the nodes that are there, by their heartbeats.
//! - [`Subscriptions`]: the rooms that this node wants to hear of.
//! - [`DuplicateFilter`]: messages that a broker delivers twice.
//! - [`Emitter`]: the operations of a program that only emits.
//! - [`HealthState`]: whether the broker can be reached.

#![forbid(unsafe_code)]

pub mod dialect;

mod duplicates;
mod emitter;
mod health;
mod id;
mod interest;
mod membership;
mod message;
mod node;
mod outcome;
mod queue;
mod socket_data;

pub use duplicates::DuplicateFilter;
pub use emitter::{BoxFuture, Emitter, EmitterError, EmitterTransport};
pub use health::{Health, HealthState};
pub use id::{EMITTER_ID, unique_id};
pub use interest::{SubscriptionChange, SubscriptionOptions, Subscriptions};
pub use membership::{Membership, MembershipEvent, MembershipOptions};
pub use message::{
    Broadcast, ClusterAnswer, ClusterFlags, ClusterMessage, ClusterOptions, ClusterResponse,
    DisconnectSockets, FetchSockets, ServerSideEmit, SocketsJoin, SocketsLeave,
};
pub use node::{NodeInfo, Peers};
pub use outcome::{AdapterError, PublishOutcome};
pub use queue::{PublishQueue, PushError, QueueLimits, QueueReader, publish_queue};
pub use socket_data::{HandshakeData, SocketData};
