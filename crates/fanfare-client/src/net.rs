//! The client's network stack, step by step: addresses, connections (TCP, proxies, TLS) and HTTP requests.
//!
//! A program that talks Socket.IO needs none of it. It is for tools that look at each step of a connection, as
//! `fanfare doctor` and `fanfare bench` do: they reach a server just as [`connect`](crate::connect()) does.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use bytes::Bytes;
//! use fanfare_client::net::{Address, Dialer, HttpConnection};
//! use fanfare_client::options::Tls;
//!
//! let address = Address::parse("https://example.com")?;
//! let dialer = Dialer::new(&address, &Tls::new())?;
//! let request = http::Request::get("/socket.io/?EIO=4&transport=polling")
//!     .header("host", address.authority())
//!     .body(Bytes::new())?;
//! let response = HttpConnection::once(&dialer, request, Duration::from_secs(10)).await?;
//! println!("{} {}", response.status, response.text());
//! # Ok(())
//! # }
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::BuildError;
use crate::io::BoxedIo;

pub use crate::io::dialer::Dialer;
pub use crate::io::http::{HttpConnection, HttpError, HttpResponse};
#[cfg(feature = "rustls")]
pub use crate::io::trust::{CertificateProblem, TlsReport};
pub use crate::io::url::Address;

/// Byte stream to a server: TCP, TLS, or what a proxy tunnels.
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

/// Returns the path of requests to an endpoint, percent-encoded and with a slash at its end: `socket.io` is
/// `/socket.io/`.
///
/// # Errors
/// [`BuildError`] if it has a query or a fragment, control characters, or is a URL.
pub fn endpoint(path: &str) -> Result<String, BuildError> {
    crate::options::endpoint(path, true)
}

/// Checks the name of a namespace.
///
/// # Errors
/// [`BuildError`] if it has a comma or control characters.
pub fn check_namespace(name: &str) -> Result<(), BuildError> {
    crate::options::check_namespace(name)
}
