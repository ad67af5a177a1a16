//! Custom encodings of packets: Node's `parser` option.

use std::fmt;

use fanfare_engine::MessageBuilder;
use fanfare_protocol::socket::{AllArgs, Packet, PacketType};
use fanfare_protocol::{Limits, Value, msgpack};

/// Encodes and decodes Socket.IO packets: Node's `parser` option. Client and server must use the same.
///
/// Without one, packets are JSON, which is the fastest here; [`MsgpackParser`] is compatible with
/// `socket.io-msgpack-parser` of npm. A custom parser gets each packet as a [`RawPacket`], at the cost of a conversion
/// to [`Value`].
///
/// ```
/// use fanfare::parser::{Messages, Parser, ParserDecoder, ParserError, RawPacket};
/// use fanfare::{Limits, SocketIo};
///
/// /// Each packet as one text message `kind namespace id json`.
/// struct Plain;
///
/// impl Parser for Plain {
///     fn encode(&self, packet: &RawPacket, out: &mut Messages) -> Result<(), ParserError> {
///         let data = serde_json::to_string(&packet.data).map_err(ParserError::from_error)?;
///         let id = packet.id.map_or(-1, |id| id as i64);
///         out.text(format!("{} {} {id} {data}", packet.kind.as_str(), packet.namespace));
///         Ok(())
///     }
///
///     fn decoder(&self) -> Box<dyn ParserDecoder> {
///         Box::new(PlainDecoder)
///     }
/// }
///
/// struct PlainDecoder;
///
/// impl ParserDecoder for PlainDecoder {
///     fn text(&mut self, text: &str, _: &Limits) -> Result<Option<RawPacket>, ParserError> {
///         // …
///         # Err(ParserError::new(text))
///     }
/// }
///
/// let io = SocketIo::builder().parser(Plain).build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
pub trait Parser: Send + Sync + 'static {
    /// Encodes a packet as one or more messages.
    ///
    /// # Errors
    /// If the packet cannot be represented in this encoding; the sender gets it as `EmitError::NotSerializable`.
    fn encode(&self, packet: &RawPacket, out: &mut Messages) -> Result<(), ParserError>;

    /// Returns the decoder of a new connection.
    fn decoder(&self) -> Box<dyn ParserDecoder>;
}

/// Decodes the messages of one connection. It must bound the data that it buffers, as `limits` specifies.
///
/// An error closes the connection, and is counted as `malformed`.
pub trait ParserDecoder: Send + 'static {
    /// Decodes a text message; returns a packet if it is complete.
    ///
    /// # Errors
    /// If the message is not a packet. By default always, because a parser may support only one kind of message.
    fn text(&mut self, text: &str, limits: &Limits) -> Result<Option<RawPacket>, ParserError> {
        let _ = (text, limits);
        Err(ParserError::new("a text message where none is expected"))
    }

    /// Decodes a binary message; returns a packet if it is complete.
    ///
    /// # Errors
    /// As [`text`](Self::text).
    fn binary(&mut self, data: &[u8], limits: &Limits) -> Result<Option<RawPacket>, ParserError> {
        let _ = (data, limits);
        Err(ParserError::new("a binary message where none is expected"))
    }
}

/// A packet as Node's parsers see it: `{type, nsp, id, data}`.
#[derive(Debug, Clone, PartialEq)]
pub struct RawPacket {
    /// Type of the packet. The binary types do not occur: bytes appear in place, as [`Value::Binary`].
    pub kind: PacketType,
    /// Name of the namespace.
    pub namespace: String,
    /// Id of the acknowledgement.
    pub id: Option<u64>,
    /// Content: the array of name and arguments of an event, the array of arguments of an acknowledgement, else an
    /// object or nothing.
    pub data: Option<Value>,
}

/// Reason for which a parser failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct ParserError(String);

impl ParserError {
    /// Creates an error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Creates an error from another one.
    pub fn from_error(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Collects the messages that a packet is encoded as.
#[derive(Debug, Default)]
pub struct Messages(Vec<Message>);

#[derive(Debug)]
enum Message {
    Text(String),
    Binary(Vec<u8>),
}

impl Messages {
    /// Adds a text message.
    pub fn text(&mut self, text: impl Into<String>) {
        self.0.push(Message::Text(text.into()));
    }

    /// Adds a binary message.
    pub fn binary(&mut self, data: impl Into<Vec<u8>>) {
        self.0.push(Message::Binary(data.into()));
    }

    pub(crate) fn write(&self, buf: &mut MessageBuilder) {
        for message in &self.0 {
            match message {
                Message::Text(text) => buf.text(|out| out.extend_from_slice(text.as_bytes())),
                Message::Binary(data) => buf.binary(data),
            }
        }
    }
}

/// Encoding of packets as MessagePack, compatible with `socket.io-msgpack-parser` of npm.
///
/// Clients: `io(url, { parser: require("socket.io-msgpack-parser") })`. Bytes need no attachments, and numbers are
/// shorter; browsers parse JSON faster, though. The server uses it without the conversion to [`RawPacket`].
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare::parser::MsgpackParser;
///
/// let io = SocketIo::builder().parser(MsgpackParser).build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct MsgpackParser;

impl Parser for MsgpackParser {
    fn encode(&self, packet: &RawPacket, out: &mut Messages) -> Result<(), ParserError> {
        let RawPacket {
            kind,
            namespace,
            id,
            data,
        } = packet;
        let mut message = Vec::new();
        let written = match (kind, data) {
            (PacketType::Event | PacketType::BinaryEvent, Some(Value::Array(data))) => {
                let Some((Value::String(name), args)) = data.split_first() else {
                    return Err(ParserError::new("an event without a name"));
                };
                let args = AllArgs(args.to_vec());
                msgpack::encode_event(&mut message, namespace, *id, name, &args)
            }
            (PacketType::Ack | PacketType::BinaryAck, Some(Value::Array(args))) => {
                let id = id.ok_or_else(|| ParserError::new("an acknowledgement without id"))?;
                msgpack::encode_ack(&mut message, namespace, id, &AllArgs(args.clone()))
            }
            (PacketType::Connect, data) => {
                msgpack::encode_connect(&mut message, namespace, data.as_ref())
            }
            (PacketType::ConnectError, Some(data)) => {
                let text = data.get("message").and_then(Value::as_str).unwrap_or("");
                msgpack::encode_connect_error(&mut message, namespace, text, data.get("data"))
            }
            (PacketType::Disconnect, _) => {
                msgpack::encode_disconnect(&mut message, namespace);
                Ok(())
            }
            _ => return Err(ParserError::new("a packet without data")),
        };
        written.map_err(ParserError::from_error)?;
        out.binary(message);
        Ok(())
    }

    fn decoder(&self) -> Box<dyn ParserDecoder> {
        Box::new(MsgpackDecoder)
    }
}

struct MsgpackDecoder;

impl ParserDecoder for MsgpackDecoder {
    fn binary(&mut self, data: &[u8], limits: &Limits) -> Result<Option<RawPacket>, ParserError> {
        let object = |json: Option<&str>| -> Result<Option<Value>, ParserError> {
            let value = json.map(serde_json::from_str).transpose();
            value.map_err(ParserError::from_error)
        };
        let packet = msgpack::decode(data, limits).map_err(ParserError::from_error)?;
        let namespace = packet.namespace().to_owned();
        let (kind, id, data) = match packet {
            Packet::Event(event) => {
                let mut data = vec![Value::String(event.name.into_owned())];
                let AllArgs(args) = event
                    .args
                    .decode::<AllArgs<Value>>()
                    .map_err(ParserError::from_error)?;
                data.extend(args);
                (PacketType::Event, event.ack, Some(Value::Array(data)))
            }
            Packet::Ack(ack) => {
                let AllArgs(args) = ack
                    .args
                    .decode::<AllArgs<Value>>()
                    .map_err(ParserError::from_error)?;
                (PacketType::Ack, Some(ack.id), Some(Value::Array(args)))
            }
            Packet::Connect(connect) => (
                PacketType::Connect,
                None,
                object(connect.payload.as_deref())?,
            ),
            Packet::ConnectError(error) => (
                PacketType::ConnectError,
                None,
                object(error.payload.as_deref())?,
            ),
            Packet::Disconnect(_) => (PacketType::Disconnect, None, None),
        };
        Ok(Some(RawPacket {
            kind,
            namespace,
            id,
            data,
        }))
    }
}
