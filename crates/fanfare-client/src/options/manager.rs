//! Options of the connection.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;

use super::transport::{
    RequestOptions, TransportOptions, check_deflate, check_protocols, transport_options,
};
use crate::core::Core;
use crate::error::BuildError;
use crate::io::connector::{Connector, PerMessageDeflate};
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
    pub(crate) requests: RequestOptions,
    pub(crate) timestamp_param: String,
    pub(crate) timestamp_requests: Option<bool>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) deflate: Option<PerMessageDeflate>,
    pub(crate) protocols: Vec<String>,
    pub(crate) cookies: bool,
    pub(crate) tls: Tls,
    pub(crate) proxy: Option<String>,
    pub(crate) proxy_tls: Option<Tls>,
}

impl ManagerOptions {
    pub(crate) fn new(url: &str) -> Self {
        let mut config = Config::default();
        config.seed = seed();
        Self {
            url: url.to_owned(),
            config,
            requests: RequestOptions::new(),
            timestamp_param: "t".into(),
            timestamp_requests: None,
            request_timeout: None,
            deflate: None,
            protocols: Vec::new(),
            cookies: true,
            tls: Tls::default(),
            proxy: None,
            proxy_tls: None,
        }
    }

    /// The manager, not connected, and the namespace that the URL names.
    pub(crate) fn build(self) -> Result<(Manager, String), BuildError> {
        let target = Target::parse(&self.url)?;
        if self.config.transports.is_empty() {
            return Err(BuildError::NoTransport);
        }
        check_deflate(self.deflate.as_ref())?;
        check_protocols(&self.protocols)?;
        let tls = if target.secure {
            Some(TlsConnector::new(&self.tls)?)
        } else {
            None
        };
        let namespace = target.namespace.clone();
        let proxy_tls = self.proxy_tls.unwrap_or_else(|| self.tls.for_proxy());
        let requests = |transport| self.requests.requests(transport, target.query.as_deref());
        let connector = Connector {
            polling: requests(Transport::Polling)?,
            websocket: requests(Transport::WebSocket)?,
            timestamp_param: encode(&self.timestamp_param),
            timestamp_requests: self.timestamp_requests,
            force_base64: self.config.force_base64,
            request_timeout: self.request_timeout,
            deflate: self.deflate,
            protocols: self.protocols,
            cookies: self.cookies.then(|| Mutex::new(CookieJar::default())),
            tls,
            proxy: self
                .proxy
                .as_deref()
                .map(|url| Proxy::new(url, &proxy_tls))
                .transpose()?,
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
        /// Whether cookies set by the server are sent back; sticky sessions behind a load balancer need it. Default: true.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").cookies(false);
        /// ```
        pub fn cookies(mut self, keep: bool) -> Self {
            self.manager.cookies = keep;
            self
        }

        /// How `https:` and `wss:` servers are trusted.
        ///
        /// ```
        /// use fanfare_client::{Tls, connect};
        ///
        /// let client = connect("https://localhost:3000").tls(Tls::new().server_name("example.com"));
        /// ```
        pub fn tls(mut self, tls: Tls) -> Self {
            self.manager.tls = tls;
            self
        }

        /// Connects through an HTTP proxy by `CONNECT`: `http://[user:password@]host:port`, or `https://…` where the proxy
        /// itself is spoken to over TLS. What goes through it to an `https:` or `wss:` server is encrypted in any case.
        ///
        /// ```
        /// let client = fanfare_client::connect("https://example.com").proxy("http://me:secret@proxy.local:3128");
        /// ```
        pub fn proxy(mut self, url: impl Into<String>) -> Self {
            self.manager.proxy = Some(url.into());
            self
        }

        /// How an `https:` proxy is trusted. Default: by the roots of [`tls`](Self::tls), without its client certificate
        /// and server name, which are meant for the server.
        ///
        /// ```
        /// use fanfare_client::{Tls, connect};
        ///
        /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
        /// # let file = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        /// let client = connect("https://example.com")
        ///     .proxy("https://proxy.local:3129")
        ///     .proxy_tls(Tls::new().root_certificate(std::fs::read(file)?));
        /// # Ok(())
        /// # }
        /// ```
        pub fn proxy_tls(mut self, tls: Tls) -> Self {
            self.manager.proxy_tls = Some(tls);
            self
        }

        /// How long opening a connection may take, over all transports. Default: 20 s.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let client = fanfare_client::connect("http://localhost:3000")
        ///     .connect_timeout(Duration::from_secs(5));
        /// ```
        pub fn connect_timeout(mut self, timeout: Duration) -> Self {
            self.manager.config.timeout = timeout;
            self
        }

        /// Whether to reconnect. Default: true.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").reconnection(false);
        /// ```
        pub fn reconnection(mut self, reconnection: bool) -> Self {
            self.manager.config.reconnection = reconnection;
            self
        }

        /// Reconnection attempts before giving up. Default: for ever.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").reconnection_attempts(10);
        /// ```
        pub fn reconnection_attempts(mut self, attempts: u32) -> Self {
            self.manager.config.reconnection_attempts = Some(attempts);
            self
        }

        /// First and longest reconnection delay. Default: 1 s, 5 s. Each delay is drawn evenly from zero to the current
        /// ceiling, which doubles from the first to the longest.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let client = fanfare_client::connect("http://localhost:3000")
        ///     .reconnection_delay(Duration::from_millis(100), Duration::from_secs(30));
        /// ```
        pub fn reconnection_delay(mut self, first: Duration, max: Duration) -> Self {
            self.manager.config.reconnection_delay = first;
            self.manager.config.reconnection_delay_max = max;
            self
        }

        /// How much of the delay is random, from 0 (none) to 1 (all, the default).
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").randomization_factor(0.5);
        /// ```
        pub fn randomization_factor(mut self, factor: f64) -> Self {
            self.manager.config.randomization_factor = factor;
            self
        }

        /// Bytes that may wait for the network while connected, beyond which `emit` says
        /// [`Full`](crate::EmitError::Full). Default: 16 MiB.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").write_buffer(1 << 20);
        /// ```
        pub fn write_buffer(mut self, bytes: usize) -> Self {
            self.manager.config.write_buffer = bytes;
            self
        }

        /// Longest message accepted from the server, in bytes. Default: 64 MiB.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").max_message(1 << 20);
        /// ```
        pub fn max_message(mut self, bytes: usize) -> Self {
            self.manager.config.limits.max_payload = bytes;
            self.manager.config.limits.max_attachment_bytes = bytes;
            self
        }

        /// How packets are written; the server must use the same parser. Default: JSON.
        ///
        /// ```
        /// use fanfare_client::{Parser, connect};
        ///
        /// let client = connect("http://localhost:3000").parser(Parser::Msgpack);
        /// ```
        pub fn parser(mut self, parser: Parser) -> Self {
            self.manager.config.parser = parser;
            self
        }

        /// Reports every incoming packet as [`ManagerEvent::Packet`](crate::ManagerEvent::Packet). Default: false.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").report_packets(true);
        /// ```
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

    transport_options!();
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
