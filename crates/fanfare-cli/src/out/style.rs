//! Colours, if they are enabled.

use std::sync::OnceLock;

use clap::ColorChoice;

use super::{Shown, Text};

static CHOICE: OnceLock<ColorChoice> = OnceLock::new();

/// Stores the value of `--color`.
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

/// Style of one stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    on: bool,
}

impl Style {
    /// Creates the style of a stream; `terminal` says whether it is one.
    pub(super) fn new(terminal: bool) -> Self {
        Self {
            on: wanted(terminal),
        }
    }

    /// Creates a style without colours.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { on: false }
    }

    fn paint(self, code: &'static str, text: impl Shown) -> Text {
        let text = Text::of(text);
        if self.on { text.in_colour(code) } else { text }
    }

    /// Returns whether colours are on.
    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    /// Marks a success.
    pub(crate) fn good(self, text: impl Shown) -> Text {
        self.paint("32", text)
    }

    /// Marks a warning.
    pub(crate) fn warn(self, text: impl Shown) -> Text {
        self.paint("33", text)
    }

    /// Marks a failure.
    pub(crate) fn bad(self, text: impl Shown) -> Text {
        self.paint("1;31", text)
    }

    /// Marks less important text.
    pub(crate) fn dim(self, text: impl Shown) -> Text {
        self.paint("2", text)
    }

    /// Marks more important text.
    pub(crate) fn bold(self, text: impl Shown) -> Text {
        self.paint("1", text)
    }

    /// Marks a name: event, file, namespace.
    pub(crate) fn name(self, text: impl Shown) -> Text {
        self.paint("36", text)
    }
}
