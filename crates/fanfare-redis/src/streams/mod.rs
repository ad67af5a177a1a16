//! Streams: the wire of `@socket.io/redis-streams-adapter` 0.3.

#[cfg(feature = "adapter")]
mod adapter;
mod emitter;
mod entry;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
#[cfg(feature = "adapter")]
mod id;
#[cfg(feature = "adapter")]
mod log;
#[cfg(feature = "adapter")]
mod order;
#[cfg(feature = "adapter")]
mod reader;
#[cfg(feature = "adapter")]
mod sessions;

use fanfare_cluster::Emitter;

#[cfg(feature = "adapter")]
pub(crate) use self::adapter::StreamsAdapter;
use self::emitter::StreamsEmitter;
use crate::link::LinkOptions;
use crate::server::{ConfigError, RedisServer};

/// Redis Streams: Node's `@socket.io/redis-streams-adapter` 0.3, with recovery of connections on any server.
///
/// Broadcasts are entries of a stream, which every server reads, so that all deliver them in the same order. A client
/// that lost its connection can reconnect to any server, of Node.js or Fanfare, and receives what it missed. A server
/// that loses its connection to Redis continues to read where it stopped.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare::recovery::ConnectionStateRecovery;
/// use fanfare_redis::Streams;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let io = SocketIo::builder()
///     .adapter(Streams::new("redis://127.0.0.1:6379").adapter()?)
///     .connection_state_recovery(ConnectionStateRecovery::default())
///     .build()?;
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Streams {
    server: RedisServer,
    link: LinkOptions,
    stream: StreamOptions,
    channel_prefix: String,
    #[cfg(feature = "adapter")]
    session_key_prefix: String,
    #[cfg(feature = "adapter")]
    node: crate::nodes::NodeOptions,
    #[cfg(feature = "adapter")]
    sharded_pubsub: bool,
}

/// Options of the streams, for adapters and emitters.
#[derive(Debug, Clone)]
struct StreamOptions {
    name: String,
    count: u32,
    max_len: usize,
    only_plaintext: bool,
}

impl StreamOptions {
    /// Returns the stream of a namespace.
    fn of(&self, namespace: &str) -> String {
        match self.count {
            0 | 1 => self.name.clone(),
            count => {
                // JavaScript's remainder has the sign of the dividend, so the number may be negative. Servers of Node.js do
                // not read such a stream.
                let number = i64::from(hash(namespace)) % i64::from(count);
                format!("{}-{number}", self.name)
            }
        }
    }
}

/// Node's hash of a name.
fn hash(name: &str) -> i32 {
    let add = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    name.encode_utf16().fold(0, add)
}

impl Streams {
    /// Creates options for this Redis deployment.
    pub fn new(server: impl Into<RedisServer>) -> Self {
        let prefix = crate::options::DEFAULT_PREFIX;
        Self {
            server: server.into(),
            link: LinkOptions::default(),
            stream: StreamOptions {
                name: prefix.to_owned(),
                count: 1,
                max_len: 10_000,
                only_plaintext: false,
            },
            channel_prefix: prefix.to_owned(),
            #[cfg(feature = "adapter")]
            session_key_prefix: "sio:session:".to_owned(),
            #[cfg(feature = "adapter")]
            node: crate::nodes::NodeOptions::default(),
            #[cfg(feature = "adapter")]
            sharded_pubsub: false,
        }
    }

    /// Sets the name of the stream, Node's `streamName`. Default: `socket.io`.
    pub fn stream_name(mut self, name: impl Into<String>) -> Self {
        self.stream.name = name.into();
        self
    }

    /// Sets the number of streams over which the namespaces are spread, Node's `streamCount`. Default: 1. With more, the names
    /// end in a number. Node.js computes a negative one for some namespaces, and does not read their streams: servers of
    /// Node.js are cut off in these, servers of Fanfare are not.
    pub fn stream_count(mut self, count: u32) -> Self {
        self.stream.count = count;
        self
    }

    /// Sets the minimum number of entries that a stream keeps, Node's `maxLen`. Default: 10,000. A client that missed
    /// more is not recovered.
    pub fn max_len(mut self, entries: usize) -> Self {
        self.stream.max_len = entries;
        self
    }

    /// Writes all entries as JSON, Node's `onlyPlaintext`. Default: no, entries with binary values are MessagePack in
    /// base64. With this, binary values arrive as `JSON.stringify` of Node.js writes them:
    /// `{"type":"Buffer","data":[…]}`. Nodes with either value read the entries of both.
    pub fn only_plaintext(mut self, only: bool) -> Self {
        self.stream.only_plaintext = only;
        self
    }

    /// Sets the prefix of the channels for requests and answers, Node's `channelPrefix`. Default: `socket.io`.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.channel_prefix = prefix.into();
        self
    }

    /// Sets the prefix of the keys of sessions, Node's `sessionKeyPrefix`. Default: `sio:session:`.
    #[cfg(feature = "adapter")]
    pub fn session_key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.session_key_prefix = prefix.into();
        self
    }

    /// Sends requests and answers by sharded publish and subscribe, Node's `useShardedPubSub`. Default: no.
    #[cfg(feature = "adapter")]
    pub fn use_sharded_pubsub(mut self, sharded: bool) -> Self {
        self.sharded_pubsub = sharded;
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
        let streams = StreamsAdapter::start(self)?;
        Ok(crate::RedisAdapter::new(crate::adapter::Engine::Streams(
            streams,
        )))
    }

    /// Creates an emitter, which connects in the background and queues messages meanwhile.
    ///
    /// # Errors
    /// The same as [`adapter`](Self::adapter).
    pub fn emitter(self) -> Result<Emitter, ConfigError> {
        Ok(Emitter::new(StreamsEmitter::start(self)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_have_the_streams_that_node_computes() {
        let streams = |count| StreamOptions {
            name: "s".to_owned(),
            count,
            max_len: 1,
            only_plaintext: false,
        };
        assert_eq!(streams(1).of("/chat"), "s");
        assert_eq!(hash("/my-namespace") % 4, -3);
        assert_eq!(streams(4).of("/my-namespace"), "s--3");
        assert_eq!(streams(4).of("/"), "s-3");
    }
}
