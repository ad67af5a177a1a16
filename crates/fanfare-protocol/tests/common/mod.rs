//! Helpers shared by several test files.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use fanfare_protocol::socket::{ArgWriter, EncodeError, IntoArgs};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Any argument, bytes included. In the golden files bytes are `{"$bytes": base64}`.
#[derive(Clone, Debug, PartialEq)]
pub enum Any {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Bytes(Bytes),
    Array(Vec<Any>),
    Object(Vec<(String, Any)>),
}

impl Any {
    /// Returns the bytes; panics if there are none.
    pub fn bytes(&self) -> &Bytes {
        match self {
            Self::Bytes(bytes) => bytes,
            other => panic!("not bytes: {other:?}"),
        }
    }

    /// Returns the text; panics if there is none.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            other => panic!("not text: {other:?}"),
        }
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
            Self::Bytes(value) => value.serialize(serializer),
            Self::Array(values) => values.serialize(serializer),
            Self::Object(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyVisitor;
        impl<'de> Visitor<'de> for AnyVisitor {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_unit<E>(self) -> Result<Any, E> {
                Ok(Any::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
                Ok(Any::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
                Ok(Any::Integer(value))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Any, E> {
                Ok(i64::try_from(value).map_or(Any::Float(value as f64), Any::Integer))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Any, E> {
                let whole = value.fract() == 0.0 && value.abs() < 9e15;
                Ok(if whole {
                    Any::Integer(value as i64)
                } else {
                    Any::Float(value)
                })
            }
            fn visit_str<E>(self, value: &str) -> Result<Any, E> {
                Ok(Any::Text(value.into()))
            }
            fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
                Ok(Any::Bytes(Bytes::copy_from_slice(value)))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Any, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = seq.next_element()? {
                    values.push(value);
                }
                Ok(Any::Array(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Any, A::Error> {
                let mut entries: Vec<(String, Any)> = Vec::new();
                while let Some(entry) = map.next_entry::<String, Any>()? {
                    match entries.iter_mut().find(|(key, _)| *key == entry.0) {
                        Some(old) => old.1 = entry.1, // the last one counts
                        None => entries.push(entry),
                    }
                }
                if let [(key, Any::Text(base64))] = entries.as_slice()
                    && key == "$bytes"
                {
                    return Ok(Any::Bytes(BASE64_STANDARD.decode(base64).unwrap().into()));
                }
                Ok(Any::Object(entries))
            }
        }
        deserializer.deserialize_any(AnyVisitor)
    }
}

/// List of arguments whose number is only known at run time.
pub struct List<'a>(pub &'a [Any]);

impl IntoArgs for List<'_> {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        self.0.iter().try_for_each(|arg| writer.arg(arg))
    }
}
