//! Conversion of MessagePack to JSON, without a tree of values.

use std::borrow::Cow;

use bytes::Bytes;

use super::date::iso;
use super::read::{Head, Reader, key_text};
use crate::Limits;
use crate::socket::DecodeError;
use crate::socket::json::write_string;

/// Extension type of timestamps in plain MessagePack.
const TIMESTAMP: i8 = -1;

/// Properties of a message that are found while it is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspected {
    /// Number of binary values.
    pub(crate) binaries: usize,
}

/// Checks that a message is one value that JSON and attachments can represent.
pub(crate) fn inspect(message: &[u8]) -> Result<Inspected, DecodeError> {
    let mut reader = Reader::new(message, Limits::JSON_DEPTH_CEILING);
    let mut found = Inspected::default();
    check(&mut reader, 0, &mut found)?;
    if reader.at_end() {
        Ok(found)
    } else {
        Err(reader.error())
    }
}

fn check(reader: &mut Reader<'_>, outer: usize, found: &mut Inspected) -> Result<(), DecodeError> {
    match reader.head()? {
        Head::Bytes(_) => found.binaries += 1,
        Head::Extension(kind, data) if timestamp(kind, data).is_none() => found.binaries += 1,
        Head::Array(len) => {
            reader.enter(outer)?;
            for _ in 0..len {
                check(reader, outer + 1, found)?;
            }
        }
        Head::Map(len) => {
            reader.enter(outer)?;
            for _ in 0..len {
                let key = reader.head()?;
                if !is_key(key) {
                    return Err(reader.error());
                }
                check(reader, outer + 1, found)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn is_key(head: Head<'_>) -> bool {
    matches!(
        head,
        Head::Text(_)
            | Head::Unsigned(_)
            | Head::Signed(_)
            | Head::Float(_)
            | Head::Bool(_)
            | Head::Nil
    )
}

/// Converts a message that [`inspect`] accepted. Binary values become placeholders and attachments, which share the
/// memory of the message.
pub(crate) fn to_json(message: &Bytes) -> (String, Vec<Bytes>) {
    let mut writer = Writer {
        reader: Reader::new(message, Limits::JSON_DEPTH_CEILING),
        message,
        out: Vec::with_capacity(message.len() + message.len() / 4),
        attachments: Vec::new(),
    };
    writer.value();
    let Writer {
        out, attachments, ..
    } = writer;
    // Only whole texts were written.
    (String::from_utf8(out).unwrap_or_default(), attachments)
}

struct Writer<'a> {
    reader: Reader<'a>,
    message: &'a Bytes,
    out: Vec<u8>,
    attachments: Vec<Bytes>,
}

impl<'a> Writer<'a> {
    /// Writes the next value. Recursion is bounded, because the depth has been checked.
    fn value(&mut self) {
        // The message has been checked; if it ended here after all, the rest would be null.
        let head = self.reader.head().unwrap_or(Head::Nil);
        match head {
            Head::Nil | Head::Undefined => self.raw("null"),
            Head::Bool(true) => self.raw("true"),
            Head::Bool(false) => self.raw("false"),
            Head::Unsigned(value) => self.raw(itoa::Buffer::new().format(value)),
            Head::Signed(value) => self.raw(itoa::Buffer::new().format(value)),
            Head::Float(value) => self.float(value),
            Head::Text(text) => write_string(&mut self.out, &String::from_utf8_lossy(text)),
            Head::Bytes(bytes) => self.binary(bytes),
            Head::Date(milliseconds) => self.date(iso(milliseconds)),
            Head::Extension(kind, data) => match timestamp(kind, data) {
                Some(milliseconds) => self.date(milliseconds.and_then(iso)),
                // As `notepack.io` reads it.
                None => {
                    self.raw("[");
                    self.raw(itoa::Buffer::new().format(kind));
                    self.raw(",");
                    self.binary(data);
                    self.raw("]");
                }
            },
            Head::Array(len) => {
                self.raw("[");
                for index in 0..len {
                    if index > 0 {
                        self.raw(",");
                    }
                    self.value();
                }
                self.raw("]");
            }
            Head::Map(len) => {
                self.raw("{");
                for index in 0..len {
                    if index > 0 {
                        self.raw(",");
                    }
                    let key = self.reader.head().unwrap_or(Head::Nil);
                    write_string(&mut self.out, &key_text(key));
                    self.raw(":");
                    self.value();
                }
                self.raw("}");
            }
        }
    }

    fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn float(&mut self, value: f64) {
        // Writes `null` for numbers that JSON lacks. Writing to a `Vec` cannot fail.
        let _ = serde_json::to_writer(&mut self.out, &value);
    }

    fn date(&mut self, text: Option<String>) {
        match text {
            Some(text) => write_string(&mut self.out, &text),
            None => self.raw("null"),
        }
    }

    fn binary(&mut self, data: &[u8]) {
        self.raw("{\"_placeholder\":true,\"num\":");
        self.raw(itoa::Buffer::new().format(self.attachments.len()));
        self.raw("}");
        self.attachments.push(self.message.slice_ref(data));
    }
}

/// Returns the first element of an array, if it is a text or a number.
pub(crate) fn first_text(message: &[u8]) -> Option<Cow<'_, str>> {
    let mut reader = Reader::new(message, Limits::JSON_DEPTH_CEILING);
    let Ok(Head::Array(1..)) = reader.head() else {
        return None;
    };
    match reader.head().ok()? {
        name @ (Head::Text(_) | Head::Unsigned(_) | Head::Signed(_) | Head::Float(_)) => {
            Some(key_text(name))
        }
        _ => None,
    }
}

/// Returns the number of elements of an array, and their bytes.
pub(crate) fn split_array(message: &[u8]) -> (usize, &[u8]) {
    let mut reader = Reader::new(message, Limits::JSON_DEPTH_CEILING);
    match reader.head() {
        Ok(Head::Array(len)) => (
            len as usize,
            message.get(reader.pos()..).unwrap_or_default(),
        ),
        _ => (0, &[]),
    }
}

/// Returns the milliseconds since 1970 of a timestamp, `Some(None)` if they are out of range; `None` if the extension
/// is no timestamp.
fn timestamp(kind: i8, data: &[u8]) -> Option<Option<i64>> {
    if kind != TIMESTAMP {
        return None;
    }
    let (seconds, nanoseconds) = match *data {
        [a, b, c, d] => (i64::from(u32::from_be_bytes([a, b, c, d])), 0),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            ((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32)
        }
        [a, b, c, d, e, f, g, h, i, j, k, l] => (
            i64::from_be_bytes([e, f, g, h, i, j, k, l]),
            u32::from_be_bytes([a, b, c, d]),
        ),
        _ => return None,
    };
    let milliseconds = seconds.checked_mul(1000);
    Some(milliseconds.and_then(|ms| ms.checked_add(i64::from(nanoseconds / 1_000_000))))
}
#[cfg(test)]
mod tests {
    use crate::msgpack::read::float_text;

    #[test]
    fn numbers_as_keys_are_short() {
        for (value, text) in [
            (1.5, "1.5"),
            (-0.0, "0"),
            (1e20, "100000000000000000000"),
            (-1e21, "-1e+21"),
            (1.25e300, "1.25e+300"),
            (1e-6, "0.000001"),
            (-2.5e-7, "-2.5e-7"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
