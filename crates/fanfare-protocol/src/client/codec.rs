//! Socket.IO packets as the client keeps them: owned, and without the header that depends on when they are sent.

use std::sync::Arc;

use bytes::Bytes;

use super::{EmitError, Packet};
use crate::Limits;
use crate::socket::{
    Ack, ArgsBuf, Assembled, ConnectErrorBody, Decoder as PacketDecoder, EncodeError, Event,
    IntoArgs, Packet as SocketPacket, encode_ack, encode_connect, encode_disconnect, encode_event,
};

/// An encoded event or acknowledgement without its header, so that it can be kept and sent again under another id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    /// `["event",…]` or `[…]`.
    data: Bytes,
    attachments: Vec<Bytes>,
}

impl Payload {
    /// An event with its arguments.
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`] if an argument cannot be serialized or the name is reserved.
    pub fn event<A: IntoArgs + ?Sized>(name: &str, args: &A) -> Result<Self, EmitError> {
        Self::build(|out, attachments| encode_event(out, "/", None, name, args, attachments))
    }

    /// The arguments of an acknowledgement.
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`] if an argument cannot be serialized.
    pub fn ack<A: IntoArgs + ?Sized>(args: &A) -> Result<Self, EmitError> {
        Self::build(|out, attachments| encode_ack(out, "/", 0, args, attachments))
    }

    fn build(
        encode: impl FnOnce(&mut Vec<u8>, &mut Vec<Bytes>) -> Result<(), EncodeError>,
    ) -> Result<Self, EmitError> {
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        encode(&mut out, &mut attachments)
            .map_err(|error| EmitError::NotSerializable(error.to_string()))?;
        // The header has digits and a dash only: the array is what starts at the first bracket.
        let start = out
            .iter()
            .position(|byte| *byte == b'[')
            .unwrap_or(out.len());
        Ok(Self {
            data: Bytes::from(out).slice(start..),
            attachments,
        })
    }

    #[cfg(test)]
    pub(super) fn from_json(data: impl Into<Bytes>, attachments: Vec<Bytes>) -> Self {
        Self {
            data: data.into(),
            attachments,
        }
    }

    /// Encoded bytes, attachments included.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.data.len() + self.attachments.iter().map(Bytes::len).sum::<usize>()
    }

    /// The Engine.IO packets of this payload as an event or acknowledgement.
    pub(super) fn packets(&self, kind: Kind, nsp: &str, ack: Option<u64>) -> Vec<Packet> {
        let mut text = Vec::with_capacity(self.data.len() + nsp.len() + 24);
        text.push(b'4');
        text.push(match (kind, self.attachments.is_empty()) {
            (Kind::Event, true) => b'2',
            (Kind::Ack, true) => b'3',
            (Kind::Event, false) => b'5',
            (Kind::Ack, false) => b'6',
        });
        let mut digits = itoa::Buffer::new();
        if !self.attachments.is_empty() {
            text.extend_from_slice(digits.format(self.attachments.len()).as_bytes());
            text.push(b'-');
        }
        if nsp != "/" {
            text.extend_from_slice(nsp.as_bytes());
            text.push(b',');
        }
        if let Some(ack) = ack {
            text.extend_from_slice(digits.format(ack).as_bytes());
        }
        text.extend_from_slice(&self.data);
        let mut packets = Vec::with_capacity(1 + self.attachments.len());
        packets.push(Packet::Text(text.into()));
        packets.extend(self.attachments.iter().cloned().map(Packet::Binary));
        packets
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Event,
    Ack,
}

/// CONNECT, with the `auth` payload as JSON text.
pub(super) fn connect(nsp: &str, auth: Option<&str>) -> Packet {
    let mut text = b"4".to_vec();
    // Without a payload there is nothing that could fail to serialize.
    let _ = encode_connect::<()>(&mut text, nsp, None);
    text.extend_from_slice(auth.unwrap_or_default().as_bytes());
    Packet::Text(text.into())
}

pub(super) fn disconnect(nsp: &str) -> Packet {
    let mut text = b"4".to_vec();
    encode_disconnect(&mut text, nsp);
    Packet::Text(text.into())
}

/// A packet of the server.
#[derive(Debug)]
pub(super) enum Decoded {
    Connect {
        nsp: Box<str>,
        payload: Option<String>,
    },
    ConnectError {
        nsp: Box<str>,
        body: ConnectErrorBody,
    },
    Disconnect {
        nsp: Box<str>,
    },
    Event {
        nsp: Box<str>,
        ack: Option<u64>,
        name: Arc<str>,
        args: ArgsBuf,
    },
    Ack {
        nsp: Box<str>,
        id: u64,
        args: ArgsBuf,
    },
}

impl Decoded {
    fn new(packet: SocketPacket<'_>) -> Self {
        match packet {
            SocketPacket::Connect(packet) => Self::Connect {
                nsp: packet.namespace.into(),
                payload: packet.payload.map(|payload| payload.into_owned()),
            },
            SocketPacket::Disconnect(nsp) => Self::Disconnect { nsp: nsp.into() },
            SocketPacket::ConnectError(packet) => Self::ConnectError {
                nsp: packet.namespace.into(),
                body: packet.body(),
            },
            SocketPacket::Event(Event {
                namespace,
                ack,
                name,
                args,
            }) => Self::Event {
                nsp: namespace.into(),
                ack,
                name: name.as_ref().into(),
                args: args.to_buf(),
            },
            SocketPacket::Ack(Ack {
                namespace,
                id,
                args,
            }) => Self::Ack {
                nsp: namespace.into(),
                id,
                args: args.to_buf(),
            },
        }
    }

    /// The type digit.
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
            Self::Connect { nsp, .. }
            | Self::ConnectError { nsp, .. }
            | Self::Disconnect { nsp }
            | Self::Event { nsp, .. }
            | Self::Ack { nsp, .. } => nsp,
        }
    }
}

/// Reads the packets of one connection.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    packets: PacketDecoder,
}

impl Decoder {
    pub(super) fn text(&mut self, text: &[u8], limits: &Limits) -> Result<Option<Decoded>, String> {
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
        let packet = self
            .packets
            .binary(data, limits)
            .map_err(|error| error.to_string())?;
        Ok(packet.as_ref().map(Assembled::packet).map(Decoded::new))
    }
}

/// Bytes that arguments hold.
pub(super) fn args_len(args: &ArgsBuf) -> usize {
    let args = args.as_args();
    let text = args.raw_json().map_or(0, str::len);
    text + args.attachments().iter().map(Bytes::len).sum::<usize>()
}

/// The last argument if it is a string: the offset of connection state recovery.
pub(super) fn last_string(args: &ArgsBuf) -> Option<String> {
    let args = args.as_args();
    let last = args.get(args.len().checked_sub(1)?)?;
    if last.starts_with('"') {
        serde_json::from_str(last).ok()
    } else {
        None
    }
}
