//! Dynamically typed values: JSON and binary.

use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Dynamic value that an event can carry: any JSON value, or binary.
///
/// For code that forwards arguments without knowing their types. Where types are known, use them.
///
/// ```
/// # use fanfare_protocol::Value;
/// let value: Value = serde_json::from_str(r#"{"name":"cat.png","size":[640,480]}"#)?;
/// assert_eq!(value.get("name").and_then(Value::as_str), Some("cat.png"));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// A number that JSON lacks: not a number, or infinite. MessagePack has them; in JSON they are `null`, as with
    /// `JSON.stringify`.
    NonFinite(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// Names and values, in their order.
    Object(Vec<(String, Value)>),
    /// Bytes, which are sent as an attachment.
    Binary(Bytes),
}

impl Value {
    /// Returns the text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the bytes, if it is binary.
    #[must_use]
    pub fn as_binary(&self) -> Option<&Bytes> {
        match self {
            Self::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Returns the member of this name, if it is an object that has it; of several the last, as in JavaScript.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(entries) => entries
                .iter()
                .rev()
                .find(|(n, _)| n == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(value) => value.serialize(serializer),
            Self::NonFinite(value) => serializer.serialize_f64(*value),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(entries) => serializer.collect_map(entries.iter().map(|(n, v)| (n, v))),
            Self::Binary(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(serde_json::Number::from_f64(value).map_or(Value::NonFinite(value), Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(Value::Binary(Bytes::copy_from_slice(value)))
    }

    fn visit_byte_buf<E>(self, value: Vec<u8>) -> Result<Value, E> {
        Ok(Value::Binary(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Value::Object(entries))
    }
}

impl From<serde_json::Value> for Value {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(value) => Self::Bool(value),
            Json::Number(value) => Self::Number(value),
            Json::String(value) => Self::String(value),
            Json::Array(values) => Self::Array(values.into_iter().map(Self::from).collect()),
            Json::Object(map) => {
                Self::Object(map.into_iter().map(|(n, v)| (n, v.into())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;
    use crate::socket::{AllArgs, Decoder, Packet, encode_event};

    #[test]
    fn goes_through_an_event_and_back() {
        let sent = vec![
            Value::Object(vec![
                ("z".into(), Value::Binary(Bytes::from_static(b"\0\x01"))),
                (
                    "a".into(),
                    Value::Array(vec![
                        Value::Null,
                        Value::Bool(true),
                        Value::Number(7.into()),
                    ]),
                ),
            ]),
            Value::String("é\u{10FFFF}".into()),
            Value::Binary(Bytes::new()),
        ];
        let (mut text, mut attachments) = (Vec::new(), Vec::new());

        encode_event(
            &mut text,
            "/",
            None,
            "any",
            &AllArgs(sent.clone()),
            &mut attachments,
        )
        .unwrap();
        let (limits, mut decoder) = (Limits::default(), Decoder::new());
        assert!(
            decoder
                .text(std::str::from_utf8(&text).unwrap(), &limits)
                .unwrap()
                .is_none()
        );
        assert!(decoder.binary(&attachments[0], &limits).unwrap().is_none());
        let assembled = decoder.binary(&attachments[1], &limits).unwrap().unwrap();
        let Packet::Event(event) = assembled.packet() else {
            panic!("not an event")
        };
        assert_eq!(event.args.decode::<AllArgs<Value>>().unwrap().0, sent);
    }
}
