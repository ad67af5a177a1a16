//! Options of requests, responses and connections.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::hooks::ConnectionError;
use fanfare_engine::http::{Cookie, Cors, CorsOrigin, HttpCompression};
use fanfare_engine::proxy::Peer;
use fanfare_engine::{EncodedMessage, HandshakeRequest, PerMessageDeflate, Transports};
use http::{Extensions, HeaderMap};

use super::SocketIoBuilder;
use crate::engine::relay::SessionRelay;
use crate::engine::{EngineConnection, EngineConnectionEvent};

impl SocketIoBuilder {
    /// Sets whether the path ends with a slash (`addTrailingSlash`). Without, `/socket.io?EIO=4…` is answered as well,
    /// for clients with the same option. Default: yes.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().add_trailing_slash(false).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn add_trailing_slash(mut self, add: bool) -> Self {
        self.config.add_trailing_slash = add;
        self
    }

    /// Sets the transports that clients may use. Default: long-polling and WebSocket.
    ///
    /// ```
    /// use fanfare::engine::Transport;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder().transports([Transport::WebSocket]).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn transports(mut self, transports: impl Into<Transports>) -> Self {
        self.config.transports = transports.into();
        self
    }

    /// Sets whether clients may upgrade from long-polling to WebSocket (`allowUpgrades`). Default: yes.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().allow_upgrades(false).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn allow_upgrades(mut self, allow: bool) -> Self {
        self.config.allow_upgrades = allow;
        self
    }

    /// Sets the maximum duration of an upgrade from long-polling to WebSocket. Default: 10 s.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().upgrade_timeout(std::time::Duration::from_secs(5)).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn upgrade_timeout(mut self, timeout: Duration) -> Self {
        self.config.limits.upgrade_timeout = timeout;
        self
    }

    /// Sets the function that decides on each new connection before it is made (`allowRequest`). An error rejects it:
    /// its text replaces `Forbidden` in the response, unless it is empty. The status is 403, for WebSocket 400 as in
    /// Node.
    ///
    /// ```
    /// use fanfare::engine::HandshakeRequest;
    /// use fanfare::SocketIo;
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
        F: Fn(HandshakeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<String>,
    {
        self.hooks.set_allow_request(decide);
        self
    }

    /// Sets the function that generates the ids of sessions (`engine.generateId`), for example with the name of the
    /// server in them for a load balancer. Default: 20 random characters.
    ///
    /// An id is a secret: a peer that knows it can hijack the session. It is 1 to 128 letters, digits, `-`, `_`, `.`
    /// and `~`. If it is invalid, an open session has it, or the function returns an error, the connection is rejected
    /// (`ID_GENERATION_ERROR`, see [`on_connection_error`](Self::on_connection_error)).
    ///
    /// ```
    /// use fanfare::engine::HandshakeRequest;
    /// use fanfare::SocketIo;
    ///
    /// # fn random() -> Result<String, std::io::Error> { Ok("x".repeat(20)) }
    /// let io = SocketIo::builder()
    ///     .generate_id(async |_: HandshakeRequest| random().map(|random| format!("node-7.{random}")))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn generate_id<F, Fut, E>(mut self, generate: F) -> Self
    where
        F: Fn(HandshakeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: fmt::Display,
    {
        self.hooks.set_generate_id(generate);
        self
    }

    /// Sets the relay of requests whose session lives on another server: then a load balancer may send any request to
    /// any server. The crate `fanfare-relay` has one. The ids of sessions are its own, so it excludes
    /// [`generate_id`](Self::generate_id). Default: none; all requests of a session must come to one server.
    pub fn relay(mut self, relay: impl SessionRelay) -> Self {
        self.config.relay = Some(Arc::new(relay));
        self
    }

    /// Sets the permissions of pages of other origins for long-polling, and for the files of
    /// [`serve_client`](Self::serve_client). Default: none. Browsers do not apply CORS to WebSocket:
    /// [`origins`](Self::origins) covers both, or use [`allow_request`](Self::allow_request) there.
    ///
    /// ```
    /// use fanfare::http::{Cors, CorsOrigin};
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder()
    ///     .cors(Cors::new().origin(CorsOrigin::List(vec!["https://example.org".into()])).credentials(true))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn cors(mut self, cors: Cors) -> Self {
        self.config.cors = Some(cors);
        self
    }

    /// Sets the only origins whose pages are admitted, on any transport: one rule for the headers of
    /// [`cors`](Self::cors) and for the `Origin` of WebSockets, to which browsers do not apply CORS. Requests of pages
    /// of other origins are rejected with `Forbidden`. Requests without `Origin` are admitted: they do not come from a
    /// browser, or are same-origin. Default: as in Node, WebSockets are open to the pages of all origins, and
    /// long-polling to those of the server's origin.
    ///
    /// An origin is a scheme, a host and a port unless that is the scheme's default; if pages come from the same host
    /// as the server, list it as well. The other settings of `cors` are kept; its `origin` is replaced.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder()
    ///     .origins(["https://example.org", "https://app.example.org:8443"])
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.config.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the function that returns the peer of a request, if the server does not provide it as
    /// [`RemoteAddr`](crate::proxy::RemoteAddr). Limits per address and trusted proxies need it. Default: none;
    /// [`serve`](crate::serve()) and its variants need none.
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use axum::extract::ConnectInfo;
    /// use fanfare::limits::ConnectionLimits;
    /// use fanfare::proxy::Peer;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder()
    ///     .admission(ConnectionLimits::new().connections_per_address(50))
    ///     .peer(|extensions| {
    ///         let info = extensions.get::<ConnectInfo<SocketAddr>>()?;
    ///         Some(Peer::Address(info.0))
    ///     })
    ///     .build()?;
    /// let app = axum::Router::<()>::new().layer(io.layer());
    /// let app = app.into_make_service_with_connect_info::<SocketAddr>();
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn peer(
        mut self,
        find: impl Fn(&Extensions) -> Option<Peer> + Send + Sync + 'static,
    ) -> Self {
        self.peer_of = Some(Box::new(find));
        self
    }

    /// Sets a cookie with the id of the session, for load balancers. Default: none.
    ///
    /// ```
    /// use fanfare::http::Cookie;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder()
    ///     .cookie(Cookie::new("node").secure(true))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn cookie(mut self, cookie: Cookie) -> Self {
        self.config.cookie = Some(cookie);
        self
    }

    /// Adds a function that changes the headers of the first response of each session, `101 Switching Protocols`
    /// included (`engine.on("initial_headers")`).
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
        hook: impl Fn(&mut HeaderMap, &HandshakeRequest) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_initial_headers(hook);
        self
    }

    /// Adds a function that changes the headers of every response of a session, `101 Switching Protocols` included, but
    /// not of rejections (`engine.on("headers")`). The request is the first of the session. Called after
    /// [`initial_headers`](Self::initial_headers).
    ///
    /// ```
    /// use fanfare::SocketIo;
    /// use http::HeaderValue;
    ///
    /// let io = SocketIo::builder()
    ///     .headers(|headers, request| {
    ///         if request.is_secure() {
    ///             let value = HeaderValue::from_static("max-age=31536000");
    ///             headers.insert("strict-transport-security", value);
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn headers(
        mut self,
        hook: impl Fn(&mut HeaderMap, &HandshakeRequest) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_headers(hook);
        self
    }

    /// Adds a listener for rejected requests (`engine.on("connection_error")`): it gets the code, the message that the
    /// client got, a context with Node's names such as `TRANSPORT_MISMATCH`, and the request.
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

    /// Adds a listener for the events of the connections below the sockets (the events of Node's `socket.conn`). The
    /// function is called synchronously and must not block. Without one, this costs nothing.
    ///
    /// Outgoing events are available through [`on_any_outgoing`](crate::Socket::on_any_outgoing); in place of Node's
    /// `drain` event, await [`Socket::ready`](crate::Socket::ready).
    ///
    /// ```
    /// use fanfare::engine::EngineConnectionEvent;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder()
    ///     .on_conn_event(|conn, event| {
    ///         if let EngineConnectionEvent::Close { reason, description } = event {
    ///             println!("{:?} is gone: {reason} {}", conn.request().address(), description.unwrap_or(""));
    ///         }
    ///     })
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn on_conn_event(
        mut self,
        hook: impl Fn(&EngineConnection, EngineConnectionEvent<'_>) + Send + Sync + 'static,
    ) -> Self {
        self.hooks.set_conn_event(hook);
        self
    }

    /// Sets a message that every connection begins with, right after its `open` packet (`initialPacket`). Its text is
    /// sent unchecked: clients of Socket.IO parse it as a packet. Default: none.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().initial_packet("2[\"motd\",\"welcome\"]").build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn initial_packet(mut self, text: &str) -> Self {
        self.config.initial_packet = Some(EncodedMessage::text(text));
        self
    }

    /// Sets the compression of long-polling responses (`httpCompression`), by `gzip`, `deflate` and, with the feature
    /// `brotli`, `br`; `None`: none. Default: on, for responses from 1024 bytes on.
    ///
    /// ```
    /// let io = fanfare::SocketIo::builder().http_compression(None).build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn http_compression(mut self, compression: impl Into<Option<HttpCompression>>) -> Self {
        self.config.http_compression = compression.into();
        self
    }

    /// Enables the compression of WebSocket messages (`perMessageDeflate`, RFC 7692) for clients that offer it.
    /// Default: off, as in Node: it costs time, and with context takeover some 380 KB per connection (see
    /// [`PerMessageDeflate`]; its default is without context takeover).
    ///
    /// A broadcast is compressed once for all connections without takeover that negotiated the same window. Data that
    /// does not compress well, such as pictures, can be sent with
    /// [`compress(false)`](crate::BroadcastOperator::compress).
    ///
    /// ```
    /// use fanfare::engine::PerMessageDeflate;
    /// use fanfare::SocketIo;
    ///
    /// let io = SocketIo::builder()
    ///     .per_message_deflate(PerMessageDeflate::new().threshold(2048))
    ///     .build()?;
    /// # Ok::<(), fanfare::BuildError>(())
    /// ```
    pub fn per_message_deflate(mut self, deflate: PerMessageDeflate) -> Self {
        self.config.per_message_deflate = Some(deflate);
        self
    }
}

/// Allows the configured origins for long-polling as well as for WebSocket.
pub(super) fn merge_origins(config: &mut fanfare_engine::EngineConfig) {
    if let Some(origins) = &config.origins {
        let cors = config.cors.take().unwrap_or_default();
        config.cors = Some(cors.origin(CorsOrigin::List(origins.clone())));
    }
}

/// Whether the text is an origin as browsers send it: `null`, or scheme, host and perhaps a port, in lower case.
pub(super) fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else {
        return text == "null";
    };
    let uri = authority.parse::<http::uri::Authority>();
    let plain = uri.is_ok_and(|uri| uri.as_str().len() == authority.len());
    let default = match scheme {
        "http" => authority.ends_with(":80"),
        "https" => authority.ends_with(":443"),
        _ => false,
    };
    plain
        && !default
        && !scheme.is_empty()
        && !text.contains('@')
        && !text.bytes().any(|byte| byte.is_ascii_uppercase())
}
