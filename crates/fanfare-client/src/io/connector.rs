//! Connections to one server, and the requests every one of them begins with.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
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

/// Knows how to reach the server.
#[derive(Debug)]
pub(crate) struct Connector {
    pub(crate) target: Target,
    /// With leading slash, and with a trailing one unless the server has none.
    pub(crate) path: String,
    /// Encoded.
    pub(crate) timestamp_param: Option<String>,
    /// The application's part of the query, encoded.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) cookies: Option<Mutex<CookieJar>>,
    pub(crate) tls: Option<TlsConnector>,
    pub(crate) proxy: Option<Proxy>,
    /// Most bytes of a message from the server.
    pub(crate) max_message: usize,
    pub(crate) requests: AtomicU64,
}

impl Connector {
    /// A byte stream to the server: TCP, through the proxy if there is one, TLS if asked for.
    pub(crate) async fn connect(&self) -> std::io::Result<BoxedIo> {
        let (host, port) = (self.target.host.as_str(), self.target.port);
        let (next_host, next_port) = match &self.proxy {
            Some(proxy) => (proxy.target.host.as_str(), proxy.target.port),
            None => (host, port),
        };
        let mut tcp = TcpStream::connect((next_host, next_port)).await?;
        tcp.set_nodelay(true)?;
        if let Some(proxy) = &self.proxy {
            proxy.tunnel(&mut tcp, host, port).await?;
        }
        match &self.tls {
            Some(tls) => tls.connect(host, tcp).await,
            None => Ok(Box::new(tcp)),
        }
    }

    /// The request target of a transport.
    pub(crate) fn path_and_query(&self, transport: Transport, sid: Option<&str>) -> String {
        let mut text = format!("{}?EIO=4&transport={}", self.path, transport.name());
        if let (Transport::Polling, Some(name)) = (transport, &self.timestamp_param) {
            // Keeps caches from answering.
            let n = self.requests.fetch_add(1, Ordering::Relaxed);
            text.push_str(&format!("&{name}={n:x}"));
        }
        if let Some(sid) = sid {
            text.push_str("&sid=");
            text.push_str(&encode(sid));
        }
        if !self.query.is_empty() {
            text.push('&');
            text.push_str(&self.query);
        }
        text
    }

    /// The headers of every request.
    pub(crate) fn request_headers(&self, now: Instant) -> HeaderMap {
        let mut headers = self.headers.clone();
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

/// The server could not be reached at all: another transport would not help.
pub(crate) fn unreachable(message: &'static str, error: &std::io::Error) -> TransportError {
    TransportError::new(message)
        .with_description(error.to_string())
        .unreachable()
}
