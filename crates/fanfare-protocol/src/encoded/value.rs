use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::Serialize;

use crate::Limits;
use crate::msgpack::{self, MsgpackArgs};
use crate::socket::placeholders::{Reference, each_reference};
use crate::socket::scan::validate;
use crate::socket::{ArgWriter, Args, ArgsBuf, DecodeError, EncodeError, IntoArgs, JsonArgs};

/// A value in encoded form: JSON with attachments, MessagePack, or both. Cheap to clone; clones share the encodings.
///
/// In JSON, binary values are placeholders (`{"_placeholder":true,"num":0}`) for
/// [`attachments`](EncodedValue::attachments); in MessagePack they are inside.
///
/// ```
/// use bytes::Bytes;
/// use fanfare_protocol::EncodedValue;
///
/// let value = EncodedValue::from_msgpack(Bytes::from_static(&[0x92, 0x01, 0xc4, 0x01, 0xff]))?;
/// assert_eq!(value.json(), r#"[1,{"_placeholder":true,"num":0}]"#);
/// assert_eq!(value.attachments(), [&b"\xff"[..]]);
/// # Ok::<_, fanfare_protocol::socket::DecodeError>(())
/// ```
#[derive(Clone)]
pub struct EncodedValue(Arc<Inner>);

struct Inner {
    json: OnceLock<Json>,
    msgpack: OnceLock<Bytes>,
    /// Number of binary values.
    binaries: usize,
}

struct Json {
    text: String,
    attachments: Vec<Bytes>,
}

impl EncodedValue {
    /// Maximum number of binary values in a received value.
    pub const MAX_BINARIES: usize = 4096;

    /// Encodes a value.
    ///
    /// # Errors
    /// [`EncodeError`] if it cannot be serialized.
    pub fn new<T: Serialize + ?Sized>(value: &T) -> Result<Self, EncodeError> {
        let (mut text, mut attachments) = (Vec::new(), Vec::new());
        JsonArgs::new(&mut text, &mut attachments, false).arg(value)?;
        Self::from_parts(text, attachments)
    }

    /// Encodes the first of these arguments, as an acknowledgement between servers carries it; `null` if there is none.
    ///
    /// # Errors
    /// [`EncodeError`] if an argument cannot be serialized.
    pub fn of_first<A: IntoArgs + ?Sized>(args: &A) -> Result<Self, EncodeError> {
        let (mut text, mut attachments) = (vec![b'['], Vec::new());
        args.write(&mut JsonArgs::new(&mut text, &mut attachments, false))?;
        text.push(b']');
        let all = Self::from_parts(text, attachments)?;
        let args = Args::from_json(all.json(), Limits::JSON_DEPTH_CEILING);
        let args = args.map_err(|error| EncodeError::NotSerializable {
            argument: 0,
            message: error.to_string(),
        })?;
        Ok(Self::from_first(&Args {
            attachments: all.attachments(),
            ..args
        }))
    }

    /// Copies the first of these arguments; `null` if there is none.
    #[must_use]
    pub fn from_first(args: &Args<'_>) -> Self {
        if let Some(message) = args.get_msgpack(0) {
            // The packet was read within limits that are lower.
            let value = Self::from_msgpack(Bytes::copy_from_slice(message));
            return value.unwrap_or_else(|_| Self::json_unchecked("null".to_owned(), Vec::new()));
        }
        let text = args.get(0).unwrap_or("null").to_owned();
        let mut attachments = Vec::new();
        if !args.attachments().is_empty() {
            each_reference(&text, |_| {
                attachments = args.attachments().to_vec();
                false
            });
        }
        Self::json_unchecked(text, attachments)
    }

    pub(super) fn from_parts(text: Vec<u8>, attachments: Vec<Bytes>) -> Result<Self, EncodeError> {
        let text = String::from_utf8(text).map_err(|error| EncodeError::NotSerializable {
            argument: 0,
            message: error.to_string(),
        })?;
        Ok(Self::json_unchecked(text, attachments))
    }

    pub(super) fn json_unchecked(text: String, attachments: Vec<Bytes>) -> Self {
        Self(Arc::new(Inner {
            binaries: attachments.len(),
            json: OnceLock::from(Json { text, attachments }),
            msgpack: OnceLock::new(),
        }))
    }

    /// Creates a value from received JSON and its attachments.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not valid JSON or nested deeper than [`Limits::JSON_DEPTH_CEILING`], if the placeholders
    /// do not fit the attachments, or if there are more than [`MAX_BINARIES`](Self::MAX_BINARIES).
    pub fn from_json(
        json: impl Into<String>,
        attachments: Vec<Bytes>,
    ) -> Result<Self, DecodeError> {
        let (value, ()) = Self::read_json(json.into(), attachments, |text| {
            validate(text, Limits::JSON_DEPTH_CEILING).map(drop)
        })?;
        Ok(value)
    }

    /// Creates a value from JSON that `read` checks and of which it returns a part.
    pub(super) fn read_json<T>(
        json: String,
        attachments: Vec<Bytes>,
        read: impl FnOnce(&str) -> Result<T, DecodeError>,
    ) -> Result<(Self, T), DecodeError> {
        let text = trimmed(json);
        // `Args` have bounds of 32 bits.
        if u32::try_from(text.len()).is_err() {
            return Err(DecodeError::TooLong { len: text.len() });
        }
        check_count(attachments.len())?;
        let part = read(&text)?;
        if !attachments.is_empty() {
            check_references(&text, attachments.len())?;
        }
        Ok((Self::json_unchecked(text, attachments), part))
    }

    /// Creates a value from received MessagePack.
    ///
    /// # Errors
    /// [`DecodeError`] if it is not one value in valid MessagePack or nested deeper than
    /// [`Limits::JSON_DEPTH_CEILING`], or if there are more binary values than [`MAX_BINARIES`](Self::MAX_BINARIES).
    pub fn from_msgpack(message: impl Into<Bytes>) -> Result<Self, DecodeError> {
        let message = message.into();
        if u32::try_from(message.len()).is_err() {
            return Err(DecodeError::TooLong { len: message.len() });
        }
        let inspected = msgpack::inspect(&message)?;
        check_count(inspected.binaries)?;
        Ok(Self::msgpack_checked(message, inspected.binaries))
    }

    pub(super) fn msgpack_checked(message: Bytes, binaries: usize) -> Self {
        Self(Arc::new(Inner {
            json: OnceLock::new(),
            msgpack: OnceLock::from(message),
            binaries,
        }))
    }

    fn parts(&self) -> &Json {
        self.0.json.get_or_init(|| {
            let message = self.0.msgpack.get().cloned().unwrap_or_default();
            let (text, attachments) = msgpack::to_json(&message);
            Json { text, attachments }
        })
    }

    /// Returns the JSON, with placeholders for the attachments.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.parts().text
    }

    /// Returns the binary values, in the order of their placeholders' numbers.
    #[must_use]
    pub fn attachments(&self) -> &[Bytes] {
        &self.parts().attachments
    }

    /// Returns the JSON with binary values in the form in which `JSON.stringify` of Node.js writes a `Buffer`:
    /// `{"type":"Buffer","data":[0,255]}`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use fanfare_protocol::EncodedValue;
    ///
    /// let value = EncodedValue::from_msgpack(Bytes::from_static(&[0x92, 0x01, 0xc4, 0x02, 0x00, 0xff]))?;
    /// assert_eq!(value.plain_json(), r#"[1,{"type":"Buffer","data":[0,255]}]"#);
    /// # Ok::<_, fanfare_protocol::socket::DecodeError>(())
    /// ```
    #[must_use]
    pub fn plain_json(&self) -> Cow<'_, str> {
        let Json { text, attachments } = self.parts();
        if !self.has_binary() {
            return text.into();
        }
        let mut references = Vec::new();
        each_reference(text, |reference| {
            references.push(reference);
            true
        });
        references.sort_unstable_by_key(|reference| reference.start);
        // At most three digits and a comma for each byte.
        let binary: usize = attachments.iter().map(|bytes| 4 * bytes.len()).sum();
        let (mut plain, mut copied) = (String::with_capacity(text.len() + binary), 0);
        for Reference { start, end, num } in references {
            // A reference inside of another one is a part of that.
            let Some(before) = text.get(copied..start) else {
                continue;
            };
            plain.push_str(before);
            plain.push_str(r#"{"type":"Buffer","data":["#);
            let bytes = num.and_then(|num| attachments.get(num));
            let mut digits = itoa::Buffer::new();
            for (index, byte) in bytes.into_iter().flatten().enumerate() {
                if index > 0 {
                    plain.push(',');
                }
                plain.push_str(digits.format(*byte));
            }
            plain.push_str("]}");
            copied = end;
        }
        plain.push_str(text.get(copied..).unwrap_or_default());
        plain.into()
    }

    /// Whether the value contains binary values.
    #[must_use]
    pub fn has_binary(&self) -> bool {
        self.0.binaries > 0
    }

    /// Returns the MessagePack, with binary values inside.
    #[must_use]
    pub fn msgpack(&self) -> &Bytes {
        self.0.msgpack.get_or_init(|| {
            let mut out = Vec::new();
            if let Some(Json { text, attachments }) = self.0.json.get() {
                let binary: usize = attachments.iter().map(Bytes::len).sum();
                out.reserve(text.len() + binary);
                msgpack::from_json(&mut out, text, attachments);
            }
            out.into()
        })
    }

    /// Number of bytes of the encodings that exist so far, attachments included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let json = self.0.json.get().map_or(0, |json| {
            let attachments: usize = json.attachments.iter().map(Bytes::len).sum();
            json.text.len() + attachments
        });
        json + self.0.msgpack.get().map_or(0, Bytes::len)
    }

    /// Returns the value as the only argument of a list; `None` if it cannot be read, which happens only to JSON that
    /// the application passed on unchecked.
    #[must_use]
    pub fn args(&self) -> Option<ArgsBuf> {
        let array = format!("[{}]", self.json());
        let mut args = Args::from_json(&array, Limits::JSON_DEPTH_CEILING).ok()?;
        args.attachments = self.attachments();
        Some(args.to_buf())
    }
}

/// Removes white space around JSON, so that it can be spliced.
fn trimmed(mut text: String) -> String {
    let space = [' ', '\t', '\n', '\r'];
    text.truncate(text.trim_end_matches(space).len());
    let start = text.len() - text.trim_start_matches(space).len();
    text.drain(..start);
    text
}

fn check_count(count: usize) -> Result<(), DecodeError> {
    let limit = EncodedValue::MAX_BINARIES;
    match count > limit {
        true => Err(DecodeError::TooManyAttachments { count, limit }),
        false => Ok(()),
    }
}

/// Checks that each placeholder has its own attachment: otherwise clients would close their connections.
fn check_references(json: &str, count: usize) -> Result<(), DecodeError> {
    let mut used = vec![false; count];
    let mut checked = Ok(());
    each_reference(json, |reference| {
        let slot = reference
            .num
            .and_then(|num| Some((num, used.get_mut(num)?)));
        let again = slot.map(|(num, used)| (num, std::mem::replace(used, true)));
        checked = match again {
            None => Err(DecodeError::IllegalAttachments),
            Some((num, true)) => Err(DecodeError::AttachmentReused { num }),
            Some((_, false)) => Ok(()),
        };
        checked.is_ok()
    });
    checked
}

impl fmt::Debug for EncodedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedValue")
            .field("json", &self.json())
            .field("binaries", &self.0.binaries)
            .finish()
    }
}

/// Values are equal if their JSON and attachments are.
impl PartialEq for EncodedValue {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.json() == other.json() && self.attachments() == other.attachments())
    }
}

/// Writer of the elements of an array in MessagePack, whose number is known at the end.
pub(super) fn msgpack_array(
    write: impl FnOnce(&mut MsgpackArgs<'_>) -> Result<(), EncodeError>,
    first: &str,
) -> Result<Bytes, EncodeError> {
    let mut elements = Vec::with_capacity(128);
    msgpack::write_text(&mut elements, first);
    let mut writer = MsgpackArgs::new(&mut elements);
    write(&mut writer)?;
    let count = writer.count() + 1;
    let mut out = Vec::with_capacity(elements.len() + 5);
    msgpack::write_array(&mut out, count);
    out.extend_from_slice(&elements);
    Ok(out.into())
}
