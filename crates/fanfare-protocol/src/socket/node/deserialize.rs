//! Deserialization of a tree into the handler's types, with the path of an error.

use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::Node;
use crate::socket::args_error::{ArgsError, segment};

/// Deserializer of a [`Node`].
#[derive(Clone, Copy)]
pub(crate) struct NodeDeserializer<'n, 'a> {
    pub(crate) node: &'n Node<'a>,
    /// Whether types that accept any value get attachments as their placeholders, because some of them accept no bytes.
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
    /// Deserializes a text, number or boolean: never bytes, though a `String` would accept them.
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
            // A plain `Vec<u8>` accepts bytes too.
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
            .map_err(|error| error.inside(&segment(&key.name())))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ArgsError> {
        let Some((key, value)) = self.entries.get(self.at) else {
            return Err(ArgsError::new("value asked for before its key"));
        };
        self.at += 1;
        seed.deserialize(self.from.with(value))
            .map_err(|error| error.inside(&segment(&key.name())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len() - self.at)
    }
}

/// Name of a member: always text, even if MessagePack has another type, because JavaScript sees text. A number or
/// `bool` is parsed from the text on request, as `serde_json` does.
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
            de::Deserializer::deserialize_any(self.0, visitor)
        }
    )+};
}

impl<'de, 'n: 'de> de::Deserializer<'de> for Key<'n, '_> {
    type Error = ArgsError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
        match self.0.node {
            Node::Unsigned(_) | Node::Signed(_) | Node::Float(_) | Node::Bool(_) | Node::Null => {
                visitor.visit_string(self.0.node.name().into_owned())
            }
            _ => de::Deserializer::deserialize_any(self.0, visitor),
        }
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

/// Placeholder of an attachment: `{"_placeholder":true,"num":n}`.
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
