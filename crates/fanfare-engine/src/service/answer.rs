//! Responses to requests, as Node's server gives them.

use bytes::Bytes;
use fanfare_protocol::engine::ErrorCode;
use fanfare_websocket::handshake::HandshakeError;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::{EngineBody, Upgrade};

const XSS_PROTECTION: HeaderName = HeaderName::from_static("x-xss-protection");

pub(crate) type Answer = Response<EngineBody>;

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

/// A response, in the form that is cheapest to write.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Response of a session, to which no hook adds header fields.
    Plain(Plain),
    Whole(Answer),
}

/// Response 200 of a session. The server adds the length of the body.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// Whether the response has the header `X-XSS-Protection: 0`, which Node adds for Internet Explorer.
    pub(crate) msie: bool,
}

impl Plain {
    /// Creates the response to a GET.
    pub(super) fn payload(body: Bytes, binary: bool, msie: bool) -> Plain {
        let content_type = match binary {
            true => "application/octet-stream",
            false => "text/plain; charset=UTF-8",
        };
        Plain {
            content_type,
            body,
            msie,
        }
    }

    /// Creates the response to a POST.
    pub(super) fn posted(msie: bool) -> Plain {
        Plain {
            content_type: "text/html",
            body: Bytes::from_static(b"ok"),
            msie,
        }
    }
}

impl From<Plain> for Answer {
    fn from(plain: Plain) -> Answer {
        let mut response = Response::new(EngineBody::new(plain.body));
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(plain.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if plain.msie {
            headers.insert(XSS_PROTECTION, HeaderValue::from_static("0"));
        }
        *response.headers_mut() = headers;
        response
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Answer {
        match reply {
            Reply::Plain(plain) => plain.into(),
            Reply::Whole(answer) => answer,
        }
    }
}
