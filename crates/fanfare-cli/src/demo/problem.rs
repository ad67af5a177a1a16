//! Errors that the demo reports to its clients.

use fanfare::extract::{FromContext, Rejection};
use fanfare::handler::{HandlerKind, Requirements};
use fanfare::{ConnectError, EventError};
use serde_json::json;

/// Reason of a rejection: a code for programs, a sentence for people.
///
/// Acknowledgements carry it as `{error: {message, data: {code}}}`, rejected connections as `connect_error`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    code: &'static str,
    message: String,
}

impl Problem {
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// Returns the error for an invalid request.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// Returns the error for a limit of the demo that is reached.
    pub(crate) fn full(message: impl Into<String>) -> Self {
        Self::new("full", message)
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }
}

/// Returns the problem of a request of another type, or that breaks a rule: a sentence for people without names of Rust
/// types.
fn not_understood(why: &str) -> Problem {
    Problem::invalid(format!(
        "The server does not understand this request: {why}."
    ))
}

/// Extractor that turns the rejections of another one into a [`Problem`].
#[derive(Debug)]
pub(crate) struct Form<T>(pub(crate) T);

impl<M: HandlerKind, T: FromContext<M>> FromContext<M> for Form<T> {
    const TAKES_DATA: bool = T::TAKES_DATA;

    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        T::from_context(cx).map(Self).map_err(|error| {
            let problem = not_understood(&error.public_message());
            Rejection::Other(problem.into())
        })
    }

    fn requirements(needs: &mut Requirements) {
        T::requirements(needs);
    }
}

/// Returns the acknowledgement of an event that is rejected: a [`Problem`], even if the arguments have another type.
pub(crate) fn rejection(error: &EventError) -> EventError {
    match (error.data(), error.message()) {
        (Some(_), _) => error.clone(),
        // A failure of the server, whose details are only logged.
        (None, "internal error") => Problem::new("failed", "The server failed.").into(),
        (None, why) => not_understood(why).into(),
    }
}

impl From<Problem> for EventError {
    fn from(problem: Problem) -> Self {
        Self::new(problem.message).with_data(json!({ "code": problem.code }))
    }
}

impl From<Problem> for ConnectError {
    fn from(problem: Problem) -> Self {
        Self::new(problem.message).with_data(json!({ "code": problem.code }))
    }
}
