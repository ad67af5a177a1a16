use std::{cell::RefCell, fmt};

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

use super::{Params, TAIL};
use crate::{OpCode, Role, frame};

/// Bit that marks a compressed message in the first byte of its frame (RFC 7692, section 6).
const RSV1: u8 = 0x40;

/// Compresses the messages of one direction of a connection (RFC 7692, section 7.2.1).
///
/// With context takeover it keeps about 330 KB with a window of 15 bits, and about 240 KB with 12 bits or less. Without
/// context takeover it keeps none: the state is borrowed from the thread.
pub struct Compressor {
    level: u8,
    window_bits: u8,
    kept: Option<Box<Compress>>,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("level", &self.level)
            .field("window_bits", &self.window_bits)
            .field("keeps_context", &self.kept.is_some())
            .finish()
    }
}

impl Compressor {
    /// Creates a compressor for what `role` sends, at a `level` from 0 (none) to 9 (smallest).
    ///
    /// `None` if a window of 8 bits was negotiated, which zlib does not support: then send messages uncompressed, as
    /// RFC 7692 always allows.
    pub fn new(params: &Params, role: Role, level: u8) -> Option<Compressor> {
        let (no_takeover, window_bits) = match role {
            Role::Server => (
                params.server_no_context_takeover,
                params.server_max_window_bits,
            ),
            Role::Client => (
                params.client_no_context_takeover,
                params.client_max_window_bits,
            ),
        };
        let level = level.min(9);
        (9..=15).contains(&window_bits).then(|| Compressor {
            level,
            window_bits,
            kept: (!no_takeover).then(|| Box::new(new_state(level, window_bits))),
        })
    }

    /// Whether the window is kept from message to message. Then every compressed message has to be sent.
    pub fn keeps_context(&self) -> bool {
        self.kept.is_some()
    }

    /// Appends an unmasked frame with the compressed message. It has to be sent, after the frames that were made before
    /// it: with context takeover the peer needs each frame to read the next.
    pub fn frame(&mut self, out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
        let start = frame::begin(out);
        self.compress(payload, out);
        frame::finish(out, start, opcode);
        out[start] |= RSV1;
    }

    /// Appends the compressed payload of a message to `out`; its frame must have RSV1 set.
    pub fn compress(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        match &mut self.kept {
            Some(state) => deflate(state, payload, out),
            None => with_pooled(self.level, self.window_bits, |state| {
                deflate(state, payload, out);
            }),
        }
    }
}

/// Encodes a message as one unmasked, compressed frame for any number of clients, or as an uncompressed one if that is
/// not bigger. `window_bits` is 9 to 15 (other values count as the nearest), `level` 0 (none) to 9 (smallest).
///
/// Send it only to connections whose [`Params::shared_window`] is this one or a bigger one: the message is compressed
/// without context.
pub fn compress_shared(opcode: OpCode, payload: &[u8], window_bits: u8, level: u8) -> Bytes {
    let mut out = Vec::with_capacity(64 + payload.len() / 2);
    compress_shared_into(&mut out, opcode, payload, window_bits, level);
    out.shrink_to_fit();
    Bytes::from(out)
}

/// As [`compress_shared`], appended to a buffer.
pub fn compress_shared_into(
    out: &mut Vec<u8>,
    opcode: OpCode,
    payload: &[u8],
    window_bits: u8,
    level: u8,
) {
    let start = frame::begin(out);
    with_pooled(level.min(9), window_bits.clamp(9, 15), |state| {
        deflate(state, payload, out);
    });
    if out.len() - start >= payload.len() + frame::header_len(payload.len()) {
        out.truncate(start);
        return frame::encode_into(out, opcode, payload);
    }
    frame::finish(out, start, opcode);
    out[start] |= RSV1;
}

fn new_state(level: u8, window_bits: u8) -> Compress {
    Compress::new_with_window_bits(Compression::new(u32::from(level)), false, window_bits)
}

/// Lends a reset state. A state takes 330 KB and some time to create, so every thread keeps the one it used last.
fn with_pooled<T>(level: u8, window_bits: u8, f: impl FnOnce(&mut Compress) -> T) -> T {
    thread_local! {
        static POOL: RefCell<Option<(u8, u8, Compress)>> = const { RefCell::new(None) };
    }
    let pooled = POOL
        .take()
        .filter(|(l, w, _)| (*l, *w) == (level, window_bits));
    let mut state = pooled.map_or_else(|| new_state(level, window_bits), |(_, _, state)| state);
    let result = f(&mut state);
    state.reset();
    POOL.set(Some((level, window_bits, state)));
    result
}

fn deflate(state: &mut Compress, payload: &[u8], out: &mut Vec<u8>) {
    let begin = out.len();
    let mut input = payload;
    out.reserve(payload.len() / 2 + 64);
    loop {
        let before = state.total_in();
        // The only error is a stream in the wrong state, and a state of ours is never in it.
        let _ = state.compress_vec(input, out, FlushCompress::Sync);
        input = &input[(state.total_in() - before) as usize..];
        if input.is_empty() && out.len() < out.capacity() {
            break;
        }
        out.reserve(input.len() + 64);
    }
    if out[begin..].ends_with(&TAIL) {
        out.truncate(out.len() - TAIL.len());
    }
    if out.len() == begin {
        // No output since the last flush: an empty block (RFC 7692, section 7.2.3.6).
        out.push(0);
    }
}
