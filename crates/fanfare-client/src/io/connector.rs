//! Connections to one server, and the requests every one of them begins with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
pub use fanfare_websocket::deflate::Config as PerMessageDeflate;
use http::header::{AUTHORIZATION, COOKIE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use parking_lot::Mutex;
use tokio::net::TcpStream;

use super::BoxedIo;
use super::cookies::CookieJar;
use super::proxy::Proxy;
use super::tls::TlsConnector;
use super::url::{Target, encode};
use crate::protocol::{Transport, TransportError};

/// The requests of one transport.
#[derive(Debug)]
pub(crate) struct Requests {
    /// With leading slash, and with a trailing one unless the server has none.
    pub(crate) path: String,
    /// The application's part of the query, encoded.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
}

/// Knows how to reach the server.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) target: Target,
    pub(crate) polling: Requests,
    pub(crate) websocket: Requests,
    /// Encoded.
    pub(crate) timestamp_param: String,
    /// By default only requests of polling have one.
    pub(crate) timestamp_requests: Option<bool>,
    pub(crate) force_base64: bool,
    /// How long a request of polling may take.
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) cookies: Option<Mutex<CookieJar>>,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) proxy: Option<Proxy>,
    /// What is offered for WebSocket messages, if it is.
    pub(crate) deflate: Option<PerMessageDeflate>,
    /// Sub-protocols offered for WebSocket.
    pub(crate) protocols: Vec<String>,
    /// Most bytes of a message from the server.
    pub(crate) max_message: usize,
    pub(crate) requests: AtomicU64,
}

impl Connector {
    /// A byte stream to the server: TCP, or through the proxy if there is one; in it TLS if asked for.
    pub(crate) async fn connect(&self) -> std::io::Result<BoxedIo> {
        let (host, port) = (self.target.host.as_str(), self.target.port);
        let io: BoxedIo = match &self.proxy {
            Some(proxy) => proxy.connect(host, port).await?,
            None => Box::new(tcp(host, port).await?),
        };
        match &self.tls {
            Some(tls) => tls.connect(host, io).await,
            None => Ok(io),
        }
    }

    /// The request target of a transport.
    pub(crate) fn path_and_query(&self, transport: Transport, sid: Option<&str>) -> String {
        let Requests { path, query, .. } = self.requests_of(transport);
        let mut text = format!("{path}?EIO=4&transport={}", transport.name());
        let polling = transport == Transport::Polling;
        if self.timestamp_requests.unwrap_or(polling) {
            // Keeps caches from answering.
            let n = self.requests.fetch_add(1, Ordering::Relaxed);
            text.push_str(&format!("&{}={n:x}", self.timestamp_param));
        }
        // Polling is text in any case; the handshake says it nevertheless, as the JavaScript client does.
        if self.force_base64 && !(polling && sid.is_some()) {
            text.push_str("&b64=1");
        }
        if let Some(sid) = sid {
            text.push_str("&sid=");
            text.push_str(&encode(sid));
        }
        if !query.is_empty() {
            text.push('&');
            text.push_str(query);
        }
        text
    }

    fn requests_of(&self, transport: Transport) -> &Requests {
        match transport {
            Transport::Polling => &self.polling,
            Transport::WebSocket => &self.websocket,
        }
    }

    /// The headers of every request of a transport.
    pub(crate) fn request_headers(&self, transport: Transport, now: Instant) -> HeaderMap {
        let mut headers = self.requests_of(transport).headers.clone();
        if let Ok(host) = HeaderValue::from_str(&self.target.authority) {
            headers.entry(HOST).or_insert(host);
        }
        headers
            .entry(USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "fanfare-client/",
                env!("CARGO_PKG_VERSION")
            )));
        if let Some(credentials) = &self.target.credentials
            && let Ok(value) =
                HeaderValue::from_str(&format!("Basic {}", BASE64.encode(credentials)))
        {
            headers.entry(AUTHORIZATION).or_insert(value);
        }
        if let Some(jar) = &self.cookies
            && let Some(mut cookies) = jar.lock().header(self.target.secure, now)
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

pub(super) async fn tcp(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

/// The server could not be reached at all: another transport would not help.
pub(crate) fn unreachable(message: &'static str, error: &std::io::Error) -> TransportError {
    TransportError::new(message)
        .with_description(error.to_string())
        .unreachable()
}
