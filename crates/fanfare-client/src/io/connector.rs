//! Connections to one server, and the common parts of its requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fanfare_protocol::engine::Protocol;
pub use fanfare_websocket::deflate::Config as PerMessageDeflate;
use http::header::{AUTHORIZATION, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

use super::cookies::CookieJar;
use super::dialer::Dialer;
use super::stream::DialError;
use super::url::{Address, encode};
use crate::Transport;
use crate::protocol::TransportError;

/// Common parts of the requests of one transport.
#[derive(Debug)]
pub(crate) struct Requests {
    /// Path with a leading slash, and with a trailing one unless the server expects none.
    pub(crate) path: String,
    /// Application's part of the query, encoded.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

/// Session of a request.
#[derive(Debug)]
pub(crate) enum Requested {
    /// A new one, with an addition to the query.
    Open(String),
    /// The one of this id.
    Session(Arc<str>),
}

/// Connector to one server.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) address: Address,
    pub(crate) protocol: Protocol,
    pub(crate) polling: Requests,
    pub(crate) websocket: Requests,
    /// Name of the query parameter, encoded.
    pub(crate) timestamp_param: String,
    /// Whether requests have a timestamp; by default only those of polling.
    pub(crate) timestamp_requests: Option<bool>,
    pub(crate) force_base64: bool,
    /// Timeout of a polling request.
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) cookies: Option<Mutex<CookieJar>>,
    pub(crate) dialer: Dialer,
    /// Offer of permessage-deflate for WebSocket messages, if any.
    pub(crate) deflate: Option<PerMessageDeflate>,
    /// Sub-protocols offered for WebSocket.
    pub(crate) protocols: Vec<String>,
    /// Maximum length of a message from the server, in bytes.
    pub(crate) max_message: usize,
    pub(crate) requests: AtomicU64,
}

impl Connector {
    /// Returns the maximum length of one polling response, in bytes.
    pub(crate) fn max_payload(&self) -> usize {
        crate::protocol::max_payload(self.max_message)
    }

    /// Returns the request target of a transport.
    pub(crate) fn path_and_query(&self, transport: Transport, requested: &Requested) -> String {
        let Requests { path, query, .. } = self.requests_of(transport);
        let (revision, name) = (self.protocol.number(), transport.name());
        let mut text = format!("{path}?EIO={revision}&transport={name}");
        let polling = transport == Transport::Polling;
        if self.timestamp_requests.unwrap_or(polling) {
            // Prevents caches from answering.
            let n = self.requests.fetch_add(1, Ordering::Relaxed);
            text.push_str(&format!("&{}={n:x}", self.timestamp_param));
        }
        let (sid, more) = match requested {
            Requested::Open(query) => (None, query.as_str()),
            Requested::Session(sid) => (Some(sid), ""),
        };
        let base64 = match self.protocol {
            // Every request of polling says whether bytes may be sent as such.
            Protocol::V3 => self.force_base64 || polling,
            // Polling always uses text; the handshake still has the parameter, as with the JavaScript client.
            Protocol::V4 => self.force_base64 && !(polling && sid.is_some()),
        };
        if base64 {
            text.push_str("&b64=1");
        }
        if let Some(sid) = sid {
            text.push_str("&sid=");
            text.push_str(&encode(sid));
        }
        for query in [query, more] {
            if !query.is_empty() {
                text.push('&');
                text.push_str(query);
            }
        }
        text
    }

    fn requests_of(&self, transport: Transport) -> &Requests {
        match transport {
            Transport::WebSocket => &self.websocket,
            _ => &self.polling,
        }
    }

    /// Returns the headers of every request of a transport.
    pub(crate) fn request_headers(&self, transport: Transport, now: Instant) -> HeaderMap {
        let mut headers = self.requests_of(transport).headers.clone();
        if let Ok(host) = HeaderValue::from_str(&self.address.authority()) {
            headers.entry(HOST).or_insert(host);
        }
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "fanfare-client/",
                env!("CARGO_PKG_VERSION")
            )));
        if let Some(value) = self.address.authorization() {
            headers.entry(AUTHORIZATION).or_insert(value);
        }
        if let Some(jar) = &self.cookies
            && let Some(mut cookies) = jar.lock().header(self.address.secure, now)
        {
            if let Some(own) = headers.get(COOKIE).and_then(|own| own.to_str().ok()) {
                cookies = format!("{own}; {cookies}");
            }
            if let Ok(value) = HeaderValue::from_str(&cookies) {
                headers.insert(COOKIE, value);
            }
        }
        headers
    }

    pub(crate) fn store_cookies(&self, headers: &HeaderMap, now: Instant) {
        if let Some(jar) = &self.cookies {
            jar.lock().store(headers, now);
        }
    }
}

/// Creates the error for a server that could not be reached at all, so that another transport would not help.
pub(crate) fn unreachable(message: &'static str, error: &DialError) -> TransportError {
    TransportError::new(message)
        .with_description(error.to_string())
        .unreachable()
}
