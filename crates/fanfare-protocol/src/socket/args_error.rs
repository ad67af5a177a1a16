//! Errors of arguments that do not fit a type, without the values of the arguments.

use std::fmt::{self, Write};

use serde::de::{self, Expected, Unexpected};

/// Maximum length of a path in an [`ArgsError`], in bytes.
const MAX_PATH_BYTES: usize = 512;

/// Maximum length of a message from a type of the application, in characters.
const MAX_MESSAGE_CHARS: usize = 512;

/// Maximum length of a name in a path, in characters.
const MAX_NAME_CHARS: usize = 64;

/// Reason for which arguments do not fit the requested type.
///
/// It may be logged and sent to the peer: it contains no value of an argument, only types, lengths and the path, whose
/// control characters are escaped. (If a type of the application fails with a custom message, the error contains that
/// message, shortened and escaped. The same holds for a broken [`rule`](Self::rule).)
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argument {argument}{}: {message}", At(.path))]
#[non_exhaustive]
pub struct ArgsError {
    /// Index of the argument.
    pub argument: usize,
    /// Path inside the argument, as `user.tags[2]`; empty for the argument itself. Only the end of a long path is kept,
    /// after `…`.
    pub path: String,
    /// Description of the fault at that path.
    pub message: String,
    /// Whether the argument fits its type and breaks a rule of the application.
    pub(crate) broken_rule: bool,
}

struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " at {}", self.0)
        }
    }
}

impl ArgsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            argument: 0,
            path: String::new(),
            message: message.into(),
            broken_rule: false,
        }
    }

    /// Creates the error of an argument that fits its type and breaks a validation rule of the application, such as a
    /// maximum length.
    ///
    /// The server sends it to the peer unchanged, unlike other errors, so `message` should name the rule and not the value.
    /// Both texts are shortened to 512 characters, and escaped.
    ///
    /// ```
    /// use fanfare_protocol::socket::ArgsError;
    ///
    /// let error = ArgsError::rule(0, "user.name", "length is greater than 24");
    /// assert_eq!(error.public_message(), "argument 0 is not valid at user.name: length is greater than 24");
    /// ```
    pub fn rule(argument: usize, path: impl fmt::Display, message: impl fmt::Display) -> Self {
        Self {
            argument,
            path: bounded(path),
            message: bounded(message),
            broken_rule: true,
        }
    }

    /// Whether the argument fits its type and breaks a [rule](Self::rule) of the application.
    #[must_use]
    pub fn is_rule(&self) -> bool {
        self.broken_rule
    }

    /// Creates the error for a tree that could not be built, without any value.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        let mut message = error.to_string();
        // The path is more useful than a column in text that the reader does not have.
        if let Some(at) = message.rfind(" at line ") {
            message.truncate(at);
        }
        Self::new(message)
    }

    /// Creates the error for an argument that did not fit and was not examined further. The original error may quote
    /// it.
    pub(crate) fn unexplained(error: &serde_json::Error, len: usize) -> Self {
        Self::new(format!(
            "does not fit, at byte {} of {len}",
            error.column().min(len)
        ))
    }

    pub(crate) fn in_argument(mut self, argument: usize) -> Self {
        self.argument = argument;
        self
    }

    /// Returns the same error, seen from the enclosing value.
    ///
    /// The outermost segments are dropped once the path is long, so that the cost of an error is proportional to its
    /// depth.
    pub(crate) fn inside(mut self, segment: &str) -> Self {
        if self.path.starts_with('…') {
            return self;
        }
        if self.path.len() + segment.len() > MAX_PATH_BYTES {
            self.path.insert(0, '…');
            return self;
        }
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{segment}{dot}{}", self.path);
        self
    }
}

/// Returns a name as part of a path.
pub(crate) fn segment(name: &str) -> String {
    printable(name, MAX_NAME_CHARS)
}

/// Returns the start of a text, with non-printable characters escaped.
fn printable(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    for char in chars.by_ref().take(max) {
        match char {
            '"' | '\'' | '\\' => out.push(char),
            char => out.extend(char.escape_debug()),
        }
    }
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// Returns the beginning of a text of the application, escaped.
fn bounded(text: impl fmt::Display) -> String {
    let mut out = Bounded(String::new());
    // Writing fails once the text is long enough.
    let _ = write!(out, "{text}");
    printable(&out.0, MAX_MESSAGE_CHARS)
}

/// Marks a broken rule among the errors of serde, which only knows invalid values.
const BROKEN_RULE: &str = "$fanfare::rule";

/// Separator of the parts of a [`BrokenRule`]. It does not occur in them, because texts are escaped.
const SEPARATOR: char = '\0';

/// Carrier of an error of [`ArgsError::rule`] through a deserializer with another error type.
pub(crate) struct BrokenRule<'a>(pub(crate) &'a ArgsError);

impl BrokenRule<'_> {
    pub(crate) fn into_error<E: de::Error>(self) -> E {
        E::invalid_value(Unexpected::Other(BROKEN_RULE), &self)
    }
}

/// Writes the human-readable text; with `#`, the parts for [`ArgsError`].
impl Expected for BrokenRule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ArgsError {
            argument,
            path,
            message,
            ..
        } = self.0;
        if f.alternate() {
            write!(f, "{argument}{SEPARATOR}{path}{SEPARATOR}{message}")
        } else {
            write!(f, "{}", self.0)
        }
    }
}

/// Returns the error that a [`BrokenRule`] carries.
fn broken_rule(carried: &dyn Expected) -> ArgsError {
    let carried = format!("{carried:#}");
    let mut parts = carried.splitn(3, SEPARATOR);
    let mut part = || parts.next().unwrap_or_default().to_owned();
    ArgsError {
        argument: part().parse().unwrap_or_default(),
        path: part(),
        message: part(),
        broken_rule: true,
    }
}

/// Kind of a value that did not fit, without the value.
struct Kind<'a>(Unexpected<'a>);

impl fmt::Display for Kind<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Bool(_) => f.write_str("boolean"),
            Unexpected::Unsigned(_) | Unexpected::Signed(_) => f.write_str("integer"),
            Unexpected::Float(_) => f.write_str("floating point number"),
            Unexpected::Char(_) => f.write_str("character"),
            Unexpected::Str(text) => write!(f, "string of {}", Len(text.len())),
            Unexpected::Bytes(bytes) => write!(f, "byte array of {}", Len(bytes.len())),
            Unexpected::Unit => f.write_str("null"),
            // `serde` puts 128-bit numbers into it.
            Unexpected::Other(_) => f.write_str("another value"),
            kind => kind.fmt(f),
        }
    }
}

/// Length in bytes.
struct Len(usize);

impl fmt::Display for Len {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} byte{plural}", self.0)
    }
}

/// Names that exist.
struct Names(&'static [&'static str]);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((last, others)) = self.0.split_last() else {
            return f.write_str("there are none");
        };
        f.write_str("expected ")?;
        for (index, name) in others.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}`{name}`")?;
        }
        let or = if others.is_empty() { "" } else { " or " };
        write!(f, "{or}`{last}`")
    }
}

impl de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(bounded(message))
    }

    fn invalid_type(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(format!(
            "invalid type: {}, expected {expected}",
            Kind(unexpected)
        ))
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        if unexpected == Unexpected::Other(BROKEN_RULE) {
            return broken_rule(expected);
        }
        Self::new(format!(
            "invalid value: {}, expected {expected}",
            Kind(unexpected)
        ))
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let len = Len(variant.len());
        Self::new(format!("unknown variant of {len}, {}", Names(expected)))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        let len = Len(field.len());
        Self::new(format!("unknown field of {len}, {}", Names(expected)))
    }
}

/// Buffer for the start of a text, long enough to tell that the text exceeds the displayed length.
struct Bounded(String);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = (MAX_MESSAGE_CHARS + 1) * 4 - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        let fits = text
            .char_indices()
            .take_while(|(at, char)| at + char.len_utf8() <= room);
        self.0.extend(fits.map(|(_, char)| char));
        Err(fmt::Error)
    }
}
