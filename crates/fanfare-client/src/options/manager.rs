//! Options of the connection.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;

use crate::core::Core;
use crate::error::BuildError;
use crate::io::connector::Connector;
use crate::io::cookies::CookieJar;
use crate::io::proxy::Proxy;
use crate::io::tls::{Tls, TlsConnector};
use crate::io::url::{Target, encode};
use crate::manager::Manager;
use crate::protocol::{self, Config, Parser, Transport};

/// Everything about a connection that can be chosen.
#[derive(Debug, Clone)]
pub(crate) struct ManagerOptions {
    pub(crate) url: String,
    pub(crate) config: Config,
    pub(crate) path: String,
    pub(crate) trailing_slash: bool,
    pub(crate) timestamp_param: Option<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) cookies: bool,
    pub(crate) tls: Tls,
    pub(crate) proxy: Option<String>,
}

impl ManagerOptions {
    pub(crate) fn new(url: &str) -> Self {
        let mut config = Config::default();
        config.seed = seed();
        Self {
            url: url.to_owned(),
            config,
            path: "/socket.io/".into(),
            trailing_slash: true,
            timestamp_param: Some("t".into()),
            query: Vec::new(),
            headers: Vec::new(),
            cookies: true,
            tls: Tls::default(),
            proxy: None,
        }
    }

    /// The manager, not connected, and the namespace that the URL names.
    pub(crate) fn build(self) -> Result<(Manager, String), BuildError> {
        let target = Target::parse(&self.url)?;
        if self.config.transports.is_empty() {
            return Err(BuildError::NoTransport);
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let invalid = || BuildError::Header { name: name.clone() };
            let parsed = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
            headers.append(
                parsed,
                HeaderValue::try_from(value.as_str()).map_err(|_| invalid())?,
            );
        }
        let own = self
            .query
            .iter()
            .map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let query: Vec<String> = target
            .query
            .clone()
            .into_iter()
            .filter(|query| !query.is_empty())
            .chain(own)
            .collect();
        let tls = if target.secure {
            Some(TlsConnector::new(&self.tls)?)
        } else {
            None
        };
        let namespace = target.namespace.clone();
        let path = format!("/{}", self.path.trim_matches('/'));
        let connector = Connector {
            path: if path == "/" || !self.trailing_slash {
                path
            } else {
                path + "/"
            },
            timestamp_param: self.timestamp_param.map(|name| encode(&name)),
            query: query.join("&"),
            headers,
            cookies: self.cookies.then(|| Mutex::new(CookieJar::default())),
            tls,
            proxy: self
                .proxy
                .as_deref()
                .map(Proxy::parse)
                .transpose()
                .map_err(BuildError::Proxy)?,
            max_message: self.config.limits.max_payload,
            requests: AtomicU64::new(self.config.seed & 0xffff_ffff),
            target,
        };
        let parser = self.config.parser;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let core = Core::start(
            protocol::Manager::new(self.config),
            parser,
            connector,
            runtime,
        );
        Ok((Manager::new(core), namespace))
    }
}

/// Something that differs from client to client.
fn seed() -> u64 {
    let mut bytes = [0; 8];
    if getrandom::fill(&mut bytes).is_ok() {
        return u64::from_ne_bytes(bytes);
    }
    use std::hash::{BuildHasher, Hasher};
    HashMap::<(), ()>::new().hasher().build_hasher().finish()
}

macro_rules! manager_options {
    () => {
        /// The transports, in the order in which they are tried. Default: WebSocket, then polling as fallback.
        ///
        /// With polling first, the connection starts at once wherever HTTP works and is upgraded to WebSocket later,
        /// as the JavaScript client does by default.
        pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
            self.manager.config.transports = transports.into_iter().collect();
            self
        }

        /// Whether a connection that started with polling is upgraded to WebSocket. Default: true.
        pub fn upgrade(mut self, upgrade: bool) -> Self {
            self.manager.config.upgrade = upgrade;
            self
        }

        /// Whether to begin with WebSocket where the connection before had come to it, although polling comes first.
        /// Default: false.
        pub fn remember_upgrade(mut self, remember: bool) -> Self {
            self.manager.config.remember_upgrade = remember;
            self
        }

        /// Whether the next transport is tried when the first one cannot open. Default: true.
        pub fn try_all_transports(mut self, all: bool) -> Self {
            self.manager.config.try_all_transports = all;
            self
        }

        /// The path of the server's endpoint. Default: `/socket.io/`.
        pub fn path(mut self, path: impl Into<String>) -> Self {
            self.manager.path = path.into();
            self
        }

        /// Whether the path ends with a slash; off for servers with `addTrailingSlash: false`. Default: true.
        pub fn add_trailing_slash(mut self, slash: bool) -> Self {
            self.manager.trailing_slash = slash;
            self
        }

        /// The name of the query parameter that keeps caches from answering polling requests. Default: `t`.
        pub fn timestamp_param(mut self, name: impl Into<String>) -> Self {
            self.manager.timestamp_param = Some(name.into());
            self
        }

        /// Whether polling requests have such a parameter. Default: true.
        pub fn timestamp_requests(mut self, timestamps: bool) -> Self {
            self.manager.timestamp_param = timestamps.then(|| "t".into());
            self
        }

        /// Adds a parameter to the query of every request.
        pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.manager.query.push((name.into(), value.into()));
            self
        }

        /// Adds a header to every request, the WebSocket's too.
        pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.manager.headers.push((name.into(), value.into()));
            self
        }

        /// Whether cookies set by the server are sent back; sticky sessions behind a load balancer need it. Default: true.
        pub fn cookies(mut self, keep: bool) -> Self {
            self.manager.cookies = keep;
            self
        }

        /// How `https:` and `wss:` servers are trusted.
        pub fn tls(mut self, tls: Tls) -> Self {
            self.manager.tls = tls;
            self
        }

        /// Connects through an HTTP proxy by `CONNECT`: `http://[user:password@]host:port`.
        pub fn proxy(mut self, url: impl Into<String>) -> Self {
            self.manager.proxy = Some(url.into());
            self
        }

        /// How long opening a connection may take, over all transports. Default: 20 s.
        pub fn connect_timeout(mut self, timeout: Duration) -> Self {
            self.manager.config.timeout = timeout;
            self
        }

        /// Whether to reconnect. Default: true.
        pub fn reconnection(mut self, reconnection: bool) -> Self {
            self.manager.config.reconnection = reconnection;
            self
        }

        /// Reconnection attempts before giving up. Default: for ever.
        pub fn reconnection_attempts(mut self, attempts: u32) -> Self {
            self.manager.config.reconnection_attempts = Some(attempts);
            self
        }

        /// First and longest reconnection delay. Default: 1 s, 5 s. Each delay is drawn evenly from zero to the current
        /// ceiling, which doubles from the first to the longest.
        pub fn reconnection_delay(mut self, first: Duration, max: Duration) -> Self {
            self.manager.config.reconnection_delay = first;
            self.manager.config.reconnection_delay_max = max;
            self
        }

        /// How much of the delay is random, from 0 (none) to 1 (all, the default).
        pub fn randomization_factor(mut self, factor: f64) -> Self {
            self.manager.config.randomization_factor = factor;
            self
        }

        /// Bytes that may wait for the network while connected, beyond which `emit` says
        /// [`Full`](crate::EmitError::Full). Default: 16 MiB.
        pub fn write_buffer(mut self, bytes: usize) -> Self {
            self.manager.config.write_buffer = bytes;
            self
        }

        /// Longest message accepted from the server, in bytes. Default: 64 MiB.
        pub fn max_message(mut self, bytes: usize) -> Self {
            self.manager.config.limits.max_payload = bytes;
            self.manager.config.limits.max_attachment_bytes = bytes;
            self
        }

        /// How packets are written; the server must use the same parser. Default: JSON.
        pub fn parser(mut self, parser: Parser) -> Self {
            self.manager.config.parser = parser;
            self
        }

        /// Reports every incoming packet as [`ManagerEvent::Packet`](crate::ManagerEvent::Packet). Default: false.
        pub fn report_packets(mut self, report: bool) -> Self {
            self.manager.config.report_packets = report;
            self
        }
    };
}
pub(super) use manager_options;

/// Collects the options of a [`Manager`].
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `build`"]
pub struct ManagerBuilder {
    pub(crate) manager: ManagerOptions,
}

impl ManagerBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            manager: ManagerOptions::new(url),
        }
    }

    manager_options!();

    /// The manager. It connects when one of its sockets does. The URL's path is of no meaning here.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an option makes no sense.
    pub fn build(self) -> Result<Manager, BuildError> {
        self.manager.build().map(|(manager, _)| manager)
    }
}
