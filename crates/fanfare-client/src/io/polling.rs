//! Long-polling requests over kept-alive HTTP/1.1 connections.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::Mutex;

use super::connector::{Connector, unreachable};
use crate::protocol::{Transport, TransportError};

/// Longest part of an error's body that is shown.
const MAX_ERROR_BODY: usize = 512;

/// The HTTP connections of one Engine.IO connection: one for the GET that waits, one for POSTs.
#[derive(Debug, Default)]
pub(crate) struct Polling {
    get: Mutex<Option<SendRequest<Full<Bytes>>>>,
    post: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Polling {
    pub(crate) async fn get(
        &self,
        connector: &Connector,
        sid: Option<&str>,
    ) -> Result<Bytes, TransportError> {
        const MESSAGE: &str = "xhr poll error";
        in_time(connector, MESSAGE, async {
            let response = self
                .send(
                    &self.get,
                    connector,
                    Method::GET,
                    sid,
                    Bytes::new(),
                    MESSAGE,
                )
                .await?;
            body(response, connector.max_message.saturating_mul(2), MESSAGE).await
        })
        .await
    }

    pub(crate) async fn post(
        &self,
        connector: &Connector,
        sid: &str,
        data: Bytes,
    ) -> Result<(), TransportError> {
        const MESSAGE: &str = "xhr post error";
        in_time(connector, MESSAGE, async {
            let response = self
                .send(
                    &self.post,
                    connector,
                    Method::POST,
                    Some(sid),
                    data,
                    MESSAGE,
                )
                .await?;
            body(response, MAX_ERROR_BODY, MESSAGE).await.map(drop)
        })
        .await
    }

    async fn send(
        &self,
        slot: &Mutex<Option<SendRequest<Full<Bytes>>>>,
        connector: &Connector,
        method: Method,
        sid: Option<&str>,
        data: Bytes,
        message: &'static str,
    ) -> Result<Response<Incoming>, TransportError> {
        let failed = |error: &dyn std::error::Error| {
            TransportError::new(message).with_description(chain(error))
        };
        let mut slot = slot.lock().await;
        let mut request = request(connector, method, sid, data).map_err(|error| failed(&error))?;
        // A kept-alive connection may have been closed meanwhile. Only a request that never left is sent again.
        if let Some(mut sender) = slot.take()
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => {
                    *slot = Some(sender);
                    return accept(connector, response, message).await;
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(failed(&error.into_error())),
                },
            }
        }
        let io = connector
            .connect()
            .await
            .map_err(|error| unreachable(message, &error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(io))
            .await
            .map_err(|error| failed(&error))?;
        tokio::spawn(async move {
            // Its errors reach whoever waits for the response.
            let _ = connection.await;
        });
        let response = sender
            .send_request(request)
            .await
            .map_err(|error| failed(&error))?;
        *slot = Some(sender);
        accept(connector, response, message).await
    }
}

/// Gives a request up that takes longer than the option allows.
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
    sid: Option<&str>,
    data: Bytes,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let post = method == Method::POST;
    let mut request = Request::builder()
        .method(method)
        .uri(connector.path_and_query(Transport::Polling, sid))
        .body(Full::new(data))?;
    *request.headers_mut() = connector.request_headers(Transport::Polling, Instant::now());
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

/// Keeps cookies, and turns any status but 200 into an error.
async fn accept(
    connector: &Connector,
    response: Response<Incoming>,
    message: &'static str,
) -> Result<Response<Incoming>, TransportError> {
    connector.store_cookies(response.headers(), Instant::now());
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
        return Err(error.with_description(format!("redirected to {location}")));
    }
    // An error of Engine.IO says why: {"code":1,"message":"Session ID unknown"}
    match body(response, MAX_ERROR_BODY, message).await {
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

/// An error with its causes.
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

pub(crate) type SharedPolling = Arc<Polling>;
