//! Errors of the client.

use fanfare_protocol::socket::ArgsError;

use crate::io::url::UrlError;
use crate::protocol;

pub use crate::protocol::{ConnectError, EmitError, TransportError};

/// Why a client cannot be built from its options.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The server's URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The proxy's URL.
    #[error("proxy: {0}")]
    Proxy(UrlError),
    /// A header's name or value.
    #[error("invalid header {name:?}")]
    Header {
        /// The name as given.
        name: String,
    },
    /// An option cannot be used.
    #[error("the option `{option}` cannot be used: {value}")]
    InvalidOption {
        /// Its name.
        option: &'static str,
        /// What it was given.
        value: String,
    },
    /// The `auth` value.
    #[error("auth: {0}")]
    Auth(String),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No transport was given.
    #[error("no transport to connect with")]
    NoTransport,
    /// The namespace has a socket on this manager already.
    #[error("namespace {0:?} has a socket on this manager already")]
    NamespaceInUse(String),
    /// Built outside of a tokio runtime.
    #[error("no tokio runtime: build the client inside of one, or use fanfare_client::blocking")]
    NoRuntime,
}

/// Why TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A certificate cannot be read.
    #[error("certificate: {0}")]
    Certificate(String),
    /// The private key cannot be read.
    #[error("private key: {0}")]
    Key(String),
    /// The parts do not fit together.
    #[error("TLS configuration: {0}")]
    Config(String),
    /// Built without the feature `rustls`.
    #[error("https and wss need the feature `rustls`")]
    Unsupported,
}

/// Why awaiting a builder failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The options.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The first connection. Temporary failures only end here without reconnection, after the last attempt, or with
    /// `fail_fast`.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The socket was disconnected before it was connected.
    #[error("disconnected before the connection was made")]
    Closed,
}

/// Why an acknowledgement did not come, or could not be used.
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
    /// The acknowledgement came, but is not of the type asked for.
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
