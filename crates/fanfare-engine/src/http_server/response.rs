//! Encoding of responses.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE};
use http::{Response, StatusCode};

use crate::reply::{EngineBody, Plain};

/// Properties of a response that the request determines.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Form {
    /// Whether the connection ends, and the response says so. Becomes true if it ends anyway.
    pub(super) close: bool,
    /// Whether the connection stays open, and the response says so.
    pub(super) told: bool,
    /// Whether the body is left out, but not its length.
    pub(super) bodiless: bool,
}

impl Form {
    pub(super) fn closing() -> Form {
        Form {
            close: true,
            ..Form::default()
        }
    }
}

/// Writes the head of a session's usual response, and returns its body.
pub(super) fn write_plain(out: &mut Vec<u8>, answer: Plain, form: &Form) -> Bytes {
    out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-type: ");
    out.extend_from_slice(answer.content_type.as_bytes());
    out.extend_from_slice(b"\r\ncache-control: no-store\r\n");
    if answer.msie {
        out.extend_from_slice(b"x-xss-protection: 0\r\n");
    }
    length(out, answer.body.len());
    connection(out, form);
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(&date());
    out.extend_from_slice(b"\r\n\r\n");
    answer.body
}

/// Writes the head of a response (RFC 9112, section 4), and returns its body.
pub(super) fn write_head(
    out: &mut Vec<u8>,
    response: Response<EngineBody>,
    form: &mut Form,
) -> Bytes {
    let (parts, body) = response.into_parts();
    let body = body.into_bytes();
    let status = parts.status;
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes());
    out.extend_from_slice(b"\r\n");
    let (mut says_length, mut says_close, mut says_date) = (false, false, false);
    for (name, value) in &parts.headers {
        says_length |= name == CONTENT_LENGTH;
        says_date |= name == DATE;
        says_close |= name == CONNECTION && value.as_bytes().eq_ignore_ascii_case(b"close");
        field(out, name.as_str(), value.as_bytes());
    }
    form.close |= says_close;
    // For a HEAD response without a body, the length of the response to GET is unknown.
    let unknown = form.bodiless && body.is_empty();
    if has_body(status) && !says_length && !unknown {
        length(out, body.len());
    }
    if !says_close {
        connection(out, form);
    }
    if !says_date && !status.is_informational() {
        field(out, DATE.as_str(), &date());
    }
    out.extend_from_slice(b"\r\n");
    match has_body(status) && !form.bodiless {
        true => body,
        false => Bytes::new(),
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn length(out: &mut Vec<u8>, len: usize) {
    let mut digits = itoa::Buffer::new();
    field(out, CONTENT_LENGTH.as_str(), digits.format(len).as_bytes());
}

fn connection(out: &mut Vec<u8>, form: &Form) {
    if form.close {
        field(out, CONNECTION.as_str(), b"close");
    } else if form.told {
        field(out, CONNECTION.as_str(), b"keep-alive");
    }
}

fn has_body(status: StatusCode) -> bool {
    !(status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED)
}

/// Returns the time in HTTP's format, formatted once a second.
fn date() -> [u8; 29] {
    thread_local! {
        static DATE: Cell<(u64, [u8; 29])> = const { Cell::new((0, [0; 29])) };
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs());
    DATE.with(|cached| {
        let (second, date) = cached.get();
        if second == now {
            return date;
        }
        let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(now));
        let date = text.as_bytes().try_into().unwrap_or(date);
        cached.set((now, date));
        date
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn written(response: Response<EngineBody>, close: bool) -> (String, Bytes, bool) {
        let mut form = Form {
            close,
            ..Form::default()
        };
        let (head, body) = formed(response, &mut form);
        (head, body, form.close)
    }

    fn formed(response: Response<EngineBody>, form: &mut Form) -> (String, Bytes) {
        let mut out = Vec::new();
        let body = write_head(&mut out, response, form);
        (String::from_utf8(out).unwrap(), body)
    }

    #[test]
    fn the_answer_to_head_is_a_head_and_http_1_0_is_told_that_it_goes_on() {
        let mut form = Form {
            told: true,
            bodiless: true,
            ..Form::default()
        };
        let (head, body) = formed(Response::new(EngineBody::new("abc")), &mut form);
        assert!(body.is_empty() && head.contains("content-length: 3\r\n"));
        assert!(head.contains("connection: keep-alive\r\n"), "{head}");
        let (head, _) = formed(Response::new(EngineBody::default()), &mut form);
        assert!(!head.contains("content-length"), "{head}");
    }

    #[test]
    fn the_length_is_added_where_a_body_may_be() {
        let (head, body, close) = written(Response::new(EngineBody::new("abc")), false);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-length: 3\r\ndate: "));
        assert!(head.ends_with(" GMT\r\n\r\n"), "{head}");
        assert_eq!((&body[..], close), (&b"abc"[..], false));
        for (status, has) in [(101, false), (204, false), (304, false), (400, true)] {
            let mut response = Response::new(EngineBody::default());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            let (head, ..) = written(response, false);
            assert_eq!(head.contains("content-length: 0\r\n"), has, "{head}");
        }
    }

    #[test]
    fn the_end_of_the_connection_is_announced_once() {
        let (head, _, close) = written(Response::new(EngineBody::default()), true);
        assert!(close && head.matches("connection: close\r\n").count() == 1);
        let mut response = Response::new(EngineBody::default());
        let says = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, says);
        let (head, _, close) = written(response, false);
        assert!(close && head.matches("connection: close\r\n").count() == 1);
    }
}
