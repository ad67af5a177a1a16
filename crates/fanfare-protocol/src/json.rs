//! Reading of JSON member by member, without a tree of values.

use std::borrow::Cow;

use crate::socket::DecodeError;
use crate::socket::scan::{Escapes, Scanner, replace_lone_surrogates};

/// Validating reader of a JSON text, which calls functions with the members and elements on the way.
///
/// It reads what JavaScript's `JSON.parse` accepts, in one pass, and copies nothing. Values that are not of interest are
/// validated and skipped, or returned as their [text](Self::value).
///
/// ```
/// use fanfare_protocol::json::{Reader, text};
/// use fanfare_protocol::socket::DecodeError;
///
/// let (mut ids, mut rest) = (Vec::new(), Vec::new());
/// let mut reader = Reader::new(r#"[{"id": "a", "data": {"n": [1]}}, {"id": "b"}]"#, 100);
/// reader.elements(|reader| {
///     reader.members(|name, reader| {
///         match name {
///             "id" => ids.push(text(reader.value()?)),
///             _ => rest.push(reader.value()?),
///         }
///         Ok(())
///     })
/// })?;
/// reader.end()?;
/// assert_eq!(ids, [Some("a".into()), Some("b".into())]);
/// assert_eq!(rest, [r#"{"n": [1]}"#]);
/// # Ok::<(), DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a str,
    scanner: Scanner<'a>,
    /// Number of arrays and objects around the next value.
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Creates a reader of a text whose arrays and objects are nested at most `max_depth` deep.
    #[must_use]
    pub fn new(text: &'a str, max_depth: usize) -> Self {
        Self {
            text,
            scanner: Scanner::new(text, max_depth),
            depth: 0,
        }
    }

    /// Offset of the next byte.
    #[must_use]
    pub fn pos(&self) -> usize {
        self.scanner.pos()
    }

    /// Skips white space, and returns the offset of the next byte.
    pub fn skip_whitespace(&mut self) -> usize {
        self.scanner.whitespace();
        self.pos()
    }

    /// Returns the text that `read` reads.
    ///
    /// # Errors
    /// The errors of `read`.
    pub fn spanned<E>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<&'a str, E> {
        let start = self.skip_whitespace();
        read(self)?;
        Ok(self.text.get(start..self.pos()).unwrap_or_default())
    }

    /// Skips a value, and returns its text.
    ///
    /// # Errors
    /// [`DecodeError`] if it is invalid, or nested too deep.
    #[inline]
    pub fn value(&mut self) -> Result<&'a str, DecodeError> {
        self.spanned(|reader| reader.scanner.value(reader.depth))
    }

    /// Reads an object: calls `member` with each name, as it is written between its quotes. `member` reads the value.
    ///
    /// # Errors
    /// [`DecodeError`] if the next value is no object, or invalid; and the errors of `member`.
    pub fn members<E: From<DecodeError>>(
        &mut self,
        mut member: impl FnMut(&'a str, &mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.list(b'{', b'}', |reader| {
            reader.scanner.whitespace();
            let start = reader.pos() + 1;
            if reader.scanner.peek()? != b'"' {
                reader.scanner.expect(b'"')?;
            }
            reader.scanner.string()?;
            let name = reader.text.get(start..reader.pos() - 1);
            reader.scanner.whitespace();
            reader.scanner.expect(b':')?;
            member(name.unwrap_or_default(), reader)
        })
    }

    /// Reads an array: calls `element` for each element, which reads it.
    ///
    /// # Errors
    /// [`DecodeError`] if the next value is no array, or invalid; and the errors of `element`.
    pub fn elements<E: From<DecodeError>>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.list(b'[', b']', element)
    }

    fn list<E: From<DecodeError>>(
        &mut self,
        open: u8,
        close: u8,
        mut item: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.scanner.whitespace();
        self.scanner.expect(open)?;
        self.depth += 1;
        self.scanner.whitespace();
        if self.scanner.peek()? != close {
            loop {
                item(self)?;
                self.scanner.whitespace();
                if self.scanner.peek()? != b',' {
                    break;
                }
                self.scanner.bump();
            }
        }
        self.scanner.expect(close)?;
        self.depth -= 1;
        Ok(())
    }

    /// Returns the text without its escapes of lone surrogates, which become U+FFFD, if the reader has seen any.
    #[must_use]
    pub fn without_lone_surrogates(&self, value: &'a str) -> Cow<'a, str> {
        match self.scanner.escapes() {
            Escapes::LoneSurrogates => replace_lone_surrogates(value).into(),
            _ => value.into(),
        }
    }

    /// Checks that only white space follows.
    ///
    /// # Errors
    /// [`DecodeError`] if something else does.
    pub fn end(&mut self) -> Result<(), DecodeError> {
        self.scanner.end()
    }
}

/// Returns the content of a string, given as the [text of a valid value](Reader::value); `None` for other values.
#[must_use]
pub fn text(value: &str) -> Option<Cow<'_, str>> {
    let content = value.strip_prefix('"')?.strip_suffix('"')?;
    if !content.contains('\\') {
        return Some(content.into());
    }
    let fixed = replace_lone_surrogates(value);
    serde_json::from_str::<String>(&fixed).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<(String, String)>, DecodeError> {
        let mut found = Vec::new();
        let mut reader = Reader::new(json, 3);
        reader.members(|name, reader| {
            found.push((name.to_owned(), reader.value()?.to_owned()));
            Ok::<_, DecodeError>(())
        })?;
        reader.end()?;
        Ok(found)
    }

    #[test]
    fn members_are_read_with_their_texts() {
        let all = read(r#" { "a" : 1 , "b\n":[ {} , "}" ],"c":"\"" } "#).unwrap();
        let expected = [("a", "1"), ("b\\n", r#"[ {} , "}" ]"#), ("c", r#""\"""#)];
        assert_eq!(
            all,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(read("{}"), Ok(Vec::new()));
    }

    #[test]
    fn invalid_texts_are_errors() {
        for json in [
            "",
            "{",
            "[]",
            "{}x",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1 "b":2}"#,
            r#"{a:1}"#,
            r#"{"a":1]"#,
            r#"{"a":[[[]]]}"#,
            "{\"a\":\"\u{1}\"}",
            r#"{"a":01}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn strings_are_decoded() {
        assert_eq!(text(r#""a""#).as_deref(), Some("a"));
        assert_eq!(text(r#""\u0041\n""#).as_deref(), Some("A\n"));
        assert_eq!(text(r#""\ud800""#).as_deref(), Some("\u{fffd}"));
        assert_eq!(text("1"), None);
    }
}
