//! Conversion of JSON to a tree with attachments.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

use super::Node;
use crate::socket::args_error::ArgsError;

impl<'a> Node<'a> {
    /// Parses valid JSON. Placeholders are replaced by their attachments, if there are any.
    pub(crate) fn from_json(json: &'a str, attached: &Attached<'a>) -> Result<Self, ArgsError> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        // The scanner has limited the depth.
        deserializer.disable_recursion_limit();
        BuildNode(attached)
            .deserialize(&mut deserializer)
            .map_err(|error| ArgsError::unreadable(&error))
    }
}

/// Attachments of a packet, with a record of those already used: each may be used once, in any argument.
pub(crate) struct Attached<'a> {
    attachments: &'a [Bytes],
    used: RefCell<Vec<bool>>,
}

impl<'a> Attached<'a> {
    pub(crate) fn new(attachments: &'a [Bytes]) -> Self {
        Self {
            attachments,
            used: RefCell::new(vec![false; attachments.len()]),
        }
    }

    fn take<E: de::Error>(&self, num: u64) -> Result<Node<'a>, E> {
        let index = usize::try_from(num).unwrap_or(usize::MAX);
        let Some(bytes) = self.attachments.get(index) else {
            return Err(E::custom(format_args!(
                "illegal attachments: number {num} of {}",
                self.attachments.len()
            )));
        };
        if let Some(used) = self.used.borrow_mut().get_mut(index)
            && std::mem::replace(used, true)
        {
            return Err(E::custom(format_args!(
                "illegal attachments: number {num} used twice"
            )));
        }
        Ok(Node::Attachment(bytes, num))
    }
}

struct BuildNode<'b, 'a>(&'b Attached<'a>);

impl<'a> DeserializeSeed<'a> for BuildNode<'_, 'a> {
    type Value = Node<'a>;

    fn deserialize<D: de::Deserializer<'a>>(self, deserializer: D) -> Result<Node<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for BuildNode<'_, 'a> {
    type Value = Node<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'a>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'a>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'a>, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'a>, E> {
        Ok(Node::Signed(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'a>, E> {
        Ok(Node::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'a str) -> Result<Node<'a>, E> {
        Ok(Node::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node<'a>, E> {
        Ok(Node::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Node<'a>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element_seed(BuildNode(self.0))? {
            nodes.push(node);
        }
        Ok(Node::Array(nodes))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Node<'a>, A::Error> {
        let mut entries = Vec::new();
        let mut placeholder = false;
        while let Some(key) = map.next_key_seed(BuildNode(self.0))? {
            let value = map.next_value_seed(BuildNode(self.0))?;
            if matches!(&key, Node::Text(key) if key == "_placeholder") {
                placeholder = value == Node::Bool(true);
            }
            entries.push((key, value));
        }
        if placeholder && !self.0.attachments.is_empty() {
            let num = entries
                .iter()
                .rev()
                .find(|(key, _)| matches!(key, Node::Text(key) if key == "num"));
            return match num {
                Some((_, Node::Unsigned(num))) => self.0.take(*num),
                _ => Err(de::Error::custom(
                    "illegal attachments: a placeholder without number",
                )),
            };
        }
        Ok(Node::Object(entries))
    }
}
