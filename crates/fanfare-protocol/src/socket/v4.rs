//! Protocol 4 of Socket.IO, spoken by v1 and v2 clients over Engine.IO 3.
//!
//! Events and acknowledgements look the same. Different are: the namespace of a CONNECT may carry a query
//! (`/chat?token=x`), which takes the place of the `auth` payload; CONNECT has no payload, either way; what protocol 5
//! calls CONNECT_ERROR is ERROR, with any JSON, usually a bare string.

use serde::Serialize;

use super::encode::{EncodeError, write_header, write_json};
use super::header::PacketType;

/// Appends the answer of a server to CONNECT: no payload.
pub fn encode_connect_reply(out: &mut Vec<u8>, namespace: &str) {
    write_header(out, PacketType::Connect, namespace, None);
}

/// Appends an ERROR packet: the error's data if it has any, else its message as a string.
///
/// # Errors
/// [`EncodeError`] if the data cannot be serialised.
pub fn encode_error<T: Serialize + ?Sized>(
    out: &mut Vec<u8>,
    namespace: &str,
    message: &str,
    data: Option<&T>,
) -> Result<(), EncodeError> {
    let start = out.len();
    write_header(out, PacketType::ConnectError, namespace, None);
    match data {
        Some(data) => write_json(out, start, data),
        None => write_json(out, start, message),
    }
}

/// Cuts the query off a namespace: `/chat?token=x` is `/chat` and `token=x`.
#[must_use]
pub fn split_query(namespace: &str) -> (&str, Option<&str>) {
    match namespace.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (namespace, None),
    }
}
