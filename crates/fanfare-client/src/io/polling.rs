//! Long-polling requests over kept-alive HTTP/1.1 connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_protocol::deadline;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::sync::Mutex;

use super::connector::{Connector, Requested, unreachable};
use super::counting::Counting;
use super::http::{chain, start};
use crate::Transport;
use crate::clock;
use crate::protocol::TransportError;

/// Maximum length of an error's body in a message, in bytes.
const MAX_ERROR_BODY_BYTES: usize = 512;

/// Minimum idle time of a connection after which its end counts as the server's close of an idle connection.
const MIN_REUSE_IDLE: Duration = Duration::from_secs(1);
/// Maximum time between a request and that end for the request to count as sent on a closed connection.
const CLOSE_RACE_WINDOW: Duration = Duration::from_secs(5);

/// HTTP connections of one Engine.IO connection: one for the pending GET, one for POSTs.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    get: Mutex<Option<Kept>>,
    post: Mutex<Option<Kept>>,
}

/// Connection that was kept alive.
#[derive(Debug)]
struct Kept {
    sender: SendRequest<Full<Bytes>>,
    /// Number of bytes received from the server.
    received: Arc<AtomicU64>,
    /// Time of the last response.
    answered: Instant,
    /// Time until which the server keeps it open, if announced.
    until: Option<Instant>,
}

impl Kept {
    /// Records the response's keep-alive time.
    fn after<B>(mut self, response: &Response<B>, now: Instant) -> Self {
        self.answered = now;
        self.until = keep_alive(response.headers()).map(|lasts| {
            // Reserves time for the request to arrive.
            deadline(now, lasts - (lasts / 2).min(Duration::from_secs(1)))
        });
        self
    }
}

/// Returns the keep-alive time of a server: `Keep-Alive: timeout=5`.
fn keep_alive(headers: &HeaderMap) -> Option<Duration> {
    let header = headers.get("keep-alive")?.to_str().ok()?;
    let timeout = header.split(',').find_map(|part| {
        let (name, value) = part.split_once('=')?;
        name.trim().eq_ignore_ascii_case("timeout").then_some(value)
    })?;
    // More than a day counts as one day.
    let seconds = timeout.trim().parse::<u64>().ok()?.min(86_400);
    Some(Duration::from_secs(seconds))
}

/// Whether the connection ended before there was an answer.
fn is_closed(error: &hyper::Error) -> bool {
    let io = std::error::Error::source(error).and_then(|error| error.downcast_ref());
    let closed = |error: &std::io::Error| {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(
            error.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        )
    };
    error.is_incomplete_message() || error.is_closed() || io.is_some_and(closed)
}

impl Polling {
    pub(crate) async fn get(
        &self,
        connector: &Connector,
        requested: &Requested,
    ) -> Result<Bytes, TransportError> {
        const MESSAGE: &str = "xhr poll error";
        in_time(connector, MESSAGE, async {
            let response = self
                .send(
                    &self.get,
                    connector,
                    Method::GET,
                    requested,
                    Bytes::new(),
                    MESSAGE,
                )
                .await?;
            body(response, connector.max_payload(), MESSAGE).await
        })
        .await
    }

    pub(crate) async fn post(
        &self,
        connector: &Connector,
        requested: &Requested,
        data: Bytes,
    ) -> Result<(), TransportError> {
        const MESSAGE: &str = "xhr post error";
        in_time(connector, MESSAGE, async {
            let response = self
                .send(
                    &self.post,
                    connector,
                    Method::POST,
                    requested,
                    data,
                    MESSAGE,
                )
                .await?;
            body(response, MAX_ERROR_BODY_BYTES, MESSAGE)
                .await
                .map(drop)
        })
        .await
    }

    async fn send(
        &self,
        slot: &Mutex<Option<Kept>>,
        connector: &Connector,
        method: Method,
        requested: &Requested,
        data: Bytes,
        message: &'static str,
    ) -> Result<Response<Incoming>, TransportError> {
        let failed = |error: &dyn std::error::Error| {
            TransportError::new(message).with_description(chain(error))
        };
        let request = || {
            request(connector, method.clone(), requested, data.clone())
                .map_err(|error| failed(&error))
        };
        let mut slot = slot.lock().await;
        let begin = clock::now();
        let kept = slot.take();
        if let Some(mut kept) = kept.filter(|kept| kept.until.is_none_or(|until| begin < until))
            && kept.sender.ready().await.is_ok()
        {
            let received = kept.received.load(Ordering::Acquire);
            match kept.sender.try_send_request(request()?).await {
                Ok(response) => {
                    *slot = Some(kept.after(&response, clock::now()));
                    return accept(connector, response, message).await;
                }
                Err(mut error) => {
                    // The request was never sent, or was a POST on a connection that the server had closed as idle:
                    // retry over a new connection. Never retry a GET: its answer may have been lost, and a second one
                    // would skip it.
                    let unsent = error.take_message().is_some();
                    let error = error.into_error();
                    let silent = kept.received.load(Ordering::Acquire) == received;
                    let idle = begin.saturating_duration_since(kept.answered) >= MIN_REUSE_IDLE;
                    let met_close = method == Method::POST
                        && idle
                        && silent
                        && is_closed(&error)
                        && clock::now().saturating_duration_since(begin) < CLOSE_RACE_WINDOW;
                    if !(unsent || met_close) {
                        return Err(failed(&error));
                    }
                }
            }
        }
        let io = connector
            .dialer
            .connect()
            .await
            .map_err(|error| unreachable(message, &error))?;
        let io = Counting::new(io);
        let received = io.received.clone();
        let sender = start(io).await.map_err(|error| failed(&error))?;
        let mut kept = Kept {
            sender,
            received,
            answered: begin,
            until: None,
        };
        let response = kept
            .sender
            .send_request(request()?)
            .await
            .map_err(|error| failed(&error))?;
        *slot = Some(kept.after(&response, clock::now()));
        accept(connector, response, message).await
    }
}

/// Aborts a request that exceeds the timeout option.
async fn in_time<T>(
    connector: &Connector,
    message: &'static str,
    request: impl Future<Output = Result<T, TransportError>>,
) -> Result<T, TransportError> {
    let Some(limit) = connector.request_timeout else {
        return request.await;
    };
    tokio::time::timeout(limit, request)
        .await
        .unwrap_or_else(|_| {
            let why = format!("no whole answer within the request timeout of {limit:?}");
            Err(TransportError::new(message).with_description(why))
        })
}

fn request(
    connector: &Connector,
    method: Method,
    requested: &Requested,
    data: Bytes,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let post = method == Method::POST;
    let mut request = Request::builder()
        .method(method)
        .uri(connector.path_and_query(Transport::Polling, requested))
        .body(Full::new(data))?;
    *request.headers_mut() = connector.request_headers(Transport::Polling, clock::now());
    let headers = request.headers_mut();
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("*/*"));
    if post {
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/plain;charset=UTF-8"),
        );
    }
    Ok(request)
}

/// Stores cookies, and converts any status but 200 into an error.
async fn accept(
    connector: &Connector,
    response: Response<Incoming>,
    message: &'static str,
) -> Result<Response<Incoming>, TransportError> {
    connector.store_cookies(response.headers(), clock::now());
    let status = response.status();
    if status == StatusCode::OK {
        return Ok(response);
    }
    let error = TransportError::new(message).with_status(status.as_u16());
    if let Some(location) = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok())
    {
        let shown: String = location.chars().take(MAX_ERROR_BODY_BYTES).collect();
        return Err(error.with_description(format!("redirected to {shown}")));
    }
    // An error of Engine.IO contains the reason: {"code":1,"message":"Session ID unknown"}
    match body(response, MAX_ERROR_BODY_BYTES, message).await {
        Ok(text) if !text.is_empty() => Err(error.with_description(String::from_utf8_lossy(&text))),
        _ => Err(error),
    }
}

async fn body(
    response: Response<Incoming>,
    limit: usize,
    message: &'static str,
) -> Result<Bytes, TransportError> {
    match Limited::new(response.into_body(), limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(TransportError::new(message).with_description(chain(&*error))),
    }
}

pub(crate) type SharedPolling = Arc<Polling>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_a_server_keeps_connections() {
        let keep = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("keep-alive", HeaderValue::from_static(value));
            keep_alive(&headers).map(|lasts| lasts.as_secs())
        };
        assert_eq!(keep("timeout=5"), Some(5));
        assert_eq!(keep("max=100, Timeout = 72"), Some(72));
        assert_eq!(keep("timeout=99999999999999999"), Some(86_400));
        for nonsense in ["", "max=100", "timeout", "timeout=-1", "timeout=x"] {
            assert_eq!(keep(nonsense), None, "{nonsense}");
        }
    }
}
