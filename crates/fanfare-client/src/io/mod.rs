//! Bytes: TCP, proxies, TLS, HTTP and WebSocket.

pub(crate) mod connector;
pub(crate) mod cookies;
pub(crate) mod polling;
pub(crate) mod proxy;
pub(crate) mod tls;
pub(crate) mod url;
pub(crate) mod websocket;

use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type BoxedIo = Box<dyn Io>;
