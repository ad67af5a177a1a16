//! Redis adapter of a server.

use std::fmt;
use std::sync::Arc;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, EventLog,
    Interest, NodeInfo, Peers, PublishOutcome, RoomChange, SessionStore,
};
use fanfare_cluster::Health;

use crate::classic::ClassicAdapter;
use crate::link::Link;
use crate::sharded::ShardedAdapter;
use crate::streams::StreamsAdapter;

/// Adapter that connects the servers of a cluster through Redis, created by [`Classic`](crate::Classic),
/// [`Sharded`](crate::Sharded) or [`Streams`](crate::Streams).
///
/// Pass it to [`SocketIoBuilder::adapter`](fanfare::SocketIoBuilder::adapter). A clone shares the connection and
/// reports its state.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_redis::Classic;
///
/// # let runtime = tokio::runtime::Runtime::new()?;
/// # let _entered = runtime.enter();
/// let adapter = Classic::new("redis://127.0.0.1:6379").adapter()?;
/// let io = SocketIo::builder().adapter(adapter.clone()).build()?;
/// // Without Redis the server works alone.
/// println!("Redis is {}", adapter.health());
/// # drop(io);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RedisAdapter {
    engine: Engine,
}

/// Kind of the adapter.
#[derive(Clone)]
pub(crate) enum Engine {
    Classic(Arc<ClassicAdapter>),
    Sharded(Arc<ShardedAdapter>),
    Streams(Arc<StreamsAdapter>),
}

impl RedisAdapter {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine }
    }

    fn adapter(&self) -> &dyn Adapter {
        match &self.engine {
            Engine::Classic(classic) => &**classic,
            Engine::Sharded(sharded) => &**sharded,
            Engine::Streams(streams) => &**streams,
        }
    }

    fn link(&self) -> Option<&Link> {
        match &self.engine {
            Engine::Classic(classic) => classic.link(),
            Engine::Sharded(sharded) => sharded.link(),
            Engine::Streams(streams) => streams.link(),
        }
    }

    /// Returns the state of the connection to Redis.
    pub fn health(&self) -> Health {
        Adapter::health(self)
    }

    /// Waits until Redis is connected and all subscriptions are in place. To be awaited before a server reports that it
    /// is ready; until then, a server works alone.
    pub async fn ready(&self) {
        if let Some(link) = self.link() {
            link.health().ready().await;
            // Redis answers after it has processed all earlier subscriptions.
            let _ = link.flush().await;
        }
        if let Engine::Streams(streams) = &self.engine {
            streams.ready().await;
        }
    }
}

impl Adapter for RedisAdapter {
    fn start(&self, cluster: ClusterHandle) {
        self.adapter().start(cluster);
    }

    fn namespace_opened(&self, namespace: &str) {
        self.adapter().namespace_opened(namespace);
    }

    fn namespace_closed(&self, namespace: &str) {
        self.adapter().namespace_closed(namespace);
    }

    fn interest(&self) -> Interest {
        self.adapter().interest()
    }

    fn rooms_changed(&self, namespace: &str, changes: &[RoomChange]) {
        self.adapter().rooms_changed(namespace, changes);
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        self.adapter().publish(namespace, message)
    }

    fn respond(&self, namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        self.adapter().respond(namespace, to, response)
    }

    fn peers<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        self.adapter().peers(namespace)
    }

    fn nodes(&self) -> BoxFuture<'_, Result<Vec<NodeInfo>, AdapterError>> {
        self.adapter().nodes()
    }

    fn log(&self) -> Option<&dyn EventLog> {
        self.adapter().log()
    }

    fn sessions(&self) -> Option<&dyn SessionStore> {
        self.adapter().sessions()
    }

    fn health(&self) -> Health {
        self.link()
            .map_or(Health::Connecting, |link| link.health().get())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.adapter().close()
    }
}

impl fmt::Debug for RedisAdapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.engine {
            Engine::Classic(_) => "classic",
            Engine::Sharded(_) => "sharded",
            Engine::Streams(_) => "streams",
        };
        f.debug_struct("RedisAdapter")
            .field("kind", &kind)
            .field("link", &self.link())
            .finish()
    }
}
