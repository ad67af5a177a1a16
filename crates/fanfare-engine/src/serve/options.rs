//! Options of the server's connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::LOG_INTERVAL;
use super::connection_registry::ConnectionRegistry;
use super::sessions::Direct;
use crate::log_target;
use crate::{Engine, Handler, HttpRejection, LogThrottle, Networks, contain};

/// Options of [`serve`](crate::serve()) for its connections.
///
/// ```
/// use std::time::Duration;
///
/// use fanfare_engine::ServeOptions;
///
/// let options = ServeOptions::new().header_timeout(Duration::from_secs(5)).secure(true);
/// ```
#[derive(Clone, Debug)]
#[must_use = "options have to be given to `serve`"]
pub struct ServeOptions {
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) max_header_bytes: usize,
    pub(super) max_idle_connections: usize,
    pub(super) proxy_protocol: Networks,
    pub(super) secure: bool,
    pub(super) shutdown_timeout: Duration,
    hooks: Hooks,
    pub(super) pool: Arc<Pool>,
    pub(super) direct: Direct,
}

/// Counters over connections that are accepted one by one.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) seats: Arc<ConnectionRegistry>,
    pub(super) idle_log: LogThrottle,
}

impl ServeOptions {
    /// Creates the default options.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time within which a client has to send the head of a request, and for which a connection without a request stays
    /// open. Default 15 s.
    pub fn header_timeout(mut self, header_timeout: Duration) -> Self {
        self.header_timeout = header_timeout;
        self
    }

    /// Sets the time for which a client may read nothing of a response that is being written to it. Then its connection is
    /// closed. Default 30 s.
    pub fn write_timeout(mut self, write_timeout: Duration) -> Self {
        self.write_timeout = write_timeout;
        self
    }

    /// Sets the maximum length of the head of a request, in bytes. At least 8 KiB. Default 16 KiB.
    pub fn max_header_bytes(mut self, max_header_bytes: usize) -> Self {
        self.max_header_bytes = max_header_bytes;
        self
    }

    /// Sets the maximum number of connections that wait for a request at the same time, their first or another one. Those with a
    /// request in progress and WebSockets do not count: their limit is
    /// [`Limits::max_connections`](fanfare_protocol::Limits). Whenever there is one more, the server evicts one of
    /// those that have waited longest, so that a client that opens connections without using them does not keep others
    /// out. All connections that are served with clones of the same options are counted together. Default 10 000.
    pub fn max_idle_connections(mut self, max_idle_connections: usize) -> Self {
        self.max_idle_connections = max_idle_connections;
        self
    }

    /// Sets the load balancers that put a PROXY protocol header (version 1 or 2) in front of each connection. Connections from
    /// these networks must have one, all others are served as they are. Default: none.
    pub fn proxy_protocol(mut self, proxy_protocol: Networks) -> Self {
        self.proxy_protocol = proxy_protocol;
        self
    }

    /// Sets whether the connections are encrypted in front of the server, or in the stream that is passed to
    /// [`serve_connection`](crate::serve_connection). [`HandshakeRequest::is_secure`](crate::HandshakeRequest::is_secure)
    /// returns it. Default: no.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets the time within which requests in progress have to end once the server shuts down. Default 10 s.
    pub fn shutdown_timeout(mut self, shutdown_timeout: Duration) -> Self {
        self.shutdown_timeout = shutdown_timeout;
        self
    }

    /// Counts the connections that are served with these options together with those of `others`, as if they were
    /// clones.
    pub fn count_with(mut self, others: &ServeOptions) -> Self {
        self.pool = others.pool.clone();
        self
    }

    /// Passes requests of open sessions over HTTP/1 to their engine at once, without an `http::Request` being made of them:
    /// they take a third fewer instructions. The service gets all other requests: handshakes, upgrades, and what is
    /// refused, and HTTP/2.
    ///
    /// This is for services that would pass these requests to the same engine unchanged. A layer that logs or alters each
    /// request does not see them.
    pub fn answer_sessions_of<H: Handler>(mut self, engine: &Arc<Engine<H>>) -> Self {
        self.direct = Direct(Some(Arc::new(engine.service())));
        self
    }

    /// Calls `hook` for each connection that is closed, and each request that is rejected, because of these options. It
    /// must not block. Several hooks are all called.
    pub fn on_rejected(mut self, hook: impl Fn(HttpRejection) + Send + Sync + 'static) -> Self {
        self.hooks.0.push(Arc::new(hook));
        self
    }

    pub(super) fn refused(&self, refusal: HttpRejection) {
        for hook in &self.hooks.0 {
            if let Err(panic) = contain(|| hook(refusal)) {
                tracing::error!(target: log_target::HOOK, hook = "on_rejected", panic, "a hook panicked");
            }
        }
    }
}

impl Default for ServeOptions {
    fn default() -> Self {
        ServeOptions {
            header_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            max_header_bytes: 16 * 1024,
            max_idle_connections: 10_000,
            proxy_protocol: Networks::none(),
            secure: false,
            shutdown_timeout: Duration::from_secs(10),
            hooks: Hooks::default(),
            direct: Direct::default(),
            pool: Arc::new(Pool {
                seats: Arc::default(),
                idle_log: LogThrottle::every(LOG_INTERVAL),
            }),
        }
    }
}

#[derive(Clone, Default)]
struct Hooks(Vec<Arc<dyn Fn(HttpRejection) + Send + Sync>>);

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
