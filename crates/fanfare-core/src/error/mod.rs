//! Errors of handlers and middlewares, with a part for the peer and a part for the log.

mod rejection;

use std::any::Any;
use std::error::Error;
use std::fmt::{self, Write};

use serde::Serialize;
use serde_json::Value;

pub use rejection::Rejection;

/// Message that the peer gets for an error whose text is private.
pub const INTERNAL: &str = "internal error";

/// An error that an event handler returns.
///
/// The sender of the event gets `message` and `data`, which the application chooses ([`new`](Self::new),
/// [`public`](Self::public)). Any other error can be returned with `?` as well: its text goes to the log, and the
/// sender gets the message `internal error`.
///
/// ```
/// use fanfare::{Ack, Data, EventError};
///
/// async fn read(Data(name): Data<String>) -> Result<Ack<String>, EventError> {
///     if name.contains('/') {
///         return Err(EventError::new("a name has no slashes")); // the client reads this
///     }
///     let config = std::fs::read_to_string("/etc/notes.conf")?; // "internal error"; what it was is in the log
///     let text = std::fs::read_to_string(format!("{config}/{name}"))
///         .map_err(|error| EventError::new("no such note").with_cause(&error))?; // one for each
///     Ok(Ack(text))
/// }
/// ```
#[derive(Debug, Clone, Serialize)]
#[serde(into = "ErrorArg")]
pub struct EventError(Public);

/// Reason for which a connection to a namespace is rejected: `message` and `data` of the client's `connect_error`
/// event.
///
/// As with [`EventError`], the client gets only what the application chooses. Any other error that a middleware returns
/// with `?` rejects the client with the message `internal error`, and its text goes to the log.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct ConnectError(Public);

/// Content of an error: the part for the peer, and the cause, which is private.
#[derive(Debug, Clone, Serialize)]
struct Public {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
    /// Cause, for the log only.
    #[serde(skip)]
    cause: Option<Box<str>>,
}

#[derive(Serialize)]
struct ErrorArg {
    error: Public,
}

impl From<EventError> for ErrorArg {
    fn from(EventError(error): EventError) -> Self {
        Self { error }
    }
}

impl Public {
    fn new(message: String) -> Self {
        Self {
            message,
            data: None,
            cause: None,
        }
    }

    fn with_cause(mut self, cause: &dyn Error) -> Self {
        self.cause = Some(chain(cause).into());
        self
    }

    fn of(error: impl Error + 'static) -> Self {
        // A rejection has a separate message for the peer, wherever it occurs in the chain.
        let mut error = Some(error);
        if let Some(rejection) = (&mut error as &mut dyn Any).downcast_mut::<Option<Rejection>>() {
            return rejection.take().map_or_else(
                || Self::new(INTERNAL.to_owned()),
                |rejection| EventError::rejected(rejection).0,
            );
        }
        let internal = Self::new(INTERNAL.to_owned());
        match &error {
            Some(error) => internal.with_cause(error),
            None => internal,
        }
    }
}

impl fmt::Display for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cause {
            None => f.write_str(&self.message),
            Some(cause) if self.message == INTERNAL => f.write_str(cause),
            Some(cause) => write!(f, "{}: {cause}", self.message),
        }
    }
}

/// Returns the text of an error and of its sources.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let error_text = error.to_string();
        if !text.ends_with(&error_text) {
            let _ = write!(text, ": {error_text}");
        }
        source = error.source();
    }
    text
}

macro_rules! public_error {
    ($error:ident) => {
        impl $error {
            /// Creates an error with this message for the peer.
            pub fn new(message: impl Into<String>) -> Self {
                Self(Public::new(message.into()))
            }

            /// Creates an error from one whose text is suitable for the peer; for use in `map_err`.
            pub fn public(error: impl fmt::Display) -> Self {
                Self::new(error.to_string())
            }

            /// Adds details for the peer.
            #[must_use]
            pub fn with_data(mut self, data: impl Into<Value>) -> Self {
                self.0.data = Some(data.into());
                self
            }

            /// Adds the cause, for the log only.
            #[must_use]
            pub fn with_cause(mut self, cause: &(dyn Error + 'static)) -> Self {
                self.0 = self.0.with_cause(cause);
                self
            }

            /// Returns the message that the peer gets.
            pub fn message(&self) -> &str {
                &self.0.message
            }

            /// Returns the details that the peer gets.
            pub fn data(&self) -> Option<&Value> {
                self.0.data.as_ref()
            }

            /// Returns the cause, which goes to the log and not to the peer.
            pub fn cause(&self) -> Option<&str> {
                self.0.cause.as_deref()
            }
        }

        /// Formats the error for the log, including what the peer does not get.
        impl fmt::Display for $error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        /// Converts any error, so that it can be returned with `?`. The peer gets the message `internal error`, the
        /// log the text.
        impl<E: Error + 'static> From<E> for $error {
            fn from(error: E) -> Self {
                Self(Public::of(error))
            }
        }
    };
}

public_error!(EventError);
public_error!(ConnectError);

impl EventError {
    /// Creates the error that the peer gets for a rejection.
    pub fn rejected(rejection: Rejection) -> Self {
        match rejection {
            Rejection::Other(error) => error,
            rejection => {
                let public = Public::new(rejection.public_message());
                Self(public.with_cause(&rejection))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot save")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_log_gets_the_whole_chain_and_the_client_nothing_of_it() {
        let error = EventError::from(Outer(io::Error::other("disk full")));
        assert_eq!(error.message(), "internal error");
        assert_eq!(error.to_string(), "cannot save: disk full");
        let sent = serde_json::to_string(&error).unwrap();
        assert_eq!(sent, r#"{"error":{"message":"internal error"}}"#);
        let error = ConnectError::from(Outer(io::Error::other("disk full")));
        let sent = serde_json::to_string(&error).unwrap();
        assert_eq!(sent, r#"{"message":"internal error"}"#);
    }

    #[test]
    fn what_the_client_gets_is_chosen() {
        let error = EventError::new("not saved")
            .with_data(7)
            .with_cause(&Outer(io::Error::other("disk full")));
        let sent = serde_json::to_string(&error).unwrap();
        assert_eq!(sent, r#"{"error":{"message":"not saved","data":7}}"#);
        assert_eq!(error.to_string(), "not saved: cannot save: disk full");
        let public = EventError::public(io::Error::other("too late"));
        assert_eq!(public.message(), "too late");
    }

    #[test]
    fn what_an_extractor_of_the_application_says_passes_through_a_question_mark() {
        let error = EventError::from(Rejection::Other(EventError::new("log in first")));
        assert_eq!(error.message(), "log in first");
    }
}
