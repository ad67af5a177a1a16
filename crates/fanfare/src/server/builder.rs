use std::hash::{BuildHasher, Hash, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::EngineConfig;
use fanfare_engine::proxy::TrustedProxies;
use fanfare_protocol::Limits;

use super::{NamespaceListener, PeerOf, ShareOf};
use crate::adapter::Adapter;
use crate::client_files::ClientFiles;
use crate::codec::Codec;
use crate::hooks::Hooks;
use crate::limits::{ConnectionLimits, RateLimits};
use crate::namespace::{Namespace, NamespaceHandle};
use crate::parser::Parser;
use crate::recovery::ConnectionStateRecovery;
use crate::socket::Socket;
use crate::states::StateMap;

/// Configures a [`SocketIo`](crate::SocketIo). Names and defaults are those of Node's server.
#[derive(Default)]
#[must_use = "call `build`"]
pub struct SocketIoBuilder {
    pub(super) namespaces: Vec<Namespace>,
    pub(super) states: StateMap,
    pub(super) config: EngineConfig,
    pub(super) hooks: Hooks,
    pub(super) ack_timeout: Option<Duration>,
    pub(super) recovery: Option<ConnectionStateRecovery>,
    pub(super) adapter: Option<Arc<dyn Adapter>>,
    pub(super) codec: Codec,
    pub(super) admission: ConnectionLimits,
    pub(super) rates: RateLimits,
    pub(super) proxies: Option<TrustedProxies>,
    pub(super) peer_of: Option<PeerOf>,
    pub(super) share_of: Option<ShareOf>,
    pub(super) transport_ids: bool,
    pub(super) client_files: Option<ClientFiles>,
    pub(super) on_new_namespace: Vec<NamespaceListener>,
}

impl SocketIoBuilder {
    /// Adds a namespace. Without one for `/`, clients may still join the main namespace, which then has no handlers.
    ///
    /// ```
    /// use fanfare::{Namespace, SocketIo};
    ///
    /// let io = SocketIo::builder().namespace(Namespace::new("/chat")).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn namespace<C>(mut self, namespace: Namespace<C>) -> Self {
        self.namespaces.push(namespace.untyped());
        self
    }

    /// Adds a listener for namespaces that are created once the server is built (Node's `new_namespace`): those that
    /// clients ask for, before their first socket, and those of [`SocketIo::of`](crate::SocketIo::of). It must not block.
    ///
    /// ```
    /// use fanfare::{Namespace, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .namespace(Namespace::pattern("/orders-{id}"))
    ///     .on_new_namespace(|namespace| println!("{} is there", namespace.name()))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn on_new_namespace(
        mut self,
        listener: impl Fn(&NamespaceHandle) + Send + Sync + 'static,
    ) -> Self {
        self.on_new_namespace.push(Box::new(listener));
        self
    }

    /// Adds a value that handlers share: the extractor [`State<S>`](crate::State) clones it. One of each type.
    ///
    /// ```
    /// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
    /// use fanfare::{Ack, Namespace, SocketIo, State};
    ///
    /// let count = async |State(count): State<Arc<AtomicU64>>| Ack(count.fetch_add(1, Ordering::Relaxed));
    /// let io = SocketIo::builder()
    ///     .namespace(Namespace::new("/").on("count", count))
    ///     .state(Arc::new(AtomicU64::new(0)))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn state<S: Clone + Send + Sync + 'static>(mut self, state: S) -> Self {
        self.states.insert(state);
        self
    }

    /// Sets the path of the requests; a trailing slash makes no difference. Default: `/socket.io/`.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().path("/live/").build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.config.path = path.into();
        self
    }

    /// Sets the interval between the server's pings. Default: 25 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().ping_interval(std::time::Duration::from_secs(10)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.ping_interval = interval;
        self
    }

    /// Sets the time that a client may take to answer a ping. Default: 20 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().ping_timeout(std::time::Duration::from_secs(10)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.config.ping_timeout = timeout;
        self
    }

    /// Sets whether clients of Socket.IO v2 are accepted as well, which speak version 3 of Engine.IO (`allowEIO3`);
    /// they and newer ones share everything. Default: no, they are rejected.
    ///
    /// They join the main namespace implicitly; their query for another namespace takes the place of the `auth` that
    /// newer clients send. They cannot be recovered. The id that they assign themselves is not their public id, see
    /// [`eio3_transport_ids`](Self::eio3_transport_ids).
    ///
    /// ```
    /// use fanfare::engine::Protocol;
    /// use fanfare::{Namespace, Socket, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .allow_eio3(true)
    ///     .namespace(Namespace::new("/").on_connect(async |socket: Socket| {
    ///         if socket.protocol() == Protocol::V3 {
    ///             println!("{} should be updated", socket.id());
    ///         }
    ///     }))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn allow_eio3(mut self, allow: bool) -> Self {
        self.config.allow_eio3 = allow;
        self
    }

    /// Sets whether clients of Socket.IO v2 have the ids that they assign themselves, as in Node: the id of the
    /// session, in `/chat` prefixed with `/chat#`. Default: no, their ids are random like all others.
    ///
    /// The id of a session is a secret: a peer that knows it can read and write on the client's behalf while the client
    /// is polling. With this option every peer that learns a socket id has it. Without it, the `socket.id` that a v2
    /// client sees is known to no other peer: an application in which clients compare it with values from the server,
    /// or pass it on as an address, must send them their id in a separate event, or needs this option.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().allow_eio3(true).eio3_transport_ids(true).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn eio3_transport_ids(mut self, same: bool) -> Self {
        self.transport_ids = same;
        self
    }

    /// Sets the time in which a client must join a namespace. Default: 45 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().connect_timeout(std::time::Duration::from_secs(10)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.limits.connect_timeout = timeout;
        self
    }

    /// Sets the maximum length of a message, in bytes (`maxHttpBufferSize`). Default: 1,000,000.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().max_payload(100_000).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.config.limits.max_payload = bytes;
        self
    }

    /// Sets the default timeout of acknowledgements; `timeout` overrides it. Default: 30 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().ack_timeout(std::time::Duration::from_secs(5)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = Some(timeout);
        self
    }

    /// Makes this server a node of a cluster. Default: no adapter; the server is alone.
    ///
    /// `adapter` carries the messages; events and operations for rooms or namespaces then reach the clients of all
    /// servers, unless they are [`local`](crate::BroadcastOperator::local).
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.adapter = Some(Arc::new(adapter));
        self
    }

    /// Enables connection state recovery: clients that lost their connection resume their session, with the events that
    /// they missed (`connectionStateRecovery`). Default: off.
    ///
    /// ```
    /// use fanfare::recovery::ConnectionStateRecovery;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder().connection_state_recovery(ConnectionStateRecovery::default()).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn connection_state_recovery(mut self, recovery: ConnectionStateRecovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// Sets the encoding of the packets (Node's `parser`): [`MsgpackParser`](crate::parser::MsgpackParser), or a custom
    /// one. Clients must use the same. Default: JSON.
    ///
    /// ```
    /// use fanfare::{SocketIo, parser::MsgpackParser};
    ///
    /// let io = SocketIo::builder().parser(MsgpackParser).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn parser(mut self, parser: impl Parser) -> Self {
        self.codec = Codec::new(parser);
        self
    }

    /// Limits new connections: their rate, and their number per address. Default: none.
    ///
    /// ```
    /// use fanfare::limits::ConnectionLimits;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder().admission(ConnectionLimits::new().connections_per_address(50)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn admission(mut self, admission: ConnectionLimits) -> Self {
        self.admission = admission;
        self
    }

    /// Limits the rate at which one connection sends. Default: none.
    ///
    /// ```
    /// use fanfare::limits::RateLimits;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder().rate_limits(RateLimits::new().events_per_second(50)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rates = limits;
        self
    }

    /// Sets the function that returns the key of a client's share of resources that all clients share: the clients of
    /// one key have one share, however many connections they make. Default, and for `None`: by address, of IPv6 by /64
    /// network.
    ///
    /// Shared resources are dynamic namespaces, the memory for recovery, and acknowledgements that wait to be read. The
    /// function is called once for each socket, when its middlewares have passed; resources that were used for it
    /// before are counted for its address. It must not block.
    ///
    /// The key must be known to the server, such as the name of a user whose token a middleware has verified. A client
    /// that can choose it freely can get any number of shares.
    ///
    /// ```
    /// use fanfare::{ConnectError, Data, Namespace, Socket, SocketIo};
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// async fn authenticate(socket: Socket, Data(token): Data<String>) -> Result<(), ConnectError> {
    ///     let name = token.strip_prefix("token of ").ok_or_else(|| ConnectError::new("not authorized"))?;
    ///     socket.extensions().insert(User(name.to_owned()));
    ///     Ok(())
    /// }
    ///
    /// let io = SocketIo::builder()
    ///     .namespace(Namespace::new("/").middleware(authenticate))
    ///     .share_key(|socket| socket.extensions().get::<User>().map(|User(name)| name))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn share_key<K: Hash>(
        mut self,
        key: impl Fn(&Socket) -> Option<K> + Send + Sync + 'static,
    ) -> Self {
        let hasher = RandomState::new();
        self.share_of = Some(Box::new(move |socket| {
            key(socket).map(|key| hasher.hash_one(key))
        }));
        self
    }

    /// Sets the proxies that are trusted to provide the address of the client, see [`TrustedProxies`]. Default: none; a
    /// client's address is that of the peer.
    ///
    /// ```
    /// use fanfare::proxy::{Networks, TrustedProxies};
    /// use fanfare::SocketIo;
    ///
    /// let proxies: Networks = "10.0.0.0/8".parse()?;
    /// let io = SocketIo::builder().trusted_proxies(TrustedProxies::new(proxies)).build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = Some(proxies);
        self
    }

    /// Serves the browser client (`serveClient`): the files `socket.io.js`, `.min.js`, `.esm.min.js`, `.msgpack.min.js`
    /// and their maps at `<path>/<file>`, from a directory or from the one of an npm package, such as
    /// `node_modules/socket.io-client`. They are read when the server is built, and served with their version as
    /// `ETag`, compressed as the client accepts: `br` and `gzip` from files `*.br` and `*.gz` beside them, else
    /// compressed on the first request (`br` with the feature `brotli`). Default: nothing is served.
    ///
    /// ```no_run
    /// let io = fanfare::SocketIo::builder().serve_client("node_modules/socket.io-client").build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn serve_client(mut self, dir: impl Into<PathBuf>) -> Self {
        self.client_files = Some(ClientFiles::Dir(dir.into()));
        self
    }

    /// Serves the browser client as [`serve_client`](Self::serve_client) does, with files that are embedded in the
    /// program (feature `client-files`), so that no npm folder is needed where it runs. They are those of the npm
    /// package `socket.io-client` that was installed when the program was built, in the project's `node_modules` or in
    /// the directory named by the environment variable `FANFARE_CLIENT_DIR`. If there was none, the error of
    /// [`build`](Self::build) explains what to do.
    ///
    /// ```no_run
    /// let io = fanfare::SocketIo::builder().serve_embedded_client().build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    #[cfg(feature = "client-files")]
    pub fn serve_embedded_client(mut self) -> Self {
        self.client_files = Some(ClientFiles::Embedded);
        self
    }

    /// Sets all limits at once; replaces the values that [`max_payload`](Self::max_payload),
    /// [`connect_timeout`](Self::connect_timeout) and [`upgrade_timeout`](Self::upgrade_timeout) set before. They are
    /// the [`EngineConfig::limits`] of [`engine`](Self::engine).
    ///
    /// ```
    /// use fanfare::{Limits, SocketIo};
    ///
    /// let limits = Limits::new().max_connections(50_000).outbox_bytes(256 * 1024);
    /// let io = SocketIo::builder().limits(limits).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Changes the settings of the transport layer that have no method here.
    ///
    /// ```
    /// use fanfare::limits::SlowConsumer;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder()
    ///     .engine(|config| config.slow_consumer = SlowConsumer::DropNewest)
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn engine(mut self, change: impl FnOnce(&mut EngineConfig)) -> Self {
        change(&mut self.config);
        self
    }
}

impl std::fmt::Debug for SocketIoBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketIoBuilder")
            .field("namespaces", &self.namespaces)
            .field("config", &self.config)
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}
