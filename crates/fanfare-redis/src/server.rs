//! Redis deployments to connect to.

use std::fmt;

/// Redis deployment to which an adapter or emitter connects. The address of a single server converts into it.
///
/// Addresses have the form `redis://[user:password@]host[:port][/database]`; `rediss://` is TLS, and
/// `redis+unix:///path` a Unix socket.
///
/// ```
/// use fanfare_redis::RedisServer;
///
/// let one = RedisServer::single("redis://127.0.0.1:6379");
/// assert_eq!(one, "redis://127.0.0.1:6379".into());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RedisServer {
    pub(crate) deployment: Deployment,
    /// Certificate authorities that are trusted in place of those of the system, in PEM.
    pub(crate) roots: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Deployment {
    Single(String),
    #[cfg(feature = "redis-cluster")]
    Cluster(Vec<String>),
    #[cfg(feature = "sentinel")]
    Sentinel {
        service: String,
        sentinels: Vec<String>,
    },
}

impl RedisServer {
    fn new(deployment: Deployment) -> Self {
        Self {
            deployment,
            roots: None,
        }
    }

    /// Trusts these certificate authorities, in PEM, in place of those of the system. For `rediss://` addresses.
    ///
    /// ```
    /// use fanfare_redis::{Classic, RedisServer};
    ///
    /// # fn f(pem: &[u8]) -> Result<fanfare_redis::RedisAdapter, fanfare_redis::ConfigError> {
    /// let redis = RedisServer::single("rediss://redis.internal:6380").root_certificates(pem);
    /// Classic::new(redis).adapter()
    /// # }
    /// ```
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.roots = Some(pem.into());
        self
    }

    /// Returns the deployment of a single server.
    pub fn single(url: impl Into<String>) -> Self {
        Self::new(Deployment::Single(url.into()))
    }

    /// Returns the deployment of a Redis Cluster from the addresses of some of its nodes. User and password are those
    /// of the first.
    #[cfg(feature = "redis-cluster")]
    pub fn cluster<U: Into<String>>(urls: impl IntoIterator<Item = U>) -> Self {
        Self::new(Deployment::Cluster(
            urls.into_iter().map(Into::into).collect(),
        ))
    }

    /// Returns the deployment of the master of a service that these sentinels watch. The master has the user, password
    /// and database of the first address, and is encrypted (`rediss://`) if that is.
    #[cfg(feature = "sentinel")]
    pub fn sentinel<U: Into<String>>(
        service: impl Into<String>,
        sentinels: impl IntoIterator<Item = U>,
    ) -> Self {
        Self::new(Deployment::Sentinel {
            service: service.into(),
            sentinels: sentinels.into_iter().map(Into::into).collect(),
        })
    }
}

impl<T: Into<String>> From<T> for RedisServer {
    fn from(url: T) -> Self {
        Self::single(url)
    }
}

/// Omits the addresses, which may contain passwords.
impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.deployment {
            Deployment::Single(_) => "RedisServer::Single",
            #[cfg(feature = "redis-cluster")]
            Deployment::Cluster(_) => "RedisServer::Cluster",
            #[cfg(feature = "sentinel")]
            Deployment::Sentinel { .. } => "RedisServer::Sentinel",
        })
    }
}

/// Reason for which an adapter or emitter cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An address is not valid.
    #[error("invalid address of a Redis server: {0}")]
    Address(String),
    /// An option has a value that is not allowed.
    #[error("invalid option: {0}")]
    Option(String),
    /// There is no Tokio runtime, which the connection's task needs.
    #[error("no Tokio runtime: build it within one")]
    NoRuntime,
}
