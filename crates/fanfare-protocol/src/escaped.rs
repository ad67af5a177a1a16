//! Escaping of a peer's text for logs.

use std::fmt::{self, Display, Formatter, Write};

/// Text of a peer, displayed safely in logs and terminals: characters that are not printable are escaped, so that they
/// neither forge lines nor move a cursor, and text longer than [`Escaped::MAX`] bytes is truncated.
///
/// ```
/// use fanfare_protocol::Escaped;
///
/// assert_eq!(Escaped("say").to_string(), "say");
/// assert_eq!(Escaped("a\n\u{1b}[2J\u{202e}b").to_string(), r"a\n\u{1b}[2J\u{202e}b");
/// assert!(Escaped(&"x".repeat(10_000)).to_string().ends_with("… (10000 bytes)"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escaped<T>(pub T);

impl Escaped<()> {
    /// Maximum length of the displayed text, before escaping, in bytes.
    pub const MAX: usize = 256;
}

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut escaper = Escaper { out: f, len: 0 };
        write!(escaper, "{}", self.0)?;
        let len = escaper.len;
        if len > Escaped::MAX {
            write!(f, "… ({len} bytes)")?;
        }
        Ok(())
    }
}

struct Escaper<'a, 'b> {
    out: &'a mut Formatter<'b>,
    len: usize,
}

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            self.len += c.len_utf8();
            if self.len > Escaped::MAX {
                continue;
            }
            match c {
                '"' | '\'' => self.out.write_char(c)?,
                _ => write!(self.out, "{}", c.escape_debug())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_moves_a_cursor_or_begins_a_line_is_escaped() {
        let nasty = "\0\r\n\t\u{7}\u{1b}]0;title\u{7f}\u{9b}31m\u{2028}\u{202e}\u{feff}\\";
        let shown = Escaped(nasty).to_string();
        assert!(shown.is_ascii(), "{shown}");
        assert!(!shown.contains(|c: char| c.is_control()), "{shown}");
        assert_eq!(Escaped("é \"日本\" it's").to_string(), "é \"日本\" it's");
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let long = "é".repeat(Escaped::MAX);
        let shown = Escaped(&long).to_string();
        let expected = format!("{}… (512 bytes)", "é".repeat(Escaped::MAX / 2));
        assert_eq!(shown, expected);
    }
}
