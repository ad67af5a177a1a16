//! Writing lines to standard output without dying of a closed pipe.

use std::io::Write;

/// The columns of the terminal on standard output; `None` if it is none.
pub(crate) fn columns() -> Option<usize> {
    let (width, _) = terminal_size::terminal_size_of(std::io::stdout())?;
    // Fewer would not be readable; text that is wider is not either.
    Some(usize::from(width.0).clamp(60, 110))
}

/// Prints a line. A reader that went away ends the program, successfully: it has seen what it wanted.
pub(crate) fn line(text: &str) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("error: cannot write to standard output: {error}");
        }
        std::process::exit(i32::from(!gone));
    }
}
