//! The options of requests, answers and connections.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use fanfare_engine::{
    ConnectionError, Cookie, Cors, Handshake, HttpCompression, PerMessageDeflate, Prepared,
    Transports,
};
use http::HeaderMap;

use super::SocketIoBuilder;
use crate::conn::{Conn, ConnEvent};
use crate::error::BuildError;

impl SocketIoBuilder {
    /// Whether the path ends with a slash (`addTrailingSlash`). Without, `/socket.io?EIO=4…` is answered as well, for
    /// clients with the same option. Default: yes.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().add_trailing_slash(false).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.config.add_trailing_slash = add;
        self
    }

    /// The transports that clients may use. Default: long-polling and WebSocket.
    ///
    /// ```
    /// use fanfare::{SocketIo, Transports};
    ///
    /// let io = SocketIo::builder().transports(Transports { polling: false, websocket: true }).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn transports(mut self, transports: Transports) -> Self {
        self.config.transports = transports;
        self
    }

    /// Whether clients may move from long-polling to WebSocket (`allowUpgrades`). Default: yes.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().allow_upgrades(false).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.config.allow_upgrades = allow;
        self
    }

    /// How long a move from long-polling to WebSocket may take. Default: 10 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().upgrade_timeout(std::time::Duration::from_secs(5)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.limits.upgrade_timeout = timeout;
        self
    }

    /// Decides on each new connection before it is made (`allowRequest`). An error refuses it: its text takes the place
    /// of `Forbidden` in the answer, unless it is empty. The status is 403, for WebSocket 400 as in Node.
    ///
    /// ```
    /// use fanfare::{HandshakeRequest, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .allow_request(async |request: HandshakeRequest| match request.header_str("origin") {
    ///         Some("https://example.org") => Ok(()),
    ///         _ => Err("this origin is not let in"),
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn allow_request<F, Fut, E>(mut self, decide: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<String>,
    {
        self.hooks.set_allow_request(decide);
        self
    }

    /// Makes the ids of sessions (`engine.generateId`), say with the name of the server in them for a load balancer.
    /// Default: 20 random characters.
    ///
    /// An id is a secret: whoever knows it can take the place of its client. It is 1 to 128 letters, digits, `-`, `_`,
    /// `.` and `~`. If it is not, or an open session has it, or there is an error, the connection is refused
    /// (`ID_GENERATION_ERROR`, see [`on_connection_error`](Self::on_connection_error)).
    ///
    /// ```
    /// use fanfare::{HandshakeRequest, SocketIo};
    ///
    /// # fn random() -> Result<String, std::io::Error> { Ok("x".repeat(20)) }
    /// let io = SocketIo::builder()
    ///     .generate_id(async |_: HandshakeRequest| random().map(|random| format!("node-7.{random}")))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn generate_id<F, Fut, E>(mut self, generate: F) -> Self
    where
        F: Fn(Handshake) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: fmt::Display,
    {
        self.hooks.set_generate_id(generate);
        self
    }

    /// What pages of other origins may do by long-polling, and with the files of
    /// [`serve_client`](Self::serve_client). Default: nothing. Browsers do not ask before they use WebSocket: use
    /// [`allow_request`](Self::allow_request) there.
    ///
    /// ```
    /// use fanfare::{Cors, CorsOrigin, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .cors(Cors {
    ///         origin: CorsOrigin::List(vec!["https://example.org".into()]),
    ///         credentials: true,
    ///         ..Cors::default()
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn cors(mut self, cors: Cors) -> Self {
        self.config.cors = Some(cors);
        self
    }

    /// Sets a cookie with the id of the session, for load balancers. Default: none.
    ///
    /// ```
    /// use fanfare::{Cookie, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .cookie(Cookie { name: "node".into(), secure: true, ..Cookie::default() })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.config.cookie = Some(cookie);
        self
    }

    /// Changes the headers of the first answer of each session, `101 Switching Protocols` included
    /// (`engine.on("initial_headers")`).
    ///
    /// ```
    /// use fanfare::SocketIo;
    /// use http::HeaderValue;
    ///
    /// let io = SocketIo::builder()
    ///     .initial_headers(|headers, _request| {
    ///         headers.insert("x-served-by", HeaderValue::from_static("node-7"));
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn initial_headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Handshake) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_initial_headers(hook);
        self
    }

    /// Changes the headers of every answer of a session, `101 Switching Protocols` included, but not of refusals
    /// (`engine.on("headers")`). The request is the first of the session. Called after
    /// [`initial_headers`](Self::initial_headers).
    ///
    /// ```
    /// use fanfare::SocketIo;
    /// use http::HeaderValue;
    ///
    /// let io = SocketIo::builder()
    ///     .headers(|headers, request| {
    ///         if request.secure() {
    ///             let value = HeaderValue::from_static("max-age=31536000");
    ///             headers.insert("strict-transport-security", value);
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &Handshake) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_headers(hook);
        self
    }

    /// Learns of each request that is refused (`engine.on("connection_error")`): its code, the message that the client
    /// got, a context with Node's names as `TRANSPORT_MISMATCH`, and the request.
    ///
    /// ```
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder()
    ///     .on_connection_error(|error| {
    ///         eprintln!("{} {} {}: {:?}", error.code.code(), error.message, error.context, error.request.address());
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn on_connection_error(
        mut self,
        hook: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_connection_error(hook);
        self
    }

    /// Learns what happens to the connections below the sockets (the events of Node's `socket.conn`). The function is
    /// called where it happens and must not block. Without one, nothing is lost on this.
    ///
    /// What is sent can be seen with [`on_any_outgoing`](crate::Socket::on_any_outgoing); instead of waiting for
    /// `drain`, await [`Socket::ready`](crate::Socket::ready).
    ///
    /// ```
    /// use fanfare::{ConnEvent, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .on_conn_event(|conn, event| {
    ///         if let ConnEvent::Close { reason, description } = event {
    ///             println!("{:?} is gone: {reason} {}", conn.request().address(), description.unwrap_or(""));
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn on_conn_event(
        mut self,
        hook: impl Fn(&Conn, ConnEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_conn_event(hook);
        self
    }

    /// A message that every connection begins with, right behind its `open` packet (`initialPacket`). Its text is not
    /// looked at: clients of Socket.IO take it for a packet. Default: none.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().initial_packet("2[\"motd\",\"welcome\"]").build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn initial_packet(mut self, text: &str) -> Self {
        self.config.initial_packet = Some(Prepared::text(text));
        self
    }

    /// Compression of long-polling answers (`httpCompression`), by `gzip`, `deflate` and, with the feature `brotli`,
    /// `br`; `None`: none. Default: on, for answers from 1024 bytes on.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().http_compression(None).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn http_compression(mut self, compression: impl Into<Option<HttpCompression>>) -> Self {
        self.config.http_compression = compression.into();
        self
    }

    /// Compression of WebSocket messages (`perMessageDeflate`, RFC 7692) for clients that offer it. Default: off, as in
    /// Node: it costs time, and with context takeover some 380 KB per connection (see [`PerMessageDeflate`]; its
    /// default takes nothing over).
    ///
    /// A broadcast is compressed once for all connections without takeover that agreed on the same window. What is not
    /// worth it, as pictures, is sent with [`compress(false)`](crate::BroadcastOperator::compress).
    ///
    /// ```
    /// use fanfare::{PerMessageDeflate, SocketIo};
    ///
    /// let io = SocketIo::builder()
    ///     .per_message_deflate(PerMessageDeflate { threshold: 2048, ..PerMessageDeflate::default() })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn per_message_deflate(mut self, deflate: PerMessageDeflate) -> Self {
        self.config.per_message_deflate = Some(deflate);
        self
    }
}

/// Finds options that cannot be written into an answer.
pub(super) fn check(config: &fanfare_engine::Config) -> Result<(), BuildError> {
    if let Some(cookie) = &config.cookie
        && cookie.header("sid").is_none()
    {
        return Err(BuildError::InvalidOption {
            option: "cookie",
            value: format!("{cookie:?}"),
        });
    }
    if let Some(unsound) = config.cors.as_ref().and_then(Cors::unsound) {
        return Err(BuildError::InvalidOption {
            option: "cors",
            value: unsound.to_owned(),
        });
    }
    if let Some(deflate) = &config.per_message_deflate {
        let bits = [
            deflate.server_max_window_bits,
            deflate.client_max_window_bits,
        ];
        if let Some(bits) = bits.into_iter().find(|bits| !(9..=15).contains(bits)) {
            return Err(BuildError::InvalidOption {
                option: "per_message_deflate",
                value: format!("a window of {bits} bits (9 to 15 are possible)"),
            });
        }
    }
    Ok(())
}
