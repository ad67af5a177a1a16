//! What the demo answers when it cannot do what was asked.

use fanfare::{ConnectError, EventError};
use serde_json::json;

/// Why something was refused: a code for programs, a sentence for people.
///
/// Acknowledgements carry it as `{error: {message, data: {code}}}`, refused connections as `connect_error`.
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

    /// Something in the request is wrong.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// A limit of the demo is reached.
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
