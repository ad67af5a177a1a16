//! Serializable values as arguments, by value.

use std::fmt;

use serde::Serialize;
use serde::ser::{self, Impossible, SerializeTuple, SerializeTupleStruct};

use super::into_args::{ArgWriter, IntoArgs};
use super::json::EncodeError;

/// Wrapper of any serializable value as arguments: a tuple (an array counts as one) is several, `()` none, others one.
///
/// Their number depends on the type, never on the value: `None` and a `Value` that is null are one argument, `null`.
///
/// For values that functions return, which cannot be passed by reference.
///
/// ```
/// # use fanfare_protocol::socket::{encode_ack, Spread};
/// # #[derive(serde::Serialize)]
/// # struct Point { x: i32 }
/// let (mut out, mut attachments) = (Vec::new(), Vec::new());
/// encode_ack(&mut out, "/", 0, &Spread(Point { x: 1 }), &mut attachments)?;
/// encode_ack(&mut out, "/", 1, &Spread((Point { x: 1 }, "two")), &mut attachments)?;
/// assert_eq!(out, br#"30[{"x":1}]31[{"x":1},"two"]"#);
/// # Ok::<_, fanfare_protocol::socket::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Spread<T>(pub T);

impl<T: Serialize> IntoArgs for Spread<T> {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        match self.0.serialize(Probe::<_, false>::of::<T>(&mut *writer)) {
            Ok(()) => Ok(()),
            Err(Stop::NotTuple) => writer.arg(&self.0),
            Err(Stop::Failed(error)) => Err(error),
        }
    }
}

/// Writes arguments as [`Spread`] does, but a tuple struct is several arguments too, and a unit struct none.
pub(crate) fn spread_struct<T: Serialize, W: ArgWriter>(
    value: &T,
    writer: &mut W,
) -> Result<(), EncodeError> {
    match value.serialize(Probe::<_, true>::of::<T>(&mut *writer)) {
        Ok(()) => Ok(()),
        Err(Stop::NotTuple) => writer.arg(value),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Reason for which the probe ended.
#[derive(Debug)]
enum Stop {
    /// The value is no tuple; nothing was written.
    NotTuple,
    Failed(EncodeError),
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTuple => f.write_str("not a tuple"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Stop {}

impl ser::Error for Stop {
    fn custom<M: fmt::Display>(message: M) -> Self {
        Self::Failed(EncodeError::NotSerializable {
            argument: 0,
            message: message.to_string(),
        })
    }
}

/// Serializer that splits tuples, and with `STRUCTS` tuple-like structs, and stops at any other value.
struct Probe<'a, W, const STRUCTS: bool> {
    writer: &'a mut W,
    /// Whether the type has only one value. Such a type that serializes as a unit is `()`. For any other type, a unit
    /// is one value of several that happens to be null.
    unit: bool,
}

impl<'a, W, const STRUCTS: bool> Probe<'a, W, STRUCTS> {
    fn of<T>(writer: &'a mut W) -> Self {
        Self {
            writer,
            unit: size_of::<T>() == 0,
        }
    }
}

impl<W: ArgWriter, const STRUCTS: bool> SerializeTuple for Probe<'_, W, STRUCTS> {
    type Ok = ();
    type Error = Stop;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.writer.arg(value).map_err(Stop::Failed)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl<W: ArgWriter, const STRUCTS: bool> SerializeTupleStruct for Probe<'_, W, STRUCTS> {
    type Ok = ();
    type Error = Stop;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Stop> {
        self.writer.arg(value).map_err(Stop::Failed)
    }

    fn end(self) -> Result<(), Stop> {
        Ok(())
    }
}

macro_rules! not_tuple {
    ($($method:ident($($arg:ty),*) -> $ok:ty;)*) => {$(
        fn $method(self, $(_: $arg),*) -> Result<$ok, Stop> {
            Err(Stop::NotTuple)
        }
    )*};
}

impl<W: ArgWriter, const STRUCTS: bool> ser::Serializer for Probe<'_, W, STRUCTS> {
    type Ok = ();
    type Error = Stop;
    type SerializeSeq = Impossible<(), Stop>;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Impossible<(), Stop>;
    type SerializeMap = Impossible<(), Stop>;
    type SerializeStruct = Impossible<(), Stop>;
    type SerializeStructVariant = Impossible<(), Stop>;

    fn serialize_unit(self) -> Result<(), Stop> {
        if self.unit {
            Ok(())
        } else {
            Err(Stop::NotTuple)
        }
    }

    fn serialize_str(self, value: &str) -> Result<(), Stop> {
        self.writer.text(value).map_err(Stop::Failed)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Stop> {
        Ok(self)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Stop> {
        if STRUCTS { Ok(()) } else { Err(Stop::NotTuple) }
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Stop> {
        if STRUCTS {
            Ok(self)
        } else {
            Err(Stop::NotTuple)
        }
    }

    not_tuple! {
        serialize_bool(bool) -> ();
        serialize_i8(i8) -> ();
        serialize_i16(i16) -> ();
        serialize_i32(i32) -> ();
        serialize_i64(i64) -> ();
        serialize_i128(i128) -> ();
        serialize_u8(u8) -> ();
        serialize_u16(u16) -> ();
        serialize_u32(u32) -> ();
        serialize_u64(u64) -> ();
        serialize_u128(u128) -> ();
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Stop> {
        Err(Stop::NotTuple)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Stop> {
        if STRUCTS {
            // One argument; the bytes of the field are an attachment in both cases.
            return self.writer.arg(value).map_err(Stop::Failed);
        }
        Err(Stop::NotTuple)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Stop> {
        Err(Stop::NotTuple)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, _: &T) -> Result<(), Stop> {
        Err(Stop::NotTuple)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::socket::{AllArgs, encode_ack};

    fn ack<T: Serialize>(value: T) -> String {
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        encode_ack(&mut out, "/", 7, &Spread(value), &mut attachments).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tuples_are_several_and_all_else_is_one() {
        assert_eq!(ack(()), "37[]");
        assert_eq!(ack((1, "a", (2, 3))), r#"37[1,"a",[2,3]]"#);
        assert_eq!(ack((Bytes::new(), Bytes::new())).chars().next(), Some('6'));
        assert_eq!(ack(None::<u8>), "37[null]");
        assert_eq!(ack(Some((1, 2))), "37[[1,2]]");
        assert_eq!(ack(vec![1, 2]), "37[[1,2]]");
        assert_eq!(ack("text"), r#"37["text"]"#);
        assert_eq!(ack(AllArgs(vec![1, 2, 3])), "37[1,2,3]");
    }

    #[test]
    fn the_type_decides_how_many_never_the_value() {
        #[derive(Serialize)]
        #[serde(untagged)]
        enum Answer {
            Nothing,
            Text(String),
        }
        assert_eq!(ack(serde_json::Value::Null), "37[null]");
        assert_eq!(ack(crate::Value::Null), "37[null]");
        assert_eq!(ack(&serde_json::Value::Null), "37[null]");
        assert_eq!(ack(Box::new(serde_json::Value::Null)), "37[null]");
        assert_eq!(ack(Answer::Nothing), "37[null]");
        assert_eq!(ack(Answer::Text("a".into())), r#"37["a"]"#);
        assert_eq!(ack(Some(())), "37[null]");
        assert_eq!(ack(()), "37[]");
        assert_eq!(ack(AllArgs(Vec::<u8>::new())), "37[]");
    }
}
