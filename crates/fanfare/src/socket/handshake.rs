use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::SystemTime;

use fanfare_core::Rejection;
use fanfare_protocol::socket::decode_value;
use serde::de::DeserializeOwned;

use super::Socket;

/// The first request of the connection, and the `auth` value with which the client joined the namespace.
#[derive(Debug, Clone)]
pub struct Handshake {
    socket: Socket,
}

impl Handshake {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket }
    }

    fn engine(&self) -> &fanfare_engine::HandshakeRequest {
        self.socket.connection().handshake()
    }

    /// Returns the value of a header, if it is UTF-8 (else see [`header_text`](Self::header_text)); names are lower
    /// case. A value that arrived in several fields is joined: cookies, which browsers split over HTTP/2, with `; `,
    /// others with `, `.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.engine().header_str(name)
    }

    /// Returns the value of a header as [`header`](Self::header) does; a value that is not UTF-8 is read as Latin-1, as
    /// in Node.
    pub fn header_text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.engine().header_text(name)
    }

    /// Returns all headers, each once; names are lower case, values are the raw bytes.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.engine().headers()
    }

    /// Returns the path and the query of the request.
    pub fn url(&self) -> &str {
        self.engine().url()
    }

    /// Returns the decoded value of a query parameter, the last if there are several.
    pub fn query(&self, name: &str) -> Option<String> {
        self.engine().query_param(name)
    }

    /// Returns the query parameters in their order, decoded, including those of Engine.IO.
    pub fn query_params(&self) -> impl Iterator<Item = (String, String)> {
        self.engine().query_params()
    }

    /// Returns the address of the client; `None` behind a server that does not provide it (see
    /// [`RemoteAddr`](crate::proxy::RemoteAddr)).
    pub fn address(&self) -> Option<SocketAddr> {
        self.engine().address()
    }

    /// Whether the request came from another origin (it has an `Origin` header).
    pub fn is_xdomain(&self) -> bool {
        self.engine().is_xdomain()
    }

    /// Whether the connection is encrypted.
    pub fn is_secure(&self) -> bool {
        self.engine().is_secure()
    }

    /// Returns the time at which the connection was made.
    pub fn issued(&self) -> SystemTime {
        self.engine().issued()
    }

    /// Deserializes the client's `auth` value.
    ///
    /// # Errors
    /// [`Rejection::Auth`] if the value does not fit the type; a client that sent none gives `null`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        decode_value(self.socket.auth_json()).map_err(Rejection::Auth)
    }
}
