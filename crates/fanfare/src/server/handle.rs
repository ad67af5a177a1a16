//! The server: its shared state, its namespaces, and its end.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use fanfare_engine::proxy::{Peer, TrustedProxies};
use fanfare_engine::serve::IdleConnections;
use fanfare_engine::{Engine, Protocol};
use fanfare_protocol::Limits;
use fanfare_protocol::socket::IntoArgs;
use http::Extensions;

use super::builder::SocketIoBuilder;
use super::namespaces::Namespaces;
use super::task_tracker::{Latch, TaskTracker};
use crate::adapter::{FetchSocketsError, RemoteSocket, ServerHandler, ServerSideEmitError};
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::client::Dispatcher;
use crate::client_files::LoadedFiles;
use crate::codec::Codec;
use crate::error::EmitError;
use crate::hooks::Hooks;
use crate::limits::{AdmissionControl, RateLimits};
use crate::namespace::{NamespaceHandle, NamespaceInner, ParentNamespace, Settings, with_slash};
use crate::socket::Socket;
use crate::states::StateMap;
use crate::stats::{ServerStats, Stats};

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
///     fanfare::serve(io).bind("127.0.0.1:3000").await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct SocketIo(pub(crate) Arc<IoInner>);

pub(crate) struct IoInner {
    pub(super) namespaces: Namespaces,
    pub(super) main: OnceLock<Arc<NamespaceInner>>,
    pub(crate) states: StateMap,
    pub(crate) limits: Limits,
    /// Limits for clients of Socket.IO v2, which add their counterpart of `auth` to the name of the namespace.
    pub(crate) v2_limits: Option<Box<Limits>>,
    pub(crate) settings: Settings,
    pub(crate) ack_timeout: Duration,
    pub(crate) running: TaskTracker,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) codec: Codec,
    pub(crate) admission: AdmissionControl,
    pub(crate) client_files: Option<LoadedFiles>,
    pub(crate) rates: RateLimits,
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) peer_of: Option<PeerOf>,
    pub(crate) share_of: Option<ShareOf>,
    /// Whether clients of Socket.IO v2 have the ids that they assign themselves.
    pub(crate) transport_ids: bool,
    /// Whether a missing address of a peer has been logged.
    pub(crate) without_address: AtomicBool,
    /// Connections that wait for a request, however they are served.
    pub(crate) idle_connections: IdleConnections,
    pub(crate) hooks: Hooks,
    /// Whether [`SocketIo::drain`] or [`SocketIo::close`] was called.
    pub(crate) leaving: AtomicBool,
    /// Set when [`SocketIo::close`] was called, or [`SocketIo::drain`] has ended.
    pub(crate) closed: Latch,
    /// Whether [`SocketIo::drain`] has ended: remaining handlers are not waited for any more.
    pub(crate) drained: AtomicBool,
    /// Origin of compact times.
    pub(crate) epoch: Instant,
    /// Handler of the server-side events of the server itself, with their name.
    pub(crate) own_events: OnceLock<(&'static str, ServerHandler)>,
    pub(super) engine: OnceLock<Arc<Engine<Dispatcher>>>,
    pub(super) this: Weak<IoInner>,
}

/// Returns the peer of a request.
pub(crate) type PeerOf = Box<dyn Fn(&Extensions) -> Option<Peer> + Send + Sync>;

/// Returns the hash of the key by which a client's share is counted.
pub(crate) type ShareOf = Box<dyn Fn(&Socket) -> Option<u64> + Send + Sync>;

impl IoInner {
    /// Returns the limits of incoming packets.
    #[inline]
    pub(crate) fn decoding_limits(&self, protocol: Protocol) -> &Limits {
        match (&self.v2_limits, protocol) {
            (Some(limits), Protocol::V3) => limits,
            _ => &self.limits,
        }
    }

    pub(crate) fn engine(&self) -> Option<&Arc<Engine<Dispatcher>>> {
        self.engine.get()
    }

    /// Returns the handler of a server-side event of the server itself.
    pub(crate) fn own_event(&self, name: &str) -> Option<ServerHandler> {
        let (own, handler) = self.own_events.get()?;
        (*own == name).then(|| handler.clone())
    }

    /// Starts the background tasks; must be called on the runtime.
    pub(crate) fn start(&self) {
        if self.stats.start_publishing() {
            tokio::spawn(super::observe::run(self.this.clone()));
        }
    }
}

impl SocketIo {
    /// Returns a builder of a server.
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

    /// Returns a namespace; it is created if it does not exist. The leading `/` may be omitted.
    ///
    /// - A name that a [`pattern`](crate::Namespace::pattern) matches, or that a [`dynamic`](crate::Namespace::dynamic)
    ///   declaration accepts with `auth` `null`, becomes one of the namespaces of that declaration, with its
    ///   middlewares and handlers, as if a client had asked for it. It is removed when it is no longer used: keep the
    ///   handle if you need it often.
    /// - Any other name becomes a namespace without behaviour that stays, and that every client may join. If there are
    ///   `dynamic` declarations, however, a client joins only if one of them accepts it, and the behaviour becomes that
    ///   of the declaration through which the first client joins.
    ///
    /// Do not pass names that come from clients: [`namespace`](Self::namespace) creates nothing.
    pub fn of(&self, name: &str) -> NamespaceHandle {
        NamespaceHandle(self.0.namespace_of(&with_slash(name.to_owned())))
    }

    /// Returns a namespace, if it exists.
    pub fn namespace(&self, name: &str) -> Option<NamespaceHandle> {
        self.0
            .find_namespace(&with_slash(name.to_owned()))
            .map(NamespaceHandle)
    }

    /// Returns the namespaces of a dynamic declaration, by its pattern or label.
    pub fn parent(&self, name: &str) -> Option<ParentNamespace> {
        let name = with_slash(name.to_owned());
        let parent = self.0.namespaces.parent(&name)?;
        Some(ParentNamespace {
            io: self.0.clone(),
            parent: parent.clone(),
        })
    }

    /// Returns all namespaces, dynamic ones included.
    pub fn namespaces(&self) -> Vec<NamespaceHandle> {
        self.0
            .all_namespaces()
            .into_iter()
            .map(NamespaceHandle)
            .collect()
    }

    pub(crate) fn main(&self) -> NamespaceHandle {
        match self.0.main.get() {
            Some(main) => NamespaceHandle(main.clone()),
            None => self.of("/"),
        }
    }

    /// Sends an event to all sockets of the main namespace, see [`NamespaceHandle::emit`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::emit`].
    pub fn emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        self.main().emit(event, args)
    }

    /// Sends an event `message` to all sockets of the main namespace.
    ///
    /// # Errors
    /// As [`NamespaceHandle::emit`].
    pub fn send(&self, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.main().send(args)
    }

    /// Selects the sockets in rooms of the main namespace.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.main().to(rooms)
    }

    /// Selects the sockets of the main namespace that are in none of these rooms.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.main().except(rooms)
    }

    /// Makes an event to the main namespace volatile: it is dropped for recipients that cannot take it at once.
    pub fn volatile(&self) -> BroadcastOperator {
        self.main().volatile()
    }

    /// Selects only the sockets of the main namespace that are connected to this server of a cluster.
    pub fn local(&self) -> BroadcastOperator {
        self.main().local()
    }

    /// Sets the timeout of acknowledgements of the main namespace.
    pub fn timeout(&self, timeout: Duration) -> BroadcastOperator {
        self.main().timeout(timeout)
    }

    /// Sets whether events of the main namespace are worth compressing.
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

    /// Disconnects all sockets of the main namespace; with `close`, also closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.main().disconnect_sockets(close);
    }

    /// Returns the ids of the sockets of the main namespace on all servers of the cluster.
    ///
    /// # Errors
    /// As [`fetch_sockets`](Self::fetch_sockets).
    pub async fn all_sockets(&self) -> Result<HashSet<String>, FetchSocketsError> {
        self.main().all_sockets().await
    }

    /// Returns the sockets of the main namespace on all servers of the cluster.
    ///
    /// # Errors
    /// As [`BroadcastOperator::fetch_sockets`].
    ///
    /// # Cancel safety
    /// As [`BroadcastOperator::fetch_sockets`](crate::BroadcastOperator::fetch_sockets).
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        self.main().fetch_sockets().await
    }

    /// Sends an event to the other servers of the cluster, see [`NamespaceHandle::server_side_emit`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::server_side_emit`].
    pub fn server_side_emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<(), ServerSideEmitError> {
        self.main().server_side_emit(event, args)
    }

    /// Returns the number of connections, whether they have joined a namespace or not (Node's
    /// `io.engine.clientsCount`).
    pub fn clients_count(&self) -> usize {
        self.engine().connections()
    }

    /// Returns the statistics of the server since it was built.
    pub fn stats(&self) -> Stats {
        self.0.stats.snapshot()
    }

    /// Waits until the server has been closed, or its drain has ended: for what has to stop with it.
    ///
    /// ```no_run
    /// # async fn f(io: fanfare::SocketIo, app: axum::Router, listener: tokio::net::TcpListener) -> std::io::Result<()> {
    /// let closed = async move { io.closed().await };
    /// axum::serve(listener, app).with_graceful_shutdown(closed).await
    /// # }
    /// ```
    pub async fn closed(&self) {
        self.0.closed.wait().await;
    }

    /// Passes the statistics to the recorder of the [`metrics`](https://docs.rs/metrics) facade now. This happens once
    /// a second anyway; call it before a scrape is answered to have the latest values.
    pub fn publish_metrics(&self) {
        self.0.publish();
    }

    /// Closes the server as Node's `io.close()` does: every socket is disconnected with the reason `server shutting
    /// down`, no DISCONNECT packet is sent, so that clients reconnect (to the next server), and new requests are
    /// rejected.
    ///
    /// Returns when the connections are closed and the handlers have ended, those of the disconnects included; then
    /// [`serve`](crate::serve()) returns as well. Closing twice is harmless.
    ///
    /// [`drain`](Self::drain) is the graceful alternative.
    ///
    /// # Cancel safety
    /// All connections are closed by the first poll. A dropped call does not wait for the handlers, and does not close the
    /// adapter; another call does.
    pub async fn close(&self) {
        self.0.leaving.store(true, Ordering::Release);
        self.0.closed.set();
        self.engine().for_each(|conn| conn.state().shut_down());
        self.engine().close();
        self.settled().await;
        if let Some(cluster) = &self.0.settings.cluster {
            cluster.adapter.close().await;
        }
        self.0.publish();
    }
}

impl SocketIo {
    /// Waits until every closed connection has been reported, and no handler runs.
    pub(crate) async fn settled(&self) {
        self.engine().reported().await;
        self.0.running.finished().await;
    }

    /// Waits for the rest of the shutdown once the connections are no longer served: all that [`close`](Self::close)
    /// does, even if its caller has dropped the future. After a drain that is nothing.
    pub(crate) async fn ended(&self) {
        if self.0.closed.is_set() && !self.0.drained.load(Ordering::Acquire) {
            self.close().await;
        }
    }
}

impl fmt::Debug for SocketIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SocketIo").field(&*self.0).finish()
    }
}

impl fmt::Debug for IoInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoInner")
            .field("namespaces", &self.namespace_names())
            .finish_non_exhaustive()
    }
}
