//! End of a command: exit codes, and failures with their cause and fix.

use std::fmt;
use std::process::ExitCode;

use crate::out::{self, text};

/// Exit codes, as documented in `book/en/src/guide/cli.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Success.
    Ok = 0,
    /// The command ran, and the outcome is negative: a check failed, a delivery was lost, a file cannot be written.
    Failed = 1,
    /// The command line or the input is wrong (clap uses the same code).
    Usage = 2,
    /// The server cannot be reached, or is no Socket.IO server.
    Unreachable = 3,
    /// The server rejected the connection: unknown namespace, failed authentication.
    Refused = 4,
    /// Something expected did not arrive in time.
    Timeout = 5,
    /// The connection was lost or closed by the server before the work was done.
    Lost = 6,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

/// Failure that ends a command early.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    what: String,
    why: Option<String>,
    fix: Option<String>,
}

impl Failure {
    /// Creates a failure; `what` says what failed.
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            why: None,
            fix: None,
        }
    }

    /// Creates a failure for wrong input.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    /// Adds the cause.
    pub(crate) fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds the fix.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// Returns the exit code for this failure.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Adds the place at which it happened.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// Formats the failure on one line.
    pub(crate) fn text(&self) -> String {
        let why = self.why.iter().map(|why| format!(": {why}"));
        let fix = self.fix.iter().map(|fix| format!(" ({fix})"));
        std::iter::once(self.what.clone())
            .chain(why)
            .chain(fix)
            .collect()
    }

    /// Prints the failure on standard error, and returns its exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let style = out::error_style();
        out::error(&text!("{} {}", style.bad("error:"), self.what));
        if let Some(why) = &self.why {
            out::error(&text!("  {} {}", style.dim("why:"), why));
        }
        if let Some(fix) = &self.fix {
            out::error(&text!("  {}  {}", style.dim("do:"), fix));
        }
        self.code().into()
    }
}

/// Result of a command.
pub(crate) type Outcome = Result<Code, Failure>;
