//! Options of adapter and emitter.

use std::sync::Arc;
use std::time::Duration;

use fanfare_cluster::{Emitter, QueueLimits};

#[cfg(feature = "adapter")]
use crate::PostgresAdapter;
use crate::emitter::PostgresEmitter;
use crate::error::ConfigError;
use crate::node::Node;
use crate::outgoing::MAX_NOTIFICATION_BYTES;
use crate::tls::Tls;

/// PostgreSQL and the cluster that uses it: builder of the adapters of its servers, and of emitters. Channel prefix and
/// table must be the same on all nodes of a cluster.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_postgres::Postgres;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let postgres = Postgres::new("postgres://app@127.0.0.1/app").channel_prefix("chat");
/// // A server of the cluster:
/// let io = SocketIo::builder().adapter(postgres.clone().adapter()?).build()?;
/// // A program that only emits to it:
/// let emitter = postgres.emitter()?;
/// emitter.to("lobby").emit("news", "from elsewhere")?;
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Postgres {
    server: String,
    pub(crate) channel_prefix: String,
    #[cfg(feature = "adapter")]
    pub(crate) name: Option<String>,
    #[cfg(feature = "adapter")]
    pub(crate) address: Option<String>,
    pub(crate) table: String,
    pub(crate) create_table: bool,
    pub(crate) threshold: usize,
    pub(crate) cleanup_interval: Duration,
    pub(crate) heartbeat_interval: Duration,
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) queue: QueueLimits,
    pub(crate) max_outage: Duration,
    #[cfg(feature = "tls")]
    roots: Option<Vec<u8>>,
}

impl Postgres {
    /// Creates options for a server: `postgres://user:password@host:port/database`, or `key=value` pairs as of libpq.
    pub fn new(server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            channel_prefix: "socket.io".to_owned(),
            #[cfg(feature = "adapter")]
            name: None,
            #[cfg(feature = "adapter")]
            address: None,
            table: "socket_io_attachments".to_owned(),
            create_table: true,
            threshold: MAX_NOTIFICATION_BYTES,
            cleanup_interval: Duration::from_secs(30),
            heartbeat_interval: Duration::from_secs(5),
            heartbeat_timeout: Duration::from_secs(10),
            queue: QueueLimits::default(),
            max_outage: Duration::from_secs(5),
            #[cfg(feature = "tls")]
            roots: None,
        }
    }

    /// Sets the prefix of the channels. Default: `socket.io`. The channel of a namespace is `<prefix>#<namespace>`, at most
    /// 63 bytes; a namespace with a longer one stays on its node, which is logged and makes the adapter
    /// [degraded](fanfare_cluster::Health::Degraded).
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = prefix.into();
        self
    }

    /// Sets the human-readable name of this node, which the other nodes of Fanfare see in `Cluster::nodes`.
    #[cfg(feature = "adapter")]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the address at which the other nodes reach this one, which they see in `Cluster::nodes`.
    #[cfg(feature = "adapter")]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sets the table for long and binary messages. Default: `socket_io_attachments`.
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.table = table.into();
        self
    }

    /// Sets whether the adapter creates the table if that does not exist. Default: true.
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

    /// Sets the age at which rows of the table are deleted, and the interval between the deletions of this node.
    /// Default: 30 s.
    pub fn cleanup_interval(mut self, interval: Duration) -> Self {
        self.cleanup_interval = interval.max(Duration::from_millis(100));
        self
    }

    /// Sets the time without a message of this node after which it publishes a heartbeat. Default: 5 s.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets the time after which a silent node is no longer waited for. Default: 10 s.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Sets the limits of the messages that wait to be sent. Default: 65,536 messages, 16 MiB. Further messages are
    /// dropped, which `emit` reports.
    pub fn queue(mut self, limits: QueueLimits) -> Self {
        self.queue = limits;
        self
    }

    /// Sets the time without a connection for which messages are queued, to be sent when it is restored. Default: 5 s.
    /// Afterwards they are dropped until there is a connection again, which `emit` reports.
    pub fn max_outage(mut self, time: Duration) -> Self {
        self.max_outage = time;
        self
    }

    /// Trusts these certificate authorities, in PEM, in place of those of the system. The certificate of the server is
    /// checked whenever the connection is encrypted, also with `sslmode=prefer`, which is the default: `sslmode=require`
    /// refuses a server without encryption.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Creates the adapter of a server. It connects when the server is built.
    ///
    /// # Errors
    /// [`ConfigError`] if the address, the name of the table or a certificate is invalid, or TLS cannot be used.
    #[cfg(feature = "adapter")]
    pub fn adapter(self) -> Result<PostgresAdapter, ConfigError> {
        Ok(PostgresAdapter::new(self.node(false)?))
    }

    /// Creates an emitter, which connects in the background and queues messages meanwhile.
    ///
    /// # Errors
    /// [`ConfigError`] if the address, the name of the table or a certificate is invalid, TLS cannot be used, or it is called outside of a Tokio runtime.
    pub fn emitter(self) -> Result<Emitter, ConfigError> {
        let node = self.node(true)?;
        Ok(Emitter::new(PostgresEmitter::start(node)?))
    }

    pub(crate) fn node(self, emits_only: bool) -> Result<Arc<Node>, ConfigError> {
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
        #[cfg(feature = "tls")]
        let tls = Tls::new(self.roots.as_deref())?;
        #[cfg(not(feature = "tls"))]
        let tls = Tls::new()?;
        Ok(Node::new(self, server, tls, emits_only))
    }
}
