//! From arguments to the handler's types.

use std::fmt;

use bytes::Bytes;
use serde::de::{self, Deserialize, DeserializeOwned, DeserializeSeed, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use super::args::{Args, Source};
use super::node::{Node, NodeDeserializer};
use super::scan::{Escapes, replace_lone_surrogates};

/// Why arguments do not fit the type that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("argument {argument}{}: {message}", At(.path))]
#[non_exhaustive]
pub struct ArgsError {
    /// Index of the argument.
    pub argument: usize,
    /// Where in the argument, as `user.tags[2]`; empty for the argument itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

struct At<'a>(&'a str);

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " at {}", self.0)
        }
    }
}

impl ArgsError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            argument: 0,
            path: String::new(),
            message: message.into(),
        }
    }

    pub(crate) fn json(error: &serde_json::Error) -> Self {
        let mut message = error.to_string();
        // The path says it better than a column in text that nobody has at hand.
        if let Some(at) = message.rfind(" at line ") {
            message.truncate(at);
        }
        Self::new(message)
    }

    fn in_argument(mut self, argument: usize) -> Self {
        self.argument = argument;
        self
    }

    /// The same error, seen from the value around.
    pub(crate) fn inside(mut self, segment: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') {
            ""
        } else {
            "."
        };
        self.path = format!("{segment}{dot}{}", self.path);
        self
    }
}

impl de::Error for ArgsError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message.to_string())
    }
}

/// Deserialises arguments.
///
/// A tuple takes several, `()` none, [`AllArgs`] all, any other type the first. Arguments that are missing are `null`,
/// so an `Option` at the end of a tuple may be absent; arguments too many are ignored, as in a JavaScript function.
///
/// Where `T` asks for bytes ([`Bytes`], `serde_bytes`, `Vec<u8>`), the placeholder that stands there is resolved to one
/// of the `attachments`. A type that takes anything but no bytes, as `serde_json::Value`, is shown the placeholder.
/// Escaped lone surrogates, which a Rust string cannot hold, become U+FFFD.
///
/// # Errors
/// [`ArgsError`] with the index of the argument, and the path inside it, if it is missing or does not fit.
pub fn decode_args<T: DeserializeOwned>(
    args: &Args<'_>,
    attachments: &[Bytes],
) -> Result<T, ArgsError> {
    let fixed;
    let source = match args.source {
        Source::Json(json) => {
            let json = if args.escapes == Escapes::LoneSurrogates {
                fixed = replace_lone_surrogates(json);
                fixed.as_str()
            } else {
                json
            };
            if attachments.is_empty() {
                match T::deserialize(Direct {
                    json,
                    args,
                    structs: false,
                }) {
                    Ok(value) => return Ok(value),
                    // Not worth a tree many times its size only to say where.
                    Err(error) if json.len() > MAX_EXPLAINED => return Err(error),
                    Err(_) => {}
                }
            }
            Source::Json(json)
        }
        msgpack @ Source::Msgpack(_) => msgpack,
    };
    let nodes = nodes(source, args, attachments)?;
    T::deserialize(Tree::new(&nodes, false)).or_else(|error| {
        if attachments.is_empty() {
            return Err(error);
        }
        T::deserialize(Tree::new(&nodes, true)).map_err(|_| error)
    })
}

/// Longest JSON that is read again, as a tree, to find the path of an error.
const MAX_EXPLAINED: usize = 64 * 1024;

fn nodes<'a>(
    source: Source<'a>,
    args: &Args<'_>,
    attachments: &'a [Bytes],
) -> Result<Vec<Node<'a>>, ArgsError> {
    let slice = |index: usize, &(start, end): &(u32, u32)| {
        let range = start as usize..end as usize;
        match source {
            Source::Json(json) => Node::from_json(json.get(range).unwrap_or_default(), attachments),
            Source::Msgpack(bytes) => {
                Ok(crate::msgpack::node(bytes.get(range).unwrap_or_default()))
            }
        }
        .map_err(|error| error.in_argument(index))
    };
    args.bounds
        .iter()
        .enumerate()
        .map(|(index, bounds)| slice(index, bounds))
        .collect()
}

/// All arguments, whatever their number: `AllArgs<serde_json::Value>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllArgs<T>(pub Vec<T>);

/// As a tuple, so that [`Spread`](super::Spread) writes each element as an argument.
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

/// Under this name the arguments are taken apart for a struct: see [`Typed`](crate::Typed).
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

/// `Direct` reads from either of two deserialisers, so this takes a macro.
macro_rules! direct_first {
    ($self:ident, $arg:ident => $read:expr) => {
        match $self.arg(0) {
            Some($arg) => $read.map_err(|error| ArgsError::json(&error)),
            None => {
                let $arg = MISSING;
                $read
            }
        }
    };
}

macro_rules! tree_first {
    ($self:ident, $arg:ident => $read:expr) => {{
        let $arg = $self.arg(0);
        $read
    }};
}

/// The arguments as one value: `deserialize_tuple` sees several, `deserialize_unit` none, the rest the first.
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

/// Hands out arguments one by one.
struct Elements<T> {
    from: T,
    at: usize,
    len: usize,
}

/// What stands for an argument that was not sent.
const MISSING: NodeDeserializer<'static, 'static> = NodeDeserializer {
    node: &Node::Missing,
    placeholders: false,
};

/// Straight from the JSON text.
#[derive(Clone, Copy)]
struct Direct<'a> {
    json: &'a str,
    args: &'a Args<'a>,
    /// Whether structs are taken apart as tuples are.
    structs: bool,
}

impl<'a> Direct<'a> {
    fn len(&self) -> usize {
        self.args.len()
    }

    fn arg(&self, index: usize) -> Option<Arg<'a>> {
        let &(start, end) = self.args.bounds.get(index)?;
        Some(Arg {
            json: self.json.get(start as usize..end as usize)?,
            as_it_stands: self.args.escapes == Escapes::None,
        })
    }
}

/// The JSON of one argument.
struct Arg<'a> {
    json: &'a str,
    /// Nothing in it is escaped. The scanner has seen that, so a string need not be read once more.
    as_it_stands: bool,
}

impl<'a> Arg<'a> {
    fn text(&self) -> Option<&'a str> {
        let inside = self.json.strip_prefix('"')?.strip_suffix('"')?;
        self.as_it_stands.then_some(inside)
    }

    fn reader(&self) -> serde_json::Deserializer<serde_json::de::StrRead<'a>> {
        let mut reader = serde_json::Deserializer::from_str(self.json);
        // The scanner has bounded the depth.
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

/// From a tree.
#[derive(Clone, Copy)]
struct Tree<'n, 'a> {
    nodes: &'n [Node<'a>],
    placeholders: bool,
    /// Whether structs are taken apart as tuples are.
    structs: bool,
}

impl<'n, 'a> Tree<'n, 'a> {
    fn new(nodes: &'n [Node<'a>], placeholders: bool) -> Self {
        Self {
            nodes,
            placeholders,
            structs: false,
        }
    }

    fn len(&self) -> usize {
        self.nodes.len()
    }

    fn arg(&self, index: usize) -> NodeDeserializer<'n, 'a> {
        NodeDeserializer {
            node: self.nodes.get(index).unwrap_or(&Node::Missing),
            placeholders: self.placeholders,
        }
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
        seed.deserialize(self.from.arg(index))
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
            Some(arg) => seed
                .deserialize(arg)
                .map_err(|error| ArgsError::json(&error)),
            None => seed.deserialize(MISSING),
        }
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.at)
    }
}
