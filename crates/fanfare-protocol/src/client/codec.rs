//! Socket.IO packets as the client stores them: owned, and without the header, which depends on the time of sending.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::{Body, Config, EmitError, Packet, Parser};
use crate::engine::Protocol;
use crate::socket::{
    Ack, ArgsBuf, Assembled, ConnectErrorBody, Decoder as PacketDecoder, EncodeError, Event,
    IntoArgs, Packet as SocketPacket, PacketType, encode_ack, encode_connect, encode_disconnect,
    encode_event, v4,
};
use crate::{Limits, msgpack};

/// Encoded event or acknowledgement without its header, so that it can be kept and sent again under another id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// `["event",…]` or `[…]`.
    data: Bytes,
    parser: Parser,
    attachments: Vec<Bytes>,
    /// Whether the payload may be compressed when it is sent, also after it was buffered.
    compress: bool,
}

impl Payload {
    /// Encodes an event with its arguments.
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`] if an argument cannot be serialized or the name is reserved.
    pub fn event<A: IntoArgs + ?Sized>(
        parser: Parser,
        name: &str,
        args: &A,
    ) -> Result<Self, EmitError> {
        match parser {
            Parser::Json => {
                Self::json(|out, attachments| encode_event(out, "/", None, name, args, attachments))
            }
            Parser::Msgpack => Self::msgpack(PacketType::Event, None, |out| {
                msgpack::encode_event(out, "/", None, name, args)
            }),
        }
    }

    /// Encodes the arguments of an acknowledgement.
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`] if an argument cannot be serialized.
    pub fn ack<A: IntoArgs + ?Sized>(parser: Parser, args: &A) -> Result<Self, EmitError> {
        match parser {
            Parser::Json => {
                Self::json(|out, attachments| encode_ack(out, "/", 0, args, attachments))
            }
            Parser::Msgpack => Self::msgpack(PacketType::Ack, Some(0), |out| {
                msgpack::encode_ack(out, "/", 0, args)
            }),
        }
    }

    fn json(
        encode: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> Result<(), EncodeError>,
    ) -> Result<Self, EmitError> {
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        encode(&mut out, &mut attachments)
            .map_err(|error| EmitError::NotSerializable(error.to_string()))?;
        // The header has only digits and a dash, so the array starts at the first bracket.
        let start = out
            .iter()
            .position(|byte| *byte == b'[')
            .unwrap_or(out.len());
        Ok(Self {
            data: Bytes::from(out).slice(start..),
            parser: Parser::Json,
            attachments,
            compress: true,
        })
    }

    fn msgpack(
        kind: PacketType,
        ack: Option<u64>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<Self, EmitError> {
        let mut out = Vec::new();
        msgpack::write_head(&mut out, kind, "/", ack, true);
        let head = out.len();
        out.clear();
        encode(&mut out).map_err(|error| EmitError::NotSerializable(error.to_string()))?;
        Ok(Self {
            data: Bytes::from(out).slice(head..),
            parser: Parser::Msgpack,
            attachments: Vec::new(),
            compress: true,
        })
    }

    #[cfg(test)]
    pub(super) fn from_json(data: impl Into<Bytes>, attachments: Vec<Bytes>) -> Self {
        Self {
            data: data.into(),
            parser: Parser::Json,
            attachments,
            compress: true,
        }
    }

    pub(super) fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Number of encoded bytes, attachments included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.data.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// Returns the name and the arguments of an event; `None` if it is no event, or is nested deeper than
    /// [`Limits::JSON_DEPTH_CEILING`].
    #[must_use]
    pub fn decode(&self) -> Option<(Arc<str>, ArgsBuf)> {
        // The payload was encoded here, so the limits for servers do not apply.
        let limits = Limits {
            max_payload: usize::MAX,
            max_attachments: usize::MAX,
            max_attachment_bytes: usize::MAX,
            max_json_depth: Limits::JSON_DEPTH_CEILING,
            max_event_name_len: usize::MAX,
            max_arguments: usize::MAX,
            ..Limits::default()
        };
        let mut decoder = Decoder::new(self.parser);
        let mut decoded = None;
        for packet in self.packets(Kind::Event, "/", None) {
            decoded = match packet.body {
                // Skips the type digit of Engine.IO.
                Body::Text(text) => decoder.text(&text[1..], &limits).ok()?,
                Body::Binary(data) => decoder.binary(&data, &limits).ok()?,
            };
        }
        match decoded? {
            Decoded::Event { name, args, .. } => Some((name, args)),
            _ => None,
        }
    }

    /// Returns the Engine.IO packets of this payload as an event or acknowledgement.
    pub(super) fn packets(&self, kind: Kind, namespace: &str, ack: Option<u64>) -> Vec<Packet> {
        let mut out = Vec::with_capacity(self.data.len() + namespace.len() + 32);
        if self.parser == Parser::Msgpack {
            let kind = match kind {
                Kind::Event => PacketType::Event,
                Kind::Ack => PacketType::Ack,
            };
            msgpack::write_head(&mut out, kind, namespace, ack, true);
            out.extend_from_slice(&self.data);
            return vec![self.packet(Body::Binary(out.into()))];
        }
        out.push(b'4');
        out.push(match (kind, self.attachments.is_empty()) {
            (Kind::Event, true) => b'2',
            (Kind::Ack, true) => b'3',
            (Kind::Event, false) => b'5',
            (Kind::Ack, false) => b'6',
        });
        let mut digits = itoa::Buffer::new();
        if !self.attachments.is_empty() {
            out.extend_from_slice(digits.format(self.attachments.len()).as_bytes());
            out.push(b'-');
        }
        if namespace != "/" {
            out.extend_from_slice(namespace.as_bytes());
            out.push(b',');
        }
        if let Some(ack) = ack {
            out.extend_from_slice(digits.format(ack).as_bytes());
        }
        out.extend_from_slice(&self.data);
        let mut packets = Vec::with_capacity(1 + self.attachments.len());
        packets.push(self.packet(Body::Text(out.into())));
        let attachments = self.attachments.iter().cloned().map(Body::Binary);
        packets.extend(attachments.map(|body| self.packet(body)));
        packets
    }

    fn packet(&self, body: Body) -> Packet {
        Packet {
            body,
            compress: self.compress,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Event,
    Ack,
}

/// Encodes CONNECT, with the `auth` payload as JSON text.
pub(super) fn connect(config: &Config, namespace: &str, auth: Option<&str>) -> Packet {
    let query = auth
        .filter(|_| config.protocol == Protocol::V3)
        .and_then(v4::query_from_auth)
        .filter(|query| !query.is_empty());
    let (namespace, auth) = match (config.protocol, query) {
        (Protocol::V3, Some(query)) => (Cow::Owned(format!("{namespace}?{query}")), None),
        (Protocol::V3, None) => (Cow::Borrowed(namespace), None),
        (Protocol::V4, _) => (Cow::Borrowed(namespace), auth),
    };
    if config.parser == Parser::Msgpack {
        let mut out = Vec::new();
        // The text was validated as JSON before.
        let auth: Option<serde_json::Value> = auth.and_then(|auth| serde_json::from_str(auth).ok());
        let _ = msgpack::encode_connect(&mut out, &namespace, auth.as_ref());
        return Packet::binary(out);
    }
    let mut text = b"4".to_vec();
    // Without a payload, serialization cannot fail.
    let _ = encode_connect::<()>(&mut text, &namespace, None);
    text.extend_from_slice(auth.unwrap_or_default().as_bytes());
    Packet::text(text)
}

pub(super) fn disconnect(parser: Parser, namespace: &str) -> Packet {
    let mut out = Vec::new();
    match parser {
        Parser::Json => {
            out.push(b'4');
            encode_disconnect(&mut out, namespace);
            Packet::text(out)
        }
        Parser::Msgpack => {
            msgpack::encode_disconnect(&mut out, namespace);
            Packet::binary(out)
        }
    }
}

/// Packet received from the server.
#[derive(Debug)]
pub(super) enum Decoded {
    Connect {
        namespace: Box<str>,
        payload: Option<String>,
    },
    ConnectError {
        namespace: Box<str>,
        body: ConnectErrorBody,
    },
    Disconnect {
        namespace: Box<str>,
    },
    Event {
        namespace: Box<str>,
        ack: Option<u64>,
        name: Arc<str>,
        args: ArgsBuf,
    },
    Ack {
        namespace: Box<str>,
        id: u64,
        args: ArgsBuf,
    },
}

impl Decoded {
    fn new(packet: SocketPacket<'_>) -> Self {
        match packet {
            SocketPacket::Connect(packet) => Self::Connect {
                namespace: packet.namespace.into(),
                payload: packet.payload.map(|payload| payload.into_owned()),
            },
            SocketPacket::Disconnect(namespace) => Self::Disconnect {
                namespace: namespace.into(),
            },
            SocketPacket::ConnectError(packet) => Self::ConnectError {
                namespace: packet.namespace.into(),
                body: packet.body(),
            },
            SocketPacket::Event(Event {
                namespace,
                ack,
                name,
                args,
            }) => Self::Event {
                namespace: namespace.into(),
                ack,
                name: name.as_ref().into(),
                args: args.to_buf(),
            },
            SocketPacket::Ack(Ack {
                namespace,
                id,
                args,
            }) => Self::Ack {
                namespace: namespace.into(),
                id,
                args: args.to_buf(),
            },
        }
    }

    /// Returns the type digit.
    pub(super) fn kind(&self) -> u8 {
        let binary = |args: &ArgsBuf| !args.as_args().attachments().is_empty();
        match self {
            Self::Connect { .. } => 0,
            Self::Disconnect { .. } => 1,
            Self::Event { args, .. } if binary(args) => 5,
            Self::Event { .. } => 2,
            Self::Ack { args, .. } if binary(args) => 6,
            Self::Ack { .. } => 3,
            Self::ConnectError { .. } => 4,
        }
    }

    pub(super) fn nsp(&self) -> &str {
        match self {
            Self::Connect { namespace, .. }
            | Self::ConnectError { namespace, .. }
            | Self::Disconnect { namespace }
            | Self::Event { namespace, .. }
            | Self::Ack { namespace, .. } => namespace,
        }
    }

    /// Removes the query of the namespace, which a server of protocol 4 repeats.
    pub(super) fn without_query(mut self) -> Self {
        match &mut self {
            Self::Connect { namespace, .. }
            | Self::ConnectError { namespace, .. }
            | Self::Disconnect { namespace }
            | Self::Event { namespace, .. }
            | Self::Ack { namespace, .. } => {
                if let (path, Some(_)) = v4::split_query(namespace) {
                    *namespace = path.into();
                }
            }
        }
        self
    }
}

/// Decoder of the packets of one connection.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    parser: Parser,
    packets: PacketDecoder,
}

impl Decoder {
    pub(super) fn new(parser: Parser) -> Self {
        Self {
            parser,
            packets: PacketDecoder::new(),
        }
    }

    /// Whether a packet has started whose attachments have not all arrived.
    pub(super) fn is_under_way(&self) -> bool {
        self.packets.missing() > 0
    }

    pub(super) fn text(&mut self, text: &[u8], limits: &Limits) -> Result<Option<Decoded>, String> {
        if self.parser == Parser::Msgpack {
            return Err("text although the parser is msgpack".into());
        }
        let text = std::str::from_utf8(text).map_err(|error| error.to_string())?;
        let packet = self
            .packets
            .text(text, limits)
            .map_err(|error| error.to_string())?;
        Ok(packet.map(Decoded::new))
    }

    pub(super) fn binary(
        &mut self,
        data: &[u8],
        limits: &Limits,
    ) -> Result<Option<Decoded>, String> {
        if self.parser == Parser::Msgpack {
            let packet = msgpack::decode(data, limits).map_err(|error| error.to_string())?;
            return Ok(Some(Decoded::new(packet)));
        }
        let packet = self
            .packets
            .binary(data, limits)
            .map_err(|error| error.to_string())?;
        Ok(packet.as_ref().map(Assembled::packet).map(Decoded::new))
    }
}

/// Returns the number of bytes that arguments hold.
pub(super) fn args_len(args: &ArgsBuf) -> usize {
    args.held_bytes()
}

/// Returns the last argument if it is a string: the offset of connection state recovery.
pub(super) fn last_string(args: &ArgsBuf) -> Option<String> {
    let args = args.as_args();
    let last = args.len().checked_sub(1)?;
    if args.get(last).is_some_and(|json| !json.starts_with('"')) {
        return None;
    }
    args.only(last).decode().ok()
}
