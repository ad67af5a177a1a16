//! Arguments of an event or acknowledgement.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::args_error::ArgsError;
use super::decode_args::decode_args;
use super::error::{DecodeError, JsonErrorKind};
use super::scan::{Escapes, Scanner};
use super::weigh;

/// Start and end of each argument in the source. Most events have no more than four.
pub(crate) type Bounds = SmallVec<[(u32, u32); 4]>;

/// Encoding of the arguments.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    Json(&'a str),
    Msgpack(&'a [u8]),
}

/// Arguments of an event or acknowledgement, validated but not yet deserialized.
///
/// Borrows from the received packet; [`Args::to_buf`] makes a copy that can be kept.
#[derive(Clone, Debug)]
pub struct Args<'a> {
    pub(crate) source: Source<'a>,
    pub(crate) bounds: Bounds,
    /// Escapes in the strings; lone surrogates are read as U+FFFD.
    pub(crate) escapes: Escapes,
    pub(crate) attachments: &'a [Bytes],
}

impl<'a> Args<'a> {
    /// Returns an empty list of arguments.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            source: Source::Json(""),
            bounds: Bounds::new(),
            escapes: Escapes::None,
            attachments: &[],
        }
    }

    /// Parses a JSON array as arguments.
    ///
    /// # Errors
    /// [`DecodeError`] if the text is no valid JSON array or nested deeper than `max_depth`.
    pub fn from_json(json: &'a str, max_depth: usize) -> Result<Self, DecodeError> {
        Self::from_json_array(json, max_depth, usize::MAX)
    }

    /// Parses as [`from_json`](Self::from_json), with at most `max` arguments.
    pub(crate) fn from_json_array(
        json: &'a str,
        max_depth: usize,
        max: usize,
    ) -> Result<Self, DecodeError> {
        let mut scanner = open_array(json, max_depth)?;
        let bounds = rest_of_array(&mut scanner, true, max)?;
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

    /// Whether there are no arguments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bounds.is_empty()
    }

    /// Returns the JSON of an argument, attachments still as placeholders; `None` if there is no such argument or the
    /// packet is msgpack.
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

    /// Returns the msgpack of an argument; `None` if there is no such argument or the packet is JSON.
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

    /// Returns the arguments' JSON, comma separated, without the brackets; `None` if the packet is msgpack.
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

    /// Encoded length of the arguments in bytes, attachments included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let text = match (self.bounds.first(), self.bounds.last()) {
            (Some(&(start, _)), Some(&(_, end))) => (end - start) as usize,
            _ => 0,
        };
        text + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Number of bytes that a [copy](Self::to_buf) holds, attachments included.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        held(self.byte_len(), &self.bounds)
    }

    /// Estimates the memory of the arguments once they are deserialized, for any type, in bytes. The estimate is high
    /// rather than low, for programs that limit the memory of pending events. Each attachment counts twice, as a type
    /// may copy it.
    ///
    /// ```
    /// # use fanfare_protocol::socket::Args;
    /// let args = Args::from_json(r#"[{"":0},{"":0},{"":0}]"#, 8)?;
    /// assert_eq!(args.byte_len(), 20);
    /// assert!(args.decoded_bytes() > 2000);
    /// # Ok::<_, fanfare_protocol::socket::DecodeError>(())
    /// ```
    #[must_use]
    pub fn decoded_bytes(&self) -> usize {
        let attachments: usize = self.attachments.iter().map(Bytes::len).sum();
        let values = match self.source {
            Source::Json(_) => self.raw_json().map_or(0, weigh::json),
            Source::Msgpack(_) => (0..self.len())
                .filter_map(|index| self.get_msgpack(index))
                .map(crate::msgpack::weigh)
                .sum(),
        };
        values + 2 * attachments
    }

    /// Returns the binary attachments of the packet.
    #[must_use]
    pub fn attachments(&self) -> &'a [Bytes] {
        self.attachments
    }

    /// Deserializes the arguments: see [`decode_args`].
    ///
    /// # Errors
    /// [`ArgsError`] if an argument is missing or does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        decode_args(self, self.attachments)
    }

    /// Returns only the argument at `index`; none if there is no such argument.
    ///
    /// To read all arguments one by one, decode [`AllArgs`](super::AllArgs), or call this for each: unlike
    /// [`skip`](Self::skip), its cost depends on that argument alone, not on the number of arguments.
    #[must_use]
    pub fn only(&self, index: usize) -> Args<'a> {
        Args {
            bounds: self.bounds.get(index).copied().into_iter().collect(),
            ..*self
        }
    }

    /// Returns the arguments without the first `n`. Copies the bounds of the others.
    #[must_use]
    pub fn skip(&self, n: usize) -> Args<'a> {
        Args {
            bounds: self.bounds.iter().skip(n).copied().collect(),
            ..*self
        }
    }

    /// Returns the arguments without the last, such as the offset that connection state recovery appends.
    #[must_use]
    pub fn without_last(&self) -> Args<'a> {
        let mut args = self.clone();
        args.bounds.pop();
        args
    }

    /// Copies the arguments to own their bytes. Attachments are shared, not copied.
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

/// Number of bytes held by arguments of `len` bytes with these bounds.
fn held(len: usize, bounds: &Bounds) -> usize {
    let spilled = if bounds.spilled() {
        bounds.len().next_power_of_two()
    } else {
        0
    };
    len + spilled * size_of::<(u32, u32)>() + size_of::<ArgsBuf>()
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
    /// Number of bytes held, attachments included.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let attachments: usize = self.attachments.iter().map(Bytes::len).sum();
        held(self.text_len() + attachments, &self.bounds)
    }

    /// Number of bytes of the arguments, without attachments.
    pub(crate) fn text_len(&self) -> usize {
        match &self.source {
            SourceBuf::Json(json) => json.len(),
            SourceBuf::Msgpack(bytes) => bytes.len(),
        }
    }

    /// Borrows the arguments.
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

    /// Deserializes the arguments: see [`decode_args`].
    ///
    /// # Errors
    /// [`ArgsError`] if an argument is missing or does not fit.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.as_args().decode()
    }
}

/// Returns a scanner after the opening bracket of an array and the white space that follows.
pub(crate) fn open_array(json: &str, max_depth: usize) -> Result<Scanner<'_>, DecodeError> {
    // `Bounds` are 32 bits wide.
    if u32::try_from(json.len()).is_err() {
        return Err(DecodeError::TooLong { len: json.len() });
    }
    let mut scanner = Scanner::new(json, max_depth);
    scanner.whitespace();
    scanner.expect(b'[')?;
    scanner.whitespace();
    Ok(scanner)
}

/// Collects the elements up to the closing bracket, which must be the end. `first`: no element was read yet, so the
/// array may end at once and no comma comes first. `max`: maximum number of elements.
pub(crate) fn rest_of_array(
    scanner: &mut Scanner<'_>,
    first: bool,
    max: usize,
) -> Result<Bounds, DecodeError> {
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
        if bounds.len() >= max {
            return Err(DecodeError::TooManyArguments { limit: max });
        }
        let start = scanner.pos();
        scanner.value(1)?;
        // The length was checked in `open_array`.
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
