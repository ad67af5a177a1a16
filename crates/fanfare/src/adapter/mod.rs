//! Clusters: several servers that act as one.

mod cluster;
mod contained;
mod interest;
mod log;
mod node;
mod pending;
mod remote;
mod requests;
mod server_event;
mod session;
mod socket_data;
mod status;
mod traffic;

use std::pin::Pin;

pub use cluster::ClusterHandle;
pub(crate) use cluster::{REQUEST_TIMEOUT, not_sent};
pub use fanfare_cluster::{
    AdapterError, Broadcast, ClusterAnswer, ClusterFlags, ClusterMessage, ClusterOptions,
    ClusterResponse, DisconnectSockets, FetchSockets, HandshakeData, Health, HealthState, NodeInfo,
    PeerRequest, Peers, PublishOutcome, ServerSideEmit, SocketData, SocketsJoin, SocketsLeave,
};
pub use fanfare_protocol::{EncodedEvent, EncodedValue};
pub(crate) use interest::InterestQueue;
pub use interest::{Interest, RoomChange};
pub use log::{
    EventLog, LogLimits, LogPosition, LoggedEvent, MissedEventsError, MissedEventsRequest,
    PendingDelivery,
};
pub use node::MissingNodes;
pub use remote::{FetchSocketsError, RemoteSocket};
pub(crate) use requests::{ClusterInner, RemoteRequest};
pub(crate) use server_event::ServerHandler;
pub use server_event::{ServerEvent, ServerSideEmitError};
pub use session::{SessionData, SessionStore};
pub(crate) use socket_data::socket_data;
pub use status::Cluster;
pub(crate) use traffic::describe as describe_metrics;

/// Boxed future, as object-safe traits need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Connects the servers of a cluster, see [`SocketIoBuilder::adapter`](crate::SocketIoBuilder::adapter).
///
/// The adapter carries messages, and where its broker can, keeps a log and sessions. The server interprets the
/// messages: each node knows the rooms of the clients connected to it, and keeps the state of requests, answers, counts
/// and timeouts. Without an adapter none of this costs anything.
///
/// Received messages are passed to the [`ClusterHandle`] that [`start`](Self::start) was given. Events arrive and leave
/// in encoded form ([`EncodedEvent`]): an adapter takes their JSON or their MessagePack,
/// whichever its wire format needs, and no value is serialized twice.
///
/// No method may block. A panic is contained, counted and logged, and counts as [`PublishOutcome::Down`]; a panic in
/// [`start`](Self::start), [`interest`](Self::interest), [`log`](Self::log) or [`sessions`](Self::sessions) while the
/// server is built fails the build.
///
/// An adapter for publish and subscribe needs four methods. This one connects the servers of one process:
///
/// ```
/// use std::sync::{Arc, Mutex};
///
/// use fanfare::adapter::{
///     Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, Peers,
///     PublishOutcome,
/// };
/// use fanfare::SocketIo;
///
/// /// Servers by their ids.
/// type Nodes = Arc<Mutex<Vec<(String, ClusterHandle)>>>;
///
/// struct InProcess {
///     id: String,
///     nodes: Nodes,
/// }
///
/// impl InProcess {
///     fn others(&self) -> Vec<(String, ClusterHandle)> {
///         let nodes = self.nodes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
///         nodes.iter().filter(|(id, _)| *id != self.id).cloned().collect()
///     }
/// }
///
/// impl Adapter for InProcess {
///     fn start(&self, cluster: ClusterHandle) {
///         let mut nodes = self.nodes.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
///         nodes.push((self.id.clone(), cluster));
///     }
///
///     fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
///         for (_, node) in self.others() {
///             node.receive(namespace, &self.id, message.clone());
///         }
///         PublishOutcome::Queued
///     }
///
///     fn respond(&self, _namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
///         let Some((_, node)) = self.others().into_iter().find(|(id, _)| id == to) else {
///             return PublishOutcome::Down;
///         };
///         node.receive_response(Some(&self.id), response);
///         PublishOutcome::Queued
///     }
///
///     fn peers<'a>(&'a self, _namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
///         let others = self.others();
///         let nodes = others.into_iter().map(|(id, node)| node.describe(id)).collect();
///         Box::pin(async { Ok(Peers::Nodes(nodes)) })
///     }
/// }
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let nodes = Nodes::default();
/// let server = |id: &str| {
///     let adapter = InProcess { id: id.to_owned(), nodes: nodes.clone() };
///     SocketIo::builder().adapter(adapter).build()
/// };
/// let (one, two) = (server("one")?, server("two")?);
/// one.emit("to the clients of both", ())?;
/// # drop(two);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Adapter: Send + Sync + 'static {
    /// Starts the adapter when the server has been built. Called once, from [`build`](crate::SocketIoBuilder::build);
    /// [`namespace_opened`](Self::namespace_opened) follows for each namespace that exists then.
    fn start(&self, cluster: ClusterHandle);

    /// Called when a namespace has been created on this node.
    fn namespace_opened(&self, namespace: &str) {
        let _ = namespace;
    }

    /// Called when a dynamic namespace has been removed from this node.
    fn namespace_closed(&self, namespace: &str) {
        let _ = namespace;
    }

    /// Returns the rooms whose opening and closing the adapter wants to know. Read once, when the server is built.
    /// Default: none.
    fn interest(&self) -> Interest {
        Interest::None
    }

    /// Called when rooms have opened or closed on this node, so that the adapter receives only what has recipients
    /// here.
    ///
    /// The changes of a namespace come in order, from one thread at a time, after
    /// [`namespace_opened`](Self::namespace_opened); a room that opened and closed again in between is not mentioned,
    /// and no other change is missing. A room has recipients before the adapter knows it: a broadcast that another node
    /// sends in that time is missed.
    ///
    /// A message that is published after this call should reach the other nodes after the subscription is in place:
    /// recovery from another node asks for missed events behind it.
    fn rooms_changed(&self, namespace: &str, changes: &[RoomChange]) {
        let _ = (namespace, changes);
    }

    /// Sends a message to all other nodes. The messages of one thread keep their order.
    ///
    /// With another outcome than [`PublishOutcome::Queued`] this node continues with its own clients; the failure is
    /// counted and logged, and the caller of `emit` sees it in its
    /// [`BroadcastReport`](crate::broadcast::BroadcastReport::cluster).
    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome;

    /// Sends an answer to one node.
    fn respond(&self, namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome;

    /// Returns the nodes that are currently in the cluster, without this one.
    fn peers<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>>;

    /// Returns the other nodes that the adapter knows one by one, with what they say of themselves. Default: those of
    /// [`peers`](Self::peers) in the main namespace. An adapter that counts the nodes may know some of them.
    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, AdapterError>> {
        Box::pin(async {
            Ok(match self.peers("/").await? {
                Peers::Nodes(nodes) => nodes,
                Peers::Count(_) => Vec::new(),
            })
        })
    }

    /// Returns the log of the adapter, if it has one: then broadcasts without acknowledgements are passed to
    /// [`EventLog::append`] in place of [`publish`](Self::publish). Default: none.
    fn log(&self) -> Option<&dyn EventLog> {
        None
    }

    /// Returns the store of sessions, if the adapter has one. Default: none.
    fn sessions(&self) -> Option<&dyn SessionStore> {
        None
    }

    /// Returns the state of the connection to the broker. Default: [`Health::Up`].
    fn health(&self) -> Health {
        Health::Up
    }

    /// Called when the server closes.
    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
