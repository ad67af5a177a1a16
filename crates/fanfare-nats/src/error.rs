//! Errors of the configuration.

/// Reason for which an adapter or an emitter cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address of a server is invalid.
    #[error("{0:?} is no address of NATS: expected nats://host:port or tls://host:port")]
    Url(String),
    /// The address needs the feature `tls`.
    #[error("{0:?} needs the feature `tls` of fanfare-nats")]
    TlsFeature(String),
    /// The certificates are invalid.
    #[error("the root certificates are invalid: {0}")]
    Certificates(String),
    /// The number of copies of a stream is none that NATS has.
    #[error("{0} copies of a stream: NATS stores 1 to 5")]
    Replicas(usize),
    /// An emitter needs a Tokio runtime.
    #[error("an emitter is made within a Tokio runtime")]
    NoRuntime,
}
