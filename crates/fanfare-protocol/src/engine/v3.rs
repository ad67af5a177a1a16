//! Revision 3 of the protocol, spoken by Socket.IO v1 and v2 clients.
//!
//! Text packets are the same as in revision 4, but payloads are length-prefixed: `length:packet` counted in UTF-16
//! units, or, if the client accepts binary, `0`/`1`, the length's digits as bytes, `255`, and the packet. A binary
//! packet starts with a type byte, in payloads and in WebSocket frames alike; as text it is `b`, a type digit and
//! base64.

use std::borrow::Cow;
use std::ops::Range;

use super::packet::{
    Data, Packet, PacketError, PacketType, decode_base64, split_kind, write_base64,
};

/// Decodes one text packet: a WebSocket text frame, or an element of a text payload.
///
/// # Errors
/// [`PacketError`] if the packet is empty, of an unknown type, or has invalid base64.
pub fn decode_text(text: &str) -> Result<Packet<'_>, PacketError> {
    let (kind, data) = split_kind(text)?;
    match kind {
        Some(kind) => Ok(Packet::text(kind, data)),
        None => {
            let (kind, data) = split_kind(data)?;
            let kind = kind.ok_or(PacketError::UnknownType('b'))?;
            Ok(Packet {
                kind,
                data: Data::Binary(Cow::Owned(decode_base64(data)?)),
            })
        }
    }
}

/// Decodes one binary packet: a WebSocket binary frame, or a binary element of a payload.
///
/// # Errors
/// [`PacketError`] if the packet is empty or of an unknown type.
pub fn decode_binary(bytes: &[u8]) -> Result<Packet<'_>, PacketError> {
    let (&kind, data) = bytes.split_first().ok_or(PacketError::Empty)?;
    let kind = kind
        .checked_add(b'0')
        .and_then(PacketType::from_digit)
        .ok_or(PacketError::UnknownType(char::from(kind)))?;
    Ok(Packet {
        kind,
        data: Data::Binary(Cow::Borrowed(data)),
    })
}

/// Appends a binary message in the encoding of a WebSocket binary frame: the type byte 4 and the data.
pub fn encode_binary(out: &mut Vec<u8>, data: &[u8]) {
    out.reserve(1 + data.len());
    out.push(PacketType::Message as u8);
    out.extend_from_slice(data);
}

/// Appends a binary message as text, for clients that cannot receive bytes: `b4` and base64.
pub fn encode_base64(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(&[b'b', PacketType::Message.digit()]);
    write_base64(out, data);
}

/// Decodes a text body (`Content-Type: text/plain`), packet by packet.
#[must_use]
pub fn decode_text_payload(body: &str) -> TextPackets<'_> {
    TextPackets { body, at: 0 }
}

/// Iterator over the packets of a text body; ends after the first error.
#[derive(Clone, Debug)]
pub struct TextPackets<'a> {
    body: &'a str,
    at: usize,
}

impl TextPackets<'_> {
    /// Returns the bytes not yet read; `None` after the last packet.
    #[must_use]
    pub fn rest_len(&self) -> Option<usize> {
        self.body
            .len()
            .checked_sub(self.at)
            .filter(|rest| *rest > 0)
    }
}

impl<'a> TextPackets<'a> {
    /// Returns the next packet; `None` for one of length 0, which Node skips.
    fn step(&mut self) -> Result<Option<Packet<'a>>, PacketError> {
        let rest = self.body.get(self.at..).unwrap_or_default();
        let found = split_text_packet(rest.as_bytes());
        let packet = found.ok_or(PacketError::InvalidLength { at: self.at })?;
        let (start, end) = (self.at + packet.start, self.at + packet.end);
        self.at = end;
        if packet.is_empty() {
            return Ok(None);
        }
        decode_text(self.body.get(start..end).unwrap_or_default()).map(Some)
    }
}

impl<'a> Iterator for TextPackets<'a> {
    type Item = Result<Packet<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        // An empty body is a parse error, as in Node.
        while self.at < self.body.len() || self.at == 0 {
            match self.step() {
                Ok(Some(packet)) => return Some(Ok(packet)),
                Ok(None) => {}
                Err(error) => {
                    self.at = self.body.len().max(1);
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

/// Decodes a binary body (`Content-Type: application/octet-stream`), packet by packet.
#[must_use]
pub fn decode_binary_payload(body: &[u8]) -> BinaryPackets<'_> {
    BinaryPackets { body, at: 0 }
}

/// Iterator over the packets of a binary body; ends after the first error.
#[derive(Clone, Debug)]
pub struct BinaryPackets<'a> {
    body: &'a [u8],
    at: usize,
}

impl BinaryPackets<'_> {
    /// Returns the bytes not yet read; `None` after the last packet.
    #[must_use]
    pub fn rest_len(&self) -> Option<usize> {
        self.body
            .len()
            .checked_sub(self.at)
            .filter(|rest| *rest > 0)
    }
}

impl<'a> BinaryPackets<'a> {
    fn step(&mut self) -> Result<Packet<'a>, PacketError> {
        let at = self.at;
        let bad = || PacketError::InvalidLength { at };
        let rest = self.body.get(at..).unwrap_or_default();
        let (&text, rest) = rest.split_first().ok_or_else(bad)?;
        let digits = memchr::memchr(255, rest)
            .filter(|&n| n <= MAX_DIGITS)
            .ok_or_else(bad)?;
        let mut len = 0usize;
        for &digit in rest.get(..digits).unwrap_or_default() {
            if digit > 9 {
                return Err(bad());
            }
            len = len * 10 + usize::from(digit);
        }
        if digits == 0 {
            return Err(bad());
        }
        let packet = rest
            .get(digits + 1..)
            .and_then(|data| data.get(..len))
            .ok_or_else(bad)?;
        self.at = at + 1 + digits + 1 + len;
        match text {
            0 => decode_text(std::str::from_utf8(packet).map_err(|_| PacketError::InvalidUtf8)?),
            1 => decode_binary(packet),
            _ => Err(bad()),
        }
    }
}

impl<'a> Iterator for BinaryPackets<'a> {
    type Item = Result<Packet<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.body.len() {
            return None;
        }
        let packet = self.step();
        if packet.is_err() {
            self.at = self.body.len();
        }
        Some(packet)
    }
}

/// Writer of a text body, packet by packet, after the existing content of `out`.
#[derive(Debug)]
pub struct TextEncoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> TextEncoder<'a> {
    /// Starts a body at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends a packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        match &packet.data {
            Data::Text(text) => {
                write_length(self.out, 1 + utf16_len(text.as_bytes()));
                self.out.push(packet.kind.digit());
                self.out.extend_from_slice(text.as_bytes());
            }
            Data::Binary(bytes) => {
                write_length(self.out, 2 + bytes.len().div_ceil(3) * 4);
                self.out.extend_from_slice(&[b'b', packet.kind.digit()]);
                write_base64(self.out, bytes);
            }
        }
    }

    /// Appends a text packet that is encoded already, type digit included; it must be UTF-8.
    pub fn raw(&mut self, packet: &[u8]) {
        write_length(self.out, utf16_len(packet));
        self.out.extend_from_slice(packet);
    }

    /// Appends a binary message.
    pub fn binary(&mut self, data: &[u8]) {
        self.packet(&Packet::binary(data));
    }
}

/// Writer of a binary body, packet by packet, after the existing content of `out`.
#[derive(Debug)]
pub struct BinaryEncoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> BinaryEncoder<'a> {
    /// Starts a body at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    /// Appends a packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        let (text, kind, data) = match &packet.data {
            Data::Text(data) => (true, packet.kind.digit(), data.as_bytes()),
            Data::Binary(data) => (false, packet.kind as u8, data.as_ref()),
        };
        self.header(text, 1 + data.len());
        self.out.push(kind);
        self.out.extend_from_slice(data);
    }

    /// Appends a text packet that is encoded already, type digit included; it must be UTF-8.
    pub fn raw(&mut self, packet: &[u8]) {
        self.header(true, packet.len());
        self.out.extend_from_slice(packet);
    }

    /// Appends a binary message.
    pub fn binary(&mut self, data: &[u8]) {
        self.packet(&Packet::binary(data));
    }

    fn header(&mut self, text: bool, len: usize) {
        self.out.push(u8::from(!text));
        let mut digits = itoa::Buffer::new();
        self.out
            .extend(digits.format(len).bytes().map(|digit| digit - b'0'));
        self.out.push(255);
    }
}

/// Maximum number of digits of a length: more than any accepted length has, few enough not to overflow.
const MAX_DIGITS: usize = 15;

fn parse_length(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn write_length(out: &mut Vec<u8>, len: usize) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(len).as_bytes());
    out.push(b':');
}

/// Number of UTF-16 units of a UTF-8 text: one per character, two if it is four bytes long.
fn utf16_len(utf8: &[u8]) -> usize {
    utf8.iter()
        .map(|&byte| usize::from(byte & 0xc0 != 0x80) + usize::from(byte >= 0xf0))
        .sum()
}

/// Returns the bytes of the first packet of a text body, which follow its length; `None` if the length is wrong. Where
/// the body is UTF-8, so is the packet.
pub(crate) fn split_text_packet(body: &[u8]) -> Option<Range<usize>> {
    let colon = memchr::memchr(b':', body.get(..=MAX_DIGITS).unwrap_or(body))?;
    let units = parse_length(body.get(..colon)?)?;
    let start = colon + 1;
    let len = utf16_prefix(body.get(start..)?, units)?;
    Some(start..start + len)
}

/// Number of bytes of the prefix of the UTF-8 text that is `units` UTF-16 units long; `None` if the text is shorter or
/// the prefix would end inside a character.
fn utf16_prefix(utf8: &[u8], units: usize) -> Option<usize> {
    // In ASCII, the prefix has as many bytes as units.
    if utf8.get(..units)?.is_ascii() {
        return Some(units);
    }
    let (mut at, mut left) = (0, units);
    while left > 0 {
        let (bytes, units) = match utf8.get(at)? {
            ..0xc0 => (1, 1),
            0xc0..0xe0 => (2, 1),
            0xe0..0xf0 => (3, 1),
            0xf0.. => (4, 2),
        };
        left = left.checked_sub(units)?;
        at += bytes;
    }
    (at <= utf8.len()).then_some(at)
}
