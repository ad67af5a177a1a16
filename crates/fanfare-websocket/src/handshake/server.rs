use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        ALLOW, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

use super::{VERSION, accept_key, has_token};
use crate::deflate;

/// Server side of the opening handshake: its supported sub-protocols and extensions.
///
/// ```
/// use fanfare_websocket::ServerHandshake;
/// use http::Request;
///
/// let request = Request::get("/")
///     .header("connection", "Upgrade")
///     .header("upgrade", "websocket")
///     .header("sec-websocket-version", "13")
///     .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .body(())
///     .unwrap();
/// let accept = ServerHandshake::new().validate(&request)?;
/// let response = accept.response();
/// assert_eq!(response.status(), 101);
/// assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), fanfare_websocket::handshake::HandshakeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ServerHandshake {
    protocols: Vec<String>,
    deflate: Option<deflate::Config>,
}

impl ServerHandshake {
    /// Creates a handshake without sub-protocols or compression.
    pub fn new() -> ServerHandshake {
        ServerHandshake::default()
    }

    /// Sets the supported sub-protocols, the preferred one first. The first that the client offers too is chosen; if
    /// there is none, the connection continues without one.
    pub fn protocols<S: Into<String>>(
        mut self,
        protocols: impl IntoIterator<Item = S>,
    ) -> ServerHandshake {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Enables permessage-deflate.
    pub fn permessage_deflate(mut self, config: deflate::Config) -> ServerHandshake {
        self.deflate = Some(config);
        self
    }

    /// Checks a request (RFC 6455, section 4.2.1).
    ///
    /// # Errors
    ///
    /// The reason for which the request is not a valid handshake; [`HandshakeError::response`] reports it to the
    /// client.
    pub fn validate<B>(&self, request: &http::Request<B>) -> Result<Accept, HandshakeError> {
        self.validate_parts(request.method(), request.version(), request.headers())
    }

    /// As [`validate`](ServerHandshake::validate), for a request in parts.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn validate_parts(
        &self,
        method: &Method,
        version: Version,
        headers: &HeaderMap,
    ) -> Result<Accept, HandshakeError> {
        if method != Method::GET {
            return Err(HandshakeError::Method(method.clone()));
        }
        if version != Version::HTTP_11 {
            return Err(HandshakeError::HttpVersion(version));
        }
        if !has_token(headers, UPGRADE, "websocket") {
            return Err(HandshakeError::NoUpgrade);
        }
        if !has_token(headers, CONNECTION, "upgrade") {
            return Err(HandshakeError::NoConnectionUpgrade);
        }
        check_version(headers)?;
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
        let key = match (keys.next(), keys.next()) {
            (Some(key), None) if is_key(key.as_bytes()) => key.as_bytes(),
            (key, _) => return Err(HandshakeError::Key(key.map(lossy))),
        };
        Ok(self.accept(Some(accept_key(key)), headers))
    }

    /// Checks the headers of an extended CONNECT request whose `:protocol` is `websocket`: the handshake over HTTP/2
    /// (RFC 8441, section 5). There is neither a key nor an upgrade.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Version`].
    pub fn validate_connect(&self, headers: &HeaderMap) -> Result<Accept, HandshakeError> {
        check_version(headers)?;
        Ok(self.accept(None, headers))
    }

    fn accept(&self, key: Option<[u8; 28]>, headers: &HeaderMap) -> Accept {
        Accept {
            key,
            protocol: self.choose(headers),
            deflate: self
                .deflate
                .as_ref()
                .and_then(|config| deflate::Params::negotiate(headers, config)),
        }
    }

    fn choose(&self, headers: &HeaderMap) -> Option<String> {
        self.protocols
            .iter()
            .find(|ours| {
                let offers = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
                let mut offers = offers
                    .filter_map(|value| value.to_str().ok())
                    .flat_map(|value| value.split(','));
                offers.any(|offer| offer.trim() == ours.as_str())
            })
            .cloned()
    }
}

fn check_version(headers: &HeaderMap) -> Result<(), HandshakeError> {
    match headers.get(SEC_WEBSOCKET_VERSION) {
        Some(version) if version == VERSION => Ok(()),
        other => Err(HandshakeError::Version(other.map(lossy))),
    }
}

/// Whether this is 16 bytes in base64: 22 characters and `==`.
fn is_key(key: &[u8]) -> bool {
    let [characters @ .., b'=', b'='] = key else {
        return false;
    };
    characters.len() == 22
        && characters
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/'))
}

fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(&value.as_bytes()[..value.len().min(64)]).into_owned()
}

/// An accepted opening handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Answer to the client's key; over HTTP/2 there is none.
    key: Option<[u8; 28]>,
    protocol: Option<String>,
    deflate: Option<(deflate::Params, String)>,
}

impl Accept {
    /// Sub-protocol that was chosen.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Negotiated parameters of permessage-deflate.
    pub fn permessage_deflate(&self) -> Option<deflate::Params> {
        self.deflate.as_ref().map(|(params, _)| *params)
    }

    /// Returns the response: `101 Switching Protocols`, or 200 over HTTP/2. Frames follow right behind it.
    pub fn response(&self) -> Response<()> {
        let mut response = Response::new(());
        // Base64, the client's own token and our own text are valid values; none of these fails.
        if let Some(key) = &self.key {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            if let Ok(key) = HeaderValue::from_bytes(key) {
                headers.insert(SEC_WEBSOCKET_ACCEPT, key);
            }
        }
        let headers = response.headers_mut();
        if let Some(Ok(protocol)) = self.protocol.as_deref().map(HeaderValue::from_str) {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        if let Some(Ok(answer)) = self
            .deflate
            .as_ref()
            .map(|(_, answer)| HeaderValue::from_str(answer))
        {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, answer);
        }
        response
    }
}

/// Reason for which a request is not an acceptable opening handshake (RFC 6455, section 4.2.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The request is not a GET request.
    #[error("a WebSocket handshake is a GET request, not {0}")]
    Method(Method),
    /// The request is not in HTTP/1.1.
    #[error("a WebSocket handshake is made in HTTP/1.1, not {0:?}")]
    HttpVersion(Version),
    /// The request has no `Upgrade: websocket`.
    #[error("this is a WebSocket endpoint: the header `Upgrade: websocket` is missing")]
    NoUpgrade,
    /// The request has no `Connection: Upgrade`.
    #[error("the header `Connection: Upgrade` is missing")]
    NoConnectionUpgrade,
    /// The version is not 13.
    #[error("the header `Sec-WebSocket-Version` must be 13, not {}", .0.as_deref().unwrap_or("missing"))]
    Version(Option<String>),
    /// There is no key, there are several, or it is not 16 bytes in base64.
    #[error("the header `Sec-WebSocket-Key` must be 16 bytes in base64, not {}", .0.as_deref().unwrap_or("missing"))]
    Key(Option<String>),
}

impl HandshakeError {
    /// Status of the response.
    pub fn status(&self) -> StatusCode {
        match self {
            HandshakeError::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            HandshakeError::HttpVersion(_) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            HandshakeError::NoUpgrade | HandshakeError::Version(_) => StatusCode::UPGRADE_REQUIRED,
            HandshakeError::NoConnectionUpgrade | HandshakeError::Key(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// Short name without values in it, as a label for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            HandshakeError::Method(_) => "method",
            HandshakeError::HttpVersion(_) => "http_version",
            HandshakeError::NoUpgrade => "no_upgrade",
            HandshakeError::NoConnectionUpgrade => "no_connection_upgrade",
            HandshakeError::Version(_) => "version",
            HandshakeError::Key(_) => "key",
        }
    }

    /// Returns the response: the status, the headers it needs (`Sec-WebSocket-Version`, `Upgrade`, `Allow`), and the
    /// text of this error as the body.
    pub fn response(&self) -> Response<String> {
        let mut response = Response::new(format!("{self}\n"));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        match self {
            HandshakeError::Method(_) => {
                headers.insert(ALLOW, HeaderValue::from_static("GET"));
            }
            HandshakeError::NoUpgrade | HandshakeError::Version(_) => {
                headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
            }
            _ => {}
        }
        response
    }
}
