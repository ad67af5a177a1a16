//! URLs of servers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderValue;

use super::idn::to_ascii;
use crate::error::UrlError;

/// Address of a server, and namespace and query of its URL.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Address {
    /// Whether to use TLS: `https` and `wss`.
    pub secure: bool,
    /// Host without the brackets of an IPv6 address, in ASCII.
    pub host: String,
    /// Port, by default that of the scheme.
    pub port: u16,
    /// `user:password`, percent-decoded.
    pub credentials: Option<String>,
    /// Namespace: the URL's path.
    pub namespace: String,
    /// Query, percent-encoded; `None` without `?`.
    pub query: Option<String>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Credentials are secret, and so may be the query: they are not shown.
        f.debug_struct("Address")
            .field("origin", &self.origin())
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Address {
    /// Parses `scheme://[user[:password]@]host[:port][/namespace][?query]`. The default scheme is `https`, as in the
    /// JavaScript client. Host and query may be written in any script.
    ///
    /// # Errors
    /// [`UrlError`] if the text is not a URL, or has another scheme.
    pub fn parse(url: &str) -> Result<Self, UrlError> {
        let invalid = |message: &str| UrlError::Invalid {
            url: shortened(url),
            message: message.to_owned(),
        };
        let (scheme, rest) = match url.split_once("://") {
            // `://` may also occur in the query.
            Some((scheme, rest)) if !scheme.contains(['/', '?', '#', '.', ':']) => (scheme, rest),
            _ => ("https", url.trim_start_matches("//")),
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            other => {
                return Err(UrlError::Scheme {
                    url: shortened(url),
                    scheme: shortened(other),
                });
            }
        };
        // The fragment never leaves the client.
        let rest = rest.split('#').next().unwrap_or_default();
        let (place, query) = match rest.split_once('?') {
            Some((place, query)) => (place, Some(query)),
            None => (rest, None),
        };
        let (authority, namespace) = match place.find('/') {
            Some(at) => place.split_at(at),
            None => (place, "/"),
        };
        let (credentials, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(decode(user)), address),
            None => (None, authority),
        };
        let (bracketed, port) = host_and_port(address).map_err(|port| {
            invalid(&format!(
                "the port {:?} is not in 0..=65535",
                shortened(port)
            ))
        })?;
        let bracketed = host(bracketed).map_err(|why| invalid(&why))?;
        let port = port.unwrap_or(if secure { 443 } else { 80 });
        Ok(Self {
            secure,
            host: bracketed.trim_matches(['[', ']']).to_owned(),
            port,
            credentials,
            namespace: namespace.to_owned(),
            query: query.map(encode_raw),
        })
    }

    /// Returns the value of the header `Host`: the host, and the port unless it is the scheme's default.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.secure, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// Returns the value of the header `Authorization` (Basic, RFC 7617); `None` if the URL has no credentials.
    #[must_use]
    pub fn authorization(&self) -> Option<HeaderValue> {
        let credentials = BASE64.encode(self.credentials.as_ref()?);
        HeaderValue::from_str(&format!("Basic {credentials}")).ok()
    }

    /// Returns scheme, host and port: `https://example.com`.
    #[must_use]
    pub fn origin(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

/// Splits an address into the host, with the brackets of an IPv6 address, and the port if there is one; the error is
/// the invalid port.
fn host_and_port(address: &str) -> Result<(&str, Option<u16>), &str> {
    let end = address.rfind(']').map_or(0, |at| at + 1);
    let (brackets, rest) = address.split_at(end);
    let Some((name, port)) = rest.split_once(':') else {
        return Ok((address, None));
    };
    let host = &address[..brackets.len() + name.len()];
    if port.is_empty() {
        return Ok((host, None));
    }
    // `parse` would accept a sign.
    match port.parse() {
        Ok(number) if port.bytes().all(|byte| byte.is_ascii_digit()) => Ok((host, Some(number))),
        _ => Err(port),
    }
}

/// Converts a host to a name for DNS and TLS, or an address; the error describes the fault.
fn host(host: &str) -> Result<String, String> {
    if host.is_empty() {
        return Err("no host".to_owned());
    }
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']');
        return match address.and_then(|address| address.parse::<std::net::Ipv6Addr>().ok()) {
            Some(_) => Ok(host.to_owned()),
            None => Err("bad IPv6 address".to_owned()),
        };
    }
    let name = to_ascii(host)?;
    let odd = name
        .chars()
        .find(|char| !char.is_ascii_alphanumeric() && !"-._".contains(*char));
    match odd {
        Some(odd) => Err(format!("{odd:?} cannot stand in the name of a host")),
        None => Ok(name),
    }
}

/// Returns the start of the given text, for messages, which escape it.
pub(crate) fn shortened(text: &str) -> String {
    const MAX: usize = 100;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Percent-encodes characters that are not allowed in a path or a query (RFC 3986), as browsers do; `%` and the
/// delimiters stay.
pub(crate) fn encode_raw(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Percent-encodes a query name or value, as `encodeURIComponent` does.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'!'
            | b'~'
            | b'*'
            | b'\''
            | b'('
            | b')' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

pub(crate) fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [b'%', high, low, more @ ..] if let Some(byte) = hex(*high, *low) => {
                out.push(byte);
                more
            }
            [byte, more @ ..] => {
                out.push(*byte);
                more
            }
            [] => return String::from_utf8_lossy(&out).into_owned(),
        };
    }
}

/// Returns the value of two hexadecimal digits, which accepts no other spelling of a number.
fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let address = Address::parse("http://localhost:3000/chat?a=b#c").unwrap();
        assert_eq!(
            (address.secure, address.port, address.authority().as_str()),
            (false, 3000, "localhost:3000")
        );
        assert_eq!(
            (address.namespace.as_str(), address.query.as_deref()),
            ("/chat", Some("a=b"))
        );
        let address = Address::parse("wss://example.com").unwrap();
        assert_eq!(
            (address.secure, address.port, address.authority().as_str()),
            (true, 443, "example.com")
        );
        assert_eq!(address.namespace, "/");
        let address = Address::parse("example.com:8443").unwrap();
        assert_eq!((address.secure, address.port), (true, 8443));
        let address = Address::parse("http://[::1]:80/").unwrap();
        assert_eq!(
            (address.host.as_str(), address.authority().as_str()),
            ("::1", "[::1]")
        );
        let address = Address::parse("http://me:p%40ss@host").unwrap();
        assert_eq!(
            (address.credentials.as_deref(), address.authority().as_str()),
            (Some("me:p@ss"), "host")
        );
        assert!(matches!(
            Address::parse("ftp://x"),
            Err(UrlError::Scheme { .. })
        ));
        for bad in [
            "",
            "http://",
            "http:// x",
            "http://x:y",
            "http://x:65536",
            "http://x:+80",
            "http://[::1",
            "http://[::x]",
            "http://a%20b",
            "http://a@",
            "http://a:b:80",
            "http://a\u{308}",
            "://",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn debug_output_has_no_secrets() {
        let address = Address::parse("http://me:pass@host/chat?token=abc").unwrap();
        let text = format!("{address:?}");
        assert!(text.contains("http://host") && text.contains("/chat"));
        assert!(!text.contains("pass") && !text.contains("abc"), "{text}");
    }

    #[test]
    fn percent() {
        assert_eq!(encode("a b&=é/"), "a%20b%26%3D%C3%A9%2F");
        assert_eq!(decode("a%20b%zz%"), "a b%zz%");
        assert_eq!(decode("%+1%-1% 1%C3%A9%4"), "%+1%-1% 1é%4");
    }

    #[test]
    fn urls_in_any_script() {
        let address = Address::parse("http://bücher.example:8080/ñ?q=ü x&r=%20\"<>").unwrap();
        assert_eq!(address.host, "xn--bcher-kva.example");
        assert_eq!(address.authority(), "xn--bcher-kva.example:8080");
        assert_eq!(
            address.namespace, "/ñ",
            "as it is: it is no part of a request"
        );
        let query = address.query.as_deref();
        assert_eq!(query, Some("q=%C3%BC%20x&r=%20%22%3C%3E"));
    }

    #[test]
    fn a_scheme_in_the_query_is_none() {
        let address = Address::parse("example.com/chat?next=ftp://x").unwrap();
        assert_eq!(
            (address.secure, address.namespace.as_str()),
            (true, "/chat")
        );
        assert_eq!(address.query.as_deref(), Some("next=ftp://x"));
    }

    #[test]
    fn errors_show_the_beginning_of_what_was_given() {
        let long = format!("http://{}\u{1b}[2J", "x".repeat(1000));
        let error = Address::parse(&format!("{long}%")).unwrap_err().to_string();
        assert!(error.len() < 300 && !error.contains('\u{1b}'), "{error}");
    }
}
