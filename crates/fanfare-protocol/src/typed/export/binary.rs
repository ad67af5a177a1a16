//! JSON Schemas of bytes and of absent acknowledgements.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::typed::NoAck;

/// Schema of bytes that are sent as an attachment: of `Bytes`, and of fields with `serde_bytes`.
///
/// JSON Schema has no such type, so the field names this one:
///
/// ```
/// use bytes::Bytes;
/// use fanfare_protocol::typed::export::Binary;
///
/// #[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
/// struct Picture {
///     name: String,
///     #[schemars(with = "Binary")]
///     data: Bytes,
///     #[schemars(with = "Option<Binary>")]
///     thumbnail: Option<Bytes>,
/// }
/// ```
///
/// In TypeScript it is `ArrayBuffer` where a client receives it ([`TypeScript::binary`](super::TypeScript::binary) changes
/// that), and `ArrayBuffer | ArrayBufferView` where a client sends it.
#[derive(Debug)]
pub enum Binary {}

/// Format in the schema of [`Binary`].
pub(super) const BINARY: &str = "binary";

impl JsonSchema for Binary {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Binary".into()
    }

    fn schema_id() -> Cow<'static, str> {
        "fanfare::Binary".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": BINARY })
    }
}

/// No value is valid, because there is no acknowledgement.
impl JsonSchema for NoAck {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NoAck".into()
    }

    fn schema_id() -> Cow<'static, str> {
        "fanfare::NoAck".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        false.into()
    }
}
