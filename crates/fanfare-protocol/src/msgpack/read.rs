//! Reader of MessagePack, value by value.

use std::borrow::Cow;

use crate::socket::DecodeError;

/// Start of one value: all of it, or for arrays and maps the number of elements that follow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Head<'a> {
    /// `null`.
    Nil,
    /// `undefined` of JavaScript, as `notepack.io` writes it.
    Undefined,
    /// `true` or `false`.
    Bool(bool),
    /// Number without a sign.
    Unsigned(u64),
    /// Number with a sign.
    Signed(i64),
    /// Number with a fraction.
    Float(f64),
    /// Text, not checked for UTF-8.
    Text(&'a [u8]),
    /// Binary value.
    Bytes(&'a [u8]),
    /// `Date`, in milliseconds since 1970, as `notepack.io` writes it.
    Date(i64),
    /// Another extension, of this type.
    Extension(i8, &'a [u8]),
    /// Array, with the number of its elements, which the sender claims.
    Array(u32),
    /// Map, with the number of its entries, which the sender claims.
    Map(u32),
}

impl<'a> Head<'a> {
    /// Returns a text, or a number as JavaScript spells it, for rooms and events whose names are numbers; `None` for
    /// anything else. Invalid UTF-8 is replaced.
    #[must_use]
    pub fn name(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(_) | Self::Unsigned(_) | Self::Signed(_) | Self::Float(_) => {
                Some(key_text(*self))
            }
            _ => None,
        }
    }
}

/// Reader at a position in a MessagePack message, which takes it apart without a tree of values.
///
/// ```
/// use fanfare_protocol::msgpack::{Head, Reader};
///
/// let mut reader = Reader::new(b"\x82\xa4type\x02\xa4data\x91\xa2hi", 32);
/// assert_eq!(reader.head()?, Head::Map(2));
/// assert_eq!(reader.head()?.name().as_deref(), Some("type"));
/// assert_eq!(reader.head()?, Head::Unsigned(2));
/// assert_eq!(reader.head()?, Head::Text(b"data"));
/// let start = reader.pos();
/// reader.skip(1)?;
/// assert_eq!((start, reader.at_end()), (12, true));
/// # Ok::<_, fanfare_protocol::socket::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    pos: usize,
    max_depth: usize,
}

type Read<T> = Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// Creates a reader at the start of a message, of which at most `max_depth` levels of arrays and maps are read.
    #[must_use]
    pub fn new(bytes: &'a [u8], max_depth: usize) -> Self {
        Self {
            bytes,
            pos: 0,
            max_depth,
        }
    }

    /// Returns the position, in bytes.
    #[must_use]
    pub fn pos(&self) -> usize {
        self.pos
    }

    /// Whether the whole message has been read.
    #[must_use]
    pub fn at_end(&self) -> bool {
        self.pos == self.bytes.len()
    }

    /// Returns the error that the message is invalid at this position.
    #[must_use]
    pub fn error(&self) -> DecodeError {
        DecodeError::Msgpack { at: self.pos }
    }

    fn array<const N: usize>(&mut self) -> Read<[u8; N]> {
        let bytes = self
            .bytes
            .get(self.pos..)
            .and_then(|rest| rest.first_chunk::<N>());
        let bytes = *bytes.ok_or_else(|| self.error())?;
        self.pos += N;
        Ok(bytes)
    }

    fn slice(&mut self, len: usize) -> Read<&'a [u8]> {
        let slice = self
            .bytes
            .get(self.pos..)
            .and_then(|rest| rest.get(..len))
            .ok_or_else(|| self.error())?;
        self.pos += len;
        Ok(slice)
    }

    fn len8(&mut self) -> Read<usize> {
        Ok(usize::from(u8::from_be_bytes(self.array()?)))
    }

    fn len16(&mut self) -> Read<usize> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn len32(&mut self) -> Read<usize> {
        Ok(u32::from_be_bytes(self.array()?) as usize)
    }

    /// Reads the next value, or the start of an array or map.
    ///
    /// # Errors
    /// [`DecodeError::Msgpack`] if the message ends too early, or the value is invalid.
    pub fn head(&mut self) -> Read<Head<'a>> {
        let [prefix] = self.array()?;
        Ok(match prefix {
            0x00..=0x7f => Head::Unsigned(u64::from(prefix)),
            0x80..=0x8f => Head::Map(u32::from(prefix & 0x0f)),
            0x90..=0x9f => Head::Array(u32::from(prefix & 0x0f)),
            0xa0..=0xbf => Head::Text(self.slice(usize::from(prefix & 0x1f))?),
            0xe0..=0xff => Head::Signed(i64::from(prefix as i8)),
            0xc0 => Head::Nil,
            0xc1 => {
                self.pos -= 1;
                return Err(self.error());
            }
            0xc2 => Head::Bool(false),
            0xc3 => Head::Bool(true),
            0xc4 => Head::Bytes(self.len8().and_then(|len| self.slice(len))?),
            0xc5 => Head::Bytes(self.len16().and_then(|len| self.slice(len))?),
            0xc6 => Head::Bytes(self.len32().and_then(|len| self.slice(len))?),
            0xc7 => self.len8().and_then(|len| self.extension(len, false))?,
            0xc8 => self.len16().and_then(|len| self.extension(len, false))?,
            0xc9 => self.len32().and_then(|len| self.extension(len, false))?,
            0xca => Head::Float(f64::from(f32::from_be_bytes(self.array()?))),
            0xcb => Head::Float(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(u64::from(u8::from_be_bytes(self.array()?))),
            0xcd => Head::Unsigned(u64::from(u16::from_be_bytes(self.array()?))),
            0xce => Head::Unsigned(u64::from(u32::from_be_bytes(self.array()?))),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Head::Signed(i64::from(i8::from_be_bytes(self.array()?))),
            0xd1 => Head::Signed(i64::from(i16::from_be_bytes(self.array()?))),
            0xd2 => Head::Signed(i64::from(i32::from_be_bytes(self.array()?))),
            0xd3 => Head::Signed(i64::from_be_bytes(self.array()?)),
            0xd4 => self.extension(1, true)?,
            0xd5 => self.extension(2, true)?,
            0xd6 => self.extension(4, true)?,
            0xd7 => self.extension(8, true)?,
            0xd8 => self.extension(16, true)?,
            0xd9 => Head::Text(self.len8().and_then(|len| self.slice(len))?),
            0xda => Head::Text(self.len16().and_then(|len| self.slice(len))?),
            0xdb => Head::Text(self.len32().and_then(|len| self.slice(len))?),
            0xdc => Head::Array(u32::from(u16::from_be_bytes(self.array()?))),
            0xdd => Head::Array(u32::from_be_bytes(self.array()?)),
            0xde => Head::Map(u32::from(u16::from_be_bytes(self.array()?))),
            0xdf => Head::Map(u32::from_be_bytes(self.array()?)),
        })
    }

    fn extension(&mut self, len: usize, fixed: bool) -> Read<Head<'a>> {
        let [kind] = self.array()?;
        let kind = kind as i8;
        let data = self.slice(len)?;
        Ok(match (kind, fixed, data) {
            (0, true, [_]) => Head::Undefined,
            (0, true, &[a, b, c, d, e, f, g, h]) => {
                Head::Date(i64::from_be_bytes([a, b, c, d, e, f, g, h]))
            }
            (0, false, data) => Head::Bytes(data),
            _ => Head::Extension(kind, data),
        })
    }

    /// Skips one value that is nested in `outer` arrays and maps, in time proportional to its length.
    ///
    /// # Errors
    /// The same as [`head`](Self::head), or [`DecodeError::TooDeep`].
    pub fn skip(&mut self, outer: usize) -> Read<()> {
        let values = match self.head()? {
            Head::Array(len) => u64::from(len),
            Head::Map(len) => u64::from(len) * 2,
            _ => return Ok(()),
        };
        self.enter(outer)?;
        for _ in 0..values {
            self.skip(outer + 1)?;
        }
        Ok(())
    }

    /// Checks that an array or map may be read that is nested in `outer` others.
    ///
    /// # Errors
    /// [`DecodeError::TooDeep`].
    pub fn enter(&self, outer: usize) -> Read<()> {
        if outer >= self.max_depth {
            return Err(DecodeError::TooDeep {
                limit: self.max_depth,
            });
        }
        Ok(())
    }
}

/// Returns the text of a key, as JavaScript spells it.
pub(super) fn key_text(key: Head<'_>) -> Cow<'_, str> {
    match key {
        Head::Text(text) => String::from_utf8_lossy(text),
        Head::Unsigned(value) => Cow::Owned(value.to_string()),
        Head::Signed(value) => Cow::Owned(value.to_string()),
        Head::Float(value) => Cow::Owned(float_text(value)),
        Head::Bool(value) => Cow::Owned(value.to_string()),
        _ => Cow::Borrowed("null"),
    }
}

/// Returns the text of a number, as JavaScript spells it: never longer than 25 characters.
pub(super) fn float_text(value: f64) -> String {
    let size = value.abs();
    if value.is_infinite() {
        let sign = if value < 0.0 { "-" } else { "" };
        return format!("{sign}Infinity");
    }
    if size >= 1e21 {
        return format!("{value:e}").replace('e', "e+");
    }
    if size > 0.0 && size < 1e-6 {
        return format!("{value:e}");
    }
    // Zero has no sign in JavaScript's text.
    (value + 0.0).to_string()
}
