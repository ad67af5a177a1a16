//! Deserialization of arguments into the handler's types.

use std::cell::OnceCell;
use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, DeserializeOwned, DeserializeSeed, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use super::args::{Args, Source};
use super::args_error::ArgsError;
use super::node::{Attached, Node, NodeDeserializer};
use super::scan::{Escapes, replace_lone_surrogates, validate};
use crate::Limits;

/// Deserializes arguments into a type.
///
/// A tuple takes several, `()` none, [`AllArgs`] all, any other type the first. Missing arguments are `null`, so an
/// `Option` at the end of a tuple may be absent; surplus arguments are ignored, as in a JavaScript function.
///
/// Where `T` requests bytes ([`Bytes`], `serde_bytes`, `Vec<u8>`), the placeholder is resolved to one of the
/// `attachments`. A type that accepts any value but not bytes, as `serde_json::Value`, gets the placeholder. Escaped
/// lone surrogates, which a Rust string cannot hold, become U+FFFD.
///
/// # Errors
/// [`ArgsError`] with the index of the argument, and the path inside it, if it is missing or does not fit.
pub fn decode_args<T: DeserializeOwned>(
    args: &Args<'_>,
    attachments: &[Bytes],
) -> Result<T, ArgsError> {
    let fixed: Vec<OnceCell<String>>;
    let texts = Texts {
        args,
        fixed: if args.escapes == Escapes::LoneSurrogates {
            fixed = args.bounds.iter().map(|_| OnceCell::new()).collect();
            &fixed
        } else {
            &[]
        },
    };
    if let (Source::Json(json), true) = (args.source, attachments.is_empty()) {
        match T::deserialize(Direct {
            json,
            texts,
            structs: false,
        }) {
            Ok(value) => return Ok(value),
            // A tree takes many times the size of the text, too much only to find the path. A broken rule has its path.
            Err(error) if error.is_rule() || args.byte_len() > MAX_EXPLAINED_BYTES => {
                return Err(error);
            }
            Err(_) => {}
        }
    }
    let nodes = Nodes::new(texts, attachments);
    T::deserialize(Tree::new(&nodes, false)).or_else(|error| {
        if attachments.is_empty() || error.is_rule() {
            return Err(error);
        }
        T::deserialize(Tree::new(&nodes, true)).map_err(|_| error)
    })
}

/// Deserializes one piece of JSON, such as the `auth` of a client. Its errors reveal as little of the value as those of
/// [`decode_args`]; their `argument` means nothing.
///
/// # Errors
/// [`ArgsError`] if the text is not JSON, or does not fit.
pub fn decode_value<T: DeserializeOwned>(json: &str) -> Result<T, ArgsError> {
    let error = match serde_json::from_str(json) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let explicable = json.len() <= MAX_EXPLAINED_BYTES
        && error.is_data()
        && validate(json, Limits::JSON_DEPTH_CEILING).is_ok();
    if !explicable {
        return Err(ArgsError::unexplained(&error, json.len()));
    }
    let node: Node<'_> = Node::from_json(json, &Attached::new(&[]))?;
    T::deserialize(NodeDeserializer {
        node: &node,
        placeholders: false,
    })
}

/// Maximum length of JSON that is parsed again, as a tree, to find the path of an error, in bytes.
const MAX_EXPLAINED_BYTES: usize = 64 * 1024;

/// Texts of JSON arguments, with lone surrogates replaced, each made on request, so that reading one argument costs
/// only that argument.
#[derive(Clone, Copy)]
struct Texts<'t> {
    args: &'t Args<'t>,
    /// One cell for each argument, or none.
    fixed: &'t [OnceCell<String>],
}

impl<'t> Texts<'t> {
    #[inline]
    fn get(self, json: &'t str, index: usize) -> Option<&'t str> {
        let &(start, end) = self.args.bounds.get(index)?;
        let json = json.get(start as usize..end as usize)?;
        Some(match self.fixed.get(index) {
            Some(fixed) => fixed.get_or_init(|| replace_lone_surrogates(json)),
            None => json,
        })
    }
}

/// Arguments as trees, each built on request.
struct Nodes<'t> {
    texts: Texts<'t>,
    attached: Attached<'t>,
    made: Vec<OnceCell<Result<Node<'t>, ArgsError>>>,
}

impl<'t> Nodes<'t> {
    fn new(texts: Texts<'t>, attachments: &'t [Bytes]) -> Self {
        Self {
            texts,
            attached: Attached::new(attachments),
            made: texts.args.bounds.iter().map(|_| OnceCell::new()).collect(),
        }
    }

    fn get(&self, index: usize) -> Result<&Node<'t>, ArgsError> {
        let Some(made) = self.made.get(index) else {
            return Ok(&Node::Missing);
        };
        made.get_or_init(|| match self.texts.args.source {
            Source::Json(json) => {
                let json = self.texts.get(json, index).unwrap_or_default();
                Node::from_json(json, &self.attached)
            }
            Source::Msgpack(_) => Ok(crate::msgpack::node(
                self.texts.args.get_msgpack(index).unwrap_or_default(),
            )),
        })
        .as_ref()
        .map_err(|error| error.clone().in_argument(index))
    }
}

/// All arguments, of any number: `AllArgs<serde_json::Value>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllArgs<T>(pub Vec<T>);

/// Serializes as a tuple, so that [`Spread`](super::Spread) writes each element as an argument.
impl<T: Serialize> Serialize for AllArgs<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0
            .iter()
            .try_for_each(|value| tuple.serialize_element(value))?;
        tuple.end()
    }
}

const ALL_ARGS: &str = "$fanfare::AllArgs";

/// Name that tells the deserializer to split the arguments into the fields of a struct: see [`Typed`](crate::typed::Typed).
pub(crate) const TYPED: &str = "$fanfare::Typed";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for AllArgs<T> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for All<T> {
            type Value = Vec<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("arguments")
            }

            fn visit_newtype_struct<D: de::Deserializer<'de>>(
                self,
                deserializer: D,
            ) -> Result<Vec<T>, D::Error> {
                Vec::deserialize(deserializer)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))
            }
        }
        deserializer
            .deserialize_newtype_struct(ALL_ARGS, All(std::marker::PhantomData))
            .map(Self)
    }
}

/// Reads the first argument from either of two deserializers, which needs a macro because their types differ.
macro_rules! direct_first {
    ($self:ident, $arg:ident => $read:expr) => {
        match $self.arg(0) {
            Some($arg) => {
                let len = $arg.json.len();
                $read.map_err(|error| ArgsError::unexplained(&error, len))
            }
            None => {
                let $arg = MISSING;
                $read
            }
        }
    };
}

macro_rules! tree_first {
    ($self:ident, $arg:ident => $read:expr) => {{
        let $arg = $self.arg(0)?;
        $read
    }};
}

/// Implements the arguments as one value: `deserialize_tuple` sees several, `deserialize_unit` none, the rest the
/// first.
macro_rules! arguments {
    ($first:ident, $type:ident<$($lifetime:lifetime),+>, $de:lifetime) => {
        impl<$($lifetime),+> de::Deserializer<$de> for $type<$($lifetime),+> {
            type Error = ArgsError;

            fn deserialize_unit<V: Visitor<$de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
                visitor.visit_unit()
            }

            fn deserialize_ignored_any<V: Visitor<$de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
                visitor.visit_unit()
            }

            fn deserialize_tuple<V: Visitor<$de>>(self, len: usize, visitor: V) -> Result<V::Value, ArgsError> {
                visitor.visit_seq(Elements { from: self, at: 0, len })
            }

            fn deserialize_newtype_struct<V: Visitor<$de>>(
                self,
                name: &'static str,
                visitor: V,
            ) -> Result<V::Value, ArgsError> {
                if name == ALL_ARGS {
                    let len = self.len();
                    return visitor.visit_seq(Elements { from: self, at: 0, len });
                }
                if name == TYPED {
                    return visitor.visit_newtype_struct(Self { structs: true, ..self });
                }
                $first!(self, arg => arg.deserialize_newtype_struct(name, visitor))
            }

            fn deserialize_unit_struct<V: Visitor<$de>>(
                self,
                name: &'static str,
                visitor: V,
            ) -> Result<V::Value, ArgsError> {
                if self.structs {
                    return visitor.visit_unit();
                }
                $first!(self, arg => arg.deserialize_unit_struct(name, visitor))
            }

            fn deserialize_tuple_struct<V: Visitor<$de>>(
                self,
                name: &'static str,
                len: usize,
                visitor: V,
            ) -> Result<V::Value, ArgsError> {
                if self.structs {
                    return visitor.visit_seq(Elements { from: self, at: 0, len });
                }
                $first!(self, arg => arg.deserialize_tuple_struct(name, len, visitor))
            }

            fn deserialize_struct<V: Visitor<$de>>(
                self,
                name: &'static str,
                fields: &'static [&'static str],
                visitor: V,
            ) -> Result<V::Value, ArgsError> {
                $first!(self, arg => arg.deserialize_struct(name, fields, visitor))
            }

            fn deserialize_enum<V: Visitor<$de>>(
                self,
                name: &'static str,
                variants: &'static [&'static str],
                visitor: V,
            ) -> Result<V::Value, ArgsError> {
                $first!(self, arg => arg.deserialize_enum(name, variants, visitor))
            }

            arguments!(@first $first $de
                deserialize_any deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
                deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
                deserialize_f32 deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
                deserialize_byte_buf deserialize_option deserialize_seq deserialize_map deserialize_identifier
            );
        }
    };
    (@first $first:ident $de:lifetime $($method:ident)+) => {$(
        fn $method<V: Visitor<$de>>(self, visitor: V) -> Result<V::Value, ArgsError> {
            $first!(self, arg => arg.$method(visitor))
        }
    )+};
}

/// Sequence of the arguments.
struct Elements<T> {
    from: T,
    at: usize,
    len: usize,
}

/// Deserializer of an argument that was not sent.
const MISSING: NodeDeserializer<'static, 'static> = NodeDeserializer {
    node: &Node::Missing,
    placeholders: false,
};

/// Deserializer that reads the JSON text directly.
#[derive(Clone, Copy)]
struct Direct<'a> {
    json: &'a str,
    texts: Texts<'a>,
    /// Whether structs are split into arguments as tuples are.
    structs: bool,
}

impl<'a> Direct<'a> {
    fn len(&self) -> usize {
        self.texts.args.len()
    }

    fn arg(&self, index: usize) -> Option<Arg<'a>> {
        Some(Arg {
            json: self.texts.get(self.json, index)?,
            as_it_stands: self.texts.args.escapes == Escapes::None,
        })
    }
}

/// JSON of one argument.
struct Arg<'a> {
    json: &'a str,
    /// Whether it has no escapes. The scanner has checked that, so a string need not be parsed again.
    as_it_stands: bool,
}

impl<'a> Arg<'a> {
    fn text(&self) -> Option<&'a str> {
        let inside = self.json.strip_prefix('"')?.strip_suffix('"')?;
        self.as_it_stands.then_some(inside)
    }

    fn reader(&self) -> serde_json::Deserializer<serde_json::de::StrRead<'a>> {
        let mut reader = serde_json::Deserializer::from_str(self.json);
        // The scanner has limited the depth.
        reader.disable_recursion_limit();
        reader
    }
}

macro_rules! read_arg {
    ($($method:ident($($arg:ident: $type:ty),*))+) => {$(
        fn $method<V: Visitor<'a>>(self, $($arg: $type,)* visitor: V) -> Result<V::Value, Self::Error> {
            self.reader().$method($($arg,)* visitor)
        }
    )+};
    (text: $($method:ident)+) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self.text() {
                Some(text) => visitor.visit_borrowed_str(text),
                None => self.reader().$method(visitor),
            }
        }
    )+};
}

impl<'a> de::Deserializer<'a> for Arg<'a> {
    type Error = serde_json::Error;

    read_arg!(text: deserialize_any deserialize_str deserialize_string);

    read_arg! {
        deserialize_bool()
        deserialize_i8()
        deserialize_i16()
        deserialize_i32()
        deserialize_i64()
        deserialize_i128()
        deserialize_u8()
        deserialize_u16()
        deserialize_u32()
        deserialize_u64()
        deserialize_u128()
        deserialize_f32()
        deserialize_f64()
        deserialize_char()
        deserialize_bytes()
        deserialize_byte_buf()
        deserialize_option()
        deserialize_unit()
        deserialize_unit_struct(name: &'static str)
        deserialize_newtype_struct(name: &'static str)
        deserialize_seq()
        deserialize_tuple(len: usize)
        deserialize_tuple_struct(name: &'static str, len: usize)
        deserialize_map()
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
        deserialize_identifier()
        deserialize_ignored_any()
    }
}

/// Deserializer that reads from a tree.
#[derive(Clone, Copy)]
struct Tree<'n, 'a> {
    nodes: &'n Nodes<'a>,
    placeholders: bool,
    /// Whether structs are split into arguments as tuples are.
    structs: bool,
}

impl<'n, 'a> Tree<'n, 'a> {
    fn new(nodes: &'n Nodes<'a>, placeholders: bool) -> Self {
        Self {
            nodes,
            placeholders,
            structs: false,
        }
    }

    fn len(&self) -> usize {
        self.nodes.made.len()
    }

    fn arg(&self, index: usize) -> Result<NodeDeserializer<'n, 'a>, ArgsError> {
        Ok(NodeDeserializer {
            node: self.nodes.get(index)?,
            placeholders: self.placeholders,
        })
    }
}

arguments!(tree_first, Tree<'n, 'a>, 'n);
arguments!(direct_first, Direct<'a>, 'a);

impl<'n> SeqAccess<'n> for Elements<Tree<'n, '_>> {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'n>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ArgsError> {
        if self.at >= self.len {
            return Ok(None);
        }
        let index = self.at;
        self.at += 1;
        seed.deserialize(self.from.arg(index)?)
            .map(Some)
            .map_err(|error| error.in_argument(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.at)
    }
}

impl<'a> SeqAccess<'a> for Elements<Direct<'a>> {
    type Error = ArgsError;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ArgsError> {
        if self.at >= self.len {
            return Ok(None);
        }
        let index = self.at;
        self.at += 1;
        match self.from.arg(index) {
            Some(arg) => {
                let len = arg.json.len();
                seed.deserialize(arg)
                    .map_err(|error| ArgsError::unexplained(&error, len))
            }
            None => seed.deserialize(MISSING),
        }
        .map(Some)
        .map_err(|error| error.in_argument(index))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.at)
    }
}
