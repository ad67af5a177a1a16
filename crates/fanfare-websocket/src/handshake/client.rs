use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{
        CONNECTION, HOST, InvalidHeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};

use super::{VERSION, accept_key, has_token};
use crate::{deflate, mask};

/// Client side of the opening handshake: makes the request and checks the response.
#[derive(Clone, Debug)]
pub struct ClientHandshake {
    key: String,
    protocols: Vec<String>,
    deflate: Option<deflate::Config>,
}

impl Default for ClientHandshake {
    fn default() -> ClientHandshake {
        ClientHandshake::new()
    }
}

impl ClientHandshake {
    /// Creates a handshake with a fresh key; for one connection only. No sub-protocols, no compression.
    pub fn new() -> ClientHandshake {
        let mut nonce = [0; 16];
        mask::fill_random(&mut nonce);
        ClientHandshake {
            key: STANDARD.encode(nonce),
            protocols: Vec::new(),
            deflate: None,
        }
    }

    /// Sets the supported sub-protocols, the preferred one first.
    pub fn protocols<S: Into<String>>(
        mut self,
        protocols: impl IntoIterator<Item = S>,
    ) -> ClientHandshake {
        self.protocols = protocols.into_iter().map(Into::into).collect();
        self
    }

    /// Offers permessage-deflate.
    pub fn permessage_deflate(mut self, config: deflate::Config) -> ClientHandshake {
        self.deflate = Some(config);
        self
    }

    /// Creates the request for `uri` (`ws:`, `wss:`, `http:` or `https:`), in HTTP/1.1 with the path and query as its
    /// target.
    ///
    /// # Errors
    ///
    /// If the host or a sub-protocol is not valid in a header.
    pub fn request(&self, uri: &Uri) -> Result<Request<()>, InvalidHeaderValue> {
        let target = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(());
        // The target is part of a URI that was parsed already.
        *request.uri_mut() = target.parse().unwrap_or_else(|_| Uri::from_static("/"));
        let headers = request.headers_mut();
        if let Some(authority) = uri.authority() {
            // Without the user information that may precede the host.
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            headers.insert(HOST, HeaderValue::from_str(host)?);
        }
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
        headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&self.key)?);
        if !self.protocols.is_empty() {
            headers.insert(
                SEC_WEBSOCKET_PROTOCOL,
                HeaderValue::from_str(&self.protocols.join(", "))?,
            );
        }
        if let Some(config) = &self.deflate {
            headers.insert(
                SEC_WEBSOCKET_EXTENSIONS,
                HeaderValue::from_str(&config.offer())?,
            );
        }
        Ok(request)
    }

    /// Checks the response (RFC 6455, section 4.1).
    ///
    /// # Errors
    ///
    /// The reason for which the connection must not be used.
    pub fn check(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<ClientAccept, ResponseError> {
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ResponseError::Status(status));
        }
        if !has_token(headers, UPGRADE, "websocket") {
            return Err(ResponseError::NoUpgrade);
        }
        if !has_token(headers, CONNECTION, "upgrade") {
            return Err(ResponseError::NoConnectionUpgrade);
        }
        let expected = accept_key(self.key.as_bytes());
        if headers
            .get(SEC_WEBSOCKET_ACCEPT)
            .is_none_or(|accept| accept.as_bytes() != expected)
        {
            return Err(ResponseError::Accept);
        }
        let protocol = match headers.get(SEC_WEBSOCKET_PROTOCOL) {
            None => None,
            Some(value) => match self.protocols.iter().find(|ours| value == ours.as_str()) {
                Some(protocol) => Some(protocol.clone()),
                None => {
                    return Err(ResponseError::Protocol(
                        String::from_utf8_lossy(value.as_bytes()).into_owned(),
                    ));
                }
            },
        };
        let deflate = deflate::Params::from_answer(headers, self.deflate.as_ref())?;
        Ok(ClientAccept { protocol, deflate })
    }
}

/// Result of the handshake: the sub-protocol and extensions that the server agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAccept {
    protocol: Option<String>,
    deflate: Option<deflate::Params>,
}

impl ClientAccept {
    /// Sub-protocol that the server chose.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Negotiated parameters of permessage-deflate.
    pub fn permessage_deflate(&self) -> Option<deflate::Params> {
        self.deflate
    }
}

/// Reason for which a response does not open a WebSocket connection (RFC 6455, section 4.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResponseError {
    /// The status of the response is not 101.
    #[error("the server answered {0} instead of 101 Switching Protocols")]
    Status(StatusCode),
    /// The response has no `Upgrade: websocket`.
    #[error("the response has no header `Upgrade: websocket`")]
    NoUpgrade,
    /// The response has no `Connection: Upgrade`.
    #[error("the response has no header `Connection: Upgrade`")]
    NoConnectionUpgrade,
    /// The key was not answered, or incorrectly: the response was not made for this request.
    #[error("the header `Sec-WebSocket-Accept` does not answer our key")]
    Accept,
    /// The server chose a sub-protocol that was not offered.
    #[error("the server chose the sub-protocol {0:?}, which was not offered")]
    Protocol(String),
    /// The server chose an extension that was not offered.
    #[error(transparent)]
    Extension(#[from] deflate::NegotiationError),
}
