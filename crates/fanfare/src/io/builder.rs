use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanfare_engine::{Config, Engine, TrustedProxies};
use fanfare_protocol::Limits;
use fanfare_protocol::socket::is_reserved_event;
use parking_lot::RwLock;

use super::{IoInner, Latch, NamespaceListener, Running, SocketIo};
use crate::adapter::{Adapter, Cluster, ClusterInner};
use crate::bundles::Bundles;
use crate::client::Dispatcher;
use crate::codec::Codec;
use crate::error::BuildError;
use crate::extract::StateMap;
use crate::guard::{Admission, Door, RateLimits};
use crate::hooks::Hooks;
use crate::namespace::{Matcher, Namespace, NamespaceHandle, NamespaceInner, Parent, Settings};
use crate::parser::Parser;
use crate::recovery::ConnectionStateRecovery;
use crate::stats::Stats;

/// Configures a [`SocketIo`]. Names and defaults are those of Node's server.
#[derive(Default)]
#[must_use = "call `build`"]
pub struct SocketIoBuilder {
    namespaces: Vec<Namespace>,
    states: StateMap,
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) hooks: Hooks,
    ack_timeout: Option<Duration>,
    recovery: Option<ConnectionStateRecovery>,
    adapter: Option<Arc<dyn Adapter>>,
    codec: Codec,
    admission: Admission,
    rates: RateLimits,
    proxies: Option<TrustedProxies>,
    client_files: Option<PathBuf>,
    on_new_namespace: Vec<NamespaceListener>,
}

const DEFAULT_ACK_TIMEOUT: Duration = Duration::from_secs(30);

impl SocketIoBuilder {
    /// Adds a namespace. Without one for `/`, clients may join the main namespace all the same, which then has no
    /// handlers.
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

    /// Has `listener` told of each namespace that comes into being once the server is built (Node's `new_namespace`):
    /// those of clients, before their first socket, and those of [`SocketIo::of`]. It must not block.
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

    /// Gives handlers a value to share: the extractor [`State<S>`](crate::State) clones it. One of each type.
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

    /// The path of the requests; a slash at its end does not matter. Default: `/socket.io/`.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().path("/live/").build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.config.path = path.into();
        self
    }

    /// How often the server pings. Default: 25 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().ping_interval(std::time::Duration::from_secs(10)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.config.ping_interval = interval;
        self
    }

    /// How long a client may take to answer a ping. Default: 20 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().ping_timeout(std::time::Duration::from_secs(10)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.config.ping_timeout = timeout;
        self
    }

    /// Lets in clients of Socket.IO v2 as well, which speak version 3 of Engine.IO (`allowEIO3`); they and newer ones
    /// share everything. Default: no, they are refused.
    ///
    /// They are in the main namespace without asking; the query that they give for another one is what newer clients
    /// send as `auth`. Their public ids hold the secret id of their transport, because they make them themselves: do
    /// not tell them to strangers. They cannot be recovered.
    ///
    /// ```
    /// use fanfare::{Namespace, Protocol, Socket, SocketIo};
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

    /// How long a client may stay without joining a namespace. Default: 45 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().connect_timeout(std::time::Duration::from_secs(10)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.limits.connect_timeout = timeout;
        self
    }

    /// The longest message, in bytes (`maxHttpBufferSize`). Default: 1,000,000.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().max_payload(100_000).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.limits.max_payload = bytes;
        self
    }

    /// How long acknowledgements may take unless `timeout` says otherwise. Default: 30 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().ack_timeout(std::time::Duration::from_secs(5)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn ack_timeout(mut self, timeout: Duration) -> Self {
        self.ack_timeout = Some(timeout);
        self
    }

    /// Makes this server one of a cluster. Default: none, it is alone.
    ///
    /// `adapter` carries the messages; everything that goes to rooms or to namespaces then reaches the clients of all
    /// servers, unless it is [`local`](crate::BroadcastOperator::local).
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.adapter = Some(Arc::new(adapter));
        self
    }

    /// Lets clients that lost their connection come back as who they were, with what they missed
    /// (`connectionStateRecovery`). Default: off. Also sets [`Limits::recovery_time`].
    ///
    /// ```
    /// use fanfare::{ConnectionStateRecovery, SocketIo};
    ///
    /// let io = SocketIo::builder().connection_state_recovery(ConnectionStateRecovery::default()).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn connection_state_recovery(mut self, recovery: ConnectionStateRecovery) -> Self {
        self.recovery = Some(recovery);
        self
    }

    /// The form of the packets (Node's `parser`): [`MsgpackParser`](crate::parser::MsgpackParser), or one of your own.
    /// Clients must use the same. Default: JSON.
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

    /// Bounds new connections: how fast they come, how many from one address. Default: none.
    ///
    /// ```
    /// use fanfare::{Admission, SocketIo};
    ///
    /// let io = SocketIo::builder().admission(Admission::new().connections_per_address(50)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn admission(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// Bounds what one connection may send in a second. Default: none.
    ///
    /// ```
    /// use fanfare::{RateLimits, SocketIo};
    ///
    /// let io = SocketIo::builder().rate_limits(RateLimits::new().events_per_second(50)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn rate_limits(mut self, limits: RateLimits) -> Self {
        self.rates = limits;
        self
    }

    /// Whose word is taken for the address of the client, see [`TrustedProxies`]. Default: nobody's; a client's
    /// address is that of the peer.
    ///
    /// ```
    /// use fanfare::{Networks, SocketIo, TrustedProxies};
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
    /// `node_modules/socket.io-client`. They are read when the server is built, and answered with their version as
    /// `ETag`, compressed as the client likes: `br` and `gzip` from files `*.br` and `*.gz` beside them, else made when
    /// they are first asked for (`br` with the feature `brotli`). Default: nothing is served.
    ///
    /// ```no_run
    /// let io = fanfare::SocketIo::builder().serve_client("node_modules/socket.io-client").build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn serve_client(mut self, dir: impl Into<PathBuf>) -> Self {
        self.client_files = Some(dir.into());
        self
    }

    /// All bounds at once; replaces what [`max_payload`](Self::max_payload) and
    /// [`connect_timeout`](Self::connect_timeout) set before.
    ///
    /// ```
    /// use fanfare::{Limits, SocketIo};
    ///
    /// let mut limits = Limits::default();
    /// limits.max_connections = 50_000;
    /// limits.outbox_bytes = 256 * 1024;
    /// let io = SocketIo::builder().limits(limits).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Changes the settings of the transport layer for which there is no method here.
    ///
    /// ```
    /// use fanfare::{SlowConsumer, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .engine(|config| config.slow_consumer = SlowConsumer::DropNewest)
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn engine(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Builds the server. Nothing runs yet: mount [`service`](SocketIo::service) or call [`serve`](crate::serve).
    ///
    /// # Errors
    /// [`BuildError`] if a state is missing, a namespace was added twice, or an event name is reserved.
    pub fn build(self) -> Result<SocketIo, BuildError> {
        let Self {
            mut namespaces,
            states,
            mut config,
            mut limits,
            hooks,
            ack_timeout,
            recovery,
            adapter,
            codec,
            admission,
            rates,
            proxies,
            client_files,
            on_new_namespace,
        } = self;
        if let Some(recovery) = &recovery {
            limits.recovery_time = recovery.max_disconnection_duration;
        }
        super::http::check(&config)?;
        let bundles = client_files.map(|dir| Bundles::read(&dir)).transpose()?;
        if !namespaces.iter().any(|namespace| namespace.name == "/") {
            namespaces.push(Namespace::new("/"));
        }
        for namespace in &namespaces {
            check(namespace, &states)?;
        }
        let mut names = HashSet::new();
        if let Some(twice) = namespaces
            .iter()
            .find(|namespace| !names.insert(namespace.name.as_str()))
        {
            return Err(BuildError::DuplicateNamespace(twice.name.clone()));
        }
        let (fixed, dynamic): (Vec<_>, Vec<_>) = namespaces
            .into_iter()
            .partition(|namespace| matches!(namespace.matcher, Matcher::Exact));
        let parents = dynamic.into_iter().map(
            |Namespace {
                 name,
                 matcher,
                 behaviour,
                 ..
             }| {
                Arc::new(Parent {
                    name,
                    matcher,
                    behaviour: Arc::new(behaviour),
                })
            },
        );
        let parents: Vec<Arc<Parent>> = parents.collect();
        let stats: Arc<Stats> = Arc::default();
        for parent in &parents {
            stats.namespace(&parent.name); // before others take all the labels
        }
        let v2_limits = config.allow_eio3.then(|| {
            let mut v2_limits = Box::new(limits.clone());
            v2_limits.max_namespace_len = limits.max_payload;
            v2_limits
        });
        let settings = Settings {
            recovery,
            heartbeat: config.ping_interval + config.ping_timeout,
            limits: limits.clone(),
            cluster: adapter.map(ClusterInner::new),
            stats: stats.clone(),
            codec: codec.clone(),
        };
        let inner = Arc::new_cyclic(|this| {
            let mut map: HashMap<Box<str>, _, _> = HashMap::default();
            for Namespace {
                name, behaviour, ..
            } in fixed
            {
                let running =
                    NamespaceInner::new(&name, Arc::new(behaviour), &settings, this.clone());
                map.insert(name.into(), running);
            }
            let main = map
                .get("/")
                .cloned()
                .map_or_else(OnceLock::new, OnceLock::from);
            IoInner {
                namespaces: RwLock::new(map),
                main,
                parents,
                dynamic: AtomicUsize::new(0),
                states,
                limits: limits.clone(),
                v2_limits,
                settings,
                ack_timeout: ack_timeout.unwrap_or(DEFAULT_ACK_TIMEOUT),
                running: Running::default(),
                stats: stats.clone(),
                codec: codec.clone(),
                door: Door::new(&admission),
                bundles,
                rates,
                proxies,
                hooks,
                leaving: AtomicBool::new(false),
                closed: Latch::default(),
                on_new_namespace,
                engine: OnceLock::new(),
                this: this.clone(),
            }
        });
        config.limits = limits;
        let engine = Engine::new(
            Dispatcher {
                io: Arc::downgrade(&inner),
            },
            config,
        );
        let _ = inner.engine.set(engine);
        if let Some(cluster) = &inner.settings.cluster {
            cluster.adapter.start(Cluster::new(Arc::downgrade(&inner)));
            for name in inner.namespace_names() {
                cluster.adapter.namespace_opened(&name);
            }
        }
        Ok(SocketIo(inner))
    }
}

impl std::fmt::Debug for SocketIoBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketIoBuilder")
            .field("namespaces", &self.namespaces)
            .field("config", &self.config)
            .field("limits", &self.limits)
            .field("recovery", &self.recovery)
            .finish_non_exhaustive()
    }
}

fn check(namespace: &Namespace, states: &StateMap) -> Result<(), BuildError> {
    let Namespace {
        name, behaviour, ..
    } = namespace;
    if let Some(event) = behaviour
        .event_names()
        .find(|event| is_reserved_event(event))
    {
        return Err(BuildError::ReservedEvent(event.to_owned()));
    }
    let needs = behaviour.requirements();
    if let Some(state) = needs.missing(|id| states.has(id)) {
        return Err(BuildError::MissingState {
            namespace: name.clone(),
            state,
        });
    }
    let own = behaviour.contract;
    match own.and_then(|own| Some((needs.other_contract(own)?, own))) {
        Some((taken, own)) => Err(BuildError::OtherContract {
            namespace: name.clone(),
            taken: taken.name,
            own: own.name,
        }),
        None => Ok(()),
    }
}
