//! How a command ends: exit codes, and failures that say what failed, why, and what to do.

use std::fmt;
use std::process::ExitCode;

use crate::style;

/// The exit codes, as documented in `docs/cli.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Done as asked.
    Ok = 0,
    /// It ran, and the outcome is negative: a check failed, a delivery was lost, a file cannot be written.
    Failed = 1,
    /// The command line or the input is wrong (clap uses the same code).
    Usage = 2,
    /// The server cannot be reached, or is no Socket.IO server.
    Unreachable = 3,
    /// The server refused: unknown namespace, failed authentication.
    Refused = 4,
    /// Something expected did not come in time.
    Timeout = 5,
    /// The connection was lost or closed by the server before the work was done.
    Lost = 6,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        ExitCode::from(code as u8)
    }
}

/// Why a command ended early.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    what: String,
    why: Option<String>,
    fix: Option<String>,
}

impl Failure {
    /// A failure with what failed.
    pub(crate) fn new(code: Code, what: impl Into<String>) -> Self {
        Self {
            code,
            what: what.into(),
            why: None,
            fix: None,
        }
    }

    /// Wrong input.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self::new(Code::Usage, what)
    }

    /// Adds why it failed.
    pub(crate) fn because(mut self, why: impl fmt::Display) -> Self {
        self.why = Some(why.to_string());
        self
    }

    /// Adds what to do about it.
    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    /// The code, if this ends the program.
    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// Says where it happened.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.what = format!("{place}: {}", self.what);
        self
    }

    /// On one line.
    pub(crate) fn text(&self) -> String {
        let why = self.why.iter().map(|why| format!(": {why}"));
        let fix = self.fix.iter().map(|fix| format!(" ({fix})"));
        std::iter::once(self.what.clone())
            .chain(why)
            .chain(fix)
            .collect()
    }

    /// Prints it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("{} {}", style::err().bad("error:"), self.what);
        if let Some(why) = &self.why {
            eprintln!("  {} {why}", style::err().dim("why:"));
        }
        if let Some(fix) = &self.fix {
            eprintln!("  {}  {fix}", style::err().dim("do:"));
        }
        self.code().into()
    }
}

/// What commands return.
pub(crate) type Outcome = Result<Code, Failure>;
