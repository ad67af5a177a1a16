//! Messages that are encoded and framed once and sent to any number of connections.

use std::fmt;

use bytes::Bytes;
use fanfare_protocol::engine::v3;
use fanfare_websocket::{OpCode, frame};

/// How binary messages are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As they are.
    Plain,
    /// With the packet type in front (Engine.IO v3).
    Typed,
    /// As text: `b`, the packet type, base64 (Engine.IO v3 with `b64`).
    Base64,
}

/// One or more Engine.IO message packets, framed for WebSocket, as shared bytes: a clone costs a reference count.
///
/// What other transports need (long-polling, Engine.IO v3, permessage-deflate) is derived from this form.
#[derive(Clone, Default)]
pub struct Prepared {
    pub(crate) frames: Bytes,
    pub(crate) packets: u32,
    /// Whether there is a binary packet: Engine.IO v3 frames those differently.
    pub(crate) binary: bool,
    /// It is not worth compressing.
    pub(crate) uncompressed: bool,
}

impl Prepared {
    /// Prepares what `write` puts into the buffer.
    pub fn build(write: impl FnOnce(&mut PreparedBuf)) -> Prepared {
        let mut buf = PreparedBuf::default();
        write(&mut buf);
        buf.finish()
    }

    /// An empty buffer.
    pub fn builder() -> PreparedBuf {
        PreparedBuf::default()
    }

    /// Prepares one text message.
    pub fn text(data: &str) -> Prepared {
        Prepared::build(|buf| buf.text(|out| out.extend_from_slice(data.as_bytes())))
    }

    /// Prepares one binary message.
    pub fn binary(data: &[u8]) -> Prepared {
        Prepared::build(|buf| buf.binary(data))
    }

    /// How many Engine.IO packets there are.
    pub fn packets(&self) -> usize {
        self.packets as usize
    }

    /// How many bytes the WebSocket form has.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// A copy of what lies in a buffer.
    pub(crate) fn copied(buf: &PreparedBuf) -> Prepared {
        Prepared {
            frames: Bytes::copy_from_slice(&buf.out),
            packets: buf.packets,
            binary: buf.binary,
            uncompressed: buf.uncompressed,
        }
    }

    /// With its binary messages framed in this way.
    pub(crate) fn framed(&self, framing: Framing) -> Prepared {
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
        Prepared {
            frames: Bytes::from(out),
            ..self.clone()
        }
    }

    /// Marks the message as not worth compressing: it goes out as it is, also where compression was negotiated.
    #[must_use]
    pub fn uncompressed(mut self) -> Prepared {
        self.uncompressed = true;
        self
    }

    /// The WebSocket form: whole, unmasked frames.
    pub fn frames(&self) -> &Bytes {
        &self.frames
    }
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("packets", &self.packets)
            .field("bytes", &self.frames.len())
            .finish()
    }
}

/// Where messages are encoded: each goes straight into its frame.
#[derive(Default)]
pub struct PreparedBuf {
    pub(crate) out: Vec<u8>,
    pub(crate) packets: u32,
    pub(crate) binary: bool,
    pub(crate) uncompressed: bool,
}

impl PreparedBuf {
    /// See [`Prepared::uncompressed`].
    pub fn uncompressed(&mut self) {
        self.uncompressed = true;
    }

    /// Adds a text message: `write` appends its text (UTF-8) to the buffer it is given and leaves alone what is there.
    #[inline]
    pub fn text(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let start = frame::begin(&mut self.out);
        self.out.push(b'4');
        write(&mut self.out);
        frame::finish(&mut self.out, start, OpCode::Text);
        self.packets += 1;
    }

    /// As [`text`](PreparedBuf::text); if `write` fails, nothing is added.
    ///
    /// # Errors
    ///
    /// What `write` returns.
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

    /// Adds all packets of a message that was prepared before.
    pub fn append(&mut self, message: &Prepared) {
        self.out.extend_from_slice(&message.frames);
        self.packets += message.packets;
        self.binary |= message.binary;
    }

    /// How many bytes there are, framing included.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// How many packets were added.
    pub fn packets(&self) -> usize {
        self.packets as usize
    }

    /// Makes shared bytes of it.
    pub fn finish(self) -> Prepared {
        Prepared {
            frames: Bytes::from(self.out),
            packets: self.packets,
            binary: self.binary,
            uncompressed: self.uncompressed,
        }
    }
}

impl fmt::Debug for PreparedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedBuf")
            .field("packets", &self.packets)
            .field("bytes", &self.out.len())
            .finish()
    }
}

/// Walks our own frames.
pub(crate) struct Frames<'a>(&'a [u8]);

/// One of our own frames.
pub(crate) struct OwnFrame<'a> {
    pub(crate) opcode: OpCode,
    pub(crate) payload: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Frames<'a> {
    /// `frames`: whole ones, neither masked nor compressed.
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
