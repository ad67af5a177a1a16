//! One pass over JSON: is it valid, how deep, and where do its elements lie?
//!
//! Accepts exactly what JavaScript's `JSON.parse` does. That is RFC 8259, and escaped lone surrogates (`"\ud800"`),
//! which a JavaScript string may hold and a Rust string may not: they are noticed here and read as U+FFFD later.

use super::error::{DecodeError, JsonErrorKind};
use crate::Limits;

/// A validating scanner, standing somewhere in a piece of JSON.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    max_depth: usize,
    escapes: Escapes,
}

/// What the strings of a piece of JSON have escaped; each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Escapes {
    /// Nothing: strings mean what stands there.
    #[default]
    None,
    /// Characters.
    Characters,
    /// Surrogates without their other half.
    LoneSurrogates,
}

type Scan<T> = Result<T, DecodeError>;

impl<'a> Scanner<'a> {
    pub(crate) fn new(json: &'a str, max_depth: usize) -> Self {
        Self {
            bytes: json.as_bytes(),
            pos: 0,
            max_depth: max_depth.min(Limits::JSON_DEPTH_CEILING),
            escapes: Escapes::None,
        }
    }

    /// Offset of the next byte.
    pub(crate) fn pos(&self) -> usize {
        self.pos
    }

    /// What the strings so far had escaped.
    pub(crate) fn escapes(&self) -> Escapes {
        self.escapes
    }

    /// The next byte, which must be there.
    pub(crate) fn peek(&self) -> Scan<u8> {
        match self.bytes.get(self.pos) {
            Some(&byte) => Ok(byte),
            None => Err(self.error(JsonErrorKind::UnexpectedEnd)),
        }
    }

    /// Steps over one byte that was peeked at.
    pub(crate) fn bump(&mut self) {
        self.pos += 1;
    }

    #[inline]
    pub(crate) fn whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.pos) {
            self.pos += 1;
        }
    }

    /// Steps over this byte, or fails.
    pub(crate) fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.peek()? == byte {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.error(JsonErrorKind::UnexpectedCharacter))
        }
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Scan<()> {
        self.whitespace();
        if self.pos == self.bytes.len() {
            Ok(())
        } else {
            Err(self.error(JsonErrorKind::UnexpectedCharacter))
        }
    }

    /// Steps over one value that stands `outer` arrays and objects deep already. No white space may come first.
    #[inline]
    pub(crate) fn value(&mut self, outer: usize) -> Scan<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'[' | b'{' => self.container(outer),
            _ => self.plain(),
        }
    }

    /// Steps over an array or object. A loop with one bit per level, so that depth costs no stack.
    fn container(&mut self, outer: usize) -> Scan<()> {
        let mut objects = [0u64; Limits::JSON_DEPTH_CEILING / 64];
        let mut depth = 0usize;
        let mut in_object = false;
        loop {
            // At the start of a value.
            match self.peek()? {
                open @ (b'[' | b'{') => {
                    if outer + depth >= self.max_depth {
                        return Err(DecodeError::TooDeep {
                            limit: self.max_depth,
                        });
                    }
                    in_object = open == b'{';
                    set(&mut objects, depth, in_object);
                    depth += 1;
                    self.pos += 1;
                    self.whitespace();
                    match (self.peek()?, in_object) {
                        (b'}', true) | (b']', false) => {} // empty: the loop below closes it
                        (_, true) => {
                            self.key()?;
                            continue;
                        }
                        (_, false) => continue,
                    }
                }
                b'"' => self.string()?,
                _ => self.plain()?,
            }
            // Behind a value, or in an empty container.
            loop {
                self.whitespace();
                match (self.peek()?, in_object) {
                    (b',', _) => {
                        // `[,` cannot get here: an empty container is only left open at its closing bracket.
                        self.pos += 1;
                        self.whitespace();
                        if in_object {
                            self.key()?;
                        }
                        break;
                    }
                    (b'}', true) | (b']', false) => {
                        self.pos += 1;
                        depth -= 1;
                        if depth == 0 {
                            return Ok(());
                        }
                        in_object = get(&objects, depth - 1);
                    }
                    _ => return Err(self.error(JsonErrorKind::UnexpectedCharacter)),
                }
            }
        }
    }

    /// Steps over a member's name, its colon and the white space behind.
    fn key(&mut self) -> Scan<()> {
        if self.peek()? != b'"' {
            return Err(self.error(JsonErrorKind::UnexpectedCharacter));
        }
        self.string()?;
        self.whitespace();
        self.expect(b':')?;
        self.whitespace();
        Ok(())
    }

    /// Steps over a string, whose opening quote is next.
    #[inline]
    pub(crate) fn string(&mut self) -> Scan<()> {
        let mut at = self.pos + 1;
        loop {
            // Blocks without anything of interest, then eight bytes at a time up to the first that needs a look.
            while let Some(block) = self
                .bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk::<BLOCK>())
                && is_plain_block(block)
            {
                at += BLOCK;
            }
            while let Some(chunk) = self
                .bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk::<8>())
            {
                let special = special_bytes(u64::from_le_bytes(*chunk));
                if special != 0 {
                    at += special.trailing_zeros() as usize / 8;
                    break;
                }
                at += 8;
            }
            match self.bytes.get(at) {
                Some(b'"') => {
                    self.pos = at + 1;
                    return Ok(());
                }
                Some(b'\\') => at = self.escape(at)?,
                Some(0..0x20) => return Err(json_error(at, JsonErrorKind::ControlCharacter)),
                Some(_) => at += 1, // within the last eight bytes
                None => return Err(json_error(at, JsonErrorKind::UnexpectedEnd)),
            }
        }
    }

    /// Checks the escape at `at` and gives the position behind it.
    fn escape(&mut self, at: usize) -> Scan<usize> {
        self.escapes = self.escapes.max(Escapes::Characters);
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                let Some(unit) = unicode_escape(self.bytes, at) else {
                    return Err(json_error(at, JsonErrorKind::InvalidEscape));
                };
                match surrogate(self.bytes, at, unit) {
                    Surrogate::None => Ok(at + 6),
                    Surrogate::Pair => Ok(at + 12),
                    Surrogate::Lone => {
                        self.escapes = Escapes::LoneSurrogates;
                        Ok(at + 6)
                    }
                }
            }
            Some(_) => Err(json_error(at, JsonErrorKind::InvalidEscape)),
            None => Err(json_error(at, JsonErrorKind::UnexpectedEnd)),
        }
    }

    /// Steps over a number, `true`, `false` or `null`.
    fn plain(&mut self) -> Scan<()> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal(b"true"),
            b'f' => self.literal(b"false"),
            b'n' => self.literal(b"null"),
            _ => Err(self.error(JsonErrorKind::UnexpectedCharacter)),
        }
    }

    fn literal(&mut self, literal: &[u8]) -> Scan<()> {
        if self.bytes[self.pos..].starts_with(literal) {
            self.pos += literal.len();
            Ok(())
        } else {
            Err(self.error(JsonErrorKind::UnexpectedCharacter))
        }
    }

    fn number(&mut self) -> Scan<()> {
        let mut at = self.pos;
        let byte = |at: usize| self.bytes.get(at).copied().unwrap_or_default();
        let digits = |mut at: usize| {
            while byte(at).is_ascii_digit() {
                at += 1;
            }
            at
        };
        if byte(at) == b'-' {
            at += 1;
        }
        match byte(at) {
            b'0' => at += 1,
            b'1'..=b'9' => at = digits(at),
            _ => return Err(json_error(at, JsonErrorKind::InvalidNumber)),
        }
        if byte(at) == b'.' {
            let end = digits(at + 1);
            if end == at + 1 {
                return Err(json_error(end, JsonErrorKind::InvalidNumber));
            }
            at = end;
        }
        if matches!(byte(at), b'e' | b'E') {
            at += 1;
            if matches!(byte(at), b'+' | b'-') {
                at += 1;
            }
            let end = digits(at);
            if end == at {
                return Err(json_error(end, JsonErrorKind::InvalidNumber));
            }
            at = end;
        }
        self.pos = at;
        Ok(())
    }

    pub(crate) fn error(&self, kind: JsonErrorKind) -> DecodeError {
        json_error(self.pos, kind)
    }
}

/// Checks a whole text that must be one value.
pub(crate) fn validate(json: &str, max_depth: usize) -> Scan<Escapes> {
    let mut scanner = Scanner::new(json, max_depth);
    scanner.whitespace();
    scanner.value(0)?;
    scanner.end()?;
    Ok(scanner.escapes)
}

/// Replaces escaped lone surrogates of valid JSON by `\ufffd`, which is just as long.
pub(crate) fn replace_lone_surrogates(json: &str) -> String {
    let bytes = json.as_bytes();
    let mut fixed = String::with_capacity(json.len());
    let mut copied = 0;
    let mut at = 0;
    // In valid JSON a backslash only stands in strings.
    while let Some(next) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\\', rest)) {
        at += next;
        match unicode_escape(bytes, at).map(|unit| surrogate(bytes, at, unit)) {
            None => at += 2,
            Some(Surrogate::None) => at += 6,
            Some(Surrogate::Pair) => at += 12,
            Some(Surrogate::Lone) => {
                fixed.push_str(&json[copied..at]);
                fixed.push_str("\\ufffd");
                at += 6;
                copied = at;
            }
        }
    }
    fixed.push_str(&json[copied..]);
    fixed
}

enum Surrogate {
    None,
    Pair,
    Lone,
}

/// What the UTF-16 unit escaped at `at` is, seen with what follows it.
fn surrogate(bytes: &[u8], at: usize, unit: u16) -> Surrogate {
    match unit {
        0xd800..0xdc00 => match unicode_escape(bytes, at + 6) {
            Some(0xdc00..0xe000) => Surrogate::Pair,
            _ => Surrogate::Lone,
        },
        0xdc00..0xe000 => Surrogate::Lone,
        _ => Surrogate::None,
    }
}

/// The unit of a `\uXXXX` at `at`, if one stands there.
fn unicode_escape(bytes: &[u8], at: usize) -> Option<u16> {
    let [b'\\', b'u', hex @ ..] = bytes.get(at..at + 6)? else {
        return None;
    };
    hex.iter().try_fold(0u16, |unit, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

/// Whether a piece of text can stand in a JSON string as it is: no quote, no backslash, no control character.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let is_plain_word = |word: &[u8; 8]| special_bytes(u64::from_le_bytes(*word)) == 0;
    if let Some(last) = text.last_chunk::<BLOCK>() {
        // The last block may lie over the one before it: that is cheaper than a rest.
        return text.as_chunks::<BLOCK>().0.iter().all(is_plain_block) && is_plain_block(last);
    }
    if let Some(last) = text.last_chunk::<8>() {
        return text.as_chunks::<8>().0.iter().all(is_plain_word) && is_plain_word(last);
    }
    text.iter().all(|&byte| !is_special(byte))
}

/// Whether a byte ends a JSON string, escapes in it, or may not stand there.
#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Bytes that vector instructions look at together: in long strings twice as fast as words.
const BLOCK: usize = 32;

/// Whether no byte of the block is special. Looks at all of them, and for each kind by itself, so that the compiler makes it
/// a few vector instructions.
#[inline]
fn is_plain_block(block: &[u8; BLOCK]) -> bool {
    let (mut controls, mut quotes, mut backslashes) = (0, 0, 0);
    for &byte in block {
        controls |= u8::from(byte < 0x20);
        quotes |= u8::from(byte == b'"');
        backslashes |= u8::from(byte == b'\\');
    }
    controls | quotes | backslashes == 0
}

/// A word whose lowest high bit marks the first byte that is a quote, a backslash or a control character.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    // A borrow can only spoil bytes above the first hit, which nobody looks at.
    (control | quote.wrapping_sub(ONES) & !quote | backslash.wrapping_sub(ONES) & !backslash)
        & HIGHS
}

fn set(bits: &mut [u64], at: usize, value: bool) {
    if let Some(word) = bits.get_mut(at / 64) {
        *word = *word & !(1 << (at % 64)) | u64::from(value) << (at % 64);
    }
}

fn get(bits: &[u64], at: usize) -> bool {
    bits.get(at / 64)
        .is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn json_error(at: usize, kind: JsonErrorKind) -> DecodeError {
    DecodeError::Json { at, kind }
}
