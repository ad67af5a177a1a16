//! Sockets of any node, in their serialized form.

use fanfare_protocol::{EncodedValue, Value};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Map;

use crate::dialect::DialectError;

/// A socket of any node, in its serialized form: the JSON format is that of Node's `fetchSockets` messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SocketData {
    /// Public id.
    pub id: String,
    /// First request of the connection.
    pub handshake: HandshakeData,
    /// Rooms, including that of the socket's id.
    #[serde(deserialize_with = "rooms")]
    pub rooms: Vec<String>,
    /// Data of the application.
    #[serde(default)]
    pub data: serde_json::Value,
}

/// The first request of a connection, in its serialized form (Node's `socket.handshake`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct HandshakeData {
    /// Headers by names in lower case; each value is a text or a list of texts.
    pub headers: Map<String, serde_json::Value>,
    /// Time of the request, in the format of JavaScript's `Date`.
    pub time: String,
    /// Address of the client.
    pub address: String,
    /// Whether the request is cross-origin.
    pub xdomain: bool,
    /// Whether the connection is encrypted.
    pub secure: bool,
    /// Time of the request, in milliseconds since 1970.
    pub issued: u64,
    /// Path and query.
    pub url: String,
    /// Parameters of the query.
    pub query: Map<String, serde_json::Value>,
    /// `auth` value of the client.
    pub auth: serde_json::Value,
}

impl SocketData {
    /// Creates the data of a socket that is in the room of its id only.
    pub fn new(id: impl Into<String>, handshake: HandshakeData) -> Self {
        let id = id.into();
        Self {
            rooms: vec![id.clone()],
            id,
            handshake,
            data: serde_json::Value::Null,
        }
    }

    /// Returns the number of bytes that the value holds, approximately.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let handshake = &self.handshake;
        let texts = [
            &self.id,
            &handshake.time,
            &handshake.address,
            &handshake.url,
        ];
        let texts = texts.iter().map(|text| text.len());
        let rooms = self
            .rooms
            .iter()
            .map(|room| size_of::<String>() + room.len());
        let maps = [&handshake.headers, &handshake.query].map(map_bytes);
        let values = [&handshake.auth, &self.data].map(value_bytes);
        let parts = texts.chain(rooms).chain(maps).chain(values);
        size_of::<Self>() + parts.sum::<usize>()
    }

    /// Reads a list of sockets that was received as MessagePack. Binary values become `null`: the type of `data` has none.
    pub(crate) fn list_of(value: &EncodedValue) -> Result<Vec<Self>, DialectError> {
        if !value.has_binary() {
            return Ok(serde_json::from_str(value.json())?);
        }
        let args = value.args().ok_or(DialectError::Member("sockets"))?;
        let dynamic: Value = args
            .decode()
            .map_err(|error| DialectError::Json(error.to_string()))?;
        Ok(serde_json::from_value(without_binary(dynamic))?)
    }
}

/// Bytes of an entry of a map besides its name and value.
const ENTRY_BYTES: usize = 32;

fn map_bytes(map: &Map<String, serde_json::Value>) -> usize {
    let entries = map.iter();
    let entries = entries.map(|(name, value)| ENTRY_BYTES + name.len() + value_bytes(value));
    entries.sum()
}

/// Returns the approximate number of bytes of a value. Its depth was bounded when it was read.
fn value_bytes(value: &serde_json::Value) -> usize {
    size_of::<serde_json::Value>()
        + match value {
            serde_json::Value::String(text) => text.len(),
            serde_json::Value::Array(values) => values.iter().map(value_bytes).sum(),
            serde_json::Value::Object(map) => map_bytes(map),
            _ => 0,
        }
}

fn without_binary(value: Value) -> serde_json::Value {
    match value {
        Value::Null | Value::NonFinite(_) | Value::Binary(_) => serde_json::Value::Null,
        Value::Bool(value) => value.into(),
        Value::Number(value) => value.into(),
        Value::String(value) => value.into(),
        Value::Array(values) => values.into_iter().map(without_binary).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            members.map(|(n, v)| (n, without_binary(v))).collect()
        }
    }
}

fn rooms<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<Name>::deserialize(deserializer)?;
    Ok(names.into_iter().map(Name::into_text).collect())
}

/// Name of a room. A number is taken as its decimal text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Number(serde_json::Number),
}

impl Name {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}
