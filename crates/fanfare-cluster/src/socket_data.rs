//! Sockets of any node, in their serialized form.

use std::borrow::Cow;

use fanfare_protocol::json::{self, Reader};
use fanfare_protocol::{EncodedValue, Limits, Value};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::HandshakeData;
use crate::dialect::DialectError;

/// Maximum depth of arrays and objects in a list of sockets.
const MAX_DEPTH: usize = Limits::JSON_DEPTH_CEILING;

/// A socket of any node, in its serialized form: that of Node's `fetchSockets` messages. The handshake and the data stay
/// encoded until they are read.
///
/// ```
/// use fanfare_cluster::{HandshakeData, SocketData};
///
/// let handshake = HandshakeData::from_json(r#"{"url": "/socket.io/?EIO=4"}"#)?;
/// let mut socket = SocketData::new("id", handshake);
/// socket.set_data(&["some", "data"])?;
/// assert_eq!((&*socket.id, socket.handshake().url()), ("id", "/socket.io/?EIO=4"));
/// assert_eq!(socket.data::<Vec<String>>()?, ["some", "data"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SocketData {
    /// Public id.
    pub id: String,
    /// Rooms, including that of the socket's id.
    pub rooms: Vec<String>,
    handshake: HandshakeData,
    /// Data of the application as JSON; `None` is `null`.
    data: Option<Box<str>>,
}

impl SocketData {
    /// Creates the data of a socket that is in the room of its id only.
    pub fn new(id: impl Into<String>, handshake: HandshakeData) -> Self {
        let id = id.into();
        Self {
            rooms: vec![id.clone()],
            id,
            handshake,
            data: None,
        }
    }

    /// Returns the first request of the connection.
    #[must_use]
    pub fn handshake(&self) -> &HandshakeData {
        &self.handshake
    }

    /// Deserializes the data of the application.
    ///
    /// # Errors
    /// If it does not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.data_json())
    }

    fn data_json(&self) -> &str {
        self.data.as_deref().unwrap_or("null")
    }

    /// Sets the data of the application.
    ///
    /// # Errors
    /// If the value cannot be represented in JSON.
    pub fn set_data(&mut self, data: &impl Serialize) -> Result<(), serde_json::Error> {
        let data = serde_json::to_string(data)?;
        self.data = (data != "null").then(|| data.into());
        Ok(())
    }

    /// Returns the number of bytes that the value holds, approximately.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        let rooms = self.rooms.iter();
        let rooms = rooms.map(|room| size_of::<String>() + room.len());
        size_of::<Self>()
            + self.id.len()
            + self.handshake.byte_len()
            + self.data.as_ref().map_or(0, |data| data.len())
            + rooms.sum::<usize>()
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        let text = |out: &mut Vec<u8>, text: &str| {
            // Writing a text to memory cannot fail.
            let _ = serde_json::to_writer(out, text);
        };
        out.extend_from_slice(b"{\"id\":");
        text(out, &self.id);
        out.extend_from_slice(b",\"handshake\":");
        out.extend_from_slice(self.handshake.json().as_bytes());
        out.extend_from_slice(b",\"rooms\":[");
        for (index, room) in self.rooms.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            text(out, room);
        }
        out.extend_from_slice(b"],\"data\":");
        out.extend_from_slice(self.data_json().as_bytes());
        out.push(b'}');
    }

    /// Appends a list as the JSON of Node's `fetchSockets` messages.
    pub fn write_list(sockets: &[Self], out: &mut Vec<u8>) {
        let bytes = sockets.first().map_or(0, |socket| socket.byte_len() + 64);
        out.reserve(bytes.saturating_mul(sockets.len()));
        out.push(b'[');
        for (index, socket) in sockets.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            socket.write_json(out);
        }
        out.push(b']');
    }

    /// Reads a list of sockets.
    pub(crate) fn read_list(reader: &mut Reader<'_>) -> Result<Vec<Self>, DialectError> {
        let mut sockets = Vec::new();
        reader.elements(|reader| {
            sockets.push(Self::read(reader)?);
            Ok::<_, DialectError>(())
        })?;
        Ok(sockets)
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DialectError> {
        let (mut id, mut handshake) = (None, None);
        let (mut rooms, mut data) = (None, None);
        reader.members(|name, reader| {
            match name {
                "id" => id = json::text(reader.value()?).map(Cow::into_owned),
                "handshake" => handshake = Some(HandshakeData::read(reader)?),
                "rooms" => rooms = Some(read_rooms(reader)?),
                "data" => {
                    let value = reader.value()?;
                    data = (value != "null").then(|| reader.without_lone_surrogates(value).into());
                }
                _ => {
                    reader.value()?;
                }
            }
            Ok::<_, DialectError>(())
        })?;
        Ok(Self {
            id: id.ok_or(DialectError::Member("id"))?,
            rooms: rooms.ok_or(DialectError::Member("rooms"))?,
            handshake: handshake.ok_or(DialectError::Member("handshake"))?,
            data,
        })
    }

    /// Reads a list of sockets that was received as MessagePack. Binary values become `null`: JSON has none.
    pub(crate) fn list_of(value: &EncodedValue) -> Result<Vec<Self>, DialectError> {
        if !value.has_binary() {
            return Self::list_of_json(value.json());
        }
        let args = value.args().ok_or(DialectError::Member("sockets"))?;
        let dynamic: Value = args
            .decode()
            .map_err(|error| DialectError::Json(error.to_string()))?;
        Self::list_of_json(&serde_json::to_string(&without_binary(dynamic))?)
    }

    pub(crate) fn list_of_json(text: &str) -> Result<Vec<Self>, DialectError> {
        let mut reader = Reader::new(text, MAX_DEPTH);
        let sockets = Self::read_list(&mut reader)?;
        reader.end()?;
        Ok(sockets)
    }
}

impl PartialEq for SocketData {
    /// Compares the values, however they are written.
    fn eq(&self, other: &Self) -> bool {
        let equal_data = self.data == other.data
            || matches!(
                (self.data::<serde_json::Value>(), other.data::<serde_json::Value>()),
                (Ok(one), Ok(two)) if one == two
            );
        self.id == other.id
            && self.rooms == other.rooms
            && self.handshake == other.handshake
            && equal_data
    }
}

/// Reads names of rooms; a number is taken as its decimal text.
fn read_rooms(reader: &mut Reader<'_>) -> Result<Vec<String>, DialectError> {
    let mut rooms = Vec::new();
    reader.elements(|reader| {
        let name = reader.value()?;
        let number = || serde_json::from_str::<serde_json::Number>(name).ok();
        let name = json::text(name).or_else(|| Some(number()?.to_string().into()));
        rooms.push(name.ok_or(DialectError::Member("rooms"))?.into_owned());
        Ok::<_, DialectError>(())
    })?;
    Ok(rooms)
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
