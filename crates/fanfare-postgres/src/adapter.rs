//! Adapter for servers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, Peers,
    PublishOutcome,
};
use fanfare_cluster::{Health, QueueLimits};

use crate::error::ConfigError;
use crate::node::Node;
use crate::outgoing::MAX_NOTIFICATION_BYTES;
use crate::tls::Tls;

/// Connects the servers of a cluster through PostgreSQL, see [the crate](crate).
///
/// It is given to [`SocketIoBuilder::adapter`](fanfare::SocketIoBuilder::adapter); a clone shares the connections, and
/// tells their state.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_postgres::PostgresAdapter;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let adapter = PostgresAdapter::builder("postgres://app@127.0.0.1/app").build()?;
/// let io = SocketIo::builder().adapter(adapter.clone()).build()?;
/// // Without PostgreSQL the server works alone.
/// println!("PostgreSQL is {}", adapter.health());
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PostgresAdapter(Arc<Node>);

impl PostgresAdapter {
    /// Begins an adapter for this server: `postgres://user:password@host:port/database`, or `key=value` pairs as of
    /// libpq.
    pub fn builder(server: impl Into<String>) -> PostgresAdapterBuilder {
        PostgresAdapterBuilder::new(server.into())
    }

    /// Returns the state of the connections to PostgreSQL.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.health()
    }

    /// Waits until PostgreSQL is connected and listens to the channels. To be awaited before a server announces that it is
    /// ready; without it, a server works alone until then.
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

/// Options of a [`PostgresAdapter`]. All nodes of a cluster need the same channel prefix and table.
#[derive(Debug, Clone)]
#[must_use = "it does nothing before `build`"]
pub struct PostgresAdapterBuilder {
    server: String,
    pub(crate) channel_prefix: String,
    pub(crate) table: String,
    pub(crate) create_table: bool,
    pub(crate) threshold: usize,
    pub(crate) cleanup_interval: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) queue: QueueLimits,
    pub(crate) max_outage: Duration,
}

impl PostgresAdapterBuilder {
    fn new(server: String) -> Self {
        Self {
            server,
            channel_prefix: "socket.io".to_owned(),
            table: "socket_io_attachments".to_owned(),
            create_table: true,
            threshold: MAX_NOTIFICATION_BYTES,
            cleanup_interval: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_timeout: Duration::from_secs(10),
            queue: QueueLimits::default(),
            max_outage: Duration::from_secs(5),
        }
    }

    /// Sets the prefix of the channels. Default: `socket.io`. The channel of a namespace is `<prefix>#<namespace>`, at most
    /// 63 bytes; a namespace with a longer one stays on its node, which is logged and makes the adapter
    /// [degraded](Health::Degraded).
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = prefix.into();
        self
    }

    /// Sets the table for long and binary messages. Default: `socket_io_attachments`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets whether the adapter creates the table if it does not exist. Default: true.
    pub fn create_table(mut self, create: bool) -> Self {
        self.create_table = create;
        self
    }

    /// Sets the length, in bytes, from which messages go through the table. Default, and maximum: 8000, from which
    /// PostgreSQL rejects notifications.
    pub fn payload_threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes.min(MAX_NOTIFICATION_BYTES);
        self
    }

    /// Sets the age at which rows of the table are deleted, and the interval in which this node does so. Default: 30 s.
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = interval.max(Duration::from_millis(100));
        self
    }

    /// Sets the time without a message of this node after which it says that it is there. Default: 5 s.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets the time after which a node that is not heard is no longer waited for. Default: 10 s.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Sets the limits of the messages that wait to be sent. Default: 65,536 messages, 16 MiB. What exceeds them is
    /// dropped, and the caller of `emit` is told.
    pub fn queue(mut self, limits: QueueLimits) -> Self {
        self.queue = limits;
        self
    }

    /// Sets the time without a connection for which messages are queued, to be sent when it is back. Default: 5 s.
    /// Afterwards they are dropped until there is a connection again, and the caller of `emit` is told.
    pub fn max_outage(mut self, time: Duration) -> Self {
        self.max_outage = time;
        self
    }

    /// Creates the adapter. It connects when its server is built.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn build(self) -> Result<PostgresAdapter, ConfigError> {
        let server = self.server.parse();
        let mut server: tokio_postgres::Config =
            server.map_err(|error: tokio_postgres::Error| ConfigError::Url(error.to_string()))?;
        if server.get_application_name().is_none() {
            server.application_name("fanfare");
        }
        let parts: Vec<&str> = self.table.split('.').collect();
        let valid = |part: &&str| {
            let starts = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            starts && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if parts.len() > 2 || !parts.iter().all(valid) {
            return Err(ConfigError::Table(self.table));
        }
        let tls = Tls::new()?;
        Ok(PostgresAdapter(Node::new(self, server, tls)))
    }
}
