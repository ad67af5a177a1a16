//! Encoding and decoding of packets: as JSON, as MessagePack, or by a custom parser.

use std::any::TypeId;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engine::{MessageBuilder, Protocol};
use fanfare_protocol::socket::{
    self, AllArgs, Args, DecodeError, Decoder, EncodeError, IntoArgs, JsonArgs, Packet, PacketType,
    decode_args, v4,
};
use fanfare_protocol::{EncodedEvent, Escaped, Limits, Value, msgpack};
use serde::Serialize;

use crate::contain::contain;
use crate::log_target;
use crate::parser::{MsgpackParser, Parser, ParserDecoder, ParserError, RawPacket};

/// Encoding of a server's packets.
#[derive(Clone, Default)]
pub(crate) enum Codec {
    #[default]
    Json,
    Msgpack,
    Custom(Arc<dyn Parser>),
}

impl Codec {
    pub(crate) fn new<P: Parser>(parser: P) -> Self {
        if TypeId::of::<P>() == TypeId::of::<MsgpackParser>() {
            Self::Msgpack
        } else {
            Self::Custom(Arc::new(parser))
        }
    }

    pub(crate) fn decoder(&self) -> Decoding {
        match self {
            Self::Json => Decoding::Json(Decoder::default()),
            Self::Msgpack => Decoding::Msgpack,
            Self::Custom(parser) => Decoding::Custom(
                contain("parser", || parser.decoder()).unwrap_or_else(|| Box::new(Broken)),
            ),
        }
    }

    #[inline]
    pub(crate) fn write_event<A: IntoArgs>(
        &self,
        buf: &mut MessageBuilder,
        namespace: &str,
        ack: Option<u64>,
        event: &str,
        args: &A,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Json => with_attachments(buf, |out, attachments| {
                socket::encode_event(out, namespace, ack, event, args, attachments)
            }),
            Self::Msgpack => binary(buf, |out| {
                msgpack::encode_event(out, namespace, ack, event, args)
            }),
            Self::Custom(parser) => {
                let data = Some(Value::Array(event_values(event, args)?));
                custom(&**parser, buf, PacketType::Event, namespace, ack, data)
            }
        }
    }

    /// Writes an event that is encoded already. `last`: one more argument, a text.
    pub(crate) fn write_shared(
        &self,
        buf: &mut MessageBuilder,
        namespace: &str,
        ack: Option<u64>,
        event: &EncodedEvent,
        last: Option<&str>,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Json => {
                buf.text(|out| event.write_text(out, namespace, ack, last));
                for attachment in event.data().attachments() {
                    buf.binary(attachment);
                }
                Ok(())
            }
            Self::Msgpack => binary(buf, |out| {
                event.write_msgpack(out, namespace, ack, last);
                Ok(())
            }),
            Self::Custom(parser) => {
                let values = event.values();
                let mut data = values.map_err(|error| not_serializable(error.to_string()))?;
                data.extend(last.map(|last| Value::String(last.to_owned())));
                let data = Some(Value::Array(data));
                custom(&**parser, buf, PacketType::Event, namespace, ack, data)
            }
        }
    }

    #[inline]
    pub(crate) fn write_ack<A: IntoArgs>(
        &self,
        buf: &mut MessageBuilder,
        namespace: &str,
        id: u64,
        args: &A,
    ) -> Result<(), EncodeError> {
        match self {
            Self::Json => with_attachments(buf, |out, attachments| {
                socket::encode_ack(out, namespace, id, args, attachments)
            }),
            Self::Msgpack => binary(buf, |out| msgpack::encode_ack(out, namespace, id, args)),
            Self::Custom(parser) => {
                let data = Some(Value::Array(values(args)?));
                custom(&**parser, buf, PacketType::Ack, namespace, Some(id), data)
            }
        }
    }

    /// Writes the reply to a CONNECT packet; clients of Socket.IO v2 get no ids.
    pub(crate) fn write_connect_reply(
        &self,
        buf: &mut MessageBuilder,
        protocol: Protocol,
        namespace: &str,
        sid: &str,
        pid: Option<&str>,
    ) {
        let old = protocol == Protocol::V3;
        match self {
            Self::Json if old => buf.text(|out| v4::encode_connect_reply(out, namespace)),
            Self::Json => buf.text(|out| socket::encode_connect_reply(out, namespace, sid, pid)),
            Self::Msgpack if old => log_encode_error(binary(buf, |out| {
                msgpack::encode_connect(out, namespace, None::<&()>)
            })),
            Self::Msgpack => {
                let mut out = Vec::with_capacity(64);
                msgpack::encode_connect_reply(&mut out, namespace, sid, pid);
                buf.binary(&out);
            }
            Self::Custom(parser) => {
                let mut entries = vec![("sid".to_owned(), Value::String(sid.to_owned()))];
                entries.extend(pid.map(|pid| ("pid".to_owned(), Value::String(pid.to_owned()))));
                let data = (!old).then_some(Value::Object(entries));
                let written = custom(&**parser, buf, PacketType::Connect, namespace, None, data);
                log_encode_error(written);
            }
        }
    }

    /// Writes the rejection of a client of Socket.IO v2: the error's data, else its message.
    pub(crate) fn write_error(
        &self,
        buf: &mut MessageBuilder,
        namespace: &str,
        message: &str,
        data: Option<&serde_json::Value>,
    ) {
        let data = data.filter(|data| is_truthy(data));
        let written = match self {
            Self::Json => buf.try_text(|out| v4::encode_error(out, namespace, message, data)),
            Self::Msgpack => binary(buf, |out| match data {
                Some(data) => msgpack::encode_error(out, namespace, data),
                None => msgpack::encode_error(out, namespace, message),
            }),
            Self::Custom(parser) => {
                let value = match data {
                    Some(data) => values(data).map(|mut values| values.pop()),
                    None => Ok(Some(Value::String(message.to_owned()))),
                };
                value.and_then(|data| {
                    custom(
                        &**parser,
                        buf,
                        PacketType::ConnectError,
                        namespace,
                        None,
                        data,
                    )
                })
            }
        };
        log_encode_error(written);
    }

    pub(crate) fn write_connect_error(
        &self,
        buf: &mut MessageBuilder,
        namespace: &str,
        message: &str,
        data: Option<&impl Serialize>,
    ) {
        let written = match self {
            Self::Json => {
                buf.try_text(|out| socket::encode_connect_error(out, namespace, message, data))
            }
            Self::Msgpack => binary(buf, |out| {
                msgpack::encode_connect_error(out, namespace, message, data)
            }),
            Self::Custom(parser) => {
                let mut entries = vec![("message".to_owned(), Value::String(message.to_owned()))];
                if let Some(data) = data.and_then(|data| values(&data).ok()?.pop()) {
                    entries.push(("data".to_owned(), data));
                }
                let data = Some(Value::Object(entries));
                custom(
                    &**parser,
                    buf,
                    PacketType::ConnectError,
                    namespace,
                    None,
                    data,
                )
            }
        };
        log_encode_error(written);
    }

    pub(crate) fn write_disconnect(&self, buf: &mut MessageBuilder, namespace: &str) {
        match self {
            Self::Json => buf.text(|out| socket::encode_disconnect(out, namespace)),
            Self::Msgpack => {
                let mut out = Vec::with_capacity(32);
                msgpack::encode_disconnect(&mut out, namespace);
                buf.binary(&out);
            }
            Self::Custom(parser) => log_encode_error(custom(
                &**parser,
                buf,
                PacketType::Disconnect,
                namespace,
                None,
                None,
            )),
        }
    }
}

/// Whether JavaScript considers the value truthy: Node sends the message of an error whose data is not.
fn is_truthy(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::Null => false,
        serde_json::Value::Bool(value) => *value,
        serde_json::Value::Number(number) => number.as_f64() != Some(0.0),
        serde_json::Value::String(text) => !text.is_empty(),
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => true,
    }
}

/// Logs that a packet without arguments of the application could not be written.
fn log_encode_error(written: Result<(), EncodeError>) {
    if let Err(error) = written {
        tracing::error!(target: log_target::CONNECTION, error = %Escaped(error), "a packet could not be written");
    }
}

#[inline]
fn with_attachments(
    buf: &mut MessageBuilder,
    encode: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut attachments = Vec::new();
    buf.try_text(|out| encode(out, &mut attachments))?;
    for attachment in &attachments {
        buf.binary(attachment);
    }
    Ok(())
}

fn binary(
    buf: &mut MessageBuilder,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let mut out = Vec::with_capacity(128);
    encode(&mut out)?;
    buf.binary(&out);
    Ok(())
}

fn custom(
    parser: &dyn Parser,
    buf: &mut MessageBuilder,
    kind: PacketType,
    namespace: &str,
    id: Option<u64>,
    data: Option<Value>,
) -> Result<(), EncodeError> {
    let packet = RawPacket {
        kind,
        namespace: namespace.to_owned(),
        id,
        data,
    };
    let mut messages = crate::parser::Messages::default();
    contain("parser", || parser.encode(&packet, &mut messages))
        .unwrap_or_else(|| Err(ParserError::new("the parser panicked")))
        .map_err(|error| not_serializable(error.to_string()))?;
    messages.write(buf);
    Ok(())
}

/// Returns the name of an event and its arguments, as values.
fn event_values<A: IntoArgs>(event: &str, args: &A) -> Result<Vec<Value>, EncodeError> {
    if socket::is_reserved_event(event) {
        return Err(EncodeError::ReservedEvent(event.to_owned()));
    }
    let mut data = vec![Value::String(event.to_owned())];
    data.extend(values(args)?);
    Ok(data)
}

fn not_serializable(message: String) -> EncodeError {
    EncodeError::NotSerializable {
        argument: 0,
        message,
    }
}

/// Returns arguments as values.
fn values<A: IntoArgs>(args: &A) -> Result<Vec<Value>, EncodeError> {
    let failed = not_serializable;
    let (mut json, mut attachments) = (vec![b'['], Vec::new());
    args.write(&mut JsonArgs::new(&mut json, &mut attachments, false))?;
    json.push(b']');
    let json = String::from_utf8(json).map_err(|error| failed(error.to_string()))?;
    let args = Args::from_json(&json, Limits::JSON_DEPTH_CEILING)
        .map_err(|error| failed(error.to_string()))?;
    let AllArgs(values) = decode_args::<AllArgs<Value>>(&args, &attachments)
        .map_err(|error| failed(error.to_string()))?;
    Ok(values)
}

/// Decoder of the packets of one connection.
pub(crate) enum Decoding {
    Json(Decoder),
    Msgpack,
    Custom(Box<dyn ParserDecoder>),
}

/// Stands in for a decoder that could not be created: rejects everything.
struct Broken;

impl ParserDecoder for Broken {}

impl fmt::Debug for Decoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json(_) => "Json",
            Self::Msgpack => "Msgpack",
            Self::Custom(_) => "Custom",
        })
    }
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "Json",
            Self::Msgpack => "Msgpack",
            Self::Custom(_) => "Custom",
        })
    }
}

/// Reason for which a message is not a packet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error(transparent)]
    Packet(#[from] DecodeError),
    #[error(transparent)]
    Parser(#[from] ParserError),
}

impl Malformed {
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Packet(error) => error.label(),
            Self::Parser(_) => "parser",
        }
    }
}

/// Packet from a custom parser, translated to JSON and attachments, as all other code expects it.
#[derive(Debug)]
pub(crate) struct Translated {
    text: String,
    attachments: Vec<Bytes>,
}

impl Translated {
    pub(crate) fn new(packet: RawPacket) -> Result<Self, Malformed> {
        let RawPacket {
            kind,
            namespace,
            id,
            data,
        } = packet;
        if !namespace.starts_with('/') || namespace.contains(',') {
            return Err(DecodeError::InvalidMember("nsp").into());
        }
        let invalid = DecodeError::InvalidPayload(kind);
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        let written = match (kind, data) {
            (PacketType::Connect, data) => {
                socket::encode_connect(&mut out, &namespace, data.as_ref())
            }
            (PacketType::Disconnect, None) => {
                socket::encode_disconnect(&mut out, &namespace);
                Ok(())
            }
            (PacketType::Event | PacketType::BinaryEvent, Some(Value::Array(mut args))) => {
                if args.is_empty() {
                    return Err(invalid.into());
                }
                let name = match args.remove(0) {
                    Value::String(name) => name,
                    Value::Number(number) => number.to_string(),
                    _ => return Err(invalid.into()),
                };
                if let Some(&reserved) = socket::RESERVED_EVENTS.iter().find(|&&r| r == name) {
                    return Err(DecodeError::ReservedEvent(reserved).into());
                }
                let args = AllArgs(args);
                socket::encode_event(&mut out, &namespace, id, &name, &args, &mut attachments)
            }
            (PacketType::Ack | PacketType::BinaryAck, Some(Value::Array(args))) => {
                let id = id.ok_or(DecodeError::InvalidAckId)?;
                let args = AllArgs(args);
                socket::encode_ack(&mut out, &namespace, id, &args, &mut attachments)
            }
            _ => return Err(invalid.into()),
        };
        written.map_err(|error| ParserError::new(error.to_string()))?;
        let text = String::from_utf8(out).map_err(|error| ParserError::new(error.to_string()))?;
        Ok(Self { text, attachments })
    }

    /// Passes the packet on. It is checked against the limits like any other.
    pub(crate) fn read(
        &self,
        limits: &Limits,
        f: impl FnOnce(Packet<'_>),
    ) -> Result<(), Malformed> {
        let mut limits = limits.clone();
        limits.max_attachments = usize::MAX; // they are part of the message, whose length is bounded
        let mut decoder = Decoder::default();
        if let Some(packet) = decoder.text(&self.text, &limits)? {
            f(packet);
            return Ok(());
        }
        for attachment in &self.attachments {
            if let Some(assembled) = decoder.binary(attachment, &limits)? {
                f(assembled.packet());
                return Ok(());
            }
        }
        Err(DecodeError::IllegalAttachments.into())
    }
}
