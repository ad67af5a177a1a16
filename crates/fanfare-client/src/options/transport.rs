//! Options of the transports and of their requests.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::Transport;
use crate::error::BuildError;
use crate::io::connector::{PerMessageDeflate, Requests};
use crate::io::url::{decode, encode, encode_raw, shortened};

/// Options of the requests of one transport that override the common ones: see
/// [`ClientBuilder::transport_options`](crate::ClientBuilder::transport_options).
#[derive(Debug, Clone, Default)]
pub struct TransportOptions {
    pub(crate) path: Option<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
}

impl TransportOptions {
    /// Creates options that override nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the path of the server's endpoint for this transport, overriding
    /// [`ClientBuilder::path`](crate::ClientBuilder::path).
    #[must_use]
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Adds a parameter to the query, replacing those of the same name for all transports.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.query.push((name.into(), value.into()));
        self
    }

    /// Adds a header, replacing those of the same name for all transports.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// Common options of all transports, and separate ones of each.
#[derive(Debug, Clone)]
pub(crate) struct RequestOptions {
    pub(crate) path: String,
    pub(crate) trailing_slash: bool,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) polling: TransportOptions,
    pub(crate) websocket: TransportOptions,
}

impl RequestOptions {
    pub(crate) fn new() -> Self {
        Self {
            path: "/socket.io/".into(),
            trailing_slash: true,
            query: Vec::new(),
            headers: Vec::new(),
            polling: TransportOptions::new(),
            websocket: TransportOptions::new(),
        }
    }

    pub(crate) fn of_mut(&mut self, transport: Transport) -> &mut TransportOptions {
        match transport {
            Transport::WebSocket => &mut self.websocket,
            _ => &mut self.polling,
        }
    }

    /// Returns the common parts of the requests of a transport; `url_query` is that of the server's URL.
    pub(crate) fn requests(
        &self,
        transport: Transport,
        url_query: Option<&str>,
    ) -> Result<Requests, BuildError> {
        let own = match transport {
            Transport::WebSocket => &self.websocket,
            _ => &self.polling,
        };
        let path = own.path.as_ref().unwrap_or(&self.path);
        let path = endpoint(path, self.trailing_slash)?;
        let mut headers = header_map(&self.headers)?;
        let mine = header_map(&own.headers)?;
        for name in mine.keys() {
            headers.remove(name);
        }
        headers.extend(mine);
        Ok(Requests {
            path,
            query: self.query(own, url_query),
            headers,
        })
    }

    /// Builds the query without the application's `EIO`, `transport` or `sid`, which belong to the protocol.
    fn query(&self, own: &TransportOptions, url_query: Option<&str>) -> String {
        let name_of = |part: &str| decode(part.split('=').next().unwrap_or_default());
        let encoded = |pairs: &[(String, String)]| -> Vec<String> {
            let pair =
                |(name, value): &(String, String)| format!("{}={}", encode(name), encode(value));
            pairs.iter().map(pair).collect()
        };
        let url = url_query.unwrap_or_default().split('&');
        let mut parts: Vec<String> = url.map(str::to_owned).collect();
        parts.extend(encoded(&self.query));
        parts.retain(|part| !own.query.iter().any(|(name, _)| *name == name_of(part)));
        parts.extend(encoded(&own.query));
        parts.retain(|part| {
            !part.is_empty() && !matches!(name_of(part).as_str(), "EIO" | "transport" | "sid")
        });
        parts.join("&")
    }
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, BuildError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let invalid = || BuildError::Header { name: name.clone() };
        let parsed = HeaderName::try_from(name.as_str()).map_err(|_| invalid())?;
        map.append(
            parsed,
            HeaderValue::try_from(value.as_str()).map_err(|_| invalid())?,
        );
    }
    Ok(map)
}

/// Checks the path of requests: without a query, a fragment or another host.
pub(crate) fn endpoint(path: &str, trailing_slash: bool) -> Result<String, BuildError> {
    let wrong = |why: &str| BuildError::InvalidOption {
        option: "path",
        value: format!("{:?} {why}", shortened(path)),
    };
    if path.contains("://") {
        return Err(wrong("is a URL: only its path is wanted"));
    }
    if path.contains(['?', '#']) {
        return Err(wrong("has a `?` or `#`: parameters are added with `query`"));
    }
    if path.contains(|char: char| char.is_control()) {
        return Err(wrong("has control characters"));
    }
    let path = encode_raw(path.trim_matches('/'));
    Ok(match path.as_str() {
        "" => "/".to_owned(),
        _ if trailing_slash => format!("/{path}/"),
        _ => format!("/{path}"),
    })
}

/// Checks the name of a namespace as written in packets: after a slash, and up to a comma.
pub(crate) fn check_namespace(name: &str) -> Result<(), BuildError> {
    let wrong = |why: &str| BuildError::InvalidOption {
        option: "namespace",
        value: format!("{:?} {why}", shortened(name)),
    };
    if name.contains(',') {
        return Err(wrong("has a comma, which ends the name in a packet"));
    }
    match name.contains(|char: char| char.is_control()) {
        true => Err(wrong("has control characters, which divide packets")),
        false => Ok(()),
    }
}

/// Checks that zlib supports the windows, as on the server.
pub(crate) fn check_deflate(deflate: Option<&PerMessageDeflate>) -> Result<(), BuildError> {
    let windows = deflate
        .map(|deflate| {
            [
                deflate.server_max_window_bits,
                deflate.client_max_window_bits,
            ]
        })
        .unwrap_or([15, 15]);
    match windows.into_iter().find(|bits| !(9..=15).contains(bits)) {
        None => Ok(()),
        Some(bits) => Err(BuildError::InvalidOption {
            option: "per_message_deflate",
            value: format!("a window of {bits} bits (9 to 15 are possible)"),
        }),
    }
}

/// Checks that sub-protocols are tokens (RFC 6455, section 4.1), each offered once.
pub(crate) fn check_protocols(protocols: &[String]) -> Result<(), BuildError> {
    let invalid = |value: String| BuildError::InvalidOption {
        option: "protocols",
        value,
    };
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for (at, protocol) in protocols.iter().enumerate() {
        if protocol.is_empty() || !protocol.bytes().all(is_token) {
            return Err(invalid(format!("{protocol:?} is not a token")));
        }
        if protocols[..at].contains(protocol) {
            return Err(invalid(format!("{protocol:?} stands there twice")));
        }
    }
    Ok(())
}

macro_rules! transport_options {
    () => {
        /// Sets the transports, in the order in which they are tried. Default: WebSocket, then polling as fallback.
        ///
        /// With polling first, the connection opens at once wherever HTTP works and is upgraded to WebSocket later, as
        /// in the JavaScript client by default.
        ///
        /// ```
        /// use fanfare_client::{Transport, connect};
        ///
        /// let client = connect("http://localhost:3000")
        ///     .transports([Transport::Polling, Transport::WebSocket]);
        /// ```
        pub fn transports(mut self, transports: impl IntoIterator<Item = Transport>) -> Self {
            self.manager.config.transports = transports.into_iter().collect();
            self
        }

        /// Sets whether a connection that started with polling is upgraded to WebSocket. Default: true.
        ///
        /// ```
        /// use fanfare_client::{Transport, connect};
        ///
        /// let client = connect("http://localhost:3000").transports([Transport::Polling]).upgrade(false);
        /// ```
        pub fn upgrade(mut self, upgrade: bool) -> Self {
            self.manager.config.upgrade = upgrade;
            self
        }

        /// Sets whether to begin with WebSocket if the previous connection used it, although polling comes first.
        /// Default: false.
        ///
        /// ```
        /// use fanfare_client::{Transport, connect};
        ///
        /// let client = connect("http://localhost:3000")
        ///     .transports([Transport::Polling, Transport::WebSocket])
        ///     .remember_upgrade(true);
        /// ```
        pub fn remember_upgrade(mut self, remember: bool) -> Self {
            self.manager.config.remember_upgrade = remember;
            self
        }

        /// Sets whether the next transport is tried when the first one cannot open. Default: true.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").try_all_transports(false);
        /// ```
        pub fn try_all_transports(mut self, all: bool) -> Self {
            self.manager.config.try_all_transports = all;
            self
        }

        /// Sets the path of the server's endpoint. Default: `/socket.io/`.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").path("/realtime/");
        /// ```
        pub fn path(mut self, path: impl Into<String>) -> Self {
            self.manager.requests.path = path.into();
            self
        }

        /// Sets whether the path ends with a slash; off for servers with `addTrailingSlash: false`. Default: true.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").add_trailing_slash(false);
        /// ```
        pub fn add_trailing_slash(mut self, slash: bool) -> Self {
            self.manager.requests.trailing_slash = slash;
            self
        }

        /// Sets the name of the query parameter that prevents caches from answering. Default: `t`.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").timestamp_param("when");
        /// ```
        pub fn timestamp_param(mut self, name: impl Into<String>) -> Self {
            self.manager.timestamp_param = name.into();
            self
        }

        /// Sets whether requests have such a parameter. Default: only those of polling.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").timestamp_requests(false);
        /// ```
        pub fn timestamp_requests(mut self, timestamps: bool) -> Self {
            self.manager.timestamp_requests = Some(timestamps);
            self
        }

        /// Adds a parameter to the query of every request, after those of the URL. `EIO`, `transport` and `sid` belong
        /// to the protocol and are omitted.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").query("version", "2");
        /// ```
        pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.manager
                .requests
                .query
                .push((name.into(), value.into()));
            self
        }

        /// Adds a header to every request, that of the WebSocket included.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").header("X-Api-Key", "secret");
        /// ```
        pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.manager
                .requests
                .headers
                .push((name.into(), value.into()));
            self
        }

        /// Sets options for the requests of one transport only. A later call for the same transport replaces an earlier
        /// one.
        ///
        /// ```
        /// use fanfare_client::options::TransportOptions;
        /// use fanfare_client::{Transport, connect};
        ///
        /// let client = connect("http://localhost:3000")
        ///     .header("X-Api-Key", "secret")
        ///     .transport_options(
        ///         Transport::Polling,
        ///         TransportOptions::new().header("X-Requested-With", "polling").query("via", "polling"),
        ///     );
        /// ```
        pub fn transport_options(
            mut self,
            transport: Transport,
            options: TransportOptions,
        ) -> Self {
            *self.manager.requests.of_mut(transport) = options;
            self
        }

        /// Offers to compress WebSocket messages (`perMessageDeflate`, RFC 7692). Default: not offered.
        ///
        /// Both directions are compressed if the server agrees, without context takeover unless requested (see
        /// [`PerMessageDeflate`](crate::options::PerMessageDeflate)). A message from the server may expand to
        /// [`max_message`](Self::max_message) bytes; more ends the connection. The client does not connect to a server
        /// that answers with parameters that were not offered. Send data that do not compress well, such as pictures,
        /// with [`compress(false)`](crate::Socket::compress).
        ///
        /// ```
        /// use fanfare_client::options::PerMessageDeflate;
        /// use fanfare_client::connect;
        ///
        /// let client = connect("http://localhost:3000")
        ///     .per_message_deflate(PerMessageDeflate::new().threshold(512));
        /// ```
        ///
        /// Windows of 9 to 15 bits are possible; for others `build` returns an error.
        pub fn per_message_deflate(mut self, deflate: PerMessageDeflate) -> Self {
            self.manager.deflate = Some(deflate);
            self
        }

        /// Offers WebSocket sub-protocols, the preferred one first (`protocols`; RFC 6455, section 1.9). Default: none.
        ///
        /// Engine.IO uses none, but an intermediate proxy may require one. Servers of Engine.IO confirm the first. The
        /// client does not connect to a server that chooses a sub-protocol that was not offered.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").protocols(["v2.example", "v1.example"]);
        /// ```
        ///
        /// Each is a token, without spaces or commas; for others `build` returns an error.
        pub fn protocols<S: Into<String>>(
            mut self,
            protocols: impl IntoIterator<Item = S>,
        ) -> Self {
            self.manager.protocols = protocols.into_iter().map(Into::into).collect();
            self
        }

        /// Sends bytes as base64 text, also over WebSocket, and asks the server to do so (`forceBase64`), for
        /// intermediaries that only forward text. Default: false. Polling is always text.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").force_base64(true);
        /// ```
        pub fn force_base64(mut self, force: bool) -> Self {
            self.manager.config.force_base64 = force;
            self
        }

        /// Sets the timeout of a polling request, from opening its connection to the last byte of the answer
        /// (`requestTimeout`). Default, and with zero: no timeout but heartbeats and
        /// [`connect_timeout`](Self::connect_timeout).
        ///
        /// A server keeps a request pending until it has a packet to send, which may be its ping interval (25 s by
        /// default): a shorter timeout closes idle connections.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let client = fanfare_client::connect("http://localhost:3000").request_timeout(Duration::from_secs(40));
        /// ```
        pub fn request_timeout(mut self, timeout: Duration) -> Self {
            self.manager.request_timeout = (!timeout.is_zero()).then_some(timeout);
            self
        }
    };
}
pub(super) use transport_options;
