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

use crate::error::BuildError;

pub use crate::io::dialer::Dialer;
pub use crate::io::http::{HttpConnection, HttpError, HttpResponse};
pub use crate::io::stream::{DialError, Stream};
#[cfg(feature = "rustls")]
pub use crate::io::trust::{CertificateProblem, TlsReport};
pub use crate::io::url::Address;

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
