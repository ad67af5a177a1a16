//! Output: nothing else writes to standard output or standard error, and all that is written is [`Text`].
#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "this is the place"
)]

mod style;
mod text;

use std::io::{ErrorKind, IsTerminal, Write};

#[cfg(feature = "bench")]
use indicatif::ProgressBar;
#[cfg(feature = "connect")]
use rustyline::ExternalPrinter;

pub(crate) use style::{Style, init};
pub(crate) use text::{Shown, Text, is_unsafe, names_no_values, text};

/// Returns the styles for standard output.
pub(crate) fn style() -> Style {
    Style::new(std::io::stdout().is_terminal())
}

/// Returns the styles for standard error.
pub(crate) fn error_style() -> Style {
    Style::new(std::io::stderr().is_terminal())
}

/// Returns whether standard output is a terminal.
pub(crate) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// Returns whether standard error is a terminal.
pub(crate) fn is_error_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Maximum width of prose, in columns.
const MAX_TEXT_COLUMNS: usize = 110;
/// Minimum width of prose, in columns: in narrower terminals the terminal breaks the lines.
const MIN_TEXT_COLUMNS: usize = 30;

/// Returns the number of columns of the terminal on standard output; `None` if it is no terminal.
pub(crate) fn columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    Some(usize::from(width.0).clamp(MIN_TEXT_COLUMNS, MAX_TEXT_COLUMNS))
}

/// Returns the number of columns of the terminal on standard error; `None` if it is no terminal.
pub(crate) fn error_columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stderr())?;
    Some(usize::from(width.0).clamp(MIN_TEXT_COLUMNS, MAX_TEXT_COLUMNS))
}

/// Prints a line. If the reader has closed the pipe, the program ends successfully: the reader has seen enough.
pub(crate) fn line(text: &Text) {
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{}", text.as_str()).and_then(|()| out.flush());
    if let Err(error) = written {
        let gone = error.kind() == ErrorKind::BrokenPipe;
        if !gone {
            self::error(&text!("error: cannot write to standard output: {}", error));
        }
        std::process::exit(i32::from(!gone));
    }
}

/// Moves the cursor of the terminal up by this number of lines, and clears what is below.
pub(crate) fn rewind(lines: usize) {
    if lines > 0 {
        // If the terminal is gone, the next line fails and ends the program.
        let _ = write!(std::io::stdout().lock(), "\x1b[{lines}A\x1b[J");
    }
}

/// Prints a line on standard error. If that is closed, the failure cannot be reported anywhere.
pub(crate) fn error(text: &Text) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.as_str());
}

/// Prints a line above a progress bar, or on standard error if the bar is hidden.
#[cfg(feature = "bench")]
pub(crate) fn above(bar: &ProgressBar, text: &Text) {
    if bar.is_hidden() {
        error(text);
    } else {
        bar.println(text.as_str());
    }
}

/// Writes a generated document: a script or a manual page.
pub(crate) fn document(bytes: &[u8]) -> std::io::Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        // A pager that was closed early has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Returns standard output for a program that reads frames from it.
#[cfg(feature = "demo")]
pub(crate) fn frames() -> tokio::io::Stdout {
    tokio::io::stdout()
}

/// Returns the writer of log lines, in which `tracing_subscriber` escapes values.
pub(crate) fn logs() -> std::io::Stderr {
    std::io::stderr()
}

/// Printer of lines above the line that is being edited.
#[cfg(feature = "connect")]
pub(crate) struct Printer(Box<dyn ExternalPrinter + Send>);

#[cfg(feature = "connect")]
impl Printer {
    pub(crate) fn new(printer: impl ExternalPrinter + Send + 'static) -> Self {
        Self(Box::new(printer))
    }

    pub(crate) fn line(&mut self, text: &Text) {
        let _ = self.0.print(format!("{}\n", text.as_str()));
    }
}
