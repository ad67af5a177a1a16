use std::{cell::RefCell, fmt};

use flate2::{Decompress, FlushDecompress, Status};

use super::{Params, TAIL};
use crate::Role;

/// Reason for which a message was not decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InflateError {
    /// The data does not follow RFC 1951.
    #[error("the compressed message is corrupt")]
    Corrupt,
    /// The message expands to more than the limit.
    #[error("the message expands to more than {limit} bytes")]
    TooBig {
        /// Limit in bytes.
        limit: usize,
    },
}

/// Decompresses the messages of one direction of a connection (RFC 7692, section 7.2.2).
///
/// With context takeover it keeps about 50 KB from the first message on. Without, it keeps none: the state is borrowed
/// from the thread while a message is decompressed.
pub struct Decompressor {
    keep: bool,
    /// Whether the last stream ended exactly with the last input, so that the next input begins a new one.
    ended: bool,
    state: Option<Decompress>,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor")
            .field("keeps_context", &self.keep)
            .finish_non_exhaustive()
    }
}

thread_local! {
    static POOL: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

impl Decompressor {
    /// Creates a decompressor for what `role` receives.
    pub fn new(params: &Params, role: Role) -> Decompressor {
        let keep = match role {
            Role::Server => !params.client_no_context_takeover,
            Role::Client => !params.server_no_context_takeover,
        };
        Decompressor {
            keep,
            ended: false,
            state: None,
        }
    }

    /// Whether the window is kept from message to message.
    pub fn keeps_context(&self) -> bool {
        self.keep
    }

    /// Decompresses the next piece of a message and appends the result to `out`, which may reach `limit` bytes.
    ///
    /// # Errors
    ///
    /// If the data is corrupt, or `out` would exceed `limit`; by then it holds at most one byte more.
    pub fn push(
        &mut self,
        piece: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), InflateError> {
        if piece.is_empty() {
            return Ok(());
        }
        self.ended = false;
        self.inflate(piece, out, limit)
    }

    /// Ends a message: all its pieces were pushed.
    ///
    /// # Errors
    ///
    /// As [`push`](Decompressor::push).
    pub fn finish(&mut self, out: &mut Vec<u8>, limit: usize) -> Result<(), InflateError> {
        if !std::mem::take(&mut self.ended) {
            self.inflate(&TAIL, out, limit)?;
        }
        if !self.keep
            && let Some(mut state) = self.state.take()
        {
            state.reset(false);
            POOL.set(Some(state));
        }
        Ok(())
    }

    fn inflate(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), InflateError> {
        // A window of 15 bits reads what a smaller one wrote.
        let state = self
            .state
            .get_or_insert_with(|| POOL.take().unwrap_or_else(|| Decompress::new(false)));
        loop {
            if out.len() == out.capacity() {
                let want = out.capacity().max(input.len().saturating_mul(4)).max(256);
                // One byte over the limit distinguishes a message that exceeds it from one that just fits.
                let room = limit.saturating_add(1).saturating_sub(out.len());
                out.reserve_exact(want.min(room).max(1));
            }
            let (total_in, before) = (state.total_in(), out.len());
            let status = state
                .decompress_vec(input, out, FlushDecompress::Sync)
                .map_err(|_| InflateError::Corrupt)?;
            let taken = (state.total_in() - total_in) as usize;
            input = &input[taken..];
            if out.len() > limit {
                return Err(InflateError::TooBig { limit });
            }
            if status == Status::StreamEnd {
                // A final block in the middle (RFC 7692, section 7.2.3.4): what follows is a new stream.
                state.reset(false);
                if input.is_empty() {
                    self.ended = true;
                    return Ok(());
                }
            } else if out.len() < out.capacity() {
                if input.is_empty() {
                    return Ok(());
                }
                if taken == 0 && out.len() == before {
                    return Err(InflateError::Corrupt);
                }
            }
        }
    }
}
