//! Parser of HTTP/1 requests (RFC 9112) at the beginning of the input.
//!
//! The end of one request decides what the next one is, so the parser does not guess: it rejects ambiguous input, and
//! the connection ends.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version,
};

use super::body::{BodyFeed, ServeBody};
use crate::fields::Fields;
use crate::handshake::{Peer, Secure};

/// Number of header fields that are parsed on the stack, enough for nearly all requests; others use the heap.
const INLINE_HEADERS: usize = 64;
/// Preface of HTTP/2 (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Storage for the parsed header fields of a request.
pub(super) struct Room<'a> {
    few: [MaybeUninit<httparse::Header<'a>>; INLINE_HEADERS],
    many: Vec<MaybeUninit<httparse::Header<'a>>>,
}

impl Room<'_> {
    pub(super) const fn new() -> Self {
        Room {
            few: [const { MaybeUninit::uninit() }; INLINE_HEADERS],
            many: Vec::new(),
        }
    }
}

/// Request head at the beginning of the input.
pub(super) enum Parsed<'r, 'a> {
    /// The head of a request is not complete.
    Incomplete,
    Request(Incoming<'r, 'a>),
    /// Another protocol.
    Http2,
    /// The input is not a request; with the status of the response.
    Bad(StatusCode),
}

/// A request whose head is whole.
pub(super) struct Incoming<'r, 'a> {
    pub(super) head: Head<'r, 'a>,
    pub(super) body: ServeBody,
    /// Sink of the rest of the body, if some is yet to come.
    pub(super) feed: Option<BodyFeed>,
    /// Number of bytes of the input that the request consumed.
    pub(super) consumed: usize,
    /// State of the connection after the response.
    pub(super) keep: Keep,
    /// Whether the request asks for a WebSocket.
    pub(super) upgrade: bool,
    /// Whether the client sends the body only after a `100 Continue` (`Expect: 100-continue`).
    pub(super) expects: bool,
}

/// Head of a request, borrowed from the input.
pub(crate) struct Head<'r, 'a> {
    bytes: &'a [u8],
    method: &'a str,
    target: &'a str,
    is_old: bool,
    headers: &'r [httparse::Header<'a>],
}

/// State of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// The connection stays open, as is usual in HTTP/1.1.
    Open,
    /// The connection stays open, and the response says so, as a client of HTTP/1.0 requires.
    Told,
    /// The connection ends.
    Close,
}

struct Bad(StatusCode);

const BAD_REQUEST: Bad = Bad(StatusCode::BAD_REQUEST);

/// Parses the request at the beginning of `input`. Its head has at most `limit` bytes; its body may not have arrived
/// yet.
pub(super) fn parse<'r, 'a>(
    input: &'a [u8],
    limit: usize,
    room: &'r mut Room<'a>,
) -> Parsed<'r, 'a> {
    if input.starts_with(b"PR") {
        if input.starts_with(PREFACE) {
            return Parsed::Http2;
        }
        if PREFACE.starts_with(input) {
            return Parsed::Incomplete;
        }
    }
    let parsed = match parse_into(input, &mut room.few, limit) {
        Err(httparse::Error::TooManyHeaders) => {
            // The shortest header has four bytes.
            let most = input.len().min(limit) / 4 + 1;
            room.many.resize_with(most, MaybeUninit::uninit);
            parse_into(input, &mut room.many, limit)
        }
        parsed => parsed,
    };
    parsed.unwrap_or_else(|error| {
        Parsed::Bad(match error {
            // More headers than fit into a head of maximum length.
            httparse::Error::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => StatusCode::BAD_REQUEST,
        })
    })
}

fn parse_into<'r, 'a>(
    input: &'a [u8],
    headers: &'r mut [MaybeUninit<httparse::Header<'a>>],
    limit: usize,
) -> Result<Parsed<'r, 'a>, httparse::Error> {
    let too_long = Parsed::Bad(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let mut head = httparse::Request::new(&mut []);
    let head_len = match head.parse_with_uninit_headers(input, headers)? {
        httparse::Status::Complete(len) if len <= limit => len,
        httparse::Status::Partial if input.len() <= limit => return Ok(Parsed::Incomplete),
        _ => return Ok(too_long),
    };
    let (Some(method), Some(target)) = (head.method, head.path) else {
        return Ok(Parsed::Bad(StatusCode::BAD_REQUEST));
    };
    let head = Head {
        bytes: &input[..head_len],
        method,
        target,
        is_old: head.version == Some(0),
        headers: head.headers,
    };
    let taken = take(input, head);
    Ok(taken.map_or_else(|Bad(status)| Parsed::Bad(status), Parsed::Request))
}

/// Fields of the head that concern the connection and the body.
#[derive(Default)]
struct Framing {
    length: Option<usize>,
    chunked: bool,
    hosts: usize,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    websocket: bool,
    expects: bool,
    /// An expectation that the server cannot meet.
    unknown_expectation: bool,
}

impl Framing {
    #[inline]
    fn read(&mut self, name: &str, value: &[u8]) -> Result<(), Bad> {
        let is = |known: HeaderName| name.eq_ignore_ascii_case(known.as_str());
        // The length distinguishes most names.
        match name.len() {
            4 if is(HOST) => self.hosts += 1,
            6 if is(EXPECT) => {
                self.expects = true;
                self.unknown_expectation |= !value.eq_ignore_ascii_case(b"100-continue");
            }
            7 if is(UPGRADE) => {
                let mut tokens = tokens(value);
                self.websocket |= tokens.any(|token| token.eq_ignore_ascii_case(b"websocket"));
            }
            10 if is(CONNECTION) => {
                for token in tokens(value) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                    self.connection_upgrade |= token.eq_ignore_ascii_case(b"upgrade");
                }
            }
            14 if is(CONTENT_LENGTH) => {
                if self.length.is_some() {
                    return Err(BAD_REQUEST);
                }
                self.length = Some(decimal(value).ok_or(BAD_REQUEST)?);
            }
            17 if is(TRANSFER_ENCODING) => {
                // No other coding is supported, and a repeated one is a sign of request smuggling.
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(BAD_REQUEST);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Returns the elements of a header field that is a list.
fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}

fn take<'r, 'a>(input: &'a [u8], head: Head<'r, 'a>) -> Result<Incoming<'r, 'a>, Bad> {
    let is_target = match head.target.as_bytes() {
        [b'/', ..] => true,
        b"*" => head.method == "OPTIONS",
        target => target.starts_with(b"http://") || target.starts_with(b"https://"),
    };
    if !is_target || !head.target.is_ascii() || head.method == "CONNECT" {
        return Err(BAD_REQUEST);
    }
    if !head.lines_end_as_they_should() {
        return Err(BAD_REQUEST);
    }
    let mut fields = Framing::default();
    for header in head.headers {
        fields.read(header.name, header.value)?;
    }
    // RFC 9112, sections 3.2 and 6.1.
    let hosts = usize::from(!head.is_old)..2;
    if !hosts.contains(&fields.hosts)
        || (fields.chunked && (head.is_old || fields.length.is_some()))
    {
        return Err(BAD_REQUEST);
    }
    let length = fields.length.unwrap_or(0);
    let upgrade = fields.connection_upgrade && fields.websocket && !head.is_old;
    if upgrade && (fields.chunked || length > 0) {
        return Err(BAD_REQUEST);
    }
    if fields.unknown_expectation {
        return Err(Bad(StatusCode::EXPECTATION_FAILED));
    }
    let (came, rest) = (head.bytes.len(), &input[head.bytes.len()..]);
    came.checked_add(length).ok_or(BAD_REQUEST)?;
    let (body, feed, consumed) = if fields.chunked {
        let (body, feed, consumed) = ServeBody::chunked(rest).map_err(|_| BAD_REQUEST)?;
        (body, feed, came + consumed)
    } else if length <= rest.len() {
        let body = ServeBody::whole(Bytes::copy_from_slice(&rest[..length]));
        (body, None, came + length)
    } else {
        let (body, feed) = ServeBody::arriving(rest, length - rest.len());
        (body, Some(feed), input.len())
    };
    Ok(Incoming {
        expects: fields.expects && feed.is_some() && !head.is_old,
        keep: match (fields.close, head.is_old, fields.keep_alive) {
            (true, ..) | (false, true, false) => Keep::Close,
            (false, true, true) => Keep::Told,
            (false, false, _) => Keep::Open,
        },
        head,
        body,
        feed,
        consumed,
        upgrade,
    })
}

impl Head<'_, '_> {
    /// Creates a request that does not borrow from the input. `None`: the head is not valid.
    pub(super) fn request(&self, body: ServeBody) -> Option<Request<ServeBody>> {
        // The only copy: all values share it.
        let data = Bytes::copy_from_slice(self.bytes);
        let share = |part: &[u8]| {
            let start = part.as_ptr() as usize - self.bytes.as_ptr() as usize;
            data.slice(start..start + part.len())
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).ok()?;
        *request.uri_mut() = match Uri::from_maybe_shared(share(self.target.as_bytes())) {
            Ok(uri) => uri,
            Err(_) => escaped(self.target)?,
        };
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for header in self.headers {
            let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
            headers.append(
                name,
                HeaderValue::from_maybe_shared(share(header.value)).ok()?,
            );
        }
        *request.headers_mut() = headers;
        if self.is_old {
            *request.version_mut() = Version::HTTP_10;
        }
        Some(request)
    }

    pub(crate) fn method(&self) -> &str {
        self.method
    }

    /// Returns the path and the query of the target, as they were sent.
    pub(crate) fn path_and_query(&self) -> (&str, &str) {
        let target = match memchr::memchr(b'#', self.target.as_bytes()) {
            Some(fragment) => &self.target[..fragment],
            None => self.target,
        };
        // The path is short, so a plain loop finds its end sooner than `memchr`.
        match target.bytes().position(|byte| byte == b'?') {
            Some(mark) => (&target[..mark], &target[mark + 1..]),
            None => (target, ""),
        }
    }

    /// Whether every line ends with CRLF. LF alone is rejected, because other servers might not take it for the end of
    /// a line (RFC 9112, section 2.2). Empty lines before a request do not count.
    ///
    /// Between two names there is exactly one end of a line, because neither names nor values can contain one.
    fn lines_end_as_they_should(&self) -> bool {
        let start = self.bytes.as_ptr() as usize;
        let mut names = self
            .headers
            .iter()
            .map(|header| header.name.as_ptr() as usize - start);
        names.all(|name| self.bytes.get(name.wrapping_sub(2)) == Some(&b'\r'))
            && self.bytes.ends_with(b"\r\n\r\n")
    }
}

impl Fields for Head<'_, '_> {
    fn all<'a>(&'a self, name: &'a HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let name = name.as_str();
        let fields = self.headers.iter();
        // Most names differ in length, which is compared without a call.
        let named = fields.filter(move |field| {
            field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name)
        });
        named.map(|field| field.value)
    }
}

/// Percent-encodes the characters of a target that a URI must not contain. Node accepts them, and some clients send
/// them unencoded.
#[cold]
fn escaped(target: &str) -> Option<Uri> {
    let mut escaped = String::with_capacity(target.len() + 16);
    for char in target.chars() {
        match char {
            '"' => escaped.push_str("%22"),
            '<' => escaped.push_str("%3C"),
            '>' => escaped.push_str("%3E"),
            '\\' => escaped.push_str("%5C"),
            '^' => escaped.push_str("%5E"),
            '`' => escaped.push_str("%60"),
            '{' => escaped.push_str("%7B"),
            '|' => escaped.push_str("%7C"),
            '}' => escaped.push_str("%7D"),
            char => escaped.push(char),
        }
    }
    escaped.parse().ok()
}

/// Parses digits and nothing else (RFC 9110, section 8.6).
fn decimal(value: &[u8]) -> Option<usize> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| usize::from(byte - b'0'));
    let add = |number: usize, byte| number.checked_mul(10)?.checked_add(digit(byte)?);
    let number = value.iter().try_fold(0, add);
    number.filter(|_| !value.is_empty())
}

/// Adds the sender of a request to its extensions.
pub(super) fn identify(extensions: &mut Extensions, peer: Option<Peer>, secure: bool) {
    if let Some(peer) = peer {
        peer.insert(extensions);
    }
    if secure {
        extensions.insert(Secure(true));
    }
}

#[cfg(test)]
mod tests;
