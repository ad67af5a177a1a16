//! How connections are treated.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{HttpRefusal, Networks};

/// How [`serve`](crate::serve()) treats connections.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServeOptions {
    /// How long a client may take to send the head of a request, and how long a connection without a request stays.
    /// Default 15 s.
    pub header_timeout: Duration,
    /// How long a client may take nothing of an answer that is being written to it. Then its connection is cut.
    /// Default 30 s.
    pub write_timeout: Duration,
    /// The longest head of a request, in bytes. At least 8 KiB. Default 16 KiB.
    pub max_header_bytes: usize,
    /// Most connections that wait for a request at the same time, their first or another one. Those with a request under
    /// way and WebSockets do not count: their bound is [`Limits::max_connections`](fanfare_protocol::Limits). Whenever
    /// there is one more, one of those that have waited longest is cut, so that who opens connections for nothing does
    /// not keep others out. Default 10 000.
    pub max_idle_connections: usize,
    /// Load balancers that put a PROXY protocol header (version 1 or 2) in front of each connection. Connections from
    /// these networks must have one, all others are taken as they are. Default: none.
    pub proxy_protocol: Networks,
    /// Whether the connections are encrypted by something in front of the server, or in the stream that
    /// [`serve_connection`](crate::serve_connection) is given. [`Handshake::secure`](crate::Handshake::secure) says so
    /// then. Default: no.
    pub secure: bool,
    /// How long requests under way may take to end once the server shuts down. Default 10 s.
    pub shutdown_timeout: Duration,
    hooks: Hooks,
}

impl ServeOptions {
    /// Has `hook` told of each connection that is cut and of each request that is refused because of these options. It
    /// must not block. Called several times, all hooks are told.
    pub fn on_refused(&mut self, hook: impl Fn(HttpRefusal) + Send + Sync + 'static) {
        self.hooks.0.push(Arc::new(hook));
    }

    pub(super) fn refused(&self, refusal: HttpRefusal) {
        self.hooks.0.iter().for_each(|hook| hook(refusal));
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
        }
    }
}

#[derive(Clone, Default)]
struct Hooks(Vec<Arc<dyn Fn(HttpRefusal) + Send + Sync>>);

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
