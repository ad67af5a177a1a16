//! Adapter for servers.

mod node;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, EventLog,
    Interest, Peers, PublishOutcome, RoomChange, SessionStore,
};
use fanfare_cluster::Health;
use node::Node;

use crate::error::ConfigError;
use crate::jetstream::JetStream;
use crate::options::{ConnectionOptions, ServerAddress, connection_options};

/// Connects the servers of a cluster through NATS, see [the crate](crate).
///
/// It is given to [`SocketIoBuilder::adapter`](fanfare::SocketIoBuilder::adapter); a clone shares the connection, and
/// tells its state.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_nats::NatsAdapter;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let adapter = NatsAdapter::builder("nats://127.0.0.1:4222").prefix("shop").build()?;
/// let io = SocketIo::builder().adapter(adapter.clone()).build()?;
/// // Without NATS the server works alone.
/// println!("NATS is {}", adapter.health());
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct NatsAdapter(Arc<Node>);

impl NatsAdapter {
    /// Begins an adapter for these servers of one NATS: `nats://host:port` or `tls://host:port`, several separated by
    /// commas. An address may contain a user and a password, or a token. The others of a NATS cluster are found through
    /// those that are named.
    pub fn builder(servers: impl Into<String>) -> NatsAdapterBuilder {
        NatsAdapterBuilder::new(servers.into())
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

    /// Waits until NATS is connected and all subscriptions are in place. To be awaited before a server announces that it
    /// is ready; without it, a server works alone until then.
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

/// Options of a [`NatsAdapter`].
#[derive(Debug, Clone)]
#[must_use = "it does nothing before `build`"]
pub struct NatsAdapterBuilder {
    servers: String,
    pub(crate) prefix: String,
    pub(crate) connection: ConnectionOptions,
    pub(crate) name: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) jetstream: Option<JetStream>,
}

impl NatsAdapterBuilder {
    fn new(servers: String) -> Self {
        Self {
            servers,
            prefix: "default".to_owned(),
            connection: ConnectionOptions::new(),
            name: None,
            address: None,
            heartbeat_interval: Duration::from_secs(2),
            heartbeat_timeout: Duration::from_secs(6),
            jetstream: None,
        }
    }

    connection_options!();

    /// Sets the name of this node, for people.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the address at which the other nodes reach this one.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sets the interval in which nodes say that they are there. Default: 2 s.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets the time after which a node that is not heard is no longer waited for. Default: 6 s. It should be three times
    /// the interval.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Keeps events and sessions in JetStream, so that all nodes deliver events in one order, and clients are
    /// [recovered](fanfare::recovery) by any node.
    pub fn jetstream(mut self, options: JetStream) -> Self {
        self.jetstream = Some(options);
        self
    }

    /// Creates the adapter. It connects when its server is built.
    ///
    /// # Errors
    /// [`ConfigError`] if an address or a certificate is invalid.
    pub fn build(mut self) -> Result<NatsAdapter, ConfigError> {
        self.connection.servers = ServerAddress::list(&self.servers)?;
        #[cfg(feature = "tls")]
        self.connection.roots.check()?;
        Ok(NatsAdapter(Node::new(self)))
    }
}
