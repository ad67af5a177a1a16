//! Clusters: several servers that are one.

mod cluster;
mod message;
mod pending;
mod remote;
mod server_event;
mod values;

use std::fmt;
use std::pin::Pin;

pub use cluster::Cluster;
pub(crate) use cluster::{ClusterInner, RemoteAcks};
pub use message::{
    ClusterFlags, ClusterMessage, ClusterOptions, ClusterResponse, HandshakeData, SocketData,
};
pub use remote::{FetchSocketsError, RemoteSocket};
pub(crate) use server_event::ServerHandler;
pub use server_event::{ServerEvent, ServerSideEmitError};
pub(crate) use values::{from_value, from_values, to_values};

/// A future on the heap, as object-safe traits need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Connects the servers of a cluster, see [`SocketIoBuilder::adapter`](crate::SocketIoBuilder::adapter).
///
/// It carries messages; what they mean is the server's business: who is in which room is known to each node of its own
/// clients, and requests, answers, counts and timeouts are kept there. Without an adapter nothing of this is paid for.
///
/// Received messages are handed to the [`Cluster`] that [`start`](Self::start) was given.
pub trait Adapter: Send + Sync + 'static {
    /// The server is built. Called once, from [`build`](crate::SocketIoBuilder::build), for the namespaces that exist
    /// then: [`namespace_opened`](Self::namespace_opened) follows for each.
    fn start(&self, cluster: Cluster);

    /// A namespace exists now on this node.
    fn namespace_opened(&self, namespace: &str) {
        let _ = namespace;
    }

    /// A dynamic namespace is gone on this node.
    fn namespace_closed(&self, namespace: &str) {
        let _ = namespace;
    }

    /// Sends a message to all other nodes. Must not block; the messages of one thread keep their order.
    ///
    /// # Errors
    /// [`AdapterError`] if it cannot be sent; this node goes on with its own clients.
    fn publish(&self, namespace: &str, message: ClusterMessage) -> Result<(), AdapterError>;

    /// Sends an answer to one node. Must not block.
    ///
    /// # Errors
    /// [`AdapterError`] if it cannot be sent.
    fn respond(
        &self,
        namespace: &str,
        to: &str,
        response: ClusterResponse,
    ) -> Result<(), AdapterError>;

    /// The other nodes, at the moment.
    fn peers<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>>;

    /// The server is closing.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

/// The other nodes of a cluster, this one not included.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peers {
    /// Only their number is known: so many must answer a request.
    Count(usize),
    /// Their ids; one that leaves ([`Cluster::node_left`]) is no longer waited for.
    Nodes(Vec<String>),
}

impl Peers {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether this node is alone.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What went wrong in an adapter.
#[derive(Debug)]
pub struct AdapterError(Box<dyn std::error::Error + Send + Sync>);

impl AdapterError {
    /// Says what.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster is out of reach: {}", self.0)
    }
}

impl std::error::Error for AdapterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}
