//! Single pass over JSON that validates it, checks its depth and finds its elements.
//!
//! Accepts exactly the texts that JavaScript's `JSON.parse` accepts. That is RFC 8259, and escaped lone surrogates
//! (`"\ud800"`), which a JavaScript string may hold and a Rust string may not: they are recorded here and read as
//! U+FFFD later.

use super::error::{DecodeError, JsonErrorKind};
use crate::Limits;

/// Validating scanner at a position in a JSON text.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    pos: usize,
    max_depth: usize,
    escapes: Escapes,
}

/// Kinds of escapes in the strings of a JSON text; each includes those before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Escapes {
    /// No escapes: strings are written literally.
    #[default]
    None,
    /// Escaped characters.
    Characters,
    /// Escaped surrogates without their other half.
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

    /// Kinds of escapes in the strings so far.
    pub(crate) fn escapes(&self) -> Escapes {
        self.escapes
    }

    /// Returns the next byte; fails at the end.
    pub(crate) fn peek(&self) -> Scan<u8> {
        match self.bytes.get(self.pos) {
            Some(&byte) => Ok(byte),
            None => Err(self.error(JsonErrorKind::UnexpectedEnd)),
        }
    }

    /// Skips one byte that was peeked at.
    pub(crate) fn bump(&mut self) {
        self.pos += 1;
    }

    #[inline]
    pub(crate) fn whitespace(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.bytes.get(self.pos) {
            self.pos += 1;
        }
    }

    /// Skips this byte, or fails.
    pub(crate) fn expect(&mut self, byte: u8) -> Scan<()> {
        if self.peek()? == byte {
            self.pos += 1;
            Ok(())
        } else {
            Err(self.error(JsonErrorKind::UnexpectedCharacter))
        }
    }

    /// Checks that only white space follows.
    pub(crate) fn end(&mut self) -> Scan<()> {
        self.whitespace();
        if self.pos == self.bytes.len() {
            Ok(())
        } else {
            Err(self.error(JsonErrorKind::UnexpectedCharacter))
        }
    }

    /// Skips one value that is nested in `outer` arrays and objects. No white space may come first.
    #[inline]
    pub(crate) fn value(&mut self, outer: usize) -> Scan<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'[' | b'{' => self.container(outer),
            _ => self.plain(),
        }
    }

    /// Skips an array or object, in a loop with one bit per level, so that depth uses no stack.
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
            // After a value, or in an empty container.
            loop {
                self.whitespace();
                match (self.peek()?, in_object) {
                    (b',', _) => {
                        // `[,` cannot get here: an empty container is left open only at its closing bracket.
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

    /// Skips a member's name, its colon and the white space after it.
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

    /// Skips a string, whose opening quote is next.
    #[inline]
    pub(crate) fn string(&mut self) -> Scan<()> {
        let mut at = self.pos + 1;
        loop {
            // Skips blocks without special bytes, then eight bytes at a time up to the first special one.
            while let Some(block) = self
                .bytes
                .get(at..)
                .and_then(|rest| rest.first_chunk::<BLOCK_BYTES>())
                && is_plain_block(block)
            {
                at += BLOCK_BYTES;
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

    /// Checks the escape at `at` and returns the position after it.
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

    /// Skips a number, `true`, `false` or `null`.
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

/// Checks that a whole text is one value.
pub(crate) fn validate(json: &str, max_depth: usize) -> Scan<Escapes> {
    let mut scanner = Scanner::new(json, max_depth);
    scanner.whitespace();
    scanner.value(0)?;
    scanner.end()?;
    Ok(scanner.escapes)
}

/// Replaces escaped lone surrogates of valid JSON by `\ufffd`, which has the same length.
pub(crate) fn replace_lone_surrogates(json: &str) -> String {
    let bytes = json.as_bytes();
    let mut fixed = String::with_capacity(json.len());
    let mut copied = 0;
    let mut at = 0;
    // In valid JSON a backslash occurs only in strings.
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

/// Classifies the UTF-16 unit escaped at `at`, together with the unit that follows.
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

/// Returns the unit of a `\uXXXX` at `at`, if there is one.
fn unicode_escape(bytes: &[u8], at: usize) -> Option<u16> {
    let [b'\\', b'u', hex @ ..] = bytes.get(at..at + 6)? else {
        return None;
    };
    hex.iter().try_fold(0u16, |unit, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(unit << 4 | digit as u16)
    })
}

/// Whether a text can be copied into a JSON string unchanged: no quote, no backslash, no control character.
#[inline]
pub(crate) fn is_plain(text: &[u8]) -> bool {
    let is_plain_word = |word: &[u8; 8]| special_bytes(u64::from_le_bytes(*word)) == 0;
    if let Some(last) = text.last_chunk::<BLOCK_BYTES>() {
        // The last block may overlap the one before it, which is cheaper than handling a remainder.
        return text.as_chunks::<BLOCK_BYTES>().0.iter().all(is_plain_block)
            && is_plain_block(last);
    }
    if let Some(last) = text.last_chunk::<8>() {
        return text.as_chunks::<8>().0.iter().all(is_plain_word) && is_plain_word(last);
    }
    text.iter().all(|&byte| !is_special(byte))
}

/// Whether a byte ends a JSON string, starts an escape, or is not allowed in one.
#[inline]
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Number of bytes that vector instructions check together: in long strings twice as fast as words.
const BLOCK_BYTES: usize = 32;

/// Whether no byte of the block is special. Checks all bytes, separately for each kind, so that the compiler emits a
/// few vector instructions.
#[inline]
fn is_plain_block(block: &[u8; BLOCK_BYTES]) -> bool {
    let (mut controls, mut quotes, mut backslashes) = (0, 0, 0);
    for &byte in block {
        controls |= u8::from(byte < 0x20);
        quotes |= u8::from(byte == b'"');
        backslashes |= u8::from(byte == b'\\');
    }
    controls | quotes | backslashes == 0
}

/// Returns a word whose lowest high bit marks the first byte that is a quote, a backslash or a control character.
#[inline]
fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    // A borrow can only corrupt bytes above the first hit, which are not used.
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
