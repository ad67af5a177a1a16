//! Arguments as a tree: the slow and thorough way to deserialize them.
//!
//! Used where the text alone is not enough: attachments must be inserted, the packet is msgpack, or direct
//! deserialization failed and the error must contain the path.

mod build;
mod deserialize;

use std::borrow::Cow;

use serde::{Serialize, Serializer};

pub(crate) use build::Attached;
pub(crate) use deserialize::NodeDeserializer;

/// Value of any kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    /// An argument that was not sent.
    Missing,
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
    /// Bytes contained in the packet itself.
    Bytes(&'a [u8]),
    /// Attachment, and its number.
    Attachment(&'a [u8], u64),
    Array(Vec<Node<'a>>),
    Object(Vec<(Node<'a>, Node<'a>)>),
}

impl Node<'_> {
    /// Returns the name of a member with this key, as JavaScript spells it.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Unsigned(key) => Cow::Owned(key.to_string()),
            Self::Signed(key) => Cow::Owned(key.to_string()),
            Self::Float(key) if key.is_infinite() && *key > 0.0 => Cow::Borrowed("Infinity"),
            Self::Float(key) if key.is_infinite() => Cow::Borrowed("-Infinity"),
            Self::Float(key) => Cow::Owned(key.to_string()),
            Self::Bool(true) => Cow::Borrowed("true"),
            Self::Bool(false) => Cow::Borrowed("false"),
            Self::Null => Cow::Borrowed("null"),
            _ => Cow::Borrowed("?"),
        }
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Missing | Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Unsigned(value) => serializer.serialize_u64(*value),
            Self::Signed(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(bytes) | Self::Attachment(bytes, _) => serializer.serialize_bytes(bytes),
            Self::Array(nodes) => serializer.collect_seq(nodes),
            Self::Object(entries) => {
                serializer.collect_map(entries.iter().map(|(key, value)| (key, value)))
            }
        }
    }
}
