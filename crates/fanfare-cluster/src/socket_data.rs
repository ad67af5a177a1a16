//! Sockets of any node, in their serialized form.

use serde::{Deserialize, Serialize};
use serde_json::Map;

/// A socket of any node, in its serialized form: the JSON format is that of Node's `fetchSockets` messages.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SocketData {
    /// Public id.
    pub id: String,
    /// First request of the connection.
    pub handshake: HandshakeData,
    /// Rooms, including that of the socket's id.
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
    /// Whether the request has another origin.
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
}
