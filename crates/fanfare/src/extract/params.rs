use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{self, Deserializer, IntoDeserializer, Visitor};

use super::{FromContext, OptionalFromContext, Rejection};
use crate::handler::{HandlerKind, HasSocket};
use crate::namespace::NamespaceParams;
use crate::socket::Socket;

/// Parameters of the pattern of the namespace, see [`Namespace::pattern`](crate::Namespace::pattern): a struct takes
/// them by their names, a tuple in their order, any other type the only one. Texts are converted to numbers where the
/// type requires numbers.
///
/// If the parameters in a name do not fit the type, the client gets `invalid namespace`.
///
/// ```
/// use fanfare::{Namespace, Params};
///
/// #[derive(serde::Deserialize)]
/// struct Document {
///     team: String,
///     number: u32,
/// }
///
/// let documents = Namespace::pattern("/{team}/docs-{number}")
///     .middleware(async |Params(_): Params<Document>| ()) // rejects `/red/docs-x`
///     .on_connect(async |Params((team, number)): Params<(String, u32)>| println!("{number} of {team}"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<T>(pub T);

impl<M: HandlerKind<Socket = Socket>, T: de::DeserializeOwned> FromContext<M> for Params<T> {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        let params = cx.socket().params();
        T::deserialize(Source(params))
            .map(Self)
            .map_err(|error| Rejection::Params(error.to_string()))
    }
}

/// Extracts `None` if the namespace has no parameters.
impl<M: HandlerKind<Socket = Socket>, T: de::DeserializeOwned> OptionalFromContext<M>
    for Params<T>
{
    fn optional_from_context(cx: &M::Context<'_>) -> Result<Option<Self>, Rejection> {
        match cx.socket().params().is_empty() {
            true => Ok(None),
            false => FromContext::<M>::from_context(cx).map(Some),
        }
    }
}

/// Deserializer of all parameters.
#[derive(Clone, Copy)]
struct Source<'a>(NamespaceParams<'a>);

impl<'a> Source<'a> {
    fn only(self) -> Result<Text<'a>, Error> {
        let mut params = self.0.iter();
        match (params.next(), params.next()) {
            (Some((_, value)), None) => Ok(Text(value)),
            _ => Err(de::Error::custom(format_args!(
                "{} parameters, where one is wanted",
                self.0.len()
            ))),
        }
    }

    fn seq<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(SeqDeserializer::new(
            self.0.iter().map(|(_, value)| Text(value)),
        ))
    }
}

/// Deserializes a newtype as its inner type.
macro_rules! newtype {
    () => {
        fn deserialize_newtype_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            visitor: V,
        ) -> Result<V::Value, Error> {
            visitor.visit_newtype_struct(self)
        }
    };
}

macro_rules! only {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.only()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Source<'_> {
    type Error = Error;

    only! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_identifier
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let pairs = self.0.iter().map(|(name, value)| (name, Text(value)));
        visitor.visit_map(MapDeserializer::new(pairs))
    }

    serde::forward_to_deserialize_any! { map struct }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.seq(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.seq(visitor)
    }

    newtype!();

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0.is_empty() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

/// Deserializer of the value of one parameter.
#[derive(Clone, Copy)]
struct Text<'a>(&'a str);

impl<'de> IntoDeserializer<'de> for Text<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! parsed {
    ($($method:ident $visit:ident $what:literal)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0.parse() {
                Ok(value) => visitor.$visit(value),
                Err(_) => Err(de::Error::invalid_value(de::Unexpected::Str(self.0), &$what)),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Text<'_> {
    type Error = Error;

    parsed! {
        deserialize_bool visit_bool "a boolean"
        deserialize_i8 visit_i8 "a number"
        deserialize_i16 visit_i16 "a number"
        deserialize_i32 visit_i32 "a number"
        deserialize_i64 visit_i64 "a number"
        deserialize_i128 visit_i128 "a number"
        deserialize_u8 visit_u8 "a number"
        deserialize_u16 visit_u16 "a number"
        deserialize_u32 visit_u32 "a number"
        deserialize_u64 visit_u64 "a number"
        deserialize_u128 visit_u128 "a number"
        deserialize_f32 visit_f32 "a number"
        deserialize_f64 visit_f64 "a number"
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_str(self.0)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    newtype!();

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier
        ignored_any
    }
}
