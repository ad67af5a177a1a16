//! I/O: TCP, proxies, TLS, HTTP and WebSocket.

pub(crate) mod connector;
pub(crate) mod cookies;
mod counting;
pub(crate) mod dialer;
pub(crate) mod http;
mod idn;
pub(crate) mod polling;
pub(crate) mod proxy;
pub(crate) mod stream;
pub(crate) mod tls;
#[cfg(feature = "rustls")]
pub(crate) mod trust;
pub(crate) mod url;
pub(crate) mod websocket;

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

/// Byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type BoxedIo = Box<dyn Io>;

type Connecting = Pin<Box<dyn Future<Output = io::Result<BoxedIo>> + Send>>;

/// Application's function that opens a byte stream to the server.
#[derive(Clone)]
pub(crate) struct StreamSource(Arc<dyn Fn() -> Connecting + Send + Sync>);

impl StreamSource {
    pub(crate) fn new<F, Fut, S>(connect: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<S>> + Send + 'static,
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self(Arc::new(move || {
            let connecting = connect();
            Box::pin(async move { Ok(Box::new(connecting.await?) as BoxedIo) })
        }))
    }

    async fn connect(&self) -> io::Result<BoxedIo> {
        (self.0)().await
    }
}

impl fmt::Debug for StreamSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSource").finish_non_exhaustive()
    }
}
