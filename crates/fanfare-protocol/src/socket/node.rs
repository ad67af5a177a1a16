//! Arguments as a tree: the slow and thorough way to deserialise them.
//!
//! Used where the text alone does not do: attachments must be put in place, the packet came as msgpack, or the direct
//! way failed and the error shall say where.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use bytes::Bytes;
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::{Serialize, Serializer, forward_to_deserialize_any};

use super::decode_args::ArgsError;

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

impl<'a> Node<'a> {
    /// Reads valid JSON. If there are attachments, placeholders become them.
    pub(crate) fn from_json(json: &'a str, attachments: &'a [Bytes]) -> Result<Self, ArgsError> {
        let build = Build {
            attachments,
            used: RefCell::new(vec![false; attachments.len()]),
        };
        let mut deserializer = serde_json::Deserializer::from_str(json);
        // The scanner has bounded the depth.
        deserializer.disable_recursion_limit();
        BuildNode(&build)
            .deserialize(&mut deserializer)
            .map_err(|error| ArgsError::json(&error))
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

/// What is known while a tree is built.
struct Build<'a> {
    attachments: &'a [Bytes],
    /// Which were put in place. No library refers to one twice, and an attacker could make much of little that way.
    used: RefCell<Vec<bool>>,
}

impl<'a> Build<'a> {
    fn attachment<E: de::Error>(&self, num: u64) -> Result<Node<'a>, E> {
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

struct BuildNode<'b, 'a>(&'b Build<'a>);

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
                Some((_, Node::Unsigned(num))) => self.0.attachment(*num),
                _ => Err(de::Error::custom(
                    "illegal attachments: a placeholder without number",
                )),
            };
        }
        Ok(Node::Object(entries))
    }
}

/// A [`Node`] as `serde` sees it.
#[derive(Clone, Copy)]
pub(crate) struct NodeDeserializer<'n, 'a> {
    pub(crate) node: &'n Node<'a>,
    /// Show attachments as their placeholders to types that take anything, for the sake of those that take no bytes.
    pub(crate) placeholders: bool,
}

impl<'n, 'a> NodeDeserializer<'n, 'a> {
    fn with(self, node: &'n Node<'a>) -> Self {
        Self { node, ..self }
    }
}

macro_rules! forward {
    ($to:ident: $($method:ident)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
            self.$to(visitor)
        }
    )+};
}

impl<'n> NodeDeserializer<'n, '_> {
    /// A text, number or truth value: never bytes, though a `String` would take them.
    fn scalar<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError>
    where
        'n: 'de,
    {
        match self.present()?.node {
            Node::Bytes(bytes) | Node::Attachment(bytes, _) => {
                Err(de::Error::invalid_type(Unexpected::Bytes(bytes), &visitor))
            }
            _ => de::Deserializer::deserialize_any(self, visitor),
        }
    }

    fn binary<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError>
    where
        'n: 'de,
    {
        let present = self.present()?;
        let exact = Self {
            placeholders: false,
            ..present
        };
        de::Deserializer::deserialize_any(exact, visitor)
    }

    fn present(self) -> Result<Self, ArgsError> {
        if *self.node == Node::Missing {
            Err(ArgsError::new("is missing"))
        } else {
            Ok(self)
        }
    }
}

impl<'de, 'n: 'de> de::Deserializer<'de> for NodeDeserializer<'n, '_> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.node {
            Node::Missing | Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Unsigned(value) => visitor.visit_u64(*value),
            Node::Signed(value) => visitor.visit_i64(*value),
            Node::Float(value) => visitor.visit_f64(*value),
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::Bytes(bytes) => visitor.visit_borrowed_bytes(bytes),
            Node::Attachment(_, num) if self.placeholders => {
                visitor.visit_map(Placeholder { num: *num, at: 0 })
            }
            Node::Attachment(bytes, _) => visitor.visit_borrowed_bytes(bytes),
            Node::Array(nodes) => visitor.visit_seq(Elements {
                from: self,
                nodes,
                at: 0,
            }),
            Node::Object(entries) => visitor.visit_map(Entries {
                from: self,
                entries,
                at: 0,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.node {
            Node::Missing | Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_unit()
    }

    forward! { scalar:
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_identifier
    }

    forward! { binary: deserialize_bytes deserialize_byte_buf }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.present()?.node {
            // A plain `Vec<u8>` takes bytes too.
            Node::Bytes(bytes) | Node::Attachment(bytes, _) => {
                let bytes: &'n [u8] = bytes;
                visitor.visit_seq(de::value::SeqDeserializer::new(bytes.iter().copied()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        self.present()?.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.present()?.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        match self.present()?.node {
            Node::Text(_) => visitor.visit_enum(Variant {
                name: self,
                content: None,
            }),
            Node::Object(entries) if entries.len() == 1 => visitor.visit_enum(Variant {
                name: self.with(&entries[0].0),
                content: Some(self.with(&entries[0].1)),
            }),
            _ => Err(ArgsError::new(
                "invalid type: expected a string or an object with one member, for an enum",
            )),
        }
    }
}

impl<'de, 'n: 'de, 'a> IntoDeserializer<'de, ArgsError> for NodeDeserializer<'n, 'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

struct Elements<'n, 'a> {
    from: NodeDeserializer<'n, 'a>,
    nodes: &'n [Node<'a>],
    at: usize,
}

impl<'de, 'n: 'de> SeqAccess<'de> for Elements<'n, '_> {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ArgsError> {
        let Some(node) = self.nodes.get(self.at) else {
            return Ok(None);
        };
        let index = self.at;
        self.at += 1;
        seed.deserialize(self.from.with(node))
            .map(Some)
            .map_err(|error| error.inside(&format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.nodes.len() - self.at)
    }
}

struct Entries<'n, 'a> {
    from: NodeDeserializer<'n, 'a>,
    entries: &'n [(Node<'a>, Node<'a>)],
    at: usize,
}

impl<'n, 'a> Entries<'n, 'a> {
    fn segment(key: &Node<'_>) -> String {
        match key {
            Node::Text(key) => key.chars().take(64).collect(),
            Node::Unsigned(key) => key.to_string(),
            Node::Signed(key) => key.to_string(),
            _ => "?".to_owned(),
        }
    }
}

impl<'de, 'n: 'de> MapAccess<'de> for Entries<'n, '_> {
    type Error = ArgsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ArgsError> {
        let Some((key, _)) = self.entries.get(self.at) else {
            return Ok(None);
        };
        seed.deserialize(Key(self.from.with(key)))
            .map(Some)
            .map_err(|error| error.inside(&Self::segment(key)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ArgsError> {
        let Some((key, value)) = self.entries.get(self.at) else {
            return Err(ArgsError::new("value asked for before its key"));
        };
        self.at += 1;
        seed.deserialize(self.from.with(value))
            .map_err(|error| error.inside(&Self::segment(key)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len() - self.at)
    }
}

/// A member's name. Where a number or `bool` is asked for it is read from the text, as `serde_json` does.
struct Key<'n, 'a>(NodeDeserializer<'n, 'a>);

macro_rules! parsed_keys {
    ($($method:ident $visit:ident $type:ty;)+) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
            if let Node::Text(text) = self.0.node {
                return match text.parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(de::Error::invalid_type(Unexpected::Str(text), &visitor)),
                };
            }
            self.0.deserialize_any(visitor)
        }
    )+};
}

impl<'de, 'n: 'de> de::Deserializer<'de> for Key<'n, '_> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        self.0.deserialize_any(visitor)
    }

    parsed_keys! {
        deserialize_bool visit_bool bool;
        deserialize_i8 visit_i64 i64;
        deserialize_i16 visit_i64 i64;
        deserialize_i32 visit_i64 i64;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u64 u64;
        deserialize_u16 visit_u64 u64;
        deserialize_u32 visit_u64 u64;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
        deserialize_f32 visit_f64 f64;
        deserialize_f64 visit_f64 f64;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant<'n, 'a> {
    name: NodeDeserializer<'n, 'a>,
    content: Option<NodeDeserializer<'n, 'a>>,
}

impl<'n, 'a> Variant<'n, 'a> {
    fn content(self) -> Result<NodeDeserializer<'n, 'a>, ArgsError> {
        self.content
            .ok_or_else(|| ArgsError::new("invalid type: string, expected a variant with content"))
    }
}

impl<'de, 'n: 'de> EnumAccess<'de> for Variant<'n, '_> {
    type Error = ArgsError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ArgsError> {
        Ok((seed.deserialize(self.name)?, self))
    }
}

impl<'de, 'n: 'de> VariantAccess<'de> for Variant<'n, '_> {
    type Error = ArgsError;

    fn unit_variant(self) -> Result<(), ArgsError> {
        match self.content {
            None => Ok(()),
            Some(content) if *content.node == Node::Null => Ok(()),
            Some(_) => Err(ArgsError::new(
                "invalid type: expected a variant without content",
            )),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ArgsError> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, ArgsError> {
        de::Deserializer::deserialize_tuple(self.content()?, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ArgsError> {
        de::Deserializer::deserialize_struct(self.content()?, "", fields, visitor)
    }
}

/// `{"_placeholder":true,"num":n}`.
struct Placeholder {
    num: u64,
    at: u8,
}

impl<'de> MapAccess<'de> for Placeholder {
    type Error = ArgsError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, ArgsError> {
        self.at += 1;
        let key: de::value::StrDeserializer<'_, ArgsError> = match self.at {
            1 => "_placeholder".into_deserializer(),
            2 => "num".into_deserializer(),
            _ => return Ok(None),
        };
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ArgsError> {
        match self.at {
            1 => seed.deserialize(true.into_deserializer()),
            _ => seed.deserialize(self.num.into_deserializer()),
        }
    }
}
