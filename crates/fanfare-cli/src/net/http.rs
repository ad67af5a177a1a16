//! HTTP/1.1 requests, one at a time, over connections that the caller controls.

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

/// Maximum length of a response body, in bytes.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Response to a request.
#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) took: Duration,
}

impl Response {
    /// Returns the body as text.
    pub(crate) fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns a header's value as text; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Returns the cookies that the response set, as a browser would send them back; empty if there are none.
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

/// Reason for which there is no response.
#[derive(Debug)]
pub(crate) enum Error {
    /// The connection failed to open.
    Dial(DialError),
    /// The connection ended, or the answer is not HTTP.
    Exchange(String),
    /// Nothing arrived in time.
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

/// Connection that carries one request after the other.
#[derive(Debug)]
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Opens a connection.
    pub(crate) async fn open(dialer: &Dialer) -> Result<Self, Error> {
        let stream = dialer.dial().await.map_err(Error::Dial)?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| Error::Exchange(describe(&error)))?;
        // The driver ends when the sender is dropped.
        tokio::spawn(driver);
        Ok(Self { sender })
    }

    /// Sends a request and reads the whole response.
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
        let body = Limited::new(body, MAX_BODY_BYTES)
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

/// Builds a request to the engine with this query.
pub(crate) fn request(
    target: &Target,
    method: Method,
    query: &str,
    body: impl Into<Bytes>,
) -> Request<Full<Bytes>> {
    request_path(target, method, &target.request(query), body)
}

/// Builds a long-polling request, whose body is text, with the cookies of [`Response::cookies`].
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

/// Builds a request to any path.
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

/// Adds the cookies of [`Response::cookies`].
pub(crate) fn add_cookies(headers: &mut HeaderMap, cookies: &str) {
    if let (false, Ok(value)) = (cookies.is_empty(), HeaderValue::from_str(cookies)) {
        headers.append(COOKIE, value);
    }
}

/// Sends a request over a new connection.
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
