//! What is known of a connection's first request, in one compact allocation.

use std::fmt;
use std::net::SocketAddr;
use std::time::SystemTime;

use http::HeaderMap;

/// The address of the peer, as a request extension.
///
/// [`serve`](crate::serve) sets it. Behind another server, insert it into the request's extensions before the request
/// reaches the [`EngineService`](crate::EngineService); without it the address of a handshake is unknown (`None`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddr(pub SocketAddr);

/// Whether the connection came in over TLS, as a request extension. Absent means no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Secure(pub bool);

/// What is known of a connection's first request.
///
/// Hyper's request head is not kept: the URL and the headers are copied into one allocation of their exact size.
#[derive(Clone)]
pub struct Handshake {
    /// `url`, then per header: length of the name (u8; 0 = the next byte is an index into `KNOWN`), length of the
    /// value (u16, big-endian), name, value.
    data: Box<[u8]>,
    url_len: u32,
    secure: bool,
    address: Option<SocketAddr>,
    issued: SystemTime,
}

/// Names that nearly every browser or client sends: they cost two bytes.
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

impl Handshake {
    /// Copies what is needed from a request.
    pub fn new<B>(request: &http::Request<B>) -> Handshake {
        let extensions = request.extensions();
        let address = extensions.get::<RemoteAddr>().map(|a| a.0);
        let secure = extensions.get::<Secure>().is_some_and(|s| s.0);
        Handshake::from_parts(request.uri(), request.headers(), address, secure)
    }

    pub(crate) fn from_parts(
        uri: &http::Uri,
        headers: &HeaderMap,
        address: Option<SocketAddr>,
        secure: bool,
    ) -> Handshake {
        let url = url(uri);
        let mut data = Vec::with_capacity(head_len(uri, headers));
        data.extend_from_slice(url.as_bytes());
        for (name, value) in headers {
            let (name, value) = (name.as_str(), value.as_bytes());
            let (Ok(value_len), Ok(name_len)) =
                (u16::try_from(value.len()), u8::try_from(name.len()))
            else {
                continue; // A single header of more than 64 KiB: servers refuse such heads anyway.
            };
            match KNOWN.binary_search(&name) {
                Ok(index) => data.extend_from_slice(&[0, index as u8]),
                Err(_) => data.push(name_len),
            }
            data.extend_from_slice(&value_len.to_be_bytes());
            if !KNOWN.contains(&name) {
                data.extend_from_slice(name.as_bytes());
            }
            data.extend_from_slice(value);
        }
        Handshake {
            data: data.into_boxed_slice(),
            url_len: url.len() as u32,
            secure,
            address,
            issued: SystemTime::now(),
        }
    }

    /// The path and query of the request, as sent.
    pub fn url(&self) -> &str {
        std::str::from_utf8(&self.data[..self.url_len as usize]).unwrap_or("/")
    }

    /// The query string of the request, without the `?`; empty if there is none.
    pub fn query(&self) -> &str {
        self.url().split_once('?').map_or("", |(_, query)| query)
    }

    /// The value of a query parameter, percent-decoded. Of several with this name the last counts, as in Node.
    pub fn query_param(&self, name: &str) -> Option<String> {
        query_pairs(self.query())
            .filter(|(n, _)| n == name)
            .last()
            .map(|(_, value)| value)
    }

    /// The query parameters in their order, percent-decoded.
    pub fn query_params(&self) -> impl Iterator<Item = (String, String)> + '_ {
        query_pairs(self.query())
    }

    /// The headers in the order in which the HTTP library keeps them; names are in lower case.
    pub fn headers(&self) -> Headers<'_> {
        Headers {
            rest: &self.data[self.url_len as usize..],
        }
    }

    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers()
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value)
    }

    /// The first value of a header as text, if it is UTF-8; `name` in lower case.
    pub fn header_str(&self, name: &str) -> Option<&str> {
        self.header(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The address of the peer, if the server knows it (see [`RemoteAddr`]).
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whether the request came in over TLS (see [`Secure`]).
    pub fn secure(&self) -> bool {
        self.secure
    }

    /// Whether the request is cross-domain: it has an `Origin` header.
    pub fn xdomain(&self) -> bool {
        self.header("origin").is_some()
    }

    /// When the request was received.
    pub fn issued(&self) -> SystemTime {
        self.issued
    }
}

fn url(uri: &http::Uri) -> &str {
    uri.path_and_query().map_or("/", |p| p.as_str())
}

/// About how many bytes the URL and the headers of a request have.
pub(crate) fn head_len(uri: &http::Uri, headers: &HeaderMap) -> usize {
    let header = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        4 + name.as_str().len() + value.len()
    };
    url(uri).len() + headers.iter().map(header).sum::<usize>()
}

impl Default for Handshake {
    /// That of a request of which nothing is known.
    fn default() -> Self {
        Handshake {
            data: Box::default(),
            url_len: 0,
            secure: false,
            address: None,
            issued: SystemTime::now(),
        }
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither the query nor the headers: they hold secrets (sid, cookies, tokens).
        f.debug_struct("Handshake")
            .field("address", &self.address)
            .field("secure", &self.secure)
            .field("issued", &self.issued)
            .finish_non_exhaustive()
    }
}

/// The headers of a [`Handshake`]: pairs of a name in lower case and a value.
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

/// The pairs of a query string, percent-decoded (`+` is a space), in their order.
pub(crate) fn query_pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decode(name), percent_decode(value))
        })
}

/// Decodes `%XX` and `+` as Node's `querystring` does: what is not a valid escape stays as it is.
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
    use super::*;

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
        let handshake = Handshake::new(&request);
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
        assert_eq!(handshake.header_str("cookie"), Some("a=b"));
        assert_eq!(handshake.headers().count(), 5);
        assert!(!handshake.xdomain());
        assert!(
            !format!("{handshake:?}").contains("a=b"),
            "no secrets in logs"
        );
    }
}
