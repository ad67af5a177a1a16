//! Encodings of a message for different connections: unchanged, with binary messages as in Engine.IO v3, compressed.

use std::sync::atomic::{AtomicU8, Ordering};

use fanfare_websocket::deflate::{self, Params, compress_shared_into};

use crate::encoded_message::EncodedMessage;
use crate::encoded_message::{Frames, Framing};
use crate::outgoing_frames::OutgoingFrames;

/// Negotiated compression of the messages to a connection, in one byte that is read without the lock.
///
/// It is set after the WebSocket has become the sink of the outbox and never changes back: a thread that reads it and
/// then takes the lock finds the WebSocket.
#[derive(Debug, Default)]
pub(crate) struct Deflate(AtomicU8);

/// Flag of a connection with a separate compressor; the other bits are its window.
const OWN: u8 = 0x80;

/// Compression of the messages to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Each message by itself, with a window of this number of bits.
    Shared(u8),
    /// With context takeover, in the order in which the messages leave.
    Own(u8),
}

impl Deflate {
    /// Whether messages are compressed.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn get(&self) -> Option<Compression> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            bits if bits & OWN == 0 => Some(Compression::Shared(bits)),
            bits => Some(Compression::Own(bits & !OWN)),
        }
    }

    pub(crate) fn agree(&self, params: Option<Params>) {
        let Some(params) = params else { return };
        let bits = params.server_max_window_bits;
        let byte = match params.shared_window() {
            Some(window) => window,
            None if bits >= 9 => OWN | bits,
            // Zlib has no window of 8 bits; what we send may always be uncompressed (RFC 7692, section 6).
            None => 0,
        };
        self.0.store(byte, Ordering::Relaxed);
    }
}

/// Encodings of one message, each made when the first connection needs it.
pub(crate) struct Encodings<'a> {
    message: &'a EncodedMessage,
    compress: bool,
    /// Framing, and window of the compression; 0: none.
    made: Vec<((Framing, u8), EncodedMessage)>,
}

impl<'a> Encodings<'a> {
    /// Creates the set of encodings. `compress`: whether the message is worth compressing.
    pub(crate) fn new(message: &'a EncodedMessage, compress: bool) -> Encodings<'a> {
        Encodings {
            message,
            compress: compress && !message.uncompressed,
            made: Vec::new(),
        }
    }

    /// Whether the message is worth compressing.
    pub(crate) fn compress(&self) -> bool {
        self.compress
    }

    /// Whether the message is binary.
    pub(crate) fn is_binary(&self) -> bool {
        self.message.binary
    }

    /// Returns the frames as they were made.
    #[inline]
    pub(crate) fn unchanged(&self) -> OutgoingFrames<'_> {
        OutgoingFrames::Shared(&self.message.frames)
    }

    /// Returns the frames with this framing, compressed as the recipient has negotiated and `config` says.
    pub(crate) fn encoded(
        &mut self,
        framing: Framing,
        negotiated: Option<Compression>,
        config: &deflate::Config,
    ) -> OutgoingFrames<'_> {
        let deflate = negotiated.filter(|_| self.compress);
        let (window, own) = match deflate {
            Some(Compression::Shared(window)) if self.message.len() >= config.threshold => {
                (window, false)
            }
            Some(Compression::Own(_)) => (0, true),
            _ => (0, false),
        };
        let compress = self.compress;
        let frames = if framing != Framing::Plain || window > 0 {
            &self.made_for((framing, window), config).frames
        } else {
            &self.message.frames
        };
        match (own, compress) {
            (true, _) => OutgoingFrames::Deflate(frames),
            (false, true) => OutgoingFrames::Shared(frames),
            (false, false) => OutgoingFrames::Raw(frames),
        }
    }

    fn made_for(&mut self, key: (Framing, u8), config: &deflate::Config) -> &EncodedMessage {
        let at = match self.made.iter().position(|(made, _)| *made == key) {
            Some(at) => at,
            None => {
                let (framing, window) = key;
                let mut encoded = self.message.clone();
                if framing != Framing::Plain {
                    encoded = encoded.framed(framing);
                }
                if window > 0 {
                    encoded = compressed(&encoded, window, config);
                }
                self.made.push((key, encoded));
                self.made.len() - 1
            }
        };
        &self.made[at].1
    }
}

/// Compresses each frame by itself, if it is long enough.
fn compressed(
    message: &EncodedMessage,
    window_bits: u8,
    config: &deflate::Config,
) -> EncodedMessage {
    let mut out = Vec::with_capacity(64 + message.frames.len() / 2);
    for frame in Frames::of(&message.frames) {
        if frame.payload.len() < config.threshold {
            out.extend_from_slice(frame.whole);
        } else {
            let (opcode, level) = (frame.opcode, config.level);
            compress_shared_into(&mut out, opcode, frame.payload, window_bits, level);
        }
    }
    out.shrink_to_fit();
    EncodedMessage {
        frames: out.into(),
        ..message.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_made_once() {
        let message = EncodedMessage::text(&"again and ".repeat(300));
        let config = deflate::Config::default();
        let mut encodings = Encodings::new(&message, true);
        let first = encodings
            .made_for((Framing::Plain, 15), &config)
            .frames
            .clone();
        assert!(first.len() < 100, "{}", first.len());
        let other = encodings
            .made_for((Framing::Plain, 10), &config)
            .frames
            .clone();
        let again = encodings
            .made_for((Framing::Plain, 15), &config)
            .frames
            .clone();
        assert_eq!(first.as_ptr(), again.as_ptr());
        assert_ne!(first.as_ptr(), other.as_ptr());
        assert_eq!(encodings.made.len(), 2);
    }

    #[test]
    fn one_byte_says_what_was_agreed_on() {
        let params = |no_takeover, bits| Params {
            server_no_context_takeover: no_takeover,
            client_no_context_takeover: true,
            server_max_window_bits: bits,
            client_max_window_bits: 15,
        };
        for (agreed, expected) in [
            (None, None),
            (Some(params(true, 15)), Some(Compression::Shared(15))),
            (Some(params(true, 9)), Some(Compression::Shared(9))),
            (Some(params(true, 8)), None),
            (Some(params(false, 12)), Some(Compression::Own(12))),
            (Some(params(false, 8)), None),
        ] {
            let deflate = Deflate::default();
            deflate.agree(agreed);
            assert_eq!(deflate.get(), expected, "{agreed:?}");
            assert_eq!(deflate.is_on(), expected.is_some());
        }
    }
}
