//! Responses to requests, as Node's server gives them.

use bytes::Bytes;
use fanfare_protocol::engine::ErrorCode;
use fanfare_websocket::handshake::HandshakeError;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderValue, Response, StatusCode};

use super::Upgrade;
use crate::reply::{Answer, EngineBody};

/// Returns an empty response.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(EngineBody::default());
    *response.status_mut() = status;
    response
}

/// Returns an empty response that closes the connection.
pub(super) fn last(status: StatusCode) -> Answer {
    let mut response = empty(status);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns the rejection of a request with an error code: JSON.
pub(super) fn rejection(code: ErrorCode, message: Option<&str>) -> Answer {
    let body = match message {
        None => Bytes::from_static(code.body().as_bytes()),
        Some(message) => Bytes::from(code.body_with(message)),
    };
    let mut response = Response::new(EngineBody::new(body));
    *response.status_mut() =
        StatusCode::from_u16(code.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the rejection of a WebSocket: always 400, with the message as plain text; the connection ends, unless it
/// carries other streams.
pub(super) fn upgrade_rejection(code: ErrorCode, message: Option<&str>, how: Upgrade) -> Answer {
    let body = match message {
        None => Bytes::from_static(code.message().as_bytes()),
        Some(message) => Bytes::copy_from_slice(message.as_bytes()),
    };
    let mut response = Response::new(EngineBody::new(body));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    if how == Upgrade::Header {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// Returns the response to an invalid WebSocket handshake.
pub(super) fn no_websocket(error: &HandshakeError, how: Upgrade) -> Answer {
    let mut response = error.response().map(EngineBody::new);
    match how {
        Upgrade::Header => {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(CONNECTION, close);
        }
        // HTTP/2 has neither 426 nor the headers that belong to it.
        Upgrade::Connect => {
            *response.status_mut() = StatusCode::BAD_REQUEST;
            response.headers_mut().remove(UPGRADE);
            response.headers_mut().remove(CONNECTION);
        }
    }
    response
}
