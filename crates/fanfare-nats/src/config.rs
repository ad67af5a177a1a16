//! Options of adapter and emitter.

use std::time::Duration;

use fanfare_cluster::{Emitter, QueueLimits};

use crate::emitter::NatsEmitter;
use crate::error::ConfigError;
use crate::jetstream::{JetStream, REPLICAS};
use crate::options::{ConnectionOptions, Credentials, ServerAddress};

/// NATS and the cluster that uses it: builder of the adapters of its servers, and of emitters.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_nats::Nats;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let nats = Nats::new("nats://127.0.0.1:4222").prefix("shop");
/// // A server of the cluster:
/// let io = SocketIo::builder().adapter(nats.clone().adapter()?).build()?;
/// // A program that only emits to it:
/// let emitter = nats.emitter()?;
/// emitter.to("lobby").emit("news", "from elsewhere")?;
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Nats {
    servers: String,
    pub(crate) prefix: String,
    pub(crate) connection: ConnectionOptions,
    #[cfg(feature = "adapter")]
    pub(crate) name: Option<String>,
    #[cfg(feature = "adapter")]
    pub(crate) address: Option<String>,
    #[cfg(feature = "adapter")]
    pub(crate) heartbeat_interval: Duration,
    #[cfg(feature = "adapter")]
    pub(crate) heartbeat_timeout: Duration,
    pub(crate) jetstream: Option<JetStream>,
}

impl Nats {
    /// Creates options for the servers of one NATS: `nats://host:port` or `tls://host:port`, several separated by
    /// commas. An address may contain a user and a password, or a token. The client learns the other servers of a NATS
    /// cluster from these.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            prefix: "default".to_owned(),
            connection: ConnectionOptions::new(),
            #[cfg(feature = "adapter")]
            name: None,
            #[cfg(feature = "adapter")]
            address: None,
            #[cfg(feature = "adapter")]
            heartbeat_interval: Duration::from_secs(2),
            #[cfg(feature = "adapter")]
            heartbeat_timeout: Duration::from_secs(6),
            jetstream: None,
        }
    }

    /// Sets the name of the cluster: only nodes and emitters with the same prefix exchange messages. Default:
    /// `default`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the user and the password for all servers whose addresses have none.
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.connection.credentials = Some(Credentials {
            user: Some(user.into()),
            password: Some(password.into()),
            token: None,
        });
        self
    }

    /// Sets the token for all servers whose addresses have no credentials.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.connection.credentials = Some(Credentials {
            token: Some(token.into()),
            ..Credentials::default()
        });
        self
    }

    /// Sets the limits of the messages that wait to be sent. Default: 65,536 messages, 16 MiB. Further messages are
    /// dropped, which `emit` reports.
    pub fn queue(mut self, limits: QueueLimits) -> Self {
        self.connection.queue = limits;
        self
    }

    /// Sets the time without a connection for which messages are queued, to be sent when it is restored. Default: 5 s.
    /// Afterwards they are dropped until there is a connection again, which `emit` reports.
    pub fn max_outage(mut self, time: Duration) -> Self {
        self.connection.max_outage = time;
        self
    }

    /// Trusts these certificate authorities, in PEM, in place of those of the system.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.connection.roots = crate::tls::Roots::Pem(pem.into());
        self
    }

    /// Sets the human-readable name of this node.
    #[cfg(feature = "adapter")]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the address at which the other nodes reach this one.
    #[cfg(feature = "adapter")]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sets the interval between the heartbeats of a node. Default: 2 s.
    #[cfg(feature = "adapter")]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = interval.max(Duration::from_millis(10));
        self
    }

    /// Sets the time after which a silent node is no longer waited for. Default: 6 s. It should be three times the
    /// heartbeat interval.
    #[cfg(feature = "adapter")]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Stores events and sessions in JetStream, so that all nodes deliver events in the same order, and any node can
    /// recover a client. Emitters need this option if the nodes have it.
    pub fn jetstream(mut self, options: JetStream) -> Self {
        self.jetstream = Some(options);
        self
    }

    fn checked(mut self) -> Result<Self, ConfigError> {
        self.connection.servers = ServerAddress::list(&self.servers)?;
        #[cfg(feature = "tls")]
        self.connection.roots.check()?;
        match self.jetstream.as_ref().map(|jetstream| jetstream.replicas) {
            Some(replicas) if !REPLICAS.contains(&replicas) => Err(ConfigError::Replicas(replicas)),
            _ => Ok(self),
        }
    }

    /// Creates the adapter of a server. It connects when the server is built.
    ///
    /// # Errors
    /// [`ConfigError`] if an address, a certificate or the number of copies is invalid.
    #[cfg(feature = "adapter")]
    pub fn adapter(self) -> Result<crate::NatsAdapter, ConfigError> {
        Ok(crate::NatsAdapter::new(self.checked()?))
    }

    /// Creates an emitter, which connects in the background and queues messages meanwhile.
    ///
    /// # Errors
    /// The same as [`adapter`](Self::adapter), and if it is called outside of a Tokio runtime.
    pub fn emitter(self) -> Result<Emitter, ConfigError> {
        Ok(Emitter::new(NatsEmitter::start(self.checked()?)?))
    }
}
