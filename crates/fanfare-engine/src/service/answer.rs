//! The answers to requests, as Node's server gives them.

use bytes::Bytes;
use fanfare_protocol::engine::ErrorCode;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Response, StatusCode};

use super::EngineBody;

const XSS_PROTECTION: HeaderName = HeaderName::from_static("x-xss-protection");

pub(super) type Answer = Response<EngineBody>;

/// An empty answer.
pub(super) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(EngineBody::default());
    *response.status_mut() = status;
    response
}

/// An empty answer behind which the connection ends.
pub(super) fn last(status: StatusCode) -> Answer {
    let mut response = empty(status);
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The refusal of a request by an error code: JSON.
pub(super) fn refusal(code: ErrorCode, message: Option<&str>) -> Answer {
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

/// The refusal of a WebSocket: always 400, the message as plain text, and the connection ends.
pub(super) fn upgrade_refusal(code: ErrorCode, message: Option<&str>) -> Answer {
    let body = match message {
        None => Bytes::from_static(code.message().as_bytes()),
        Some(message) => Bytes::copy_from_slice(message.as_bytes()),
    };
    let mut response = Response::new(EngineBody::new(body));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    response
}

/// The answer to a GET.
pub(super) fn payload(body: Bytes, binary: bool, msie: bool) -> Answer {
    let content_type = if binary {
        "application/octet-stream"
    } else {
        "text/plain; charset=UTF-8"
    };
    ok(content_type, body, msie)
}

/// The answer to a POST.
pub(super) fn posted(msie: bool) -> Answer {
    ok("text/html", Bytes::from_static(b"ok"), msie)
}

/// The server adds the length of the body.
fn ok(content_type: &'static str, body: Bytes, msie: bool) -> Answer {
    let mut response = Response::new(EngineBody::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if msie {
        headers.insert(XSS_PROTECTION, HeaderValue::from_static("0"));
    }
    response
}
