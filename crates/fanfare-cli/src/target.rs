//! Server to connect to: the options that `connect`, `emit`, `listen`, `bench` and `doctor` share.

use clap::{Args, ValueEnum};
use fanfare_client::net::{self, Address};
use http::Uri;
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use crate::exit::Failure;

/// Options that name a server.
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

    /// Accept any certificate. Only for tests: the server's identity is not verified.
    #[arg(short = 'k', long, help_heading = "Connection")]
    pub(crate) insecure: bool,
}

/// Choice of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TransportChoice {
    /// WebSocket, and long-polling where that does not work.
    Auto,
    /// WebSocket only.
    Websocket,
    /// HTTP long-polling only.
    Polling,
    /// Long-polling first, then an upgrade to WebSocket, as browsers do.
    Upgrade,
}

/// Parsed [`Server`].
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: Address,
    /// Path of the engine, with slashes at both ends.
    pub(crate) path: String,
    /// Query of the URL, without `?`.
    pub(crate) query: String,
    pub(crate) namespace: String,
    pub(crate) headers: HeaderMap,
    pub(crate) auth: Option<Value>,
}

impl Server {
    /// Parses the URL, the headers and the `auth` payload.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let text = if self.url.contains("://") {
            self.url.clone()
        } else {
            format!("http://{}", self.url)
        };
        let wrong = |why: &dyn std::fmt::Display| {
            Failure::usage(format!("`{}` is no address of a server", self.url))
                .because(why)
                .fix("write it like http://localhost:3000 or https://example.com/chat (with /chat as namespace)")
        };
        let address = Address::parse(&text).map_err(|error| wrong(&error))?;
        let namespace = match &self.namespace {
            Some(name) if name.starts_with('/') => name.clone(),
            Some(name) => format!("/{name}"),
            None => address.namespace.clone(),
        };
        net::check_namespace(&namespace)
            .map_err(|error| Failure::usage("there is no such namespace").because(error))?;
        let path = net::endpoint(&self.path)
            .map_err(|error| Failure::usage("the endpoint has no such path").because(error))?;
        let mut headers = self.header_map()?;
        if let Some(value) = address.authorization() {
            headers.entry(AUTHORIZATION).or_insert(value);
        }
        Ok(Target {
            query: address.query.clone().unwrap_or_default(),
            address,
            path,
            namespace,
            headers,
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
    /// Returns the URL's scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        self.address.origin()
    }

    /// Returns the path with this query, followed by the URL's query.
    pub(crate) fn request(&self, query: &str) -> String {
        let own = if self.query.is_empty() {
            String::new()
        } else {
            format!("{}&", self.query)
        };
        format!("{}?{own}{query}", self.path)
    }

    /// Returns the URI of a WebSocket with this query.
    pub(crate) fn websocket_uri(&self, query: &str) -> Result<Uri, http::uri::InvalidUri> {
        let scheme = if self.address.secure { "wss" } else { "ws" };
        format!(
            "{scheme}://{}{}",
            self.address.authority(),
            self.request(query)
        )
        .parse()
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
            (
                target.address.secure,
                target.address.port,
                target.namespace.as_str()
            ),
            (false, 3000, "/")
        );
        let target = server("wss://example.com/chat?token=a").target().unwrap();
        assert_eq!(
            (
                target.address.secure,
                target.address.port,
                target.namespace.as_str()
            ),
            (true, 443, "/chat")
        );
        assert_eq!(target.request("EIO=4"), "/socket.io/?token=a&EIO=4");
        assert_eq!(target.origin(), "https://example.com");
        let target = server("http://me:p%40ss@bücher.example?q=ü")
            .target()
            .unwrap();
        assert_eq!(target.origin(), "http://xn--bcher-kva.example");
        assert_eq!(target.request("EIO=4"), "/socket.io/?q=%C3%BC&EIO=4");
        assert_eq!(target.headers["authorization"], "Basic bWU6cEBzcw==");
        let target = server("http://[::1]:8080").target().unwrap();
        assert_eq!(
            (
                target.address.host.as_str(),
                target.address.authority().as_str()
            ),
            ("::1", "[::1]:8080")
        );
    }

    #[test]
    fn wrong_addresses_headers_and_auth_are_refused() {
        assert!(server("ftp://example.com").target().is_err());
        assert!(server("http://").target().is_err());
        for port in ["99999", "+80", "x"] {
            assert!(server(&format!("localhost:{port}")).target().is_err());
        }
        for (path, namespace) in [("/socket.io/?a", None), ("/socket.io/", Some("a,b"))] {
            let mut wrong = server("localhost");
            wrong.path = path.to_owned();
            wrong.namespace = namespace.map(str::to_owned);
            assert!(wrong.target().is_err());
        }
        let mut wrong = server("localhost");
        wrong.headers.push("no colon".to_owned());
        assert!(wrong.target().is_err());
        let mut wrong = server("localhost");
        wrong.auth = Some("[1]".to_owned());
        assert!(wrong.target().is_err());
    }
}
