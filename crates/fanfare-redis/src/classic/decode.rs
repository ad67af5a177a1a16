//! Messages from other nodes. They are as untrusted as the messages of clients: they are read in linear time, and
//! events stay encoded.
//!
//! Requests and answers are those of Node's `ClusterAdapter` under other numbers, their contents beside the number.

use std::borrow::Cow;

use bytes::Bytes;
use fanfare_cluster::dialect::{
    AdapterMessage, EventPacket, MAX_ID_BYTES, read_options, read_packet,
};
use fanfare_cluster::{ClusterOptions, ClusterResponse};
use fanfare_protocol::msgpack::{Head, Reader};
use fanfare_protocol::{EncodedEvent, EncodedValue, Limits};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Maximum depth of arrays and maps in a message.
const MAX_DEPTH: usize = Limits::JSON_DEPTH_CEILING;

/// A value that has not been read yet.
#[derive(Debug)]
pub(super) enum Raw<'a> {
    Json(&'a str),
    Msgpack(Bytes),
}

impl Raw<'_> {
    pub(super) fn event(self) -> Option<EncodedEvent> {
        match self {
            Self::Json(text) => EncodedEvent::from_json(text, Vec::new()).ok(),
            Self::Msgpack(message) => EncodedEvent::from_msgpack(message).ok(),
        }
    }

    pub(super) fn value(self) -> Option<EncodedValue> {
        match self {
            Self::Json(text) => EncodedValue::from_json(text, Vec::new()).ok(),
            Self::Msgpack(message) => EncodedValue::from_msgpack(message).ok(),
        }
    }
}

/// Header of a request or answer, with the members of the kinds that `ClusterAdapter` lacks.
#[derive(Debug, Default)]
pub(super) struct Header<'a> {
    pub(super) kind: Option<u64>,
    pub(super) uid: Cow<'a, str>,
    pub(super) request_id: Option<Cow<'a, str>>,
    pub(super) data: Option<Raw<'a>>,
    /// Whether the request has a selection of sockets; the requests of old versions name a single socket.
    pub(super) has_options: bool,
    pub(super) rooms: Vec<String>,
    pub(super) sid: Option<Cow<'a, str>>,
    pub(super) room: Option<String>,
    pub(super) close: bool,
}

#[derive(Deserialize)]
struct JsonHeader<'a> {
    r#type: Option<u64>,
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, rename = "requestId")]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    opts: Option<&'a RawValue>,
    rooms: Option<Vec<Name>>,
    #[serde(borrow)]
    sid: Option<Cow<'a, str>>,
    room: Option<Name>,
    close: Option<bool>,
}

/// Name of a room, which may be a number.
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

impl<'a> Header<'a> {
    /// Reads the head of a request or answer, in JSON or MessagePack by the first byte.
    pub(super) fn read(payload: &'a Bytes) -> Option<Self> {
        let header = match payload.first()? {
            b'{' => Self::from_json(payload)?,
            _ => Self::from_msgpack(payload)?,
        };
        let len = |id: &Option<Cow<'_, str>>| id.as_ref().map_or(0, |id| id.len());
        let longest = header
            .uid
            .len()
            .max(len(&header.request_id))
            .max(len(&header.sid));
        (longest <= MAX_ID_BYTES).then_some(header)
    }

    fn from_json(payload: &'a [u8]) -> Option<Self> {
        let json: JsonHeader<'_> = serde_json::from_slice(payload).ok()?;
        Some(Self {
            kind: json.r#type,
            uid: json.uid,
            request_id: json.request_id,
            data: json.data.map(|data| Raw::Json(data.get())),
            has_options: json.opts.is_some(),
            rooms: json
                .rooms
                .into_iter()
                .flatten()
                .map(Name::into_text)
                .collect(),
            sid: json.sid,
            room: json.room.map(Name::into_text),
            close: json.close.unwrap_or_default(),
        })
    }

    fn from_msgpack(payload: &'a Bytes) -> Option<Self> {
        let mut reader = Reader::new(payload, MAX_DEPTH);
        let Head::Map(len) = reader.head().ok()? else {
            return None;
        };
        let mut header = Self::default();
        for _ in 0..len {
            let name = reader.head().ok()?.name()?;
            let (start, value) = (reader.pos(), reader.clone().head().ok()?);
            reader.skip(1).ok()?;
            match &*name {
                "type" => {
                    if let Head::Unsigned(kind) = value {
                        header.kind = Some(kind);
                    }
                }
                "uid" => header.uid = value.name()?,
                "requestId" => header.request_id = value.name(),
                "data" => header.data = Some(Raw::Msgpack(payload.slice(start..reader.pos()))),
                "opts" => header.has_options = matches!(value, Head::Map(_)),
                _ => {}
            }
        }
        Some(header)
    }
}

/// A broadcast without acknowledgements.
#[derive(Debug)]
pub(super) struct Broadcast {
    pub(super) packet: EventPacket,
    pub(super) options: ClusterOptions,
}

/// Reads a broadcast, unless it is of the node `own`.
pub(super) fn broadcast(payload: &Bytes, own: &str) -> Option<Broadcast> {
    let mut reader = Reader::new(payload, MAX_DEPTH);
    let Head::Array(3..) = reader.head().ok()? else {
        return None;
    };
    let uid = reader.clone().head().ok()?;
    reader.skip(1).ok()?;
    // Compared first, because most unwanted messages are this node's own.
    if uid == Head::Text(own.as_bytes()) {
        return None;
    }
    let packet = read_packet(payload, &mut reader).ok()?;
    let options = read_options(&mut reader).ok()?;
    Some(Broadcast { packet, options })
}

/// Returns the type of a request in `ClusterAdapter`; `None` if that lacks it.
pub(super) const fn message_type(request: u64) -> Option<u64> {
    Some(match request {
        2 => 4,
        3 => 5,
        4 => 6,
        5 => 7,
        7 => 3,
        _ => return None,
    })
}

/// Returns the id of the request to which a list of sockets is the answer, if it begins as Node and this node write it.
/// It is a long message, which need not be read to be ignored.
pub(super) fn id_of_sockets(payload: &[u8]) -> Option<&str> {
    let rest = payload.strip_prefix(br#"{"requestId":""#)?;
    let end = rest
        .iter()
        .take(MAX_ID_BYTES + 1)
        .position(|byte| *byte == b'"')?;
    let (id, rest) = rest.split_at(end);
    let is_plain = !id.contains(&b'\\') && rest.starts_with(br#"","sockets":[{"#);
    std::str::from_utf8(id).ok().filter(|_| is_plain)
}

/// Reads a list of sockets.
pub(super) fn sockets(payload: &Bytes) -> Option<ClusterResponse> {
    match AdapterMessage::decode(8, Some(payload)).ok()? {
        AdapterMessage::Response(response) => Some(response),
        _ => None,
    }
}

/// Reads an answer.
pub(super) fn response(payload: &Bytes, header: Header<'_>) -> Option<ClusterResponse> {
    let number = match header.kind {
        None => 8,
        Some(6) => {
            let value = header.data?.value()?;
            let answer = fanfare_cluster::ClusterAnswer::ServerSideEmit(value);
            return Some(ClusterResponse::new(header.request_id?, answer));
        }
        Some(kind) if kind == u64::from(super::encode::PEER_ANSWER) => {
            let answer = fanfare_cluster::ClusterAnswer::Peer(header.data?.value()?);
            return Some(ClusterResponse::new(header.request_id?, answer));
        }
        Some(8) => 11,
        Some(9) => 12,
        Some(_) => return None,
    };
    match AdapterMessage::decode(number, Some(payload)).ok()? {
        AdapterMessage::Response(response) => Some(response),
        _ => None,
    }
}
