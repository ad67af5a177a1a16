//! The message under way: what its fragments, or its decompression, have brought so far.

use super::{DecoderConfig, ProtocolError};

#[derive(Debug)]
pub(super) struct Message {
    pub(super) buf: Vec<u8>,
    pub(super) text: bool,
    pub(super) compressed: bool,
    /// Delivered: to be freed at the next call.
    pub(super) done: bool,
    fragments: u32,
    /// How much of `buf` is known to be UTF-8.
    valid: usize,
}

impl Message {
    pub(super) fn new(text: bool, compressed: bool) -> Message {
        Message {
            buf: Vec::new(),
            text,
            compressed,
            done: false,
            fragments: 0,
            valid: 0,
        }
    }

    /// Counts one more fragment.
    pub(super) fn count(&mut self, config: &DecoderConfig) -> Result<(), ProtocolError> {
        self.fragments += 1;
        if self.fragments > config.max_fragments {
            return Err(ProtocolError::TooManyFragments {
                limit: config.max_fragments,
            });
        }
        Ok(())
    }

    /// Appends plain payload. Memory grows with what has arrived, doubling, and never over the limit.
    pub(super) fn append(&mut self, payload: &[u8], limit: usize) -> Result<(), ProtocolError> {
        let len = self.buf.len() + payload.len();
        if len > limit {
            return Err(ProtocolError::MessageTooBig { limit });
        }
        if len > self.buf.capacity() {
            let capacity = len.max(self.buf.capacity() * 2).min(limit);
            self.buf.reserve_exact(capacity - self.buf.len());
        }
        self.buf.extend_from_slice(payload);
        Ok(())
    }

    /// Checks the text that has arrived since the last time. A character that is only begun is fine until more comes.
    pub(super) fn check_text(&mut self) -> Result<(), ProtocolError> {
        match simdutf8::compat::from_utf8(&self.buf[self.valid..]) {
            Ok(text) => self.valid += text.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(ProtocolError::InvalidUtf8),
        }
        Ok(())
    }
}
