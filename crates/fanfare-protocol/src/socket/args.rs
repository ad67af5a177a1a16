//! The arguments of an event or acknowledgement.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::decode_args::{ArgsError, decode_args};
use super::error::{DecodeError, JsonErrorKind};
use super::scan::{Escapes, Scanner};

/// Where each argument lies in the source. Most events have no more than four.
pub(crate) type Bounds = SmallVec<[(u32, u32); 4]>;

/// How the arguments are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Json(&'a str),
    Msgpack(&'a [u8]),
}

/// The arguments of an event or acknowledgement, validated but not yet deserialised.
///
/// Borrows from the received packet; [`Args::to_buf`] makes a copy that can be kept.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) bounds: Bounds,
    /// Lone surrogates are read as U+FFFD.
    pub(crate) escapes: Escapes,
    pub(crate) attachments: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// No arguments.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            source: Source::Json(""),
            bounds: Bounds::new(),
            escapes: Escapes::None,
            attachments: &[],
        }
    }

    /// Reads a JSON array as arguments.
    ///
    /// # Errors
    /// [`DecodeError`] if it is no valid JSON array or nested deeper than `max_depth`.
    pub fn from_json(json: &'a str, max_depth: usize) -> Result<Self, DecodeError> {
        let mut scanner = open_array(json, max_depth)?;
        let bounds = rest_of_array(&mut scanner, true)?;
        Ok(Self::json(json, bounds, scanner.escapes()))
    }

    pub(crate) fn json(json: &'a str, bounds: Bounds, escapes: Escapes) -> Self {
        Self {
            source: Source::Json(json),
            bounds,
            escapes,
            attachments: &[],
        }
    }

    /// Number of arguments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bounds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// The JSON of an argument, attachments still as placeholders; `None` if there is no such argument or the packet
    /// came as msgpack.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&'a str> {
        match self.source {
            Source::Json(json) => {
                let &(start, end) = self.bounds.get(index)?;
                json.get(start as usize..end as usize)
            }
            Source::Msgpack(_) => None,
        }
    }

    /// The msgpack of an argument; `None` if there is no such argument or the packet came as JSON.
    #[must_use]
    pub fn get_msgpack(&self, index: usize) -> Option<&'a [u8]> {
        match self.source {
            Source::Json(_) => None,
            Source::Msgpack(bytes) => {
                let &(start, end) = self.bounds.get(index)?;
                bytes.get(start as usize..end as usize)
            }
        }
    }

    /// The arguments' JSON, comma separated, as they stand between the brackets; `None` if the packet came as msgpack.
    #[must_use]
    pub fn raw_json(&self) -> Option<&'a str> {
        match (self.source, self.bounds.first(), self.bounds.last()) {
            (Source::Json(json), Some(&(start, _)), Some(&(_, end))) => {
                json.get(start as usize..end as usize)
            }
            (Source::Json(_), _, _) => Some(""),
            (Source::Msgpack(_), _, _) => None,
        }
    }

    /// How many bytes they take, attachments included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let text = match (self.bounds.first(), self.bounds.last()) {
            (Some(&(start, _)), Some(&(_, end))) => (end - start) as usize,
            _ => 0,
        };
        text + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// The binary attachments that came with the packet.
    #[must_use]
    pub fn attachments(&self) -> &'a [Bytes] {
        self.attachments
    }

    /// Deserialises the arguments: see [`decode_args`].
    ///
    /// # Errors
    /// [`ArgsError`] if an argument is missing or does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        decode_args(self, self.attachments)
    }

    /// The same without the first `n` arguments.
    #[must_use]
    pub fn skip(&self, n: usize) -> Args<'a> {
        Args {
            bounds: self.bounds.iter().skip(n).copied().collect(),
            ..*self
        }
    }

    /// The same without the last argument, such as the offset that connection state recovery appends.
    #[must_use]
    pub fn without_last(&self) -> Args<'a> {
        let mut args = self.clone();
        args.bounds.pop();
        args
    }

    /// A copy that owns its bytes. Attachments are shared, not copied.
    #[must_use]
    pub fn to_buf(&self) -> ArgsBuf {
        let (source, offset) = match (self.source, self.bounds.first(), self.bounds.last()) {
            (Source::Json(json), Some(&(start, _)), Some(&(_, end))) => {
                let json = json.get(start as usize..end as usize).unwrap_or_default();
                (SourceBuf::Json(json.into()), start)
            }
            (Source::Msgpack(bytes), Some(&(start, _)), Some(&(_, end))) => {
                let bytes = bytes.get(start as usize..end as usize).unwrap_or_default();
                (SourceBuf::Msgpack(bytes.into()), start)
            }
            _ => (SourceBuf::Json("".into()), 0),
        };
        ArgsBuf {
            source,
            bounds: self
                .bounds
                .iter()
                .map(|&(start, end)| (start - offset, end - offset))
                .collect(),
            escapes: self.escapes,
            attachments: self.attachments.to_vec(),
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum SourceBuf {
    Json(Box<str>),
    Msgpack(Box<[u8]>),
}

/// [`Args`] that own their bytes.
#[derive(Clone, Debug)]
pub struct ArgsBuf {
    pub(crate) source: SourceBuf,
    pub(crate) bounds: Bounds,
    pub(crate) escapes: Escapes,
    pub(crate) attachments: Vec<Bytes>,
}

impl ArgsBuf {
    /// Bytes of the arguments, without attachments.
    pub(crate) fn text_len(&self) -> usize {
        match &self.source {
            SourceBuf::Json(json) => json.len(),
            SourceBuf::Msgpack(bytes) => bytes.len(),
        }
    }

    /// Borrows them.
    #[must_use]
    pub fn as_args(&self) -> Args<'_> {
        Args {
            source: match &self.source {
                SourceBuf::Json(json) => Source::Json(json),
                SourceBuf::Msgpack(bytes) => Source::Msgpack(bytes),
            },
            bounds: self.bounds.clone(),
            escapes: self.escapes,
            attachments: &self.attachments,
        }
    }

    /// Deserialises the arguments: see [`decode_args`].
    ///
    /// # Errors
    /// [`ArgsError`] if an argument is missing or does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.as_args().decode()
    }
}

/// A scanner behind the opening bracket of an array and the white space after it.
pub(crate) fn open_array(json: &str, max_depth: usize) -> Result<Scanner<'_>, DecodeError> {
    // Bounds are 32 bits wide.
    if u32::try_from(json.len()).is_err() {
        return Err(DecodeError::TooLong { len: json.len() });
    }
    let mut scanner = Scanner::new(json, max_depth);
    scanner.whitespace();
    scanner.expect(b'[')?;
    scanner.whitespace();
    Ok(scanner)
}

/// Collects the elements up to the closing bracket, behind which nothing may follow. `first`: no element came yet, so
/// the array may end at once and no comma comes first.
pub(crate) fn rest_of_array(scanner: &mut Scanner<'_>, first: bool) -> Result<Bounds, DecodeError> {
    let mut bounds = Bounds::new();
    let mut more = !(first && scanner.peek()? == b']');
    if !first {
        more = scanner.peek()? == b',';
        if more {
            scanner.bump();
            scanner.whitespace();
        }
    }
    while more {
        let start = scanner.pos();
        scanner.value(1)?;
        // Checked in `open_array`.
        bounds.push((start as u32, scanner.pos() as u32));
        scanner.whitespace();
        match scanner.peek()? {
            b',' => {
                scanner.bump();
                scanner.whitespace();
            }
            b']' => more = false,
            _ => return Err(scanner.error(JsonErrorKind::UnexpectedCharacter)),
        }
    }
    scanner.expect(b']')?;
    scanner.end()?;
    Ok(bounds)
}
