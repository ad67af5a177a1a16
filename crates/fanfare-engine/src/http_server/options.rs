//! Options of the server's connections.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::diagnostics::{LogThrottle, contain};

use super::LOG_INTERVAL;
use super::connection_registry::ConnectionRegistry;
use crate::log_target;
use crate::proxies::Networks;
use crate::rejection::HttpRejection;

/// Options of [`Serve`](super::Serve), whose methods describe them.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) header_timeout: Duration,
    pub(super) write_timeout: Duration,
    pub(super) max_header_bytes: usize,
    pub(super) max_idle_connections: usize,
    pub(super) proxy_protocol: Networks,
    pub(super) secure: bool,
    pub(super) shutdown_timeout: Duration,
    pub(super) pool: Arc<Pool>,
    hooks: Hooks,
}

/// Counters over connections that are accepted one by one.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) registry: Arc<ConnectionRegistry>,
    pub(super) idle_log: LogThrottle,
}

/// Group of connections that wait for a request. Clones are the same group.
#[derive(Clone, Debug)]
pub struct IdleConnections(pub(super) Arc<Pool>);

impl Default for IdleConnections {
    fn default() -> Self {
        Self(Arc::new(Pool {
            registry: Arc::default(),
            idle_log: LogThrottle::every(LOG_INTERVAL),
        }))
    }
}

impl Options {
    pub(super) fn new(IdleConnections(pool): IdleConnections) -> Self {
        Self {
            header_timeout: Duration::from_secs(15),
            write_timeout: Duration::from_secs(30),
            max_header_bytes: 16 * 1024,
            max_idle_connections: 10_000,
            proxy_protocol: Networks::none(),
            secure: false,
            shutdown_timeout: Duration::from_secs(10),
            pool,
            hooks: Hooks::default(),
        }
    }

    pub(super) fn add_hook(&mut self, hook: Hook) {
        self.hooks.0.push(hook);
    }

    pub(super) fn rejected(&self, rejection: HttpRejection) {
        for hook in &self.hooks.0 {
            if let Err(panic) = contain(|| hook(rejection)) {
                tracing::error!(target: log_target::HOOK, hook = "on_rejected", panic, "a hook panicked");
            }
        }
    }
}

/// Function that is called for each rejection.
pub(super) type Hook = Arc<dyn Fn(HttpRejection) + Send + Sync>;

#[derive(Clone, Default)]
struct Hooks(Vec<Hook>);

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
