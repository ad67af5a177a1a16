//! Errors of the client.

use fanfare_protocol::socket::ArgsError;

use crate::protocol;

pub use crate::protocol::{ConnectError, EmitError, TransportError};

/// Reason for which a URL cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlError {
    /// The text is not a URL.
    #[error("invalid URL {url:?}: {message}")]
    Invalid {
        /// URL as given.
        url: String,
        /// Description of the fault.
        message: String,
    },
    /// The scheme is not `http`, `https`, `ws` or `wss`.
    #[error("unsupported scheme {scheme:?} in {url:?}: use http, https, ws or wss")]
    Scheme {
        /// URL as given.
        url: String,
        /// Scheme of the URL.
        scheme: String,
    },
}

/// Reason for which a client cannot be built from its options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The server's URL is invalid.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The proxy's URL is invalid.
    #[error("proxy: {0}")]
    Proxy(UrlError),
    /// A header's name or value is invalid.
    #[error("invalid header {name:?}")]
    Header {
        /// Name as given.
        name: String,
    },
    /// The value of an option cannot be used.
    #[error("the option `{option}` cannot be used: {value}")]
    InvalidOption {
        /// Name of the option.
        option: &'static str,
        /// Value that was given.
        value: String,
    },
    /// The `auth` value is invalid.
    #[error("auth: {0}")]
    Auth(String),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The list of transports is empty.
    #[error("no transport to connect with")]
    NoTransport,
    /// The namespace has a socket on this manager already.
    #[error("namespace {0:?} has a socket on this manager already")]
    NamespaceInUse(String),
    /// The client was built outside a tokio runtime.
    #[error("no tokio runtime: build the client inside of one, or use fanfare_client::blocking")]
    NoRuntime,
}

/// Reason for which TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate cannot be read.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The private key cannot be read.
    #[error("private key: {0}")]
    Key(String),
    /// The parts of the configuration do not match.
    #[error("TLS configuration: {0}")]
    Config(String),
    /// The feature `rustls` is not enabled.
    #[error("https and wss need the feature `rustls`")]
    Unsupported,
}

/// Reason for which awaiting a builder failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The options are invalid.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The first connection failed. Temporary failures end the wait only without reconnection, after the last attempt,
    /// or with `fail_fast`.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The socket was disconnected before it was connected.
    #[error("disconnected before the connection was made")]
    Closed,
}

/// Reason for which an item of [`EventStream`](crate::event::EventStream) is no event of the requested type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The arguments do not fit the type.
    #[error(transparent)]
    Args(#[from] ArgsError),
    /// The stream was read too slowly: this number of events was dropped here.
    #[error("read too slowly: {0} events dropped")]
    Lagged(u64),
}

/// Reason for which an acknowledgement did not arrive, or could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The event was not accepted.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The deadline passed. If the event was still buffered, it was withdrawn.
    #[error("operation has timed out")]
    Timeout,
    /// The connection ended after the event was sent: whether the server handled it is unknown.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The event was dropped unsent: volatile, too old, or the offline buffer was full.
    #[error("event dropped before it was sent")]
    Dropped,
    /// The socket was closed with the event still buffered.
    #[error("socket closed")]
    Closed,
    /// The acknowledgement arrived, but is not of the requested type.
    #[error("acknowledgement: {0}")]
    Args(#[from] ArgsError),
}

impl From<protocol::AckError> for AckError {
    fn from(error: protocol::AckError) -> Self {
        match error {
            protocol::AckError::Timeout => Self::Timeout,
            protocol::AckError::Disconnected => Self::Disconnected,
            protocol::AckError::Evicted | protocol::AckError::Dropped => Self::Dropped,
            _ => Self::Closed,
        }
    }
}
