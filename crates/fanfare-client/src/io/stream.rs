//! Byte stream to a server, and the errors of opening one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

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
