//! Decoding of frames (RFC 6455, section 5): [`Decoder`].

mod error;
mod head;
mod message;
#[cfg(test)]
mod tests;

pub use error::ProtocolError;

use self::{
    head::{Head, Parsed},
    message::Message,
};
use crate::{
    CloseCode, CloseFrame, OpCode, Role,
    deflate::{Decompressor, InflateError, Params},
    mask,
};

/// Limits and extensions of a [`Decoder`]. All limits are inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderConfig {
    /// Maximum payload of one frame, in bytes. Default: 16 MiB.
    ///
    /// A frame is decoded when all of it has arrived, so this limits what the caller has to buffer.
    pub max_frame: usize,
    /// Maximum length of a message after decompression, in bytes. Default: 16 MiB.
    pub max_message: usize,
    /// Maximum number of frames in one message. Default: 131 072.
    ///
    /// It limits the work that a peer causes with tiny or empty fragments.
    pub max_fragments: u32,
    /// Negotiated parameters of permessage-deflate (RFC 7692). Default: none.
    pub permessage_deflate: Option<Params>,
}

impl Default for DecoderConfig {
    fn default() -> DecoderConfig {
        DecoderConfig {
            max_frame: 16 << 20,
            max_message: 16 << 20,
            max_fragments: 128 << 10,
            permessage_deflate: None,
        }
    }
}

/// Result of [`Decoder::next`] for the beginning of its input.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded<'a> {
    /// The input does not contain a whole frame yet.
    Incomplete {
        /// Minimum length of input with which the next call can make progress. At most a header more than
        /// [`DecoderConfig::max_frame`].
        need: usize,
    },
    /// The input begins with a whole frame, or several small fragments.
    Event {
        /// Number of consumed bytes: the next call begins behind them.
        consumed: usize,
        /// Content of the frame.
        event: Event<'a>,
    },
}

/// Content of a frame, or of a fragmented message that the frame completes.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// A ping, to be answered with a pong of the same payload.
    Ping(&'a [u8]),
    /// A pong.
    Pong(&'a [u8]),
    /// The close frame of the peer. Nothing behind it must be decoded (RFC 6455, section 5.5.1).
    Close(Option<CloseFrame<'a>>),
    /// One or more fragments of a message that is not complete yet.
    Fragment,
}

/// Decodes the frames of one direction of a connection, in place, from a buffer that the caller lends.
///
/// A frame that is a whole message (as nearly all are) is unmasked in place and borrowed from the buffer. Memory is
/// allocated only while a fragmented or compressed message is in progress; the first call after the message frees it,
/// so a caller that calls [`next`](Decoder::next) until it returns [`Decoded::Incomplete`] keeps none while idle. (The
/// exception: compression *with* context takeover has to keep its window, see [`Params`].)
///
/// ```
/// use fanfare_websocket::{Decoded, Decoder, DecoderConfig, Event, Role};
///
/// let mut decoder = Decoder::new(Role::Server, DecoderConfig::default());
/// let mut input = *b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
/// match decoder.next(&mut input)? {
///     Decoded::Event { consumed, event } => assert_eq!((consumed, event), (11, Event::Text("Hello"))),
///     Decoded::Incomplete { need } => println!("read until there are {need} bytes"),
/// }
/// # Ok::<(), fanfare_websocket::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Decoder {
    config: DecoderConfig,
    message: Option<Box<Message>>,
    inflate: Option<Box<Decompressor>>,
    /// Maximum length of a single-frame message that needs no further check of the limits, in bytes; 0 for clients.
    fast_len: u8,
    role: Role,
}

impl Decoder {
    /// Creates a decoder for the frames that `role` reads.
    pub fn new(role: Role, config: DecoderConfig) -> Decoder {
        let fast_len = match role {
            Role::Server if config.max_fragments > 0 => {
                config.max_frame.min(config.max_message).min(125) as u8
            }
            _ => 0,
        };
        Decoder {
            config,
            message: None,
            inflate: None,
            fast_len,
            role,
        }
    }

    /// Limits and extensions of the decoder.
    pub fn config(&self) -> &DecoderConfig {
        &self.config
    }

    /// Whether no message is in progress and no memory is held for one.
    pub fn is_idle(&self) -> bool {
        self.message.is_none()
    }

    /// Decodes the frame at the beginning of `input`, in place.
    ///
    /// `input` is everything received and not yet consumed. With [`Decoded::Incomplete`] it is unchanged: call again
    /// with the same bytes and more. After an error, and after [`Event::Close`], the connection is over.
    ///
    /// # Errors
    ///
    /// The peer's error, as early as it can be detected: a frame over the limit is rejected by its header, and invalid
    /// UTF-8 by the fragment that makes the text invalid.
    #[inline]
    pub fn next<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Decoded<'a>, ProtocolError> {
        // Fast path: a complete, short, unfragmented, masked text frame.
        if input.len() >= 6 && input[0] == 0x81 && self.message.is_none() {
            // Without the mask bit this wraps to a number over 127, and over every `fast_len`.
            let len = input[1].wrapping_sub(0x80);
            let end = usize::from(len) + 6;
            if len <= self.fast_len && end <= input.len() && self.fast_len != 0 {
                let key = [input[2], input[3], input[4], input[5]];
                let payload = &mut input[6..end];
                mask::apply(payload, key);
                return match simdutf8::basic::from_utf8(payload) {
                    Ok(text) => Ok(Decoded::Event {
                        consumed: end,
                        event: Event::Text(text),
                    }),
                    Err(_) => Err(ProtocolError::InvalidUtf8),
                };
            }
        }
        self.next_any(input)
    }

    /// Consumes the small fragments at the beginning of the input that do not end their message, and returns their
    /// length: a message that a peer sends in pieces of one byte costs little more than its bytes.
    fn fragments(&mut self, input: &[u8]) -> Result<usize, ProtocolError> {
        let Some(message) = self.message.as_deref_mut() else {
            return Ok(0);
        };
        if message.compressed || message.done {
            return Ok(0);
        }
        let (masked, key_len) = match self.role {
            Role::Server => (0x80, 4),
            Role::Client => (0, 0),
        };
        let mut consumed = 0;
        // A continuation without flags, with a length in one byte. Every other frame is handled elsewhere.
        while let [0, second, rest @ ..] = &input[consumed..]
            && let len = usize::from(second ^ masked)
            && len <= 125.min(self.config.max_frame)
            && let Some((key, rest)) = rest.split_at_checked(key_len)
            && let Some(payload) = rest.get(..len)
        {
            message.count(&self.config)?;
            message.append_masked(payload, key, self.config.max_message)?;
            consumed += 2 + key_len + len;
        }
        if consumed > 0 && message.text {
            message.check_text()?;
        }
        Ok(consumed)
    }

    #[inline(never)]
    fn next_any<'a>(&'a mut self, input: &'a mut [u8]) -> Result<Decoded<'a>, ProtocolError> {
        if self.message.as_ref().is_some_and(|message| message.done) {
            self.message = None;
        }
        let consumed = self.fragments(input)?;
        if consumed > 0 {
            return Ok(Decoded::Event {
                consumed,
                event: Event::Fragment,
            });
        }
        let head = match head::parse(input, self.role)? {
            Parsed::Head(head) => head,
            Parsed::Need(need) => return Ok(Decoded::Incomplete { need }),
        };
        self.check(&head)?;
        // It fits: the limit is a usize.
        let len = head.len as usize;
        let end = head.size.saturating_add(len);
        if input.len() < end {
            return Ok(Decoded::Incomplete { need: end });
        }
        let payload = &mut input[head.size..end];
        if let Some(key) = head.key {
            mask::apply(payload, key);
        }
        let event = match head.opcode {
            OpCode::Ping => Event::Ping(payload),
            OpCode::Pong => Event::Pong(payload),
            OpCode::Close => Event::Close(close_frame(payload)?),
            OpCode::Text if head.fin && !head.rsv1 => Event::Text(
                simdutf8::basic::from_utf8(payload).map_err(|_| ProtocolError::InvalidUtf8)?,
            ),
            OpCode::Binary if head.fin && !head.rsv1 => Event::Binary(payload),
            OpCode::Text | OpCode::Binary | OpCode::Continuation => {
                self.assemble(&head, payload)?
            }
        };
        Ok(Decoded::Event {
            consumed: end,
            event,
        })
    }

    /// Rejects what can be rejected by the header alone.
    fn check(&self, head: &Head) -> Result<(), ProtocolError> {
        match head.opcode {
            OpCode::Continuation => {
                if head.rsv1 {
                    return Err(ProtocolError::ReservedBits(0b100));
                }
                if self.message.is_none() {
                    return Err(ProtocolError::UnexpectedContinuation);
                }
            }
            OpCode::Text | OpCode::Binary => {
                if head.rsv1 && self.config.permessage_deflate.is_none() {
                    return Err(ProtocolError::ReservedBits(0b100));
                }
                if self.message.is_some() {
                    return Err(ProtocolError::ExpectedContinuation);
                }
            }
            OpCode::Close | OpCode::Ping | OpCode::Pong => return Ok(()),
        }
        if head.len > self.config.max_frame as u64 {
            return Err(ProtocolError::FrameTooBig {
                len: head.len,
                limit: self.config.max_frame,
            });
        }
        let limit = self.config.max_message;
        let so_far = self.message.as_ref().map_or(0, |message| message.buf.len());
        let compressed = self
            .message
            .as_ref()
            .map_or(head.rsv1, |message| message.compressed);
        // A compressed payload may expand; the decompressor checks that.
        if !compressed && head.len > (limit - so_far.min(limit)) as u64 {
            return Err(ProtocolError::MessageTooBig { limit });
        }
        Ok(())
    }

    /// Adds one frame to a fragmented or compressed message.
    fn assemble<'a>(&'a mut self, head: &Head, payload: &[u8]) -> Result<Event<'a>, ProtocolError> {
        let limit = self.config.max_message;
        let message = match &mut self.message {
            Some(message) => message,
            none => none.insert(Box::new(Message::new(
                head.opcode == OpCode::Text,
                head.rsv1,
            ))),
        };
        message.count(&self.config)?;
        match self.config.permessage_deflate {
            Some(params) if message.compressed => {
                let inflate = self
                    .inflate
                    .get_or_insert_with(|| Box::new(Decompressor::new(&params, self.role)));
                let mut result = inflate.push(payload, &mut message.buf, limit);
                if head.fin && result.is_ok() {
                    result = inflate.finish(&mut message.buf, limit);
                }
                result.map_err(|error| match error {
                    InflateError::Corrupt => ProtocolError::InvalidDeflate,
                    InflateError::TooBig { limit } => ProtocolError::MessageTooBig { limit },
                })?;
                if head.fin && !inflate.keeps_context() {
                    self.inflate = None;
                }
            }
            _ => message.append(payload, limit)?,
        }
        if !head.fin {
            if message.text {
                message.check_text()?;
            }
            return Ok(Event::Fragment);
        }
        message.done = true;
        if message.text {
            let text =
                simdutf8::basic::from_utf8(&message.buf).map_err(|_| ProtocolError::InvalidUtf8)?;
            Ok(Event::Text(text))
        } else {
            Ok(Event::Binary(&message.buf))
        }
    }
}

/// Decodes the payload of a close frame (RFC 6455, section 5.5.1).
fn close_frame(payload: &[u8]) -> Result<Option<CloseFrame<'_>>, ProtocolError> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [_] => return Err(ProtocolError::InvalidClosePayload),
        [a, b, reason @ ..] => (CloseCode(u16::from_be_bytes([*a, *b])), reason),
    };
    if !code.is_sendable() {
        return Err(ProtocolError::InvalidCloseCode(code));
    }
    let reason = std::str::from_utf8(reason).map_err(|_| ProtocolError::InvalidUtf8)?;
    Ok(Some(CloseFrame::new(code, reason)))
}
