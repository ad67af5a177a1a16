//! Errors of the configuration.

/// Reason for which an adapter cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The address of the server is invalid. Addresses may contain passwords, so that it is not repeated here.
    #[error("the address is none of PostgreSQL: {0}")]
    Url(String),
    /// The name of the table is invalid.
    #[error("{0:?} is no name of a table: letters, digits, `_`, and one dot after a schema")]
    Table(String),
    /// TLS cannot be used.
    #[error("TLS cannot be used: {0}")]
    Tls(String),
    /// An emitter needs a Tokio runtime.
    #[error("an emitter is made within a Tokio runtime")]
    NoRuntime,
}
