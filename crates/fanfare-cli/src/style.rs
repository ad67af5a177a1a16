//! Colours, if they are wanted.

use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::OnceLock;

use clap::ColorChoice;

static CHOICE: OnceLock<ColorChoice> = OnceLock::new();

/// Keeps the value of `--color`.
pub(crate) fn init(choice: ColorChoice) {
    let _ = CHOICE.set(choice);
}

fn wanted(terminal: bool) -> bool {
    match CHOICE.get().copied().unwrap_or(ColorChoice::Auto) {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
            let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
            terminal && !set("NO_COLOR") && !dumb
        }
    }
}

/// For standard output.
pub(crate) fn out() -> Style {
    Style {
        on: wanted(std::io::stdout().is_terminal()),
    }
}

/// For standard error.
pub(crate) fn err() -> Style {
    Style {
        on: wanted(std::io::stderr().is_terminal()),
    }
}

/// Colours one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    on: bool,
}

impl Style {
    /// Without colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { on: false }
    }

    fn paint(self, code: &str, text: impl Display) -> String {
        if self.on {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_string()
        }
    }

    /// Whether colours are on.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// Good news.
    pub(crate) fn good(self, text: impl Display) -> String {
        self.paint("32", text)
    }

    /// A warning.
    pub(crate) fn warn(self, text: impl Display) -> String {
        self.paint("33", text)
    }

    /// A failure.
    pub(crate) fn bad(self, text: impl Display) -> String {
        self.paint("1;31", text)
    }

    /// Less important.
    pub(crate) fn dim(self, text: impl Display) -> String {
        self.paint("2", text)
    }

    /// More important.
    pub(crate) fn bold(self, text: impl Display) -> String {
        self.paint("1", text)
    }

    /// Names: events, files, namespaces.
    pub(crate) fn name(self, text: impl Display) -> String {
        self.paint("36", text)
    }
}
