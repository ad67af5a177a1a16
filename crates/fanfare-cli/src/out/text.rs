//! Text that is safe to print.

use std::fmt::{self, Display, Write as _};

use serde_json::Value;

/// Text without any control sequence but the colours and line ends that this program adds.
///
/// It consists of literals of this program ([`text!`](macro@crate::out::text)) and of untrusted values, in which
/// control characters are replaced ([`Shown`]). It is not `Display`, so that it cannot become a `String` and lose this
/// guarantee.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text(String);

/// Value that can be part of a [`Text`]: anything that has a text, escaped, and [`Text`], as it is.
pub(crate) trait Shown {
    fn shown(&self) -> Piece;
}

impl<T: Display + ?Sized> Shown for T {
    fn shown(&self) -> Piece {
        let mut escaping = Escaping(String::new());
        // Writing to a `String` never fails; only a failing `Display` leaves something out.
        let _ = write!(escaping, "{self}");
        Piece(escaping.0)
    }
}

impl Shown for Text {
    fn shown(&self) -> Piece {
        Piece(self.0.clone())
    }
}

impl Shown for &Text {
    fn shown(&self) -> Piece {
        Piece(self.0.clone())
    }
}

/// Part of a [`Text`], for [`text!`](macro@crate::out::text).
pub(crate) struct Piece(String);

impl Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Formats a [`Text`], as `format!` does a `String`: literals are kept, values are escaped unless they are [`Text`]
/// themselves.
macro_rules! text {
    ($format:literal $(, $value:expr)* $(,)?) => {{
        const _: () = assert!(
            $crate::out::names_no_values($format),
            "a value named in the format would not be escaped: give it behind"
        );
        $crate::out::Text::assemble(format_args!($format $(, $crate::out::Shown::shown(&$value))*))
    }};
}
pub(crate) use text;

/// Returns whether a format takes its values from the arguments only, so that each of them is escaped.
pub(crate) const fn names_no_values(format: &str) -> bool {
    let bytes = format.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        match (bytes[at], bytes[at + 1]) {
            (b'{', b'{') | (b'}', b'}') => at += 1,
            (b'{', b'}' | b':') => {}
            (b'{', _) => return false,
            _ => {}
        }
        at += 1;
    }
    true
}

impl Text {
    /// Assembles a text from parts. Only [`text!`](macro@crate::out::text) may call it.
    pub(crate) fn assemble(parts: fmt::Arguments<'_>) -> Self {
        Self(parts.to_string())
    }

    /// Escapes a value.
    pub(crate) fn of(value: impl Shown) -> Self {
        Self(value.shown().0)
    }

    /// Formats a value as JSON on one line. It stays the same value: only characters inside strings are escaped.
    pub(crate) fn json(value: &Value) -> Self {
        Self(escape_json(value.to_string()))
    }

    /// Formats a value as JSON on several lines.
    pub(crate) fn pretty_json(value: &Value) -> Self {
        Self(escape_json(format!("{value:#}")))
    }

    /// Appends a value.
    pub(crate) fn push(&mut self, more: impl Shown) {
        self.0.push_str(&more.shown().0);
    }

    /// Begins a line with `indent` spaces.
    pub(crate) fn new_line(&mut self, indent: usize) {
        let _ = write!(self.0, "\n{:indent$}", "");
    }

    /// Colours the text with this SGR code.
    pub(super) fn in_colour(self, code: &'static str) -> Self {
        Self(format!("\x1b[{code}m{}\x1b[0m", self.0))
    }

    /// Returns the width without colours: the number of characters of the longest line.
    pub(crate) fn len(&self) -> usize {
        self.0
            .lines()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or(0)
    }

    /// Wraps the text to lines of at most `room` characters at spaces, if it has no colours.
    pub(crate) fn wrapped(&self, room: usize) -> Vec<Self> {
        let mut lines = vec![String::new()];
        for word in self.0.split(' ') {
            let full = lines.last().is_some_and(|line| {
                !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room
            });
            if full {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
        }
        lines.into_iter().map(Self).collect()
    }

    /// Returns the text for writing, and for tests.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Writer that replaces characters that a terminal could obey, or that could deceive a reader.
struct Escaping(String);

impl fmt::Write for Escaping {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if !text.contains(is_unsafe) {
            self.0.push_str(text);
            return Ok(());
        }
        for char in text.chars() {
            match char {
                '\n' => self.0.push_str("\\n"),
                '\r' => self.0.push_str("\\r"),
                '\t' => self.0.push_str("\\t"),
                char if is_unsafe(char) => write!(self.0, "\\u{{{:x}}}", u32::from(char))?,
                char => self.0.push(char),
            }
        }
        Ok(())
    }
}

/// Replaces the same characters in JSON; between strings there are none but line ends.
fn escape_json(json: String) -> String {
    if !json.contains(|char| char != '\n' && is_unsafe(char)) {
        return json;
    }
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        if char == '\n' || !is_unsafe(char) {
            out.push(char);
        } else {
            for unit in char.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

/// Returns whether a terminal could do anything with a character but show it in its place: controls (C0, DEL, C1),
/// bidirectional formatting (Unicode Annex #9), other line separators, and invisible characters. The joiners that
/// scripts and emoji need are allowed.
pub(crate) fn is_unsafe(char: char) -> bool {
    // Most text is printable ASCII.
    !matches!(char, ' '..='~') && (char.is_control() || is_deceiving(char))
}

fn is_deceiving(char: char) -> bool {
    matches!(char,
        '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_and_texts_are_not() {
        let hostile = "a\u{1b}[2J\u{9b}K\u{202e}\r\n\tü👋🏽";
        let shown = r"a\u{1b}[2J\u{9b}K\u{202e}\r\n\tü👋🏽";
        assert_eq!(Text::of(hostile).as_str(), shown);
        let red = Text::of(hostile).in_colour("31");
        let text = text!("{}: {:>3}{{}}\n{}", hostile, 7, red);
        assert_eq!(
            text.as_str(),
            format!("{shown}:   7{{}}\n\x1b[31m{shown}\x1b[0m")
        );
        let again = text!("{}", &text);
        assert_eq!(again, text, "never escaped twice");
    }

    #[test]
    fn values_in_the_format_itself_are_found() {
        for fine in ["", "{}", "{:>8} {{name}} {}", "}}{{"] {
            assert!(names_no_values(fine), "{fine}");
        }
        for wrong in ["{name}", "{:>3}{0}", "{{{name}}}"] {
            assert!(!names_no_values(wrong), "{wrong}");
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "a\u{9b}\n": ["\u{202e}\u{7f}\u{e0041}", "\u{1b}"] });
        for text in [Text::json(&value), Text::pretty_json(&value)] {
            let controls = |char: char| is_unsafe(char) && char != '\n';
            assert!(!text.as_str().contains(controls), "{text:?}");
            assert_eq!(serde_json::from_str::<Value>(text.as_str()).unwrap(), value);
        }
    }
}
