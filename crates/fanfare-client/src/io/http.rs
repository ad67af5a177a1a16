//! HTTP/1.1 connections.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::Io;
use super::cookies::CookieJar;
use super::dialer::Dialer;
use super::stream::DialError;

/// Maximum length of the head of a response, in bytes; it has at most 100 headers.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// Maximum length of a response's body, in bytes.
const MAX_BODY_BYTES: usize = 64 << 20;

/// Starts HTTP/1.1 on a byte stream. A task drives it, until the sender and the last response are dropped.
pub(crate) async fn start(io: impl Io + 'static) -> Result<SendRequest<Full<Bytes>>, hyper::Error> {
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD_BYTES)
        .handshake(TokioIo::new(io))
        .await?;
    tokio::spawn(async move {
        // Its errors reach the caller that waits for the response.
        let _ = connection.with_upgrades().await;
    });
    Ok(sender)
}

/// Connection that carries one request after the other.
#[derive(Debug)]
pub struct HttpConnection {
    sender: SendRequest<Full<Bytes>>,
}

impl HttpConnection {
    /// Opens a connection.
    ///
    /// # Errors
    /// [`HttpError`] if the connection cannot be opened.
    pub async fn open(dialer: &Dialer) -> Result<Self, HttpError> {
        let io = dialer.connect().await?;
        let sender = start(io).await.map_err(|error| exchange(&error))?;
        Ok(Self { sender })
    }

    /// Sends a request, and reads the whole response, whose body has at most 64 MiB.
    ///
    /// # Errors
    /// [`HttpError`] if the connection ends, or the response is not HTTP/1.1 or too long.
    pub async fn send(&mut self, request: Request<Bytes>) -> Result<HttpResponse, HttpError> {
        let started = Instant::now();
        let sender = &mut self.sender;
        sender.ready().await.map_err(|error| exchange(&error))?;
        let response = sender.send_request(request.map(Full::new)).await;
        let (head, body) = response.map_err(|error| exchange(&error))?.into_parts();
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        Ok(HttpResponse {
            status: head.status,
            headers: head.headers,
            body: body.map_err(|error| exchange(&*error))?.to_bytes(),
            took: started.elapsed(),
        })
    }

    /// Sends a request over a new connection.
    ///
    /// # Errors
    /// [`HttpError`]; it is [`HttpError::Timeout`] if the whole response has not arrived within `limit`.
    pub async fn once(
        dialer: &Dialer,
        request: Request<Bytes>,
        limit: Duration,
    ) -> Result<HttpResponse, HttpError> {
        let exchange = async { Self::open(dialer).await?.send(request).await };
        timeout(limit, exchange)
            .await
            .unwrap_or(Err(HttpError::Timeout(limit)))
    }
}

/// Response to a request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HttpResponse {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Time from the request to the end of the body.
    pub took: Duration,
}

impl HttpResponse {
    /// Returns the body as text, with U+FFFD for bytes that are not UTF-8.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// Returns a header's value as text; empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// Returns the cookies that the response set, as the value of the header `Cookie`; empty if there are none.
    #[must_use]
    pub fn cookies(&self) -> String {
        let (mut jar, now) = (CookieJar::default(), crate::clock::now());
        jar.store(&self.headers, now);
        jar.header(true, now).unwrap_or_default()
    }
}

/// Reason for which there is no response.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The connection failed to open.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended, or the answer is not HTTP/1.1.
    #[error("no usable answer: {0}")]
    Exchange(String),
    /// The response did not arrive in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

fn exchange(error: &dyn std::error::Error) -> HttpError {
    HttpError::Exchange(chain(error))
}

/// Formats an error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
