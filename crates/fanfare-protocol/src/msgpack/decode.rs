//! Decoding of packets.

use std::borrow::Cow;

use super::date::iso;
use super::read::{Head, Reader};
use crate::Limits;
use crate::socket::args::{Args, Bounds, Source};
use crate::socket::node::Node;
use crate::socket::packet_type::reserved;
use crate::socket::scan::Escapes;
use crate::socket::weigh::Weighed;
use crate::socket::{Ack, Connect, ConnectError, DecodeError, Event, Packet, PacketType};

/// Decodes one packet, attachments included.
///
/// # Errors
/// [`DecodeError`] if the message is no MessagePack, no packet, or over a limit.
pub fn decode<'a>(message: &'a [u8], limits: &Limits) -> Result<Packet<'a>, DecodeError> {
    // `Bounds` are 32 bits wide.
    if u32::try_from(message.len()).is_err() {
        return Err(DecodeError::TooLong { len: message.len() });
    }
    let mut members = Members::default();
    let mut reader = Reader::new(message, limits.json_depth());
    let Head::Map(len) = reader.head()? else {
        return Err(DecodeError::Msgpack { at: 0 });
    };
    for _ in 0..len {
        let key = reader.head()?;
        let start = reader.pos();
        match key {
            Head::Text(b"type") => members.kind = Some(reader.head()?),
            Head::Text(b"nsp") => members.namespace = Some(reader.head()?),
            Head::Text(b"id") => members.id = reader.head()?,
            Head::Text(b"data") => {
                members.data = Some(reader.clone());
                reader.skip(0)?;
                continue;
            }
            Head::Array(_) | Head::Map(_) => return Err(DecodeError::Msgpack { at: start - 1 }),
            _ => {
                reader.skip(1)?;
                continue;
            }
        }
        // These members are scalars in every packet; the contents of a container would be read as further members.
        if matches!(members.kind, Some(Head::Array(_) | Head::Map(_))) {
            return Err(DecodeError::InvalidMember("type"));
        }
        if matches!(members.namespace, Some(Head::Array(_) | Head::Map(_))) {
            return Err(DecodeError::InvalidMember("nsp"));
        }
        if matches!(members.id, Head::Array(_) | Head::Map(_)) {
            return Err(DecodeError::InvalidMember("id"));
        }
    }
    if !reader.at_end() {
        return Err(reader.error());
    }
    members.packet(message, limits)
}

/// Members found in the map.
struct Members<'a> {
    kind: Option<Head<'a>>,
    namespace: Option<Head<'a>>,
    id: Head<'a>,
    /// Reader before the value.
    data: Option<Reader<'a>>,
}

impl Default for Members<'_> {
    fn default() -> Self {
        Self {
            kind: None,
            namespace: None,
            id: Head::Undefined,
            data: None,
        }
    }
}

impl<'a> Members<'a> {
    fn packet(mut self, message: &'a [u8], limits: &Limits) -> Result<Packet<'a>, DecodeError> {
        let kind = match self.kind {
            // Attachments are inside the packet, so the binary packet types do not exist.
            Some(Head::Unsigned(kind @ 0..=4)) => PacketType::from_digit(b'0' + kind as u8),
            _ => None,
        };
        let kind = kind.ok_or(DecodeError::InvalidMember("type"))?;
        let namespace = match self.namespace {
            Some(Head::Text(text)) => std::str::from_utf8(text).ok(),
            _ => None,
        };
        let namespace = namespace.ok_or(DecodeError::InvalidMember("nsp"))?;
        if namespace.len() > limits.max_namespace_len {
            return Err(DecodeError::NamespaceTooLong {
                len: namespace.len(),
                limit: limits.max_namespace_len,
            });
        }
        let id = match self.id {
            Head::Undefined => None,
            Head::Unsigned(id) => Some(id),
            _ => return Err(DecodeError::InvalidMember("id")),
        };
        let is_undefined =
            |reader: &Reader<'_>| matches!(reader.clone().head(), Ok(Head::Undefined));
        if self.data.as_ref().is_some_and(is_undefined) {
            self.data = None;
        }
        let invalid = DecodeError::InvalidPayload(kind);
        Ok(match kind {
            PacketType::Connect => Packet::Connect(Connect {
                namespace,
                payload: match self.data {
                    Some(data) => Some(json(data, false).ok_or(invalid)?),
                    None => None,
                },
            }),
            PacketType::Disconnect => match self.data {
                Some(_) => return Err(invalid),
                None => Packet::Disconnect(namespace),
            },
            PacketType::ConnectError => Packet::ConnectError(ConnectError {
                namespace,
                payload: Some(self.data.and_then(|data| json(data, true)).ok_or(invalid)?),
            }),
            PacketType::Event | PacketType::BinaryEvent => {
                let mut elements = Elements::open(self.data, kind)?;
                let name = elements.name(kind, limits)?;
                Packet::Event(Event {
                    namespace,
                    ack: id,
                    name,
                    args: elements.args(message, limits)?,
                })
            }
            PacketType::Ack | PacketType::BinaryAck => Packet::Ack(Ack {
                namespace,
                id: id.ok_or(DecodeError::InvalidAckId)?,
                args: Elements::open(self.data, kind)?.args(message, limits)?,
            }),
        })
    }
}

/// Elements of the data array.
struct Elements<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl<'a> Elements<'a> {
    fn open(data: Option<Reader<'a>>, kind: PacketType) -> Result<Self, DecodeError> {
        let mut reader = data.ok_or(DecodeError::InvalidPayload(kind))?;
        match reader.head()? {
            Head::Array(left) => Ok(Self { reader, left }),
            _ => Err(DecodeError::InvalidPayload(kind)),
        }
    }

    fn name(&mut self, kind: PacketType, limits: &Limits) -> Result<Cow<'a, str>, DecodeError> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(DecodeError::InvalidPayload(kind))?;
        Ok(match self.reader.head()? {
            Head::Text(text) => {
                if text.len() > limits.max_event_name_len {
                    return Err(DecodeError::EventNameTooLong {
                        len: text.len(),
                        limit: limits.max_event_name_len,
                    });
                }
                let name = String::from_utf8_lossy(text);
                if let Some(reserved) = reserved(&name) {
                    return Err(DecodeError::ReservedEvent(reserved));
                }
                name
            }
            Head::Unsigned(number) => Cow::Owned(number.to_string()),
            Head::Signed(number) => Cow::Owned(number.to_string()),
            Head::Float(number) => Cow::Owned(number.to_string()),
            _ => return Err(DecodeError::InvalidPayload(kind)),
        })
    }

    /// Returns the remaining elements.
    fn args(mut self, message: &'a [u8], limits: &Limits) -> Result<Args<'a>, DecodeError> {
        let limit = limits.max_arguments;
        if self.left as usize > limit {
            return Err(DecodeError::TooManyArguments { limit });
        }
        let mut bounds = Bounds::new();
        for _ in 0..self.left {
            let start = self.reader.pos();
            self.reader.skip(1)?;
            // The length was checked in `decode`.
            bounds.push((start as u32, self.reader.pos() as u32));
        }
        Ok(Args {
            source: Source::Msgpack(message),
            bounds,
            escapes: Escapes::None,
            attachments: &[],
        })
    }
}

/// Converts an object, or a text if that is allowed, to JSON.
fn json(data: Reader<'_>, text: bool) -> Option<Cow<'_, str>> {
    let node = read_node(&mut { data });
    match &node {
        Node::Object(_) => {}
        Node::Text(_) if text => {}
        _ => return None,
    }
    serde_json::to_string(&node).ok().map(Cow::Owned)
}

/// Returns the tree of one value that was scanned before.
pub(crate) fn node(bytes: &[u8]) -> Node<'_> {
    read_node(&mut Reader::new(bytes, Limits::JSON_DEPTH_CEILING))
}

/// Estimates the memory of one value that was scanned before, once it is deserialized, in bytes.
pub(crate) fn weigh(bytes: &[u8]) -> usize {
    let mut reader = Reader::new(bytes, Limits::JSON_DEPTH_CEILING);
    let mut sum = 0;
    while let Ok(head) = reader.head() {
        let value = match head {
            Head::Text(text) => Weighed::Text(text.len()),
            Head::Bytes(bytes) | Head::Extension(_, bytes) => Weighed::Bytes(bytes.len()),
            Head::Array(_) => Weighed::Array,
            Head::Map(len) => Weighed::Map(len as usize),
            _ => Weighed::Scalar,
        };
        sum += value.bytes();
    }
    sum
}

/// Reads one value as a tree. Recursion is bounded because the scan has limited the depth. Allocation is bounded by the
/// elements actually present.
fn read_node<'a>(reader: &mut Reader<'a>) -> Node<'a> {
    let Ok(head) = reader.head() else {
        return Node::Null;
    };
    match head {
        Head::Nil | Head::Undefined => Node::Null,
        Head::Bool(value) => Node::Bool(value),
        Head::Unsigned(value) => Node::Unsigned(value),
        Head::Signed(value) => Node::Signed(value),
        Head::Float(value) => Node::Float(value),
        Head::Text(text) => Node::Text(String::from_utf8_lossy(text)),
        Head::Bytes(bytes) => Node::Bytes(bytes),
        Head::Date(milliseconds) => {
            iso(milliseconds).map_or(Node::Null, |text| Node::Text(Cow::Owned(text)))
        }
        // Reads it as `notepack.io` does.
        Head::Extension(kind, bytes) => {
            Node::Array(vec![Node::Signed(i64::from(kind)), Node::Bytes(bytes)])
        }
        Head::Array(len) => Node::Array((0..len).map_while(|_| next(reader)).collect()),
        Head::Map(len) => Node::Object(
            (0..len)
                .map_while(|_| Some((next(reader)?, next(reader)?)))
                .collect(),
        ),
    }
}

fn next<'a>(reader: &mut Reader<'a>) -> Option<Node<'a>> {
    (!reader.at_end()).then(|| read_node(reader))
}
