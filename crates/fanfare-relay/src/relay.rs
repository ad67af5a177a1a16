//! The relay of a server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_engine::relay::{RelayBody, RelayFuture, RelayUpgrade, SESSION_ID_BYTES, SessionRelay};
use http::{HeaderMap, HeaderName, HeaderValue, Request};

use crate::client::{Client, Timeouts};
use crate::key::{ClusterKey, MIN_KEY_BYTES, Purpose};
use crate::peers::{self, PeerAddressError, Peers};
use crate::seal::{self, SessionId, Tag};

/// Header that marks a relayed request: a code of its session id under the key of the cluster.
const MARK: HeaderName = HeaderName::from_static("fanfare-relay");

/// Interval at which a name is looked up again.
const RESOLVE_INTERVAL: Duration = Duration::from_secs(10);

/// Interval at which a list of servers is read again.
const FOLLOW_INTERVAL: Duration = Duration::from_secs(2);

/// Relay of the requests whose session lives on another server. Cheap to clone; the clones share the list of servers.
#[derive(Clone)]
pub struct Relay {
    shared: Arc<Shared>,
    timeouts: Timeouts,
}

struct Shared {
    key: ClusterKey,
    /// Address of this server, as the others know it.
    address: String,
    tag: Tag,
    peers: Peers,
    client: Client,
}

/// Error of the options of a [`Relay`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The key is too short.
    #[error("a key of {0} bytes is too short: it needs at least {MIN_KEY_BYTES}")]
    ShortKey(usize),
    /// The address of this server cannot be used.
    #[error(transparent)]
    Address(#[from] PeerAddressError),
}

impl Relay {
    /// Creates a relay. `key` is the same on all servers; `address` is the host and the port at which the others reach
    /// this one, exactly as they write it.
    ///
    /// # Errors
    /// The key has fewer than 16 bytes, or the address is not a host and a port.
    pub fn new(key: impl AsRef<[u8]>, address: impl Into<String>) -> Result<Self, RelayError> {
        let key = key.as_ref();
        let address = address.into();
        peers::parse(&address)?;
        let key = ClusterKey::new(key).ok_or(RelayError::ShortKey(key.len()))?;
        let timeouts = Timeouts::default();
        Ok(Self {
            shared: Arc::new(Shared {
                tag: seal::tag(&key, &address),
                key,
                address,
                peers: Peers::default(),
                client: Client::new(timeouts.connect),
            }),
            timeouts,
        })
    }

    /// Sets the addresses of the other servers; this one may be among them. At most 4,096.
    ///
    /// # Errors
    /// An address is not a host and a port, or there are too many.
    pub fn peers<I>(self, addresses: I) -> Result<Self, PeerAddressError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.set_peers(addresses)?;
        Ok(self)
    }

    /// Sets the timeout of another server's response, which includes the wait of a long poll. After it, the session
    /// counts as unknown, and the client opens a new one. Default: 60 s, more than the interval between two pings.
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.response = timeout;
        self
    }

    /// Replaces the addresses of the other servers at run time, for lists that change.
    ///
    /// # Errors
    /// The same as [`peers`](Self::peers); the old list stays.
    pub fn set_peers<I>(&self, addresses: I) -> Result<(), PeerAddressError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let Shared { key, peers, .. } = &*self.shared;
        peers.set(key, addresses)
    }

    /// Resolves a name that has the addresses of all servers, such as that of a headless service of Kubernetes, every
    /// ten seconds, and keeps the list while the name cannot be resolved. Runs until the future is dropped.
    ///
    /// ```no_run
    /// # async fn run() -> Result<(), fanfare_relay::RelayError> {
    /// let relay = fanfare_relay::Relay::new("a secret of at least 16 bytes", "10.0.0.1:3000")?;
    /// tokio::spawn(relay.clone().follow_name("chat.default.svc.cluster.local", 3000));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn follow_name(self, name: impl Into<String>, port: u16) {
        let name = name.into();
        loop {
            let found = tokio::net::lookup_host((name.as_str(), port)).await;
            let set = found.map_err(|error| error.to_string()).and_then(|found| {
                let addresses = found.map(|address| address.to_string());
                self.set_peers(addresses).map_err(|error| error.to_string())
            });
            if let Err(error) = set {
                tracing::warn!(target: "fanfare::relay", %name, %error, "the list of servers stays as it is");
            }
            tokio::time::sleep(RESOLVE_INTERVAL).await;
        }
    }

    /// Takes the addresses of all servers from a function, every two seconds, and keeps the list while that returns
    /// `None`. Runs until the future is dropped.
    ///
    /// With an adapter that knows the addresses of the other servers, such as that for NATS with `Nats::address`, nothing
    /// has to be configured, and the sessions of a server are unknown as soon as it has left the cluster:
    ///
    /// ```no_run
    /// # use fanfare::SocketIo;
    /// # async fn run(relay: fanfare_relay::Relay, io: SocketIo) {
    /// tokio::spawn(relay.follow(move || {
    ///     let cluster = io.cluster();
    ///     async move {
    ///         let nodes = cluster?.nodes().await.ok()?;
    ///         Some(nodes.into_iter().filter_map(|node| node.address).collect())
    ///     }
    /// }));
    /// # }
    /// ```
    pub async fn follow<F, Fut>(self, mut addresses: F)
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Option<Vec<String>>>,
    {
        loop {
            if let Some(addresses) = addresses().await
                && let Err(error) = self.set_peers(addresses)
            {
                tracing::warn!(target: "fanfare::relay", %error, "the list of servers stays as it is");
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }

    /// Returns the address of this server.
    pub fn address(&self) -> &str {
        &self.shared.address
    }
}

impl Shared {
    fn is_marked(&self, sid: &str, headers: &HeaderMap) -> bool {
        let code = headers.get(MARK).map(HeaderValue::as_bytes);
        let code = code.and_then(|code| URL_SAFE_NO_PAD.decode(code).ok());
        code.is_some_and(|code| self.key.verify(Purpose::Mark, sid.as_bytes(), &code))
    }

    fn mark(&self, sid: &str) -> Option<HeaderValue> {
        let code = self.key.code(Purpose::Mark, sid.as_bytes());
        HeaderValue::from_str(&URL_SAFE_NO_PAD.encode(code)).ok()
    }
}

/// Decodes a session id.
fn decode(sid: &str) -> Option<SessionId> {
    let mut id = [0; SESSION_ID_BYTES];
    let len = URL_SAFE_NO_PAD.decode_slice(sid, &mut id).ok()?;
    (len == SESSION_ID_BYTES).then_some(id)
}

impl SessionRelay for Relay {
    fn session_id(&self, random: SessionId) -> SessionId {
        seal::seal(&self.shared.key, self.shared.tag, random)
    }

    fn is_elsewhere(&self, sid: &str, headers: &HeaderMap) -> bool {
        self.find(sid).is_some() && !self.shared.is_marked(sid, headers)
    }

    fn relay(
        &self,
        sid: &str,
        mut request: Request<RelayBody>,
        upgrade: Option<RelayUpgrade>,
    ) -> RelayFuture {
        let (Some(peer), Some(mark)) = (self.find(sid), self.shared.mark(sid)) else {
            return Box::pin(async { None });
        };
        request.headers_mut().insert(MARK, mark);
        let client = self.shared.client.clone();
        let timeout = self.timeouts.response;
        Box::pin(async move { client.send(&peer, request, upgrade, timeout).await })
    }
}

impl Relay {
    /// Returns the server of a session, if it is another one.
    fn find(&self, sid: &str) -> Option<Arc<http::uri::Authority>> {
        let tag = seal::unseal(&self.shared.key, decode(sid)?);
        if tag == self.shared.tag {
            return None;
        }
        self.shared.peers.find(tag)
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("address", &self.shared.address)
            .finish_non_exhaustive()
    }
}
