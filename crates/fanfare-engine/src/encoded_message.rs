//! Messages that are encoded and framed once and sent to any number of connections.

use std::fmt;

use bytes::Bytes;
use fanfare_protocol::engine::v3;
use fanfare_websocket::{OpCode, frame};

/// Framing of binary messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Unchanged.
    Plain,
    /// With a leading packet type (Engine.IO v3).
    Typed,
    /// As text: `b`, the packet type, base64 (Engine.IO v3 with `b64`).
    Base64,
}

/// One or more Engine.IO message packets, framed for WebSocket, as shared bytes: a clone costs a reference count.
///
/// What other transports need (long-polling, Engine.IO v3, permessage-deflate) is derived from this encoding.
#[derive(Clone, Default)]
pub struct EncodedMessage {
    pub(crate) frames: Bytes,
    pub(crate) packets: u32,
    /// Whether there is a binary packet: Engine.IO v3 frames those differently.
    pub(crate) binary: bool,
    /// Whether the message is not worth compressing.
    pub(crate) uncompressed: bool,
}

impl EncodedMessage {
    /// Encodes the messages that `write` adds to the builder.
    pub fn build(write: impl FnOnce(&mut MessageBuilder)) -> EncodedMessage {
        let mut buf = MessageBuilder::default();
        write(&mut buf);
        buf.finish()
    }

    /// Returns an empty builder.
    pub fn builder() -> MessageBuilder {
        MessageBuilder::default()
    }

    /// Encodes one text message.
    pub fn text(data: &str) -> EncodedMessage {
        EncodedMessage::build(|buf| buf.text(|out| out.extend_from_slice(data.as_bytes())))
    }

    /// Encodes one binary message.
    pub fn binary(data: &[u8]) -> EncodedMessage {
        EncodedMessage::build(|buf| buf.binary(data))
    }

    /// Number of Engine.IO packets.
    pub fn packets(&self) -> usize {
        self.packets as usize
    }

    /// Length of the WebSocket encoding, in bytes.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Copies the content of a builder.
    pub(crate) fn copied(buf: &MessageBuilder) -> EncodedMessage {
        EncodedMessage {
            frames: Bytes::copy_from_slice(&buf.out),
            packets: buf.packets,
            binary: buf.binary,
            uncompressed: buf.uncompressed,
        }
    }

    /// Returns the message with its binary packets in this framing.
    pub(crate) fn framed(&self, framing: Framing) -> EncodedMessage {
        let mut out = Vec::with_capacity(self.frames.len() + self.packets as usize * 9);
        for frame in Frames::of(&self.frames) {
            if frame.opcode != OpCode::Binary || framing == Framing::Plain {
                out.extend_from_slice(frame.whole);
                continue;
            }
            let start = frame::begin(&mut out);
            if framing == Framing::Base64 {
                v3::encode_base64(&mut out, frame.payload);
                frame::finish(&mut out, start, OpCode::Text);
            } else {
                v3::encode_binary(&mut out, frame.payload);
                frame::finish(&mut out, start, OpCode::Binary);
            }
        }
        EncodedMessage {
            frames: Bytes::from(out),
            ..self.clone()
        }
    }

    /// Marks the message as not worth compressing: it is sent uncompressed even where compression was negotiated.
    #[must_use]
    pub fn uncompressed(mut self) -> EncodedMessage {
        self.uncompressed = true;
        self
    }

    /// WebSocket encoding: whole, unmasked frames.
    pub fn frames(&self) -> &Bytes {
        &self.frames
    }
}

impl fmt::Debug for EncodedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncodedMessage")
            .field("packets", &self.packets)
            .field("bytes", &self.frames.len())
            .finish()
    }
}

/// Buffer that encodes each message straight into its frame.
#[derive(Default)]
pub struct MessageBuilder {
    pub(crate) out: Vec<u8>,
    pub(crate) packets: u32,
    pub(crate) binary: bool,
    pub(crate) uncompressed: bool,
}

impl MessageBuilder {
    /// See [`EncodedMessage::uncompressed`].
    pub fn uncompressed(&mut self) {
        self.uncompressed = true;
    }

    /// Adds a text message: `write` appends its text (UTF-8) to the buffer and leaves the existing content alone.
    #[inline]
    pub fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = frame::begin(&mut self.out);
        self.out.push(b'4');
        write(&mut self.out);
        frame::finish(&mut self.out, start, OpCode::Text);
        self.packets += 1;
    }

    /// As [`text`](MessageBuilder::text); if `write` fails, nothing is added.
    ///
    /// # Errors
    ///
    /// The error that `write` returns.
    #[inline]
    pub fn try_text<T, E>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, E>,
    ) -> Result<T, E> {
        let before = self.out.len();
        let start = frame::begin(&mut self.out);
        self.out.push(b'4');
        match write(&mut self.out) {
            Ok(value) => {
                frame::finish(&mut self.out, start, OpCode::Text);
                self.packets += 1;
                Ok(value)
            }
            Err(error) => {
                self.out.truncate(before);
                Err(error)
            }
        }
    }

    /// Adds a binary message.
    #[inline]
    pub fn binary(&mut self, data: &[u8]) {
        frame::encode_into(&mut self.out, OpCode::Binary, data);
        self.packets += 1;
        self.binary = true;
    }

    /// Adds all packets of an encoded message. If that one must not be compressed, nothing in this builder is.
    pub fn append(&mut self, message: &EncodedMessage) {
        self.out.extend_from_slice(&message.frames);
        self.packets += message.packets;
        self.binary |= message.binary;
        self.uncompressed |= message.uncompressed;
    }

    /// Length in bytes, framing included.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing has been added.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Number of packets that were added.
    pub fn packets(&self) -> usize {
        self.packets as usize
    }

    /// Converts the content into shared bytes.
    pub fn finish(self) -> EncodedMessage {
        EncodedMessage {
            frames: Bytes::from(self.out),
            packets: self.packets,
            binary: self.binary,
            uncompressed: self.uncompressed,
        }
    }
}

impl fmt::Debug for MessageBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBuilder")
            .field("packets", &self.packets)
            .field("bytes", &self.out.len())
            .finish()
    }
}

/// Iterator over our own frames.
pub(crate) struct Frames<'a>(&'a [u8]);

/// A frame that we encoded.
pub(crate) struct OwnFrame<'a> {
    pub(crate) opcode: OpCode,
    pub(crate) payload: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Frames<'a> {
    /// Iterates over `frames`: whole ones, neither masked nor compressed.
    pub(crate) fn of(frames: &'a [u8]) -> Frames<'a> {
        Frames(frames)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = OwnFrame<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (opcode, payload, total) = frame::parse_unmasked(self.0)?;
        let (whole, rest) = self.0.split_at(total);
        self.0 = rest;
        Some(OwnFrame {
            opcode,
            payload: &whole[payload],
            whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_uncompressed_stays_uncompressed() {
        let plain = EncodedMessage::text("x");
        let uncompressed = plain.clone().uncompressed();
        for (first, second, expected) in [
            (&plain, &uncompressed, true),
            (&uncompressed, &plain, true),
            (&plain, &plain, false),
        ] {
            let mut builder = MessageBuilder::default();
            builder.append(first);
            builder.append(second);
            assert_eq!(builder.finish().uncompressed, expected);
        }
    }
}
