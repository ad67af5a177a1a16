//! Adapter for servers.

use std::fmt;
use std::sync::Arc;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, Peers,
    PublishOutcome,
};
use fanfare_cluster::Health;

use crate::node::Node;

/// Adapter that connects the servers of a cluster through PostgreSQL, see [the crate](crate).
///
/// Pass it to [`SocketIoBuilder::adapter`](fanfare::SocketIoBuilder::adapter). A clone shares the connections and
/// reports their state.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_postgres::Postgres;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let adapter = Postgres::new("postgres://app@127.0.0.1/app").adapter()?;
/// let io = SocketIo::builder().adapter(adapter.clone()).build()?;
/// // Without PostgreSQL the server works alone.
/// println!("PostgreSQL is {}", adapter.health());
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PostgresAdapter(Arc<Node>);

impl PostgresAdapter {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        Self(node)
    }

    /// Returns the state of the connections to PostgreSQL.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health()
    }

    /// Waits until PostgreSQL is connected and listens to the channels. To be awaited before a server reports that it
    /// is ready; until then, a server works alone.
    pub async fn ready(&self) {
        self.0.ready().await;
    }
}

impl fmt::Debug for PostgresAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresAdapter").field(&self.0).finish()
    }
}

impl Adapter for PostgresAdapter {
    fn start(&self, cluster: ClusterHandle) {
        self.0.start(cluster);
    }

    fn namespace_opened(&self, namespace: &str) {
        self.0.namespace_opened(namespace);
    }

    fn namespace_closed(&self, namespace: &str) {
        self.0.namespace_closed(namespace);
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        self.0.publish(namespace, message)
    }

    fn respond(&self, namespace: &str, _: &str, response: ClusterResponse) -> PublishOutcome {
        self.0.send(namespace, &response.into())
    }

    fn peers<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        Box::pin(self.0.peers(namespace))
    }

    fn health(&self) -> Health {
        self.0.health()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.0.close())
    }
}
