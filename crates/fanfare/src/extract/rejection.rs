use fanfare_protocol::socket::ArgsError;

use crate::handler::EventError;

/// Why an extractor could not make its value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The arguments of the event do not fit the type.
    #[error(transparent)]
    Args(ArgsError),
    /// The `auth` value of the client does not fit the type.
    #[error("invalid auth: {0}")]
    Auth(#[source] serde_json::Error),
    /// No state of this type was given to the builder.
    #[error("the server has no state of type `{0}`")]
    MissingState(&'static str),
    /// An extractor of the application said no.
    #[error("{0}")]
    Other(EventError),
}

impl Rejection {
    /// The kind, as metrics name it.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Args(_) => "args",
            Self::Auth(_) => "auth",
            Self::MissingState(_) => "state",
            Self::Other(_) => "other",
        }
    }
}
