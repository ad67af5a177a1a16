//! The first request of a connection, in one compact allocation.

use std::borrow::Cow;
use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use http::header::{
    AGE, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, ETAG, EXPIRES, FROM, HOST,
    IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, LOCATION, MAX_FORWARDS,
    PROXY_AUTHORIZATION, REFERER, RETRY_AFTER, SERVER, USER_AGENT,
};
use http::{Extensions, HeaderMap, HeaderName};

/// Address of the peer, as a request extension.
///
/// [`serve`](crate::serve()) sets it. Behind another server, insert it into the request's extensions before the request
/// reaches the [`EngineService`](crate::service::EngineService); without it the address of a handshake is unknown (`None`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddr(pub SocketAddr);

/// Other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Peer {
    /// A host with this address.
    Address(SocketAddr),
    /// A process on this machine, over a Unix socket.
    Unix,
}

impl Peer {
    /// Returns the address, if there is one.
    pub fn address(self) -> Option<SocketAddr> {
        match self {
            Peer::Address(address) => Some(address),
            Peer::Unix => None,
        }
    }

    /// Returns the peer of a request: [`RemoteAddr`], or a Unix socket.
    pub fn of(extensions: &Extensions) -> Option<Peer> {
        let address = extensions.get::<RemoteAddr>();
        let unix = extensions.get::<Peer>();
        address
            .map(|address| Peer::Address(address.0))
            .or(unix.copied())
    }

    /// Sets this as the peer of a request.
    pub fn insert(self, extensions: &mut Extensions) {
        match self {
            Peer::Address(address) => {
                extensions.insert(RemoteAddr(address));
            }
            Peer::Unix => {
                extensions.insert(Peer::Unix);
            }
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer::Address(address)
    }
}

/// Whether the connection arrived over TLS, as a request extension. Absent means no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Secure(pub bool);

/// First request of a connection.
///
/// Hyper's request head is not kept: the URL and the headers are copied into one allocation of their exact size.
#[derive(Clone)]
pub struct HandshakeRequest {
    /// `url`, then per header: length of the name (u8; 0 = the next byte is an index into `KNOWN`), length of the value
    /// (u16, big-endian), name, value.
    data: Box<[u8]>,
    url_len: u32,
    secure: bool,
    address: Option<SocketAddr>,
    issued: SystemTime,
}

/// Names that nearly every browser or client sends: they take two bytes.
const KNOWN: &[&str] = &[
    "accept",
    "accept-encoding",
    "accept-language",
    "authorization",
    "cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "dnt",
    "host",
    "origin",
    "pragma",
    "priority",
    "referer",
    "sec-ch-ua",
    "sec-ch-ua-mobile",
    "sec-ch-ua-platform",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "sec-gpc",
    "sec-websocket-extensions",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-version",
    "upgrade",
    "user-agent",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];

impl HandshakeRequest {
    /// Copies the needed parts of a request.
    pub fn new<B>(request: &http::Request<B>) -> HandshakeRequest {
        let extensions = request.extensions();
        let address = extensions.get::<RemoteAddr>().map(|a| a.0);
        let secure = extensions.get::<Secure>().is_some_and(|s| s.0);
        HandshakeRequest::from_parts(request.uri(), request.headers(), address, secure)
    }

    pub(crate) fn from_parts(
        uri: &http::Uri,
        headers: &HeaderMap,
        address: Option<SocketAddr>,
        secure: bool,
    ) -> HandshakeRequest {
        let url = url(uri);
        let mut data = Vec::with_capacity(head_len(uri, headers));
        data.extend_from_slice(url.as_bytes());
        if !headers.contains_key(HOST)
            && let Some(authority) = uri.authority()
        {
            write_header(&mut data, HOST.as_str(), authority.as_str().as_bytes());
        }
        // The values of one name are adjacent.
        let mut last: Option<(&HeaderName, usize)> = None;
        for (name, value) in headers {
            match last {
                Some((before, at)) if before == name => join(&mut data, at, name, value.as_bytes()),
                _ => {
                    let at = data.len();
                    let written = write_header(&mut data, name.as_str(), value.as_bytes());
                    last = written.then_some((name, at));
                }
            }
        }
        HandshakeRequest {
            data: data.into_boxed_slice(),
            url_len: url.len() as u32,
            secure,
            address,
            issued: SystemTime::now(),
        }
    }

    /// Path and query of the request, as sent.
    pub fn url(&self) -> &str {
        std::str::from_utf8(&self.data[..self.url_len as usize]).unwrap_or("/")
    }

    /// Query string of the request, without the `?`; empty if there is none.
    pub fn query(&self) -> &str {
        self.url().split_once('?').map_or("", |(_, query)| query)
    }

    /// Returns the value of a query parameter, percent-decoded. Of several with this name the last counts, as in Node.
    pub fn query_param(&self, name: &str) -> Option<String> {
        query_pairs(self.query())
            .filter(|(n, _)| n == name)
            .last()
            .map(|(_, value)| value)
    }

    /// Returns the query parameters in their order, percent-decoded.
    pub fn query_params(&self) -> impl Iterator<Item = (String, String)> + '_ {
        query_pairs(self.query())
    }

    /// Returns the headers in the order in which the HTTP library keeps them; names are in lower case. As in Node, each
    /// occurs once: a header that arrived in several fields (as cookies do, over HTTP/2) is joined, cookies with `; `,
    /// others with `, `; of a header that is not a list, as `authorization`, the first field counts.
    pub fn headers(&self) -> Headers<'_> {
        Headers {
            rest: &self.data[self.url_len as usize..],
        }
    }

    /// Returns the value of a header; `name` in lower case. Several fields are joined, see [`headers`](Self::headers).
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// Returns the value of a header as text; `name` in lower case. UTF-8 stays as it is, everything else is read as
    /// Latin-1, as Node does.
    pub fn header_text(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = self.header(name)?;
        Some(match std::str::from_utf8(value) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(value.iter().copied().map(char::from).collect()),
        })
    }

    /// Returns the value of a header as text, if it is UTF-8; `name` in lower case. For all values see
    /// [`header_text`](Self::header_text).
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.header(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Address of the peer, if the server knows it (see [`RemoteAddr`]).
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether the request arrived over TLS (see [`Secure`]).
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Whether the request is cross-domain: it has an `Origin` header.
    pub fn is_xdomain(&self) -> bool {
        self.header("origin").is_some()
    }

    /// Time at which the request was received.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }
}

/// Writes a header as [`Headers`] reads it. `false`: it is too long. (Servers reject heads with a header of more than
/// 64 KiB anyway.)
fn write_header(data: &mut Vec<u8>, name: &str, value: &[u8]) -> bool {
    let (Ok(value_len), Ok(name_len)) = (u16::try_from(value.len()), u8::try_from(name.len()))
    else {
        return false;
    };
    let known = KNOWN.binary_search(&name);
    match known {
        Ok(index) => data.extend_from_slice(&[0, index as u8]),
        Err(_) => data.push(name_len),
    }
    data.extend_from_slice(&value_len.to_be_bytes());
    if known.is_err() {
        data.extend_from_slice(name.as_bytes());
    }
    data.extend_from_slice(value);
    true
}

/// Appends another value to the header that was written last, at `at`.
fn join(data: &mut Vec<u8>, at: usize, name: &HeaderName, value: &[u8]) {
    if is_single(name) {
        return;
    }
    let separator: &[u8] = if name == COOKIE { b"; " } else { b", " };
    let at = at + if data[at] == 0 { 2 } else { 1 };
    let before = u16::from_be_bytes([data[at], data[at + 1]]);
    let len = usize::from(before) + separator.len() + value.len();
    let Ok(len) = u16::try_from(len) else {
        return;
    };
    data[at..at + 2].copy_from_slice(&len.to_be_bytes());
    data.extend_from_slice(separator);
    data.extend_from_slice(value);
}

/// Whether only the first value of this header counts, as in Node: the header is not a list.
fn is_single(name: &HeaderName) -> bool {
    [
        AGE,
        AUTHORIZATION,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        ETAG,
        EXPIRES,
        FROM,
        HOST,
        IF_MODIFIED_SINCE,
        IF_UNMODIFIED_SINCE,
        LAST_MODIFIED,
        LOCATION,
        MAX_FORWARDS,
        PROXY_AUTHORIZATION,
        REFERER,
        RETRY_AFTER,
        SERVER,
        USER_AGENT,
    ]
    .contains(name)
}

fn url(uri: &http::Uri) -> &str {
    uri.path_and_query().map_or("/", |p| p.as_str())
}

/// Returns the approximate length of the URL and the headers of a request, in bytes.
pub(crate) fn head_len(uri: &http::Uri, headers: &HeaderMap) -> usize {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        4 + name.as_str().len() + value.len()
    };
    url(uri).len() + headers.iter().map(header).sum::<usize>()
}

impl Default for HandshakeRequest {
    /// Returns an empty request.
    fn default() -> Self {
        HandshakeRequest {
            data: Box::default(),
            url_len: 0,
            secure: false,
            address: None,
            issued: SystemTime::now(),
        }
    }
}

impl fmt::Debug for HandshakeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the query nor the headers: they hold secrets (sid, cookies, tokens).
        f.debug_struct("Handshake")
            .field("address", &self.address)
            .field("secure", &self.secure)
            .field("issued", &self.issued)
            .finish_non_exhaustive()
    }
}

/// Headers of a [`HandshakeRequest`]: pairs of a name in lower case and a value.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&name_len, mut rest) = self.rest.split_first()?;
        let mut known = None;
        if name_len == 0 {
            let (&index, after) = rest.split_first()?;
            known = Some(*KNOWN.get(usize::from(index))?);
            rest = after;
        }
        let (value_len, rest) = rest.split_first_chunk::<2>()?;
        let (name, rest) = rest.split_at_checked(usize::from(name_len))?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*value_len)))?;
        self.rest = rest;
        let name = match known {
            Some(name) => name,
            None => std::str::from_utf8(name).ok()?,
        };
        Some((name, value))
    }
}

/// Returns the pairs of a query string in their order, percent-decoded (`+` is a space).
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        })
}

/// Decodes `%XX` and `+` as Node's `querystring` does: an invalid escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> String {
    if !text.bytes().any(|b| b == b'%' || b == b'+') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let escaped = match bytes[i] {
            b'+' => Some((b' ', 1)),
            b'%' => bytes
                .get(i + 1..i + 3)
                .and_then(|hex| std::str::from_utf8(hex).ok())
                .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|hex| u8::from_str_radix(hex, 16).ok())
                .map(|byte| (byte, 3)),
            _ => None,
        };
        let (byte, used) = escaped.unwrap_or((bytes[i], 1));
        out.push(byte);
        i += used;
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn values_in_several_pieces_are_joined_and_those_in_latin_1_are_read() {
        let latin = HeaderValue::from_bytes(b"caf\xe9").unwrap();
        let long = "y".repeat(65_000);
        let request = http::Request::builder()
            .uri("https://example.org/socket.io/")
            .header("x-list", "a")
            .header("cookie", "a=b")
            .header("user-agent", "one")
            .header("x-list", latin)
            .header("user-agent", "two")
            .header("cookie", "c=d")
            .header("x-long", &long)
            .header("x-long", &long)
            .header("x-list", "")
            .body(())
            .unwrap();
        let handshake = HandshakeRequest::new(&request);
        assert_eq!(handshake.header_str("cookie"), Some("a=b; c=d"));
        assert_eq!(handshake.header_str("x-list"), None);
        assert_eq!(handshake.header_text("x-list").unwrap(), "a, caf\u{e9}, ");
        assert_eq!(handshake.header_text("user-agent").unwrap(), "one");
        assert_eq!(handshake.header_text("host").unwrap(), "example.org");
        assert_eq!(handshake.header_str("x-long"), Some(long.as_str()));
        assert_eq!(handshake.headers().count(), 5);
    }

    #[test]
    fn known_names_are_sorted_for_the_search() {
        assert!(KNOWN.is_sorted());
    }

    #[test]
    fn keeps_url_query_and_headers() {
        let request = http::Request::builder()
            .uri("/socket.io/?EIO=4&token=a%20b+c&token=%zz&x")
            .header("Host", "example.org")
            .header("X-Own", "1")
            .header("Cookie", "a=b")
            .header("Cookie", "c=d")
            .header("X-Empty", "")
            .body(())
            .unwrap();
        let handshake = HandshakeRequest::new(&request);
        assert_eq!(
            handshake.url(),
            "/socket.io/?EIO=4&token=a%20b+c&token=%zz&x"
        );
        assert_eq!(handshake.query_param("token").as_deref(), Some("%zz"));
        assert_eq!(
            handshake.query_params().nth(1),
            Some(("token".into(), "a b c".into()))
        );
        assert_eq!(handshake.query_param("x").as_deref(), Some(""));
        assert_eq!(handshake.query_param("y"), None);
        assert_eq!(handshake.header_str("x-own"), Some("1"));
        assert_eq!(handshake.header_str("x-empty"), Some(""));
        assert_eq!(handshake.header_str("cookie"), Some("a=b; c=d"));
        assert_eq!(handshake.headers().count(), 4);
        assert!(!handshake.is_xdomain());
        assert!(
            !format!("{handshake:?}").contains("a=b"),
            "no secrets in logs"
        );
    }
}
