//! HTTP/1.1 requests, one at a time, over connections that the caller decides on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, SET_COOKIE};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::{DialError, Dialer};
use crate::target::Target;

/// The longest answer that is read, in bytes.
const MAX_BODY: usize = 64 << 20;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
}

impl Response {
    /// The body as text.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// A header's value as text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The cookies that it set, as a browser would send them back; empty if there are none.
    pub(crate) fn cookies(&self) -> String {
        let cookies: Vec<&str> = self
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
            .collect();
        cookies.join("; ")
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Error {
    /// No connection.
    Dial(DialError),
    /// The connection ended, or what came is not HTTP.
    Exchange(String),
    /// Nothing came in time.
    Timeout(Duration),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dial(error) => error.fmt(f),
            Self::Exchange(error) => write!(f, "no usable answer: {error}"),
            Self::Timeout(after) => write!(f, "no answer within {after:?}"),
        }
    }
}

/// A connection that carries one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Opens one.
    pub(crate) async fn open(dialer: &Dialer) -> Result<Self, Error> {
        let stream = dialer.dial().await.map_err(Error::Dial)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::Exchange(describe(&error)))?;
        // It ends with the sender.
        tokio::spawn(driver);
        Ok(Self { sender })
    }

    /// Whether it is still open, as far as can be known.
    pub(crate) async fn is_usable(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    /// Sends a request and reads the whole answer.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response, Error> {
        let started = Instant::now();
        let exchange = |error: &dyn std::error::Error| Error::Exchange(describe(error));
        self.sender
            .ready()
            .await
            .map_err(|error| exchange(&error))?;
        let response = self
            .sender
            .send_request(request)
            .await
            .map_err(|error| exchange(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|error| exchange(&*error))?;
        Ok(Response {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
            took: started.elapsed(),
        })
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Makes a request to the engine with this query.
pub(crate) fn request(
    target: &Target,
    method: Method,
    query: &str,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    request_path(target, method, &target.request(query), body)
}

/// Makes a request of long-polling, whose body is text, with what [`Response::cookies`] gave.
pub(crate) fn polling_request(
    target: &Target,
    method: Method,
    query: &str,
    body: impl Into<Bytes>,
    cookies: &str,
) -> Request<Full<Bytes>> {
    let mut request = request(target, method, query, body);
    let headers = request.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain;charset=UTF-8"),
    );
    add_cookies(headers, cookies);
    request
}

/// Makes a request to any path.
pub(crate) fn request_path(
    target: &Target,
    method: Method,
    path: &str,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::new(body.into()));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap_or_default();
    *request.headers_mut() = target.headers.clone();
    if let Ok(host) = target.authority().parse() {
        request.headers_mut().entry(HOST).or_insert(host);
    }
    request
}

/// Adds what [`Response::cookies`] gave.
pub(crate) fn add_cookies(headers: &mut HeaderMap, cookies: &str) {
    if let (false, Ok(value)) = (cookies.is_empty(), HeaderValue::from_str(cookies)) {
        headers.append(COOKIE, value);
    }
}

/// Sends a request over a connection of its own.
pub(crate) async fn once(
    dialer: &Dialer,
    request: Request<Full<Bytes>>,
    patience: Duration,
) -> Result<Response, Error> {
    let exchange = async { Connection::open(dialer).await?.send(request).await };
    timeout(patience, exchange)
        .await
        .map_err(|_| Error::Timeout(patience))?
}
