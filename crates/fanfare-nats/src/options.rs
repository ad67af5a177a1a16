//! Options that adapter and emitter share.

use std::fmt;
use std::io;
use std::time::Duration;

use fanfare_cluster::QueueLimits;

use crate::connection::Io;
use crate::error::ConfigError;

/// Port of NATS.
const PORT: u16 = 4222;

/// Options of a connection.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionOptions {
    pub(crate) servers: Vec<ServerAddress>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) name: String,
    pub(crate) queue: QueueLimits,
    pub(crate) max_outage: Duration,
    #[cfg(feature = "tls")]
    pub(crate) roots: crate::tls::Roots,
}

/// Name and secret of a client.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

/// Address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    pub(crate) credentials: Option<Credentials>,
}

impl ServerAddress {
    /// Reads a list of addresses, separated by commas.
    pub(crate) fn list(urls: &str) -> Result<Vec<Self>, ConfigError> {
        urls.split(',').map(str::trim).map(Self::parse).collect()
    }

    fn parse(url: &str) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::Url(without_secret(url));
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        let tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(invalid()),
        };
        if tls && !cfg!(feature = "tls") {
            return Err(ConfigError::TlsFeature(without_secret(url)));
        }
        let rest = rest.trim_end_matches('/');
        let (secret, place) = match rest.rsplit_once('@') {
            Some((secret, place)) => (Some(secret), place),
            None => (None, rest),
        };
        let (host, port) = match place.rsplit_once(':') {
            // An address of IPv6 has its own colons, within brackets.
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| invalid())?)
            }
            _ => (place, PORT),
        };
        let host = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host);
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(invalid());
        }
        let credentials = secret.map(|secret| match secret.split_once(':') {
            Some((user, password)) => Credentials {
                user: Some(percent_decoded(user)),
                password: Some(percent_decoded(password)),
                token: None,
            },
            None => Credentials {
                token: Some(percent_decoded(secret)),
                ..Credentials::default()
            },
        });
        Ok(Self {
            host: host.to_owned(),
            port,
            tls,
            credentials,
        })
    }

    /// Returns another server of the same cluster, given by host and port.
    pub(crate) fn sibling(&self, place: &str) -> Option<Self> {
        let address = Self::parse(place).ok()?;
        Some(Self {
            tls: self.tls,
            credentials: self.credentials.clone(),
            ..address
        })
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "tls" } else { "nats" };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

/// Returns an address without name and password, for messages.
fn without_secret(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://…@{place}"),
        (None, Some((_, place))) => format!("…@{place}"),
        _ => url.to_owned(),
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => std::str::from_utf8(&[*high, *low])
                .ok()
                .and_then(|digits| u8::from_str_radix(digits, 16).ok()),
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*first));
        rest = tail
            .get(if escaped.is_some() { 2 } else { 0 }..)
            .unwrap_or_default();
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(feature = "tls")]
pub(crate) async fn encrypt(
    stream: Box<dyn Io>,
    host: &str,
    options: &ConnectionOptions,
) -> io::Result<Box<dyn Io>> {
    options.roots.encrypt(stream, host).await
}

#[cfg(not(feature = "tls"))]
pub(crate) async fn encrypt(
    _: Box<dyn Io>,
    _: &str,
    _: &ConnectionOptions,
) -> io::Result<Box<dyn Io>> {
    let error = "the server requires TLS, and the feature `tls` of fanfare-nats is off";
    Err(io::Error::new(io::ErrorKind::Unsupported, error))
}

impl ConnectionOptions {
    pub(crate) fn new() -> Self {
        Self {
            servers: Vec::new(),
            credentials: None,
            name: "fanfare".to_owned(),
            queue: QueueLimits::default(),
            max_outage: Duration::from_secs(5),
            #[cfg(feature = "tls")]
            roots: crate::tls::Roots::System,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let all = "nats://a, b:1,nats://user:p%40ss@[::1]:4333/,nats://secret@c";
        let servers = ServerAddress::list(all).unwrap();
        let places: Vec<_> = servers.iter().map(|s| (s.host.as_str(), s.port)).collect();
        assert_eq!(places, [("a", 4222), ("b", 1), ("::1", 4333), ("c", 4222)]);
        let credentials = servers[2].credentials.as_ref().unwrap();
        assert_eq!(credentials.user.as_deref(), Some("user"));
        assert_eq!(credentials.password.as_deref(), Some("p@ss"));
        let credentials = servers[3].credentials.as_ref().unwrap();
        assert_eq!(credentials.token.as_deref(), Some("secret"));
        assert_eq!(servers[2].to_string(), "nats://[::1]:4333");
        let sibling = servers[2].sibling("10.0.0.2:4222").unwrap();
        assert_eq!(sibling.credentials, servers[2].credentials);
    }

    #[test]
    fn errors_do_not_name_secrets() {
        for url in [
            "",
            "http://user:secret@a",
            "nats://user:secret@a:x",
            "nats://:4222",
        ] {
            let error = ServerAddress::list(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
        let debug = format!("{:?}", ServerAddress::list("nats://user:secret@a").unwrap());
        assert!(!debug.contains("secret"), "{debug}");
    }
}
