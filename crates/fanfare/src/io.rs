//! The server.

mod builder;
mod drain;
mod http;
mod running;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use fanfare_engine::{Engine, Protocol, TrustedProxies};
use fanfare_protocol::Limits;
use fanfare_protocol::socket::IntoArgs;
use parking_lot::RwLock;

pub use builder::SocketIoBuilder;
pub use drain::DrainReport;
pub(crate) use running::{Latch, Running, run_or_spawn};

use crate::adapter::{FetchSocketsError, RemoteSocket, ServerSideEmitError};
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::bundles::Bundles;
use crate::client::Dispatcher;
use crate::codec::Codec;
use crate::error::EmitError;
use crate::extract::StateMap;
use crate::guard::{Door, RateLimits};
use crate::hooks::Hooks;
use crate::namespace::{
    NamespaceHandle, NamespaceInner, Parent, ParentNamespace, Settings, with_slash,
};
use crate::service::SocketIoService;
use crate::stats::{Snapshot, Stats};

/// A Socket.IO server. Cheap to clone; clones are the same server.
///
/// ```no_run
/// use fanfare::{Ack, Data, Namespace, Socket, SocketIo};
///
/// #[tokio::main]
/// async fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let io = SocketIo::builder()
///         .namespace(Namespace::new("/").on("hello", async |socket: Socket, Data(name): Data<String>| {
///             Ack(format!("hello {name}, you are {}", socket.id()))
///         }))
///         .build()?;
///     fanfare::serve("127.0.0.1:3000", io).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct SocketIo(pub(crate) Arc<IoInner>);

pub(crate) struct IoInner {
    namespaces: RwLock<HashMap<Box<str>, Arc<NamespaceInner>, foldhash::fast::RandomState>>,
    main: OnceLock<Arc<NamespaceInner>>,
    parents: Vec<Arc<Parent>>,
    /// How many namespaces exist because clients asked for them; changed under the lock of all.
    dynamic: AtomicUsize,
    pub(crate) states: StateMap,
    pub(crate) limits: Limits,
    /// For clients of Socket.IO v2: what others send as `auth` they add to the name of the namespace.
    pub(crate) v2_limits: Option<Box<Limits>>,
    pub(crate) settings: Settings,
    pub(crate) ack_timeout: Duration,
    pub(crate) running: Running,
    pub(crate) stats: Arc<Stats>,
    pub(crate) codec: Codec,
    pub(crate) door: Door,
    pub(crate) bundles: Option<Bundles>,
    pub(crate) rates: RateLimits,
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) hooks: Hooks,
    /// [`SocketIo::drain`] or [`SocketIo::close`] was called.
    pub(crate) leaving: AtomicBool,
    /// [`SocketIo::close`] was called.
    pub(crate) closed: Latch,
    on_new_namespace: Vec<NamespaceListener>,
    engine: OnceLock<Arc<Engine<Dispatcher>>>,
    this: Weak<IoInner>,
}

/// Why a client cannot join a namespace. The message is the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoNamespace {
    #[error("Invalid namespace")]
    Invalid,
    #[error("too many namespaces")]
    TooMany,
}

impl NoNamespace {
    pub(crate) const fn cause(self) -> &'static str {
        match self {
            Self::Invalid => "invalid_namespace",
            Self::TooMany => "too_many_namespaces",
        }
    }
}

/// Is told of new namespaces.
pub(crate) type NamespaceListener = Box<dyn Fn(&NamespaceHandle) + Send + Sync>;

impl IoInner {
    /// The limits of packets that arrive.
    #[inline]
    pub(crate) fn decoding_limits(&self, protocol: Protocol) -> &Limits {
        match (&self.v2_limits, protocol) {
            (Some(limits), Protocol::V3) => limits,
            _ => &self.limits,
        }
    }

    pub(crate) fn find_namespace(&self, name: &str) -> Option<Arc<NamespaceInner>> {
        if name == "/" {
            return self.main.get().cloned();
        }
        self.namespaces.read().get(name).cloned()
    }

    /// The namespace that a client asks for, made if a dynamic one answers to its name; the client is counted as its
    /// user already.
    pub(crate) fn enter_namespace(
        &self,
        name: &str,
        auth: Option<&str>,
    ) -> Result<Arc<NamespaceInner>, NoNamespace> {
        {
            let namespaces = self.namespaces.read();
            if let Some(namespace) = namespaces.get(name) {
                namespace.enter();
                return Ok(namespace.clone());
            }
        }
        let parent = self
            .parents
            .iter()
            .find(|parent| parent.accepts(name, auth))
            .ok_or(NoNamespace::Invalid)?;
        let namespace = {
            let mut namespaces = self.namespaces.write();
            let full = self.dynamic.load(Ordering::Relaxed) >= self.limits.max_dynamic_namespaces;
            match namespaces.entry(name.into()) {
                Entry::Occupied(entry) => {
                    entry.get().enter();
                    return Ok(entry.get().clone());
                }
                Entry::Vacant(_) if full => return Err(NoNamespace::TooMany),
                Entry::Vacant(entry) => {
                    let this = self.this.clone();
                    let namespace = NamespaceInner::child(name, parent, &self.settings, this);
                    self.dynamic.fetch_add(1, Ordering::Relaxed);
                    namespace.enter();
                    entry.insert(namespace).clone()
                }
            }
        };
        self.opened(&namespace, true);
        Ok(namespace)
    }

    /// The last user of a dynamic namespace is gone, unless somebody came in between.
    pub(crate) fn remove_unused(&self, name: &str) {
        let mut namespaces = self.namespaces.write();
        if namespaces
            .get(name)
            .is_some_and(|namespace| namespace.is_unused())
        {
            namespaces.remove(name);
            self.dynamic.fetch_sub(1, Ordering::Relaxed);
            drop(namespaces);
            if let Some(cluster) = &self.settings.cluster {
                cluster.adapter.namespace_closed(name);
            }
            tracing::debug!(namespace = name, "removed a namespace that nobody uses");
        }
    }

    pub(crate) fn children(&self, parent: &Arc<Parent>) -> Vec<Arc<NamespaceInner>> {
        let namespaces = self.namespaces.read();
        namespaces
            .values()
            .filter(|namespace| namespace.is_child_of(parent))
            .cloned()
            .collect()
    }

    fn get_or_create(&self, name: &str) -> Arc<NamespaceInner> {
        if let Some(namespace) = self.find_namespace(name) {
            return namespace;
        }
        let mut created = false;
        let create = || {
            created = true;
            NamespaceInner::new(name, Arc::default(), &self.settings, self.this.clone())
        };
        let namespace = {
            let mut namespaces = self.namespaces.write();
            namespaces.entry(name.into()).or_insert_with(create).clone()
        };
        self.opened(&namespace, created);
        namespace
    }

    fn opened(&self, namespace: &Arc<NamespaceInner>, created: bool) {
        if !created {
            return;
        }
        if let Some(cluster) = &self.settings.cluster {
            cluster.adapter.namespace_opened(&namespace.name);
        }
        if !self.on_new_namespace.is_empty() {
            let handle = NamespaceHandle(namespace.clone());
            self.on_new_namespace.iter().for_each(|told| told(&handle));
        }
    }

    pub(crate) fn namespace_names(&self) -> Vec<String> {
        let namespaces = self.namespaces.read();
        namespaces.keys().map(|name| name.to_string()).collect()
    }

    pub(crate) fn engine(&self) -> Option<&Arc<Engine<Dispatcher>>> {
        self.engine.get()
    }

    /// Starts what runs beside the connections; to be called on the runtime.
    pub(crate) fn start(&self) {
        if self.stats.start_publishing() {
            tokio::spawn(crate::stats::run(self.this.clone()));
        }
    }

    fn all_namespaces(&self) -> Vec<Arc<NamespaceInner>> {
        self.namespaces.read().values().cloned().collect()
    }
}

impl SocketIo {
    /// A server to be configured.
    pub fn builder() -> SocketIoBuilder {
        SocketIoBuilder::default()
    }

    pub(crate) fn from_inner(inner: Arc<IoInner>) -> Self {
        Self(inner)
    }

    pub(crate) fn engine(&self) -> &Arc<Engine<Dispatcher>> {
        #[allow(
            clippy::expect_used,
            reason = "the builder sets it before anybody sees the value"
        )]
        self.0.engine.get().expect("a built server has an engine")
    }

    /// The server as a [`tower_service::Service`] for hyper, axum and whatever else is made of them.
    ///
    /// ```no_run
    /// # async fn f(io: fanfare::SocketIo) -> std::io::Result<()> {
    /// let app = axum::Router::new().fallback_service(io.service());
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, app).await
    /// # }
    /// ```
    pub fn service(&self) -> SocketIoService {
        SocketIoService::new(self.clone())
    }

    /// The server as a [`tower_layer::Layer`]: requests under its path are its own, all others go on to the service
    /// inside.
    pub fn layer(&self) -> crate::service::SocketIoLayer {
        crate::service::SocketIoLayer::new(self.clone())
    }

    /// A namespace; it is created, without behaviour, if it does not exist. The leading `/` may be left out.
    ///
    /// Do not call it with names that come from clients: [`namespace`](Self::namespace) creates nothing.
    pub fn of(&self, name: &str) -> NamespaceHandle {
        NamespaceHandle(self.0.get_or_create(&with_slash(name.to_owned())))
    }

    /// A namespace, if it exists.
    pub fn namespace(&self, name: &str) -> Option<NamespaceHandle> {
        self.0
            .find_namespace(&with_slash(name.to_owned()))
            .map(NamespaceHandle)
    }

    /// The namespaces of a dynamic declaration, by its pattern or label.
    pub fn parent(&self, name: &str) -> Option<ParentNamespace> {
        let name = with_slash(name.to_owned());
        let parent = self.0.parents.iter().find(|parent| parent.name == name)?;
        Some(ParentNamespace {
            io: self.0.clone(),
            parent: parent.clone(),
        })
    }

    /// All namespaces, dynamic ones included.
    pub fn namespaces(&self) -> Vec<NamespaceHandle> {
        self.0
            .all_namespaces()
            .into_iter()
            .map(NamespaceHandle)
            .collect()
    }

    fn main(&self) -> NamespaceHandle {
        self.of("/")
    }

    /// Sends an event to everyone in the main namespace, see [`NamespaceHandle::emit`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::emit`].
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.main().emit(event, args)
    }

    /// Sends an event `message` to everyone in the main namespace.
    ///
    /// # Errors
    /// As [`NamespaceHandle::emit`].
    pub fn send(&self, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.main().send(args)
    }

    /// Those in rooms of the main namespace.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.main().to(rooms)
    }

    /// Those of the main namespace who are in none of these rooms.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.main().except(rooms)
    }

    /// Messages to the main namespace that may be dropped for those who cannot take them at once.
    pub fn volatile(&self) -> BroadcastOperator {
        self.main().volatile()
    }

    /// Only those of the main namespace that are connected to this server of a cluster.
    pub fn local(&self) -> BroadcastOperator {
        self.main().local()
    }

    /// How long acknowledgements of the main namespace may take.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.main().timeout(timeout)
    }

    /// Whether events of the main namespace are worth compressing.
    pub fn compress(&self, compress: bool) -> BroadcastOperator {
        self.main().compress(compress)
    }

    /// Makes all sockets of the main namespace join rooms.
    pub fn sockets_join(&self, rooms: impl RoomNames) {
        self.main().sockets_join(rooms);
    }

    /// Makes all sockets of the main namespace leave rooms.
    pub fn sockets_leave(&self, rooms: impl RoomNames) {
        self.main().sockets_leave(rooms);
    }

    /// Disconnects all sockets of the main namespace, with `close` also their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.main().disconnect_sockets(close);
    }

    /// The ids of the sockets of the main namespace, of all servers of the cluster.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn all_sockets(&self) -> Result<HashSet<String>, FetchSocketsError> {
        self.main().all_sockets().await
    }

    /// The sockets of the main namespace, of all servers of the cluster.
    ///
    /// # Errors
    /// As [`BroadcastOperator::fetch_sockets`].
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        self.main().fetch_sockets().await
    }

    /// Sends an event to the other servers of the cluster, see [`NamespaceHandle::server_side_emit`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::server_side_emit`].
    pub fn server_side_emit(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> Result<(), ServerSideEmitError> {
        self.main().server_side_emit(event, args)
    }

    /// How many connections there are, joined to a namespace or not (Node's `io.engine.clientsCount`).
    pub fn clients_count(&self) -> usize {
        self.engine().connections()
    }

    /// What the server has counted since it was built.
    pub fn stats(&self) -> Snapshot {
        self.0.stats.snapshot()
    }

    /// Hands what was counted to the recorder of the [`metrics`](https://docs.rs/metrics) facade now. This happens
    /// once a second anyway; call it before a scrape is answered to have the latest.
    pub fn publish_metrics(&self) {
        self.0.publish();
    }

    /// Closes the server as Node's `io.close()` does: every socket is disconnected with the reason
    /// `server shutting down`, no DISCONNECT packet is sent, so that clients reconnect (to the next server), and new
    /// requests are refused.
    ///
    /// Returns when the connections are closed. Closing twice is harmless.
    ///
    /// [`drain`](Self::drain) is the gentle way.
    pub async fn close(&self) {
        self.0.leaving.store(true, Ordering::Release);
        self.0.closed.set();
        self.engine().for_each(|conn| conn.state().shut_down());
        self.engine().close();
        self.0.running.finished().await;
        if let Some(cluster) = &self.0.settings.cluster {
            cluster.adapter.close().await;
        }
        self.0.publish();
    }
}

impl fmt::Debug for SocketIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketIo").field(&*self.0).finish()
    }
}

impl fmt::Debug for IoInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let namespaces = self.namespaces.read();
        f.debug_struct("IoInner")
            .field("namespaces", &namespaces.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
