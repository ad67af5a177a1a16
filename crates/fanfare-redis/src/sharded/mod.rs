//! Sharded publish and subscribe: the wire of `createShardedAdapter` of `@socket.io/redis-adapter`.

#[cfg(feature = "adapter")]
mod adapter;
mod emitter;

use std::time::Instant;

use fanfare_cluster::{ClusterMessage, Emitter, RecentJoins};
use parking_lot::Mutex;

#[cfg(feature = "adapter")]
pub(crate) use self::adapter::ShardedAdapter;
use self::emitter::ShardedEmitter;
use crate::link::LinkOptions;
use crate::server::{ConfigError, RedisServer};

/// Length of a socket's id in UTF-16 units, by which Node recognises the rooms of socket ids.
const SOCKET_ID_CHARS: usize = 20;

/// Rooms that have their own channel, Node's `subscriptionMode`. It must be the same on all nodes and emitters of a
/// cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscriptionMode {
    /// None: every node gets every message of the namespaces that it has.
    Static,
    /// Rooms that sockets join, but not those of the sockets' ids (by their length of 20 characters). A node gets what is
    /// sent to one such room only if it has clients in it.
    #[default]
    Dynamic,
    /// All rooms, with those of the sockets' ids: for events to single sockets of other nodes, at the price of a
    /// subscription for each client.
    DynamicPrivate,
}

impl SubscriptionMode {
    /// Whether a room has a channel.
    fn has_channel(self, room: &str) -> bool {
        match self {
            Self::Static => false,
            // JavaScript counts UTF-16 units.
            Self::Dynamic => room.encode_utf16().count() != SOCKET_ID_CHARS,
            Self::DynamicPrivate => true,
        }
    }

    /// Returns the room whose channel carries a message; `None` for the channel of the namespace.
    fn room(self, message: &ClusterMessage) -> Option<&str> {
        let ClusterMessage::Broadcast(message) = message else {
            return None;
        };
        match &*message.options.rooms {
            [room] if message.request_id.is_none() && self.has_channel(room) => Some(room),
            _ => None,
        }
    }
}

/// Channels of the messages of a node or emitter.
#[derive(Debug)]
struct Channels {
    mode: SubscriptionMode,
    recent: Mutex<RecentJoins>,
}

impl Channels {
    fn new(mode: SubscriptionMode) -> Self {
        Self {
            mode,
            recent: Mutex::default(),
        }
    }

    fn room(channel: &str, room: &str) -> String {
        format!("{channel}{room}#")
    }

    /// Returns the channel of a message in the namespace of `channel`.
    fn of(&self, channel: &str, message: &ClusterMessage) -> String {
        self.record(channel, message);
        let room = self
            .mode
            .room(message)
            .map(|room| Self::room(channel, room));
        let room = room.filter(|room| !self.recent.lock().contains(room, Instant::now()));
        room.unwrap_or_else(|| channel.to_owned())
    }

    /// Records the rooms that sockets are made to join, by this node or another.
    fn record(&self, channel: &str, message: &ClusterMessage) {
        if let ClusterMessage::SocketsJoin(message) = message {
            let mut recent = self.recent.lock();
            for room in message
                .rooms
                .iter()
                .filter(|room| self.mode.has_channel(room))
            {
                recent.record(&Self::room(channel, room), Instant::now());
            }
        }
    }
}

/// Sharded publish and subscribe of Redis 7 or newer: Node's `createShardedAdapter` of `@socket.io/redis-adapter` 8.
///
/// With Redis Cluster, the channels are spread over its nodes. A message to one room reaches only the servers that have
/// clients in it.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_redis::{Sharded, SubscriptionMode};
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let redis = Sharded::new("redis://127.0.0.1:6379").subscription_mode(SubscriptionMode::Dynamic);
/// let io = SocketIo::builder().adapter(redis.adapter()?).build()?;
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Sharded {
    server: RedisServer,
    prefix: String,
    #[cfg(feature = "adapter")]
    node: crate::nodes::NodeOptions,
    mode: SubscriptionMode,
    link: LinkOptions,
}

impl Sharded {
    /// Creates options for this Redis deployment.
    pub fn new(server: impl Into<RedisServer>) -> Self {
        Self {
            server: server.into(),
            prefix: crate::options::DEFAULT_PREFIX.to_owned(),
            #[cfg(feature = "adapter")]
            node: crate::nodes::NodeOptions::default(),
            mode: SubscriptionMode::default(),
            link: LinkOptions::default(),
        }
    }

    /// Sets the prefix of all channels, Node's `channelPrefix`. Default: `socket.io`. It must be the same on all nodes
    /// of a cluster.
    pub fn channel_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets which rooms have their own channel. Default: [`SubscriptionMode::Dynamic`].
    pub fn subscription_mode(mut self, mode: SubscriptionMode) -> Self {
        self.mode = mode;
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
        let sharded = ShardedAdapter::start(self)?;
        Ok(crate::RedisAdapter::new(crate::adapter::Engine::Sharded(
            sharded.into(),
        )))
    }

    /// Creates an emitter, which connects in the background and queues messages meanwhile. Node has no emitter for this
    /// wire format; its servers accept the messages of this one.
    ///
    /// # Errors
    /// The same as [`adapter`](Self::adapter).
    pub fn emitter(self) -> Result<Emitter, ConfigError> {
        Ok(Emitter::new(ShardedEmitter::start(self)?))
    }
}

#[cfg(test)]
mod tests {
    use fanfare_cluster::{Broadcast, ClusterOptions, SocketsJoin};
    use fanfare_protocol::EncodedEvent;

    use super::*;

    fn to(rooms: &[&str]) -> Broadcast {
        let rooms = rooms.iter().map(|room| (*room).to_owned()).collect();
        let event = EncodedEvent::new("e", &()).unwrap();
        Broadcast::new(event, ClusterOptions::new(rooms))
    }

    #[test]
    fn broadcasts_to_one_room_have_its_channel_by_the_mode() {
        use SubscriptionMode::{Dynamic, DynamicPrivate, Static};
        let id = "abcdefghij0123456789";
        for (mode, room, own) in [
            (Static, "r", false),
            (Dynamic, "r", true),
            (Dynamic, id, false),
            (Dynamic, "🎺🎺🎺🎺🎺🎺🎺🎺🎺🎺", false),
            (DynamicPrivate, id, true),
        ] {
            let channel = Channels::new(mode).of("p#/#", &to(&[room]).into());
            let expected = if own {
                format!("p#/#{room}#")
            } else {
                "p#/#".into()
            };
            assert_eq!(channel, expected, "{mode:?} {room}");
        }
        let channels = Channels::new(DynamicPrivate);
        let message = |message: Broadcast| channels.of("p#/#", &message.into());
        assert_eq!(message(to(&["a", "b"])), "p#/#");
        assert_eq!(message(to(&[])), "p#/#");
        assert_eq!(message(to(&["a"]).request_id("1")), "p#/#");
        let join = SocketsJoin::new(ClusterOptions::new(vec!["a".into()]), vec!["b".into()]);
        assert_eq!(channels.of("p#/#", &join.into()), "p#/#");
        assert_eq!(
            message(to(&["b"])),
            "p#/#",
            "nodes may not have subscribed yet"
        );
        assert_eq!(message(to(&["a"])), "p#/#a#");
    }
}
