//! Options of the connection.

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use fanfare_protocol::engine::Protocol;
use parking_lot::Mutex;

use super::transport::{
    RequestOptions, TransportOptions, check_deflate, check_protocols, transport_options,
};
use crate::Transport;
use crate::core::Core;
use crate::error::BuildError;
use crate::io::StreamSource;
use crate::io::connector::{Connector, PerMessageDeflate};
use crate::io::cookies::CookieJar;
use crate::io::dialer::Dialer;
use crate::io::proxy::Proxy;
use crate::io::tls::Tls;
use crate::io::url::{Address, encode};
use crate::manager::Manager;
use crate::protocol::{self, Config, Parser};

/// Options of a connection.
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
    pub(crate) streams: Option<StreamSource>,
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
            streams: None,
        }
    }

    /// Builds the manager without connecting, and returns the namespace of the URL.
    pub(crate) fn build(self) -> Result<(Manager, String), BuildError> {
        let address = Address::parse(&self.url)?;
        if self.config.transports.is_empty() {
            return Err(BuildError::NoTransport);
        }
        check_deflate(self.deflate.as_ref())?;
        check_protocols(&self.protocols)?;
        if self.streams.is_some() && self.proxy.is_some() {
            return Err(BuildError::InvalidOption {
                option: "connector",
                value: "its streams lead to the server, so that `proxy` has no effect".into(),
            });
        }
        let mut dialer = Dialer::new(&address, &self.tls)?;
        let namespace = address.namespace.clone();
        let proxy_tls = self.proxy_tls.unwrap_or_else(|| self.tls.for_proxy());
        let requests = |transport| self.requests.requests(transport, address.query.as_deref());
        dialer.streams = self.streams;
        if let Some(url) = &self.proxy {
            dialer.proxy = Some(Proxy::new(url, &proxy_tls)?);
        }
        let connector = Connector {
            protocol: self.config.protocol,
            polling: requests(Transport::Polling)?,
            websocket: requests(Transport::WebSocket)?,
            timestamp_param: encode(&self.timestamp_param),
            timestamp_requests: self.timestamp_requests,
            force_base64: self.config.force_base64,
            request_timeout: self.request_timeout,
            deflate: self.deflate,
            protocols: self.protocols,
            cookies: self.cookies.then(|| Mutex::new(CookieJar::default())),
            dialer,
            max_message: self.config.limits.max_payload,
            requests: AtomicU64::new(self.config.seed & 0xffff_ffff),
            address,
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

/// Returns a seed that differs from client to client.
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
        /// Sets whether to send back cookies set by the server; sticky sessions behind a load balancer need it.
        /// Default: true.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").cookies(false);
        /// ```
        pub fn cookies(mut self, keep: bool) -> Self {
            self.manager.cookies = keep;
            self
        }

        /// Sets the trust in `https:` and `wss:` servers.
        ///
        /// ```
        /// use fanfare_client::options::Tls;
        /// use fanfare_client::connect;
        ///
        /// let client = connect("https://localhost:3000").tls(Tls::new().server_name("example.com"));
        /// ```
        pub fn tls(mut self, tls: Tls) -> Self {
            self.manager.tls = tls;
            self
        }

        /// Connects through an HTTP proxy by `CONNECT`: `http://[user:password@]host:port`, or `https://…` for TLS to
        /// the proxy itself. The data for an `https:` or `wss:` server are encrypted in either case.
        ///
        /// ```
        /// let client = fanfare_client::connect("https://example.com").proxy("http://me:secret@proxy.local:3128");
        /// ```
        pub fn proxy(mut self, url: impl Into<String>) -> Self {
            self.manager.proxy = Some(url.into());
            self
        }

        /// Sets the trust in an `https:` proxy. Default: the roots of [`tls`](Self::tls), without its client
        /// certificate and server name, which are for the server.
        ///
        /// ```
        /// use fanfare_client::options::Tls;
        /// use fanfare_client::connect;
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

        /// Sets the function that opens a byte stream to the server, in place of TCP: for Unix sockets, tunnels, and
        /// servers in the same process. Default: TCP to the host and port of the URL.
        ///
        /// It is called for every connection: one for a WebSocket, up to two for polling, and new ones when the client
        /// reconnects. An error counts as a server that cannot be reached. TLS runs inside the stream if the URL is
        /// `https:` or `wss:`; the URL also names the host in requests. Only one of this option and
        /// [`proxy`](Self::proxy) can be set.
        ///
        /// ```
        /// # #[cfg(unix)]
        /// let client = fanfare_client::connect("http://localhost")
        ///     .connector(|| tokio::net::UnixStream::connect("/run/chat.sock"));
        /// ```
        pub fn connector<F, Fut, S>(mut self, connect: F) -> Self
        where
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: Future<Output = std::io::Result<S>> + Send + 'static,
            S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        {
            self.manager.streams = Some(crate::io::StreamSource::new(connect));
            self
        }

        /// Sets the timeout for opening a connection, over all transports. Default: 20 s.
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

        /// Sets whether to reconnect. Default: true.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").reconnection(false);
        /// ```
        pub fn reconnection(mut self, reconnection: bool) -> Self {
            self.manager.config.reconnection = reconnection;
            self
        }

        /// Sets the maximum number of reconnection attempts. Default: no limit. A connection that ends before a
        /// namespace was answered is a failed attempt, too.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").reconnection_attempts(10);
        /// ```
        pub fn reconnection_attempts(mut self, attempts: u32) -> Self {
            self.manager.config.reconnection_attempts = Some(attempts);
            self
        }

        /// Sets the first and the maximum reconnection delay. Default: 1 s, 5 s. Each delay is drawn uniformly from
        /// zero to the current ceiling, which doubles from the first to the maximum.
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

        /// Sets the random part of the delay, from 0 (none) to 1 (all, the default).
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").randomization_factor(0.5);
        /// ```
        pub fn randomization_factor(mut self, factor: f64) -> Self {
            self.manager.config.randomization_factor = factor;
            self
        }

        /// Sets the capacity of the write buffer while connected, in bytes, beyond which `emit` returns
        /// [`Full`](crate::EmitError::Full). Default: 16 MiB.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").write_buffer(1 << 20);
        /// ```
        pub fn write_buffer(mut self, bytes: usize) -> Self {
            self.manager.config.write_buffer = bytes;
            self
        }

        /// Sets the maximum length of a message from the server, in bytes, over every transport. Default: 64 MiB. (A
        /// polling response may hold several: twice that, at least 1 MiB.)
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").max_message(1 << 20);
        /// ```
        pub fn max_message(mut self, bytes: usize) -> Self {
            self.manager.config.limits.max_payload = bytes;
            self.manager.config.limits.max_attachment_bytes = bytes;
            self
        }

        /// Sets the encoding of packets; the server must use the same parser. Default: JSON.
        ///
        /// ```
        /// use fanfare_client::options::Parser;
        /// use fanfare_client::connect;
        ///
        /// let client = connect("http://localhost:3000").parser(Parser::Msgpack);
        /// ```
        pub fn parser(mut self, parser: Parser) -> Self {
            self.manager.config.parser = parser;
            self
        }

        /// Sets the revision of Engine.IO. Default: [`Protocol::V4`], for servers of Socket.IO 3 and 4.
        ///
        /// [`Protocol::V3`] is for servers of Socket.IO 1 and 2. They read `auth` from queries: for the main namespace
        /// from that of the first request, whose URL ends up in logs, and for another one from that of its CONNECT.
        /// The id of a socket is that of the Engine.IO session, a secret; there is no connection state recovery.
        ///
        /// ```
        /// use fanfare_client::connect;
        /// use fanfare_client::options::Protocol;
        ///
        /// let client = connect("http://localhost:3000").protocol(Protocol::V3);
        /// ```
        pub fn protocol(mut self, protocol: Protocol) -> Self {
            self.manager.config.protocol = protocol;
            self
        }

        /// Sets whether to report every incoming packet as [`ManagerEvent::Packet`](crate::event::ManagerEvent::Packet).
        /// Default: false.
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

impl Manager {
    /// Returns a builder of a connection to `url`.
    pub fn builder(url: impl AsRef<str>) -> ManagerBuilder {
        ManagerBuilder::new(url.as_ref())
    }
}

/// Builder of a [`Manager`].
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

    /// Builds the manager. It connects when one of its sockets does. The URL's path is ignored here.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an option is invalid.
    pub fn build(self) -> Result<Manager, BuildError> {
        self.manager.build().map(|(manager, _)| manager)
    }
}
