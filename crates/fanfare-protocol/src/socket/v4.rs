//! Protocol 4 of Socket.IO, spoken by v1 and v2 clients over Engine.IO 3.
//!
//! Events and acknowledgements are the same. The differences are: the namespace of a CONNECT may carry a query
//! (`/chat?token=x`), which replaces the `auth` payload; CONNECT has no payload in either direction; CONNECT_ERROR of
//! protocol 5 is ERROR, with any JSON, usually a bare string.

use serde::Serialize;
use serde_json::Value;

use super::encode::write_header;
use super::json::{EncodeError, write_json};
use super::packet_type::PacketType;

/// Appends the answer of a server to CONNECT: no payload.
pub fn encode_connect_reply(out: &mut Vec<u8>, namespace: &str) {
    write_header(out, PacketType::Connect, namespace, None);
}

/// Appends an ERROR packet: the error's data if it has any, otherwise its message as a string.
///
/// # Errors
/// [`EncodeError`] if the data cannot be serialized.
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

/// Splits the query off a namespace: `/chat?token=x` is `/chat` and `token=x`.
#[must_use]
pub fn split_query(namespace: &str) -> (&str, Option<&str>) {
    match namespace.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (namespace, None),
    }
}

/// Returns the query of a namespace as the JSON object that protocol 5 has as `auth` payload: `token=a%20b&x=1&x=2` is
/// `{"token":"a b","x":"2"}`. All values are strings; of several with one name the last counts, as in Node.
///
/// Invalid percent escapes are kept literally, and invalid UTF-8 becomes U+FFFD, as in Node's `querystring`.
#[must_use]
pub fn auth_from_query(query: &str) -> String {
    let mut auth = serde_json::Map::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        auth.insert(unescape(name), Value::String(unescape(value)));
    }
    Value::Object(auth).to_string()
}

/// Returns an `auth` payload of protocol 5, a JSON object, as the query that protocol 4 has in its place:
/// `{"token":"a b","x":2}` is `token=a%20b&x=2`. Values that are no strings are their JSON.
/// `None` if the text is no JSON object.
#[must_use]
pub fn query_from_auth(auth: &str) -> Option<String> {
    let auth: serde_json::Map<String, Value> = serde_json::from_str(auth).ok()?;
    let mut query = String::new();
    for (name, value) in &auth {
        if !query.is_empty() {
            query.push('&');
        }
        escape(&mut query, name);
        query.push('=');
        match value {
            Value::String(text) => escape(&mut query, text),
            other => escape(&mut query, &other.to_string()),
        }
    }
    Some(query)
}

/// Appends percent-encoded text. Nothing is left in it that ends a namespace or a query.
fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for digit in [byte >> 4, byte & 15] {
                out.push(
                    char::from_digit(digit.into(), 16)
                        .unwrap_or('0')
                        .to_ascii_uppercase(),
                );
            }
        }
    }
}

fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        out.push(match byte {
            b'+' => b' ',
            b'%' => match rest {
                [high, low, after @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                    bytes = after;
                    let digit =
                        |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default() as u8;
                    digit(high) << 4 | digit(low)
                }
                _ => byte,
            },
            _ => byte,
        });
    }
    String::from_utf8_lossy(&out).into_owned()
}
