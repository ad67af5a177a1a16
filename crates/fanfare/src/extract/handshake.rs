use std::net::SocketAddr;
use std::time::SystemTime;

use serde::de::DeserializeOwned;

use super::{FromContext, Rejection};
use crate::handler::{HasSocket, Moment};
use crate::socket::Socket;

/// The first request of the connection, and the `auth` value with which the client joined the namespace.
#[derive(Debug, Clone)]
pub struct Handshake {
    socket: Socket,
}

impl<M: Moment> FromContext<M> for Handshake {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(Self::new(cx.socket().clone()))
    }
}

impl Handshake {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket }
    }

    fn engine(&self) -> &fanfare_engine::Handshake {
        self.socket.connection().handshake()
    }

    /// The first header of this name; names are lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.engine().header_str(name)
    }

    /// All headers; names are lower case, values the bytes that came.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.engine().headers()
    }

    /// The path and the query of the request.
    pub fn url(&self) -> &str {
        self.engine().url()
    }

    /// The decoded value of a query parameter; of several the last.
    pub fn query(&self, name: &str) -> Option<String> {
        self.engine().query_param(name)
    }

    /// The query parameters in their order, decoded, those of Engine.IO included.
    pub fn query_params(&self) -> impl Iterator<Item = (String, String)> {
        self.engine().query_params()
    }

    /// The address of the client; `None` behind a server that does not say (see
    /// [`RemoteAddr`](crate::RemoteAddr)).
    pub fn address(&self) -> Option<SocketAddr> {
        self.engine().address()
    }

    /// Whether the request came from another origin (it has an `Origin` header).
    pub fn xdomain(&self) -> bool {
        self.engine().xdomain()
    }

    /// Whether the connection is encrypted.
    pub fn secure(&self) -> bool {
        self.engine().secure()
    }

    /// When the connection was made.
    pub fn issued(&self) -> SystemTime {
        self.engine().issued()
    }

    /// The client's `auth` value.
    ///
    /// # Errors
    /// [`Rejection::Auth`] if the value does not fit the type; a client that sent none gives `null`.
    pub fn auth<T: DeserializeOwned>(&self) -> Result<T, Rejection> {
        serde_json::from_str(self.socket.auth_json()).map_err(Rejection::Auth)
    }
}
