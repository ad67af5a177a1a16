//! Message in progress: the content of its fragments, or of its decompression, so far.

use super::{DecoderConfig, ProtocolError};

#[derive(Debug)]
pub(super) struct Message {
    pub(super) buf: Vec<u8>,
    pub(super) text: bool,
    pub(super) compressed: bool,
    /// Whether the message was delivered, and is to be freed at the next call.
    pub(super) done: bool,
    fragments: u32,
    /// Number of bytes of `buf` that are known to be UTF-8.
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
        self.reserve(payload, limit)?;
        self.buf.extend_from_slice(payload);
        Ok(())
    }

    /// Appends a small payload that is still masked, if there is a key.
    #[inline]
    pub(super) fn append_masked(
        &mut self,
        payload: &[u8],
        key: &[u8],
        limit: usize,
    ) -> Result<(), ProtocolError> {
        self.reserve(payload, limit)?;
        match key {
            [] => self.buf.extend_from_slice(payload),
            key => self.buf.extend(
                payload
                    .iter()
                    .zip(key.iter().cycle())
                    .map(|(byte, key)| byte ^ key),
            ),
        }
        Ok(())
    }

    #[inline]
    fn reserve(&mut self, payload: &[u8], limit: usize) -> Result<(), ProtocolError> {
        let len = self.buf.len() + payload.len();
        if len > limit {
            return Err(ProtocolError::MessageTooBig { limit });
        }
        if len > self.buf.capacity() {
            let capacity = len.max(self.buf.capacity() * 2).min(limit);
            self.buf.reserve_exact(capacity - self.buf.len());
        }
        Ok(())
    }

    /// Checks the text that has arrived since the last call. A character that is incomplete so far is accepted.
    pub(super) fn check_text(&mut self) -> Result<(), ProtocolError> {
        match simdutf8::compat::from_utf8(&self.buf[self.valid..]) {
            Ok(text) => self.valid += text.len(),
            Err(error) if error.error_len().is_none() => self.valid += error.valid_up_to(),
            Err(_) => return Err(ProtocolError::InvalidUtf8),
        }
        Ok(())
    }
}
