//! Arguments as a tree: the slow and thorough way to deserialise them.
//!
//! Used where the text alone does not do: attachments must be put in place, the packet came as msgpack, or the direct
//! way failed and the error shall say where.

mod build;
mod deserialize;

use std::borrow::Cow;

use serde::{Serialize, Serializer};

pub(crate) use deserialize::NodeDeserializer;

/// A value of any kind.
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
    /// Bytes that stand in the packet itself.
    Bytes(&'a [u8]),
    /// An attachment, and its number.
    Attachment(&'a [u8], u64),
    Array(Vec<Node<'a>>),
    Object(Vec<(Node<'a>, Node<'a>)>),
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
