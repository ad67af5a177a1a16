//! Values that can be emitted.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io;

use bytes::Bytes;
use serde::Serialize;
use serde_json::ser::Formatter;

use super::decode_args::AllArgs;
use super::json::{EncodeError, write_string};

/// Arguments of an event or acknowledgement to be sent.
///
/// - `&T` is **one** argument, for any `T`;
/// - a tuple is **several**: `("lobby", &message, 3)`;
/// - `()` is none;
/// - strings, numbers, `bool`, [`Bytes`], `Vec`, `Option`, maps, [`serde_json::Value`] and [`Value`](crate::Value) are
///   one, by value.
///
/// Their number depends on the type, never on the value: `None` is one argument, `null`.
///
/// Any value that serializes as bytes ([`Bytes`], `serde_bytes`), at any depth, becomes a binary attachment. A
/// `Vec<u8>` serializes as a list of numbers: wrap it in [`Bytes`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be emitted",
    label = "not arguments of an event",
    note = "pass a reference for one argument: `&value` (the type must implement `serde::Serialize`)",
    note = "pass a tuple for several: `(\"text\", &value)`, at most 8; `()` for none"
)]
pub trait IntoArgs {
    /// Passes the arguments to `writer`, one after the other.
    ///
    /// # Errors
    /// [`EncodeError`] if an argument cannot be serialized.
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError>;
}

/// Destination of the arguments of an [`IntoArgs`].
pub trait ArgWriter {
    /// Writes the next argument.
    ///
    /// # Errors
    /// [`EncodeError`] if it cannot be serialized.
    fn arg<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError>;

    /// Writes the next argument, which is a string. The same as [`arg`](Self::arg), perhaps faster.
    ///
    /// # Errors
    /// The same as [`arg`](Self::arg).
    fn text(&mut self, value: &str) -> Result<(), EncodeError> {
        self.arg(value)
    }

    /// Writes several arguments that are encoded as JSON already, comma separated, without attachments.
    ///
    /// # Errors
    /// [`EncodeError`] if they are not JSON or cannot be written in this encoding.
    fn raw_json(&mut self, json: &str) -> Result<(), EncodeError>;
}

impl<T: Serialize + ?Sized> IntoArgs for &T {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        writer.arg(*self)
    }
}

/// Writes each element as an argument.
impl<T: Serialize> IntoArgs for AllArgs<T> {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        self.0.iter().try_for_each(|value| writer.arg(value))
    }
}

impl IntoArgs for () {
    fn write<W: ArgWriter>(&self, _: &mut W) -> Result<(), EncodeError> {
        Ok(())
    }
}

macro_rules! tuples {
    ($($($name:ident)+;)+) => {$(
        impl<$($name: Serialize),+> IntoArgs for ($($name,)+) {
            fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
                #[allow(non_snake_case)]
                let ($($name,)+) = self;
                $(writer.arg($name)?;)+
                Ok(())
            }
        }
    )+};
}

tuples! {
    A;
    A B;
    A B C;
    A B C D;
    A B C D E;
    A B C D E F;
    A B C D E F G;
    A B C D E F G H;
}

macro_rules! one {
    ($($type:ty),+ $(,)?) => {$(
        impl IntoArgs for $type {
            fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
                writer.arg(self)
            }
        }
    )+};
}

one!(
    bool,
    char,
    i8,
    i16,
    i32,
    i64,
    isize,
    u8,
    u16,
    u32,
    u64,
    usize,
    f32,
    f64,
    Bytes,
    serde_json::Value,
    crate::Value
);

impl IntoArgs for String {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        writer.text(self)
    }
}

macro_rules! one_generic {
    ($([$($generics:tt)*] $type:ty;)+) => {$(
        impl<$($generics)*> IntoArgs for $type {
            fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
                writer.arg(self)
            }
        }
    )+};
}

one_generic! {
    [T: Serialize] Vec<T>;
    [T: Serialize] Option<T>;
    [T: Serialize + ?Sized] Box<T>;
    [T: Serialize + ToOwned + ?Sized] Cow<'_, T>;
    [K: Serialize, V: Serialize, S] HashMap<K, V, S>;
    [K: Serialize, V: Serialize] BTreeMap<K, V>;
}

/// Arguments that are JSON already: comma separated, without brackets, without attachments.
///
/// ```
/// # use fanfare_protocol::socket::{encode_event, RawArgs};
/// let (mut out, mut attachments) = (Vec::new(), Vec::new());
/// encode_event(&mut out, "/", None, "move", &RawArgs(r#"{"x":1},true"#), &mut attachments)?;
/// assert_eq!(out, br#"2["move",{"x":1},true]"#);
/// # Ok::<_, fanfare_protocol::socket::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RawArgs<'a>(pub &'a str);

impl IntoArgs for RawArgs<'_> {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        writer.raw_json(self.0)
    }
}

/// Writer of arguments as comma separated JSON, which collects attachments.
#[derive(Debug)]
pub struct JsonArgs<'a> {
    out: &'a mut Vec<u8>,
    attachments: &'a mut Vec<Bytes>,
    /// Number of attachments that were in the list before.
    base: usize,
    /// Number of arguments written so far; the caller may add the arguments that it wrote itself.
    count: usize,
    /// Whether a comma must come before the next argument.
    comma: bool,
}

impl<'a> JsonArgs<'a> {
    /// Creates a writer to `out` and `attachments`. `comma`: whether text precedes the first argument, so that it needs
    /// a comma.
    pub fn new(out: &'a mut Vec<u8>, attachments: &'a mut Vec<Bytes>, comma: bool) -> Self {
        let base = attachments.len();
        Self {
            out,
            attachments,
            base,
            count: 0,
            comma,
        }
    }

    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
    }
}

impl ArgWriter for JsonArgs<'_> {
    fn arg<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.separate();
        let formatter = Placeholders {
            attachments: self.attachments,
            base: self.base,
        };
        let mut serializer = serde_json::Serializer::with_formatter(&mut *self.out, formatter);
        value
            .serialize(&mut serializer)
            .map_err(|error| EncodeError::NotSerializable {
                argument: self.count,
                message: error.to_string(),
            })?;
        self.count += 1;
        Ok(())
    }

    fn text(&mut self, value: &str) -> Result<(), EncodeError> {
        self.separate();
        write_string(self.out, value);
        self.count += 1;
        Ok(())
    }

    fn raw_json(&mut self, json: &str) -> Result<(), EncodeError> {
        if !json.is_empty() {
            self.separate();
            self.out.extend_from_slice(json.as_bytes());
            self.count += 1;
        }
        Ok(())
    }
}

/// Formatter of compact JSON that replaces bytes by `{"_placeholder":true,"num":n}`.
struct Placeholders<'a> {
    attachments: &'a mut Vec<Bytes>,
    base: usize,
}

impl Formatter for Placeholders<'_> {
    fn write_byte_array<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        value: &[u8],
    ) -> io::Result<()> {
        let mut digits = itoa::Buffer::new();
        writer.write_all(b"{\"_placeholder\":true,\"num\":")?;
        writer.write_all(digits.format(self.attachments.len() - self.base).as_bytes())?;
        writer.write_all(b"}")?;
        self.attachments.push(Bytes::copy_from_slice(value));
        Ok(())
    }
}
