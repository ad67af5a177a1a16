//! Where to connect to: the options that `connect`, `emit`, `listen`, `bench` and `doctor` share.

use clap::{Args, ValueEnum};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use serde_json::Value;

use crate::exit::Failure;

/// How to reach a server.
#[derive(Clone, Debug, Args)]
pub(crate) struct Server {
    /// The server: `http`, `https`, `ws` or `wss`; without a scheme `http`. The URL's path is the namespace, as in
    /// the JavaScript client.
    #[arg(value_name = "URL")]
    pub(crate) url: String,

    /// The namespace, instead of the URL's path.
    #[arg(short, long, value_name = "NAME", help_heading = "Connection")]
    pub(crate) namespace: Option<String>,

    /// The `auth` payload: a JSON object, or `@file` with one.
    #[arg(long, value_name = "JSON|@FILE", help_heading = "Connection")]
    pub(crate) auth: Option<String>,

    /// The path of the Socket.IO endpoint.
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/socket.io/",
        help_heading = "Connection"
    )]
    pub(crate) path: String,

    /// A header for every request; may be given several times.
    #[arg(
        short = 'H',
        long = "header",
        value_name = "NAME: VALUE",
        help_heading = "Connection"
    )]
    pub(crate) headers: Vec<String>,

    /// Trust the certificates in this PEM file, too.
    #[arg(long, value_name = "FILE", help_heading = "Connection")]
    pub(crate) ca: Option<std::path::PathBuf>,

    /// Accept any certificate. Only for tests: nobody knows who answers.
    #[arg(short = 'k', long, help_heading = "Connection")]
    pub(crate) insecure: bool,
}

/// How bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportChoice {
    /// WebSocket, and long-polling where that does not work.
    Auto,
    /// WebSocket only.
    Websocket,
    /// HTTP long-polling only.
    Polling,
    /// Long-polling first, then an upgrade to WebSocket: what browsers do.
    Upgrade,
}

/// A parsed [`Server`].
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The engine's path, with slashes at both ends.
    pub(crate) path: String,
    /// The URL's own query, without `?`.
    pub(crate) query: String,
    pub(crate) namespace: String,
    pub(crate) headers: HeaderMap,
    pub(crate) auth: Option<Value>,
}

impl Server {
    /// Reads the URL, the headers and the auth payload.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let text = if self.url.contains("://") {
            self.url.clone()
        } else {
            format!("http://{}", self.url)
        };
        let wrong = |why: &str| {
            Failure::usage(format!("`{}` is no address of a server", self.url))
                .because(why)
                .fix("write it like http://localhost:3000 or https://example.com/chat (with /chat as namespace)")
        };
        let uri: Uri = text
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
        let tls = match uri.scheme_str() {
            Some("http" | "ws") => false,
            Some("https" | "wss") => true,
            _ => return Err(wrong("the scheme must be http, https, ws or wss")),
        };
        let host = uri
            .host()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| wrong("it has no host"))?;
        let namespace = match &self.namespace {
            Some(name) if name.starts_with('/') => name.clone(),
            Some(name) => format!("/{name}"),
            None if uri.path().is_empty() => "/".to_owned(),
            None => uri.path().to_owned(),
        };
        // What `http` cannot read as a port it gives as none.
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        let after_host = authority.rsplit_once(host).map_or("", |(_, rest)| rest);
        if let Some(port) = after_host.strip_prefix(':')
            && uri.port_u16().is_none()
        {
            return Err(wrong(&format!("the port `{port}` is not in 0..=65535")));
        }
        let path = self.path.trim_matches('/');
        Ok(Target {
            tls,
            host: host
                .trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned(),
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                format!("/{path}/")
            },
            query: uri.query().unwrap_or_default().to_owned(),
            namespace,
            headers: self.header_map()?,
            auth: self.auth_value()?,
        })
    }

    fn header_map(&self) -> Result<HeaderMap, Failure> {
        let mut map = HeaderMap::new();
        for header in &self.headers {
            let pair = header.split_once(':').and_then(|(name, value)| {
                let name: HeaderName = name.trim().parse().ok()?;
                Some((name, HeaderValue::from_str(value.trim()).ok()?))
            });
            let (name, value) = pair.ok_or_else(|| {
                Failure::usage(format!("`{header}` is no header"))
                    .fix("write it like -H 'Authorization: Bearer abc'")
            })?;
            map.append(name, value);
        }
        Ok(map)
    }

    fn auth_value(&self) -> Result<Option<Value>, Failure> {
        let Some(given) = &self.auth else {
            return Ok(None);
        };
        let text = match given.strip_prefix('@') {
            None => given.clone(),
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                Failure::usage(format!("cannot read the auth payload from {file}")).because(error)
            })?,
        };
        match serde_json::from_str(&text) {
            Ok(value @ Value::Object(_)) => Ok(Some(value)),
            Ok(_) => Err(Failure::usage("the auth payload is not a JSON object")
                .because("Socket.IO transmits `auth` as an object")
                .fix("write it like --auth '{\"token\":\"abc\"}'")),
            Err(error) => Err(Failure::usage("the auth payload is not JSON")
                .because(error)
                .fix("write it like --auth '{\"token\":\"abc\"}'")),
        }
    }
}

impl Target {
    /// `host:port`, without the port if it is the scheme's own: what the header `Host` says.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }

    /// The URL with a scheme, without a path.
    pub(crate) fn origin(&self) -> String {
        format!(
            "{}://{}",
            if self.tls { "https" } else { "http" },
            self.authority()
        )
    }

    /// The path with this query, to which the URL's own is added.
    pub(crate) fn request(&self, query: &str) -> String {
        let own = if self.query.is_empty() {
            String::new()
        } else {
            format!("{}&", self.query)
        };
        format!("{}?{own}{query}", self.path)
    }

    /// The URI of a WebSocket with this query.
    pub(crate) fn websocket_uri(&self, query: &str) -> Result<Uri, http::uri::InvalidUri> {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}{}", self.authority(), self.request(query)).parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        Server {
            url: url.to_owned(),
            namespace: None,
            auth: None,
            path: "/socket.io/".to_owned(),
            headers: Vec::new(),
            ca: None,
            insecure: false,
        }
    }

    #[test]
    fn urls_are_read_as_the_javascript_client_reads_them() {
        let target = server("localhost:3000").target().unwrap();
        assert_eq!(
            (target.tls, target.port, target.namespace.as_str()),
            (false, 3000, "/")
        );
        let target = server("wss://example.com/chat?token=a").target().unwrap();
        assert_eq!(
            (target.tls, target.port, target.namespace.as_str()),
            (true, 443, "/chat")
        );
        assert_eq!(target.request("EIO=4"), "/socket.io/?token=a&EIO=4");
        assert_eq!(target.origin(), "https://example.com");
        let target = server("http://[::1]:8080").target().unwrap();
        assert_eq!(
            (target.host.as_str(), target.authority().as_str()),
            ("::1", "[::1]:8080")
        );
    }

    #[test]
    fn wrong_addresses_headers_and_auth_are_refused() {
        assert!(server("ftp://example.com").target().is_err());
        assert!(server("http://").target().is_err());
        for port in ["99999", "", "x"] {
            assert!(server(&format!("localhost:{port}")).target().is_err());
        }
        let mut wrong = server("localhost");
        wrong.headers.push("no colon".to_owned());
        assert!(wrong.target().is_err());
        let mut wrong = server("localhost");
        wrong.auth = Some("[1]".to_owned());
        assert!(wrong.target().is_err());
    }
}
