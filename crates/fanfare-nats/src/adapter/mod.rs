//! Adapter for servers.

mod node;

use std::fmt;
use std::sync::Arc;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, EventLog,
    Interest, Peers, PublishOutcome, RoomChange, SessionStore,
};
use fanfare_cluster::Health;
use node::Node;

use crate::config::Nats;

/// Adapter that connects the servers of a cluster through NATS, see [the crate](crate).
///
/// Pass it to [`SocketIoBuilder::adapter`](fanfare::SocketIoBuilder::adapter). A clone shares the connection and
/// reports its state.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_nats::Nats;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let adapter = Nats::new("nats://127.0.0.1:4222").prefix("shop").adapter()?;
/// let io = SocketIo::builder().adapter(adapter.clone()).build()?;
/// // Without NATS the server works alone.
/// println!("NATS is {}", adapter.health());
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct NatsAdapter(Arc<Node>);

impl NatsAdapter {
    pub(crate) fn new(options: Nats) -> Self {
        Self(Node::new(options))
    }

    /// Returns the id of this node, new in each process.
    #[must_use]
    pub fn node_id(&self) -> &str {
        self.0.id()
    }

    /// Returns the state of the connection to NATS.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health()
    }

    /// Waits until NATS is connected and all subscriptions are in place. To be awaited before a server reports that it
    /// is ready; until then, a server works alone.
    pub async fn ready(&self) {
        self.0.ready().await;
    }
}

impl fmt::Debug for NatsAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NatsAdapter").field(&self.0).finish()
    }
}

impl Adapter for NatsAdapter {
    fn start(&self, cluster: ClusterHandle) {
        self.0.start(cluster);
    }

    fn namespace_opened(&self, namespace: &str) {
        self.0.namespace_opened(namespace);
    }

    fn namespace_closed(&self, namespace: &str) {
        self.0.namespace_closed(namespace);
    }

    fn interest(&self) -> Interest {
        Interest::RoomsAndSockets
    }

    fn rooms_changed(&self, namespace: &str, changes: &[RoomChange]) {
        self.0.rooms_changed(namespace, changes);
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        self.0.publish(namespace, message)
    }

    fn respond(&self, namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        self.0.respond(namespace, to, response)
    }

    fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        Box::pin(self.0.peers())
    }

    fn log(&self) -> Option<&dyn EventLog> {
        self.0.log().map(|log| log as &dyn EventLog)
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        self.0.sessions().map(|store| store as &dyn SessionStore)
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.close())
    }
}
