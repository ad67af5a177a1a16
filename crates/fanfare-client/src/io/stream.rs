//! Byte stream to a server, and the errors of opening one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::BoxedIo;

/// Byte stream to a server: TCP, TLS, or a tunnel through a proxy.
pub struct Stream(pub(crate) BoxedIo);

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// Reason for which there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// The host's name cannot be resolved.
    #[error("{error}")]
    Name {
        /// Name of the host.
        host: String,
        /// Cause.
        error: io::Error,
    },
    /// TCP failed.
    #[error("{0}")]
    Tcp(io::Error),
    /// The proxy cannot be reached, or opened no tunnel.
    #[error("{0}")]
    Proxy(io::Error),
    /// The function that opens streams ([`connector`](crate::ClientBuilder::connector)) failed.
    #[error("{0}")]
    Stream(io::Error),
    /// The TLS handshake failed.
    #[error("{0}")]
    Tls(io::Error),
    /// A step took longer than the timeout.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Name { error, .. }
            | DialError::Tcp(error)
            | DialError::Proxy(error)
            | DialError::Stream(error)
            | DialError::Tls(error) => error,
            DialError::Timeout(_) => Self::new(io::ErrorKind::TimedOut, error.to_string()),
        }
    }
}

/// Opens a TCP connection to the first address of the host that accepts it.
pub(super) async fn tcp(host: &str, port: u16) -> Result<TcpStream, DialError> {
    let unknown = |error| DialError::Name {
        host: host.to_owned(),
        error,
    };
    let mut last = unknown(io::Error::new(
        io::ErrorKind::NotFound,
        "the name has no address",
    ));
    for address in tokio::net::lookup_host((host, port))
        .await
        .map_err(unknown)?
    {
        match TcpStream::connect(address).await {
            Ok(tcp) => {
                tcp.set_nodelay(true).map_err(DialError::Tcp)?;
                return Ok(tcp);
            }
            Err(error) => last = DialError::Tcp(error),
        }
    }
    Err(last)
}
