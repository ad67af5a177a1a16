//! One Engine.IO packet.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 engine that is lenient about padding and trailing bits, as Node's `Buffer.from(text, "base64")` is.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Type of an Engine.IO packet; the discriminant is the digit on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// First packet of a session, with the handshake as JSON.
    Open = 0,
    /// The session has ended.
    Close = 1,
    /// Heartbeat, or the probe of an upgrade.
    Ping = 2,
    /// Answer to a ping.
    Pong = 3,
    /// A message for the layer above.
    Message = 4,
    /// The client has switched to the probed transport.
    Upgrade = 5,
    /// Empty packet; ends a pending poll.
    Noop = 6,
}

impl PacketType {
    /// Returns the digit on the wire, in ASCII.
    #[must_use]
    pub const fn digit(self) -> u8 {
        b'0' + self as u8
    }

    /// Returns the type written as this ASCII digit.
    #[must_use]
    pub const fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }

    /// Returns the protocol's name for the type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Ping => "ping",
            Self::Pong => "pong",
            Self::Message => "message",
            Self::Upgrade => "upgrade",
            Self::Noop => "noop",
        }
    }
}

/// Content of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text, without the type digit; empty if the packet carries nothing.
    Text(&'a str),
    /// Bytes; owned if they came as base64.
    Binary(Cow<'a, [u8]>),
}

impl<'a> Data<'a> {
    /// Returns the text, if it is text.
    #[must_use]
    pub fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

/// One Engine.IO packet, borrowed from the received bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Type of the packet.
    pub kind: PacketType,
    /// Content of the packet.
    pub data: Data<'a>,
}

impl<'a> Packet<'a> {
    /// Creates a packet with text.
    #[must_use]
    pub const fn text(kind: PacketType, data: &'a str) -> Self {
        Self {
            kind,
            data: Data::Text(data),
        }
    }

    /// Creates a binary message.
    #[must_use]
    pub const fn binary(data: &'a [u8]) -> Self {
        Self {
            kind: PacketType::Message,
            data: Data::Binary(Cow::Borrowed(data)),
        }
    }

    /// Decodes the text encoding of revision 4: a type digit and the data, or `b` and base64.
    ///
    /// This is one WebSocket text frame or one element of a payload. A WebSocket *binary* frame is always a message
    /// and needs no decoding.
    ///
    /// # Errors
    /// [`PacketError`] if the packet is empty, of an unknown type, or has invalid base64.
    pub fn decode(text: &'a str) -> Result<Self, PacketError> {
        let (kind, data) = split_kind(text)?;
        match kind {
            Some(kind) => Ok(Self::text(kind, data)),
            None => Ok(Self {
                kind: PacketType::Message,
                data: Data::Binary(Cow::Owned(decode_base64(data)?)),
            }),
        }
    }

    /// Appends the text encoding of revision 4; binary data becomes `b` and base64.
    pub fn encode_text(&self, out: &mut Vec<u8>) {
        match &self.data {
            Data::Text(text) => {
                out.reserve(1 + text.len());
                out.push(self.kind.digit());
                out.extend_from_slice(text.as_bytes());
            }
            Data::Binary(bytes) => {
                out.push(b'b');
                write_base64(out, bytes);
            }
        }
    }
}

/// Splits off the type digit; `None` as type stands for the base64 mark `b`.
pub(super) fn split_kind(text: &str) -> Result<(Option<PacketType>, &str), PacketError> {
    let Some(&first) = text.as_bytes().first() else {
        return Err(PacketError::Empty);
    };
    let kind = match first {
        b'b' => None,
        digit => match PacketType::from_digit(digit) {
            Some(kind) => Some(kind),
            None => {
                return Err(PacketError::UnknownType(
                    text.chars().next().unwrap_or_default(),
                ));
            }
        },
    };
    Ok((kind, text.get(1..).unwrap_or_default()))
}

pub(super) fn decode_base64(text: &str) -> Result<Vec<u8>, PacketError> {
    BASE64.decode(text).map_err(|_| PacketError::InvalidBase64)
}

/// Appends `bytes` as padded base64, without an intermediate buffer.
pub(super) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    let room = bytes.len().div_ceil(3) * 4;
    out.resize(start + room, 0);
    // The slice has exactly the length that padded base64 needs, so this cannot fail.
    let written = BASE64.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
    out.truncate(start + written);
}

/// Error of an Engine.IO packet or payload; ends the session with `parse error`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// Missing packet.
    #[error("empty packet")]
    Empty,
    /// The first character names no packet type.
    #[error("unknown packet type {0:?}")]
    UnknownType(char),
    /// Invalid base64 in a packet marked as base64.
    #[error("invalid base64 in a binary packet")]
    InvalidBase64,
    /// Text that is not UTF-8.
    #[error("text packet is not UTF-8")]
    InvalidUtf8,
    /// A length in a revision 3 payload that is missing, no number, or beyond the end.
    #[error("invalid packet length in payload at byte {at}")]
    InvalidLength {
        /// Offset of the length in the payload.
        at: usize,
    },
}

impl PacketError {
    /// Returns a short fixed name, for metrics.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Empty => "empty_packet",
            Self::UnknownType(_) => "unknown_packet_type",
            Self::InvalidBase64 => "invalid_base64",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::InvalidLength { .. } => "invalid_length",
        }
    }
}
