//! Rejections by extractors.

use fanfare_protocol::socket::ArgsError;

use super::{EventError, INTERNAL};

/// Reason for which an extractor could not make its value.
///
/// Its text is for the log: it may name types of this side and values of the peer. The peer gets less detail, if
/// any: only the argument that does not fit, and the position in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The arguments of the event do not fit the type.
    #[error(transparent)]
    Args(ArgsError),
    /// The `auth` value of the client does not fit the type.
    #[error("invalid auth{}{}: {}", if .0.path.is_empty() { "" } else { " at " }, .0.path, .0.message)]
    Auth(ArgsError),
    /// No state of this type was given to the builder.
    #[error("the server has no state of type `{0}`")]
    MissingState(&'static str),
    /// The socket has no value of this type in its extensions.
    #[error("the socket has no extension of type `{0}`")]
    MissingExtension(&'static str),
    /// The parameters of the namespace do not fit the type.
    #[error("invalid parameters of the namespace: {0}")]
    Params(String),
    /// An extractor of the application rejected the input. The peer gets the public part of the error.
    #[error("{0}")]
    Other(EventError),
}

impl Rejection {
    /// Returns the kind, as metrics name it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Args(error) | Self::Auth(error) if error.is_rule() => "rule",
            Self::Args(_) => "args",
            Self::Auth(_) => "auth",
            Self::MissingState(_) => "state",
            Self::MissingExtension(_) => "extension",
            Self::Params(_) => "params",
            Self::Other(_) => "other",
        }
    }

    /// Returns the message that the peer gets.
    pub fn public_message(&self) -> String {
        match self {
            Self::Args(error) => error.public_message(),
            Self::Auth(error) if error.is_rule() => self.to_string(),
            Self::Auth(_) => "invalid auth".to_owned(),
            Self::Params(_) => "invalid namespace".to_owned(),
            Self::MissingState(_) | Self::MissingExtension(_) => INTERNAL.to_owned(),
            Self::Other(error) => error.message().to_owned(),
        }
    }
}
