//! Classic publish and subscribe: the wire of `@socket.io/redis-adapter` and `@socket.io/redis-emitter`.

#[cfg(feature = "adapter")]
mod adapter;
#[cfg(feature = "adapter")]
mod decode;
mod emitter;
mod encode;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(feature = "adapter")]
mod receive;

#[cfg(test)]
#[cfg(feature = "adapter")]
mod tests;

use fanfare_cluster::Emitter;

#[cfg(feature = "adapter")]
pub(crate) use self::adapter::ClassicAdapter;
use self::emitter::ClassicEmitter;
use crate::link::LinkOptions;
use crate::server::{ConfigError, RedisServer};

/// Classic publish and subscribe: Node's `createAdapter` of `@socket.io/redis-adapter` 8, and its emitter
/// `@socket.io/redis-emitter` 5.
///
/// Every node gets every message of the namespaces that it has.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_redis::Classic;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let redis = Classic::new("redis://127.0.0.1:6379").key("chat");
/// // A server of the cluster:
/// let io = SocketIo::builder().adapter(redis.clone().adapter()?).build()?;
/// // A program that only emits to it:
/// let emitter = redis.emitter()?;
/// emitter.to("lobby").emit("news", "from elsewhere")?;
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Classic {
    server: RedisServer,
    key: String,
    #[cfg(feature = "adapter")]
    node: crate::nodes::NodeOptions,
    #[cfg(feature = "adapter")]
    specific: bool,
    link: LinkOptions,
}

impl Classic {
    /// Creates options for this Redis deployment.
    pub fn new(server: impl Into<RedisServer>) -> Self {
        Self {
            server: server.into(),
            key: crate::options::DEFAULT_PREFIX.to_owned(),
            #[cfg(feature = "adapter")]
            node: crate::nodes::NodeOptions::default(),
            #[cfg(feature = "adapter")]
            specific: false,
            link: LinkOptions::default(),
        }
    }

    /// Sets the prefix of all channels, Node's `key`. Default: `socket.io`. It must be the same on all nodes of a
    /// cluster.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = key.into();
        self
    }

    /// Sends answers to the node that asked only, Node's `publishOnSpecificResponseChannel`. Default: to all nodes.
    #[cfg(feature = "adapter")]
    pub fn publish_on_specific_response_channel(mut self, specific: bool) -> Self {
        self.specific = specific;
        self
    }

    crate::options::link_options!();
    crate::options::node_options!();

    /// Creates the adapter of a server, which connects in the background; until it is connected, the server works
    /// alone.
    ///
    /// # Errors
    /// [`ConfigError`]: an address is invalid, or this is called outside of a Tokio runtime.
    #[cfg(feature = "adapter")]
    pub fn adapter(self) -> Result<crate::RedisAdapter, ConfigError> {
        let classic = ClassicAdapter::start(self)?;
        Ok(crate::RedisAdapter::new(crate::adapter::Engine::Classic(
            classic,
        )))
    }

    /// Creates an emitter, which connects in the background and queues messages meanwhile.
    ///
    /// # Errors
    /// The same as [`adapter`](Self::adapter).
    pub fn emitter(self) -> Result<Emitter, ConfigError> {
        Ok(Emitter::new(ClassicEmitter::start(self)?))
    }
}
