//! Requests that lie in a buffer in one piece.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};

use super::body::{BodyFeed, ServeBody};

/// More header fields than this are hyper's business.
const HEADERS: usize = 64;

/// What lies at the beginning of the input.
#[allow(
    clippy::large_enum_variant,
    reason = "it is taken apart where it was made"
)]
pub(super) enum Parsed {
    /// The head of a request is not complete.
    Incomplete,
    /// A request whose head is whole.
    Request {
        request: Request<ServeBody>,
        /// What the rest of its body goes to, if some is yet to come.
        feed: Option<BodyFeed>,
        /// How much of the input it was.
        consumed: usize,
        /// The connection ends with the answer.
        close: bool,
        /// It asks for another protocol.
        upgrade: bool,
    },
    /// Something else: another protocol, a body of unknown length, an error. Nothing of it has been handled.
    Unusual,
}

/// Looks for a plain HTTP/1.1 request (RFC 9112) in `input`.
///
/// What it takes is what leaves no doubt: one `Content-Length` at most, no transfer coding, no expectations, a path for
/// a target, a head of at most `limit` bytes. The body may still be on its way. The rest is [`Parsed::Unusual`], which
/// includes what is wrong.
pub(super) fn parse(input: &[u8], limit: usize) -> Parsed {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS];
    let mut head = httparse::Request::new(&mut []);
    let head_len = match head.parse_with_uninit_headers(input, &mut headers) {
        Ok(httparse::Status::Complete(len)) if len <= limit => len,
        Ok(httparse::Status::Complete(_)) => return Parsed::Unusual,
        Ok(httparse::Status::Partial) => return Parsed::Incomplete,
        Err(_) => return Parsed::Unusual,
    };
    plain(input, &head, head_len).unwrap_or(Parsed::Unusual)
}

fn plain(input: &[u8], head: &httparse::Request<'_, '_>, head_len: usize) -> Option<Parsed> {
    let method = match head.method? {
        "GET" => Method::GET,
        "POST" => Method::POST,
        "OPTIONS" => Method::OPTIONS,
        _ => return None,
    };
    let target = head.path?;
    if head.version != Some(1) || !target.starts_with('/') {
        return None;
    }
    let mut length = None;
    for header in head.headers.iter() {
        if header.name.eq_ignore_ascii_case(CONTENT_LENGTH.as_str()) {
            if length.is_some() {
                return None;
            }
            length = Some(decimal(header.value)?);
        }
    }
    let end = head_len.checked_add(length.unwrap_or(0))?;
    let consumed = end.min(input.len());
    // The one copy: all values share it, and the body, if it is whole.
    let copied = if end == consumed { consumed } else { head_len };
    let data = Bytes::copy_from_slice(&input[..copied]);
    let share = |part: &[u8]| {
        let start = part.as_ptr() as usize - input.as_ptr() as usize;
        data.slice(start..start + part.len())
    };
    let (body, feed) = if end == consumed {
        (ServeBody::whole(data.slice(head_len..)), None)
    } else {
        let (body, feed) = ServeBody::arriving(&input[head_len..], end - consumed);
        (body, Some(feed))
    };
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = Uri::from_maybe_shared(share(target.as_bytes())).ok()?;
    let (mut close, mut upgrade) = (false, false);
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        if name == TRANSFER_ENCODING || name == EXPECT {
            return None;
        }
        if name == CONNECTION {
            close |= has_token(header.value, "close");
        }
        upgrade |= name == UPGRADE;
        let value = HeaderValue::from_maybe_shared(share(header.value)).ok()?;
        headers.append(name, value);
    }
    if upgrade && end > head_len {
        return None;
    }
    *request.headers_mut() = headers;
    Some(Parsed::Request {
        request,
        feed,
        consumed,
        close,
        upgrade,
    })
}

/// Digits and nothing else (RFC 9110, section 8.6).
fn decimal(value: &[u8]) -> Option<usize> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn has_token(value: &[u8], token: &str) -> bool {
    value
        .split(|&b| b == b',')
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http_body::Body;

    use super::*;

    fn parse(input: &[u8]) -> Parsed {
        super::parse(input, 8192)
    }

    fn is_taken(input: &str) -> bool {
        matches!(parse(input.as_bytes()), Parsed::Request { .. })
    }

    #[test]
    fn a_request_in_one_piece_is_taken_and_no_more() {
        let input = b"POST /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nContent-Length: 3\r\nX-A: 2\r\n\r\nabcGET /";
        let Parsed::Request {
            request,
            feed,
            consumed,
            close,
            upgrade,
        } = parse(input)
        else {
            panic!("it is plain")
        };
        assert_eq!(consumed, input.len() - "GET /".len());
        assert!(feed.is_none());
        assert_eq!((close, upgrade), (false, false));
        assert_eq!(
            (request.method(), request.uri().to_string().as_str()),
            (&Method::POST, "/a?b")
        );
        let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
        assert_eq!(values, ["1", "2"]);
    }

    #[test]
    fn the_rest_of_a_body_may_be_yet_to_come() {
        for length in ["4", "100", "4294967296"] {
            let input = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\nabc");
            let Parsed::Request {
                request,
                feed,
                consumed,
                ..
            } = parse(input.as_bytes())
            else {
                panic!("it is plain")
            };
            let length: usize = length.parse().unwrap();
            assert_eq!(request.body().size_hint().exact(), Some(length as u64));
            assert_eq!(feed.unwrap().missing(), length - 3);
            assert_eq!(consumed, input.len());
        }
    }

    #[test]
    fn connection_and_upgrade_are_seen() {
        let head = "GET / HTTP/1.1\r\nConnection: keep-alive, Close\r\nUpgrade: websocket\r\n\r\n";
        let Parsed::Request { close, upgrade, .. } = parse(head.as_bytes()) else {
            panic!("it is plain")
        };
        assert!(close && upgrade);
    }

    #[test]
    fn every_beginning_of_a_head_is_incomplete() {
        let head = "GET /?a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
        for end in 0..head.len() {
            assert!(
                matches!(parse(&head.as_bytes()[..end]), Parsed::Incomplete),
                "{end}"
            );
        }
        assert!(is_taken(head));
    }

    #[test]
    fn what_is_unusual_is_left_to_others() {
        for start in [
            "GET / HTTP/1.0\r\n",
            "PUT / HTTP/1.1\r\n",
            "HEAD / HTTP/1.1\r\n",
            "GET http://x/ HTTP/1.1\r\n",
            "OPTIONS * HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n",
            "POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 0\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +1\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 1, 1\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n",
            "GET / HTTP/1.1\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
            "GET / HTTP/1.1\r\n folded: 1\r\n",
            "GET / HTTP/1.1\r\nspace : 1\r\n",
            "\x16\x03\x01\x02\0\r\n",
        ] {
            let input = format!("{start}\r\nabc");
            assert!(
                matches!(parse(input.as_bytes()), Parsed::Unusual),
                "{start:?}"
            );
        }
        let long = "x".repeat(8192);
        assert!(!is_taken(&format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n")));
        let many = "A: b\r\n".repeat(HEADERS + 1);
        assert!(!is_taken(&format!("GET / HTTP/1.1\r\n{many}\r\n")));
    }
}
