//! Where a server is.

use http::Uri;

/// Why a URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// Not a URL.
    #[error("invalid URL {url:?}: {message}")]
    Invalid {
        /// The URL as given.
        url: String,
        /// What is wrong with it.
        message: String,
    },
    /// Only `http`, `https`, `ws` and `wss` are known.
    #[error("unsupported scheme {scheme:?} in {url:?}: use http, https, ws or wss")]
    Scheme {
        /// The URL as given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
}

/// A server's address and the namespace that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) secure: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// `Host` header: host, and port unless it is the scheme's own.
    pub(crate) authority: String,
    /// `user:password`, percent-decoded.
    pub(crate) credentials: Option<String>,
    /// The URL's path: the namespace.
    pub(crate) namespace: String,
    pub(crate) query: Option<String>,
}

impl Target {
    /// Reads `scheme://host[:port][/namespace][?query]`. Without a scheme it is `https`, as with the JavaScript client.
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let invalid = |message: String| UrlError::Invalid {
            url: url.to_owned(),
            message,
        };
        let full = match url.find("://") {
            Some(_) => url.to_owned(),
            None => format!("https://{}", url.trim_start_matches("//")),
        };
        // The fragment never leaves the client.
        let full = full.split('#').next().unwrap_or_default();
        let uri: Uri = full
            .parse()
            .map_err(|error: http::uri::InvalidUri| invalid(error.to_string()))?;
        let secure = match uri.scheme_str().map(str::to_ascii_lowercase).as_deref() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            other => {
                return Err(UrlError::Scheme {
                    url: url.to_owned(),
                    scheme: other.unwrap_or_default().to_owned(),
                });
            }
        };
        let authority = uri.authority().ok_or_else(|| invalid("no host".into()))?;
        let bracketed = authority.host();
        if bracketed.is_empty() {
            return Err(invalid("no host".into()));
        }
        let host = bracketed
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let after_user = authority.as_str().rsplit('@').next().unwrap_or_default();
        let port_text = after_user.strip_prefix(bracketed).unwrap_or_default();
        if uri.port_u16().is_none() && !matches!(port_text, "" | ":") {
            return Err(invalid(format!("bad port {port_text:?}")));
        }
        let default_port = if secure { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default_port);
        let credentials = authority
            .as_str()
            .rsplit_once('@')
            .map(|(user, _)| decode(user));
        Ok(Self {
            secure,
            host,
            port,
            authority: if port == default_port {
                bracketed.to_owned()
            } else {
                format!("{bracketed}:{port}")
            },
            credentials,
            namespace: if uri.path().is_empty() {
                "/".to_owned()
            } else {
                uri.path().to_owned()
            },
            query: uri.query().map(str::to_owned),
        })
    }
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
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok());
        match (
            bytes[at],
            hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()),
        ) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let target = Target::parse("http://localhost:3000/chat?a=b#c").unwrap();
        assert_eq!(
            (target.secure, target.port, target.authority.as_str()),
            (false, 3000, "localhost:3000")
        );
        assert_eq!(
            (target.namespace.as_str(), target.query.as_deref()),
            ("/chat", Some("a=b"))
        );
        let target = Target::parse("wss://example.com").unwrap();
        assert_eq!(
            (target.secure, target.port, target.authority.as_str()),
            (true, 443, "example.com")
        );
        assert_eq!(target.namespace, "/");
        let target = Target::parse("example.com:8443").unwrap();
        assert_eq!((target.secure, target.port), (true, 8443));
        let target = Target::parse("http://[::1]:80/").unwrap();
        assert_eq!(
            (target.host.as_str(), target.authority.as_str()),
            ("::1", "[::1]")
        );
        let target = Target::parse("http://me:p%40ss@host").unwrap();
        assert_eq!(
            (target.credentials.as_deref(), target.authority.as_str()),
            (Some("me:p@ss"), "host")
        );
        assert!(matches!(
            Target::parse("ftp://x"),
            Err(UrlError::Scheme { .. })
        ));
        for bad in [
            "",
            "http://",
            "http:// x",
            "http://x:y",
            "http://x:65536",
            "://",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn percent() {
        assert_eq!(encode("a b&=é/"), "a%20b%26%3D%C3%A9%2F");
        assert_eq!(decode("a%20b%zz%"), "a b%zz%");
    }
}
