//! Several packets in one long-polling body, revision 4.
//!
//! Packets are separated by the record separator `\x1e`; binary ones are `b` and base64.

use super::packet::{Packet, PacketError, PacketType, write_base64};

/// Separator of two packets.
pub const SEPARATOR: u8 = 0x1e;

/// Decodes a body, packet by packet.
///
/// ```
/// use fanfare_protocol::engine::{payload, Packet, PacketType};
/// let packets: Result<Vec<_>, _> = payload::decode("4hello\x1e2").collect();
/// assert_eq!(packets.unwrap(), [Packet::text(PacketType::Message, "hello"), Packet::text(PacketType::Ping, "")]);
/// ```
#[must_use]
pub fn decode(body: &str) -> Packets<'_> {
    Packets { rest: Some(body) }
}

/// Iterator over the packets of a body; ends after the first error.
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    rest: Option<&'a str>,
}

impl Packets<'_> {
    /// Returns the bytes not yet read; `None` after the last packet.
    #[must_use]
    pub fn rest_len(&self) -> Option<usize> {
        self.rest.map(str::len)
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, PacketError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest.take()?;
        let packet = match memchr::memchr(SEPARATOR, rest.as_bytes()) {
            Some(at) => {
                self.rest = rest.get(at + 1..);
                rest.get(..at).unwrap_or_default()
            }
            None => rest,
        };
        let decoded = Packet::decode(packet);
        if decoded.is_err() {
            self.rest = None;
        }
        Some(decoded)
    }
}

impl std::iter::FusedIterator for Packets<'_> {}

/// Writer of a body, packet by packet, after the existing content of `out`.
#[derive(Debug)]
pub struct Encoder<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Encoder<'a> {
    /// Starts a body at the end of `out`.
    pub fn new(out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { out, start }
    }

    /// Appends a packet.
    pub fn packet(&mut self, packet: &Packet<'_>) {
        self.separate();
        packet.encode_text(self.out);
    }

    /// Appends a text packet.
    pub fn text(&mut self, kind: PacketType, data: &str) {
        self.packet(&Packet::text(kind, data));
    }

    /// Appends a text packet that is encoded already, type digit included.
    pub fn raw(&mut self, packet: &[u8]) {
        self.separate();
        self.out.extend_from_slice(packet);
    }

    /// Appends a binary message.
    pub fn binary(&mut self, data: &[u8]) {
        self.separate();
        self.out.push(b'b');
        write_base64(self.out, data);
    }

    /// Number of bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn separate(&mut self) {
        if !self.is_empty() {
            self.out.push(SEPARATOR);
        }
    }
}
