//! Encoding of frames (RFC 6455, section 5.2), and iteration over our own frames.
//!
//! A server's frames are not masked, so one encoded frame can be shared by every connection: [`prepare`] makes such a
//! frame. [`begin`] and [`finish`] put a frame around a payload that is serialized straight into the output.

use std::ops::Range;

use bytes::Bytes;

use crate::{CloseCode, OpCode, close, mask};

/// Maximum length of a frame header in bytes: two bytes, a 64-bit length and a masking key.
pub const MAX_HEADER: usize = 14;

/// Number of bytes that [`begin`] reserves: enough for payloads of up to 125 bytes.
const RESERVED: usize = 2;

/// Writes the header of an unmasked, final frame into `buf` and returns its length: 2, 4 or 10.
///
/// `rsv1` marks a message compressed by permessage-deflate (RFC 7692, section 6).
#[inline]
pub fn header(buf: &mut [u8; 10], opcode: OpCode, rsv1: bool, len: usize) -> usize {
    buf[0] = 0x80 | (u8::from(rsv1) << 6) | opcode.bits();
    if len <= 125 {
        buf[1] = len as u8;
        2
    } else if let Ok(len) = u16::try_from(len) {
        buf[1] = 126;
        buf[2..4].copy_from_slice(&len.to_be_bytes());
        4
    } else {
        buf[1] = 127;
        buf[2..10].copy_from_slice(&(len as u64).to_be_bytes());
        10
    }
}

/// Returns the length of the header of an unmasked frame for a payload of `len` bytes: 2, 4 or 10.
#[inline]
pub const fn header_len(len: usize) -> usize {
    match len {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => 10,
    }
}

/// Appends one unmasked, final frame, as a server sends it.
#[inline]
pub fn encode_into(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    encode_rsv_into(out, opcode, false, payload);
}

/// As [`encode_into`], with the bit that marks a compressed message.
#[inline]
pub fn encode_rsv_into(out: &mut Vec<u8>, opcode: OpCode, rsv1: bool, payload: &[u8]) {
    let mut head = [0; 10];
    let n = header(&mut head, opcode, rsv1, payload.len());
    out.reserve(n + payload.len());
    out.extend_from_slice(&head[..n]);
    out.extend_from_slice(payload);
}

/// Appends one masked, final frame, as a client sends it. See [`mask::random_key`] for the key.
#[inline]
pub fn encode_masked_into(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8], key: [u8; 4]) {
    encode_masked_rsv_into(out, opcode, false, payload, key);
}

/// As [`encode_masked_into`], with the bit that marks a compressed message.
pub fn encode_masked_rsv_into(
    out: &mut Vec<u8>,
    opcode: OpCode,
    rsv1: bool,
    payload: &[u8],
    key: [u8; 4],
) {
    let mut head = [0; 10];
    let n = header(&mut head, opcode, rsv1, payload.len());
    head[1] |= 0x80;
    out.reserve(n + 4 + payload.len());
    out.extend_from_slice(&head[..n]);
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(&mut out[start..], key);
}

/// Returns the payload of a close frame: the code and as much of the reason as fits into 125 bytes. Empty if the code
/// may not be sent (see [`CloseCode::is_sendable`]), as for [`CloseCode::NO_STATUS`].
pub fn close_payload(code: CloseCode, reason: &str) -> Vec<u8> {
    if !code.is_sendable() {
        return Vec::new();
    }
    let reason = close::truncated(reason);
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.0.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    payload
}

/// Encodes one unmasked, final frame as shared bytes: encoded once, sent to any number of connections.
pub fn prepare(opcode: OpCode, payload: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(header_len(payload.len()) + payload.len());
    encode_into(&mut out, opcode, payload);
    Bytes::from(out)
}

/// Begins a frame at the end of `out`: the caller now appends the payload to `out`, then calls [`finish`] with the
/// value returned here.
#[inline]
#[must_use = "`finish` needs to know where the frame begins"]
pub fn begin(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; RESERVED]);
    start
}

/// Finishes the unmasked, final frame that [`begin`] began at `start`: everything after it is the payload.
///
/// A payload of more than 125 bytes is moved up by two or eight bytes to make space for its length.
///
/// # Panics
///
/// If `start` did not come from [`begin`] on the same `out`, or `out` was truncated since.
#[inline]
pub fn finish(out: &mut Vec<u8>, start: usize, opcode: OpCode) {
    let len = out.len() - start - RESERVED;
    if len <= 125 {
        out[start] = 0x80 | opcode.bits();
        out[start + 1] = len as u8;
    } else {
        finish_long(out, start, opcode, len);
    }
}

#[inline(never)]
fn finish_long(out: &mut Vec<u8>, start: usize, opcode: OpCode, len: usize) {
    let mut head = [0; 10];
    let n = header(&mut head, opcode, false, len);
    let end = out.len();
    out.resize(end + n - RESERVED, 0);
    out.copy_within(start + RESERVED..end, start + n);
    out[start..start + n].copy_from_slice(&head[..n]);
}

/// Finishes the frame that [`begin`] began at `start` as a masked one, as a client sends it.
///
/// # Panics
///
/// As [`finish`].
pub fn finish_masked(out: &mut Vec<u8>, start: usize, opcode: OpCode, key: [u8; 4]) {
    let len = out.len() - start - RESERVED;
    let mut head = [0; MAX_HEADER];
    let mut plain = [0; 10];
    let n = header(&mut plain, opcode, false, len);
    head[..n].copy_from_slice(&plain[..n]);
    head[1] |= 0x80;
    head[n..n + 4].copy_from_slice(&key);
    let end = out.len();
    out.resize(end + n + 4 - RESERVED, 0);
    out.copy_within(start + RESERVED..end, start + n + 4);
    out[start..start + n + 4].copy_from_slice(&head[..n + 4]);
    mask::apply(&mut out[start + n + 4..], key);
}

/// Parses the frame at the beginning of `bytes`, as [`encode_into`], [`prepare`] or [`finish`] wrote it: returns its
/// opcode, the range of its payload, and the end of the frame.
///
/// `None` if `bytes` is empty or does not begin with a whole, unmasked frame that is final and not compressed. This
/// is for iterating over our own frames; input of a peer goes through [`Decoder`](crate::Decoder).
#[inline]
pub fn parse_unmasked(bytes: &[u8]) -> Option<(OpCode, Range<usize>, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    if first & 0xF0 != 0x80 {
        return None;
    }
    let opcode = OpCode::from_bits(first & 0x0F)?;
    let (start, len): (usize, usize) = match second {
        0..=125 => (2, usize::from(second)),
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?,
        ),
        _ => return None,
    };
    let total = start.checked_add(len)?;
    (total <= bytes.len()).then_some((opcode, start..total, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_the_examples_of_rfc_6455() {
        let mut out = Vec::new();
        encode_into(&mut out, OpCode::Text, b"Hello");
        assert_eq!(out, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        out.clear();
        encode_masked_into(&mut out, OpCode::Text, b"Hello", [0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(
            out,
            [
                0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58
            ]
        );
        let binary = prepare(OpCode::Binary, &[0; 256]);
        assert_eq!(binary[..4], [0x82, 0x7E, 0x01, 0x00]);
        let big = prepare(OpCode::Binary, &[0; 65536]);
        assert_eq!(big[..10], [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn begin_and_finish_make_the_frame_that_encode_into_makes() {
        for len in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
            let payload: Vec<u8> = (0..len).map(|i| i as u8).collect();
            let mut expected = b"before".to_vec();
            encode_into(&mut expected, OpCode::Text, &payload);
            let mut out = b"before".to_vec();
            let start = begin(&mut out);
            out.extend_from_slice(&payload);
            finish(&mut out, start, OpCode::Text);
            assert_eq!(out, expected, "length {len}");
            assert_eq!(out.len(), 6 + header_len(len) + len);

            let key = [1, 2, 3, 4];
            let mut expected = b"before".to_vec();
            encode_masked_into(&mut expected, OpCode::Binary, &payload, key);
            let mut out = b"before".to_vec();
            let start = begin(&mut out);
            out.extend_from_slice(&payload);
            finish_masked(&mut out, start, OpCode::Binary, key);
            assert_eq!(out, expected, "length {len}, masked");
        }
    }

    #[test]
    fn walks_its_own_frames() {
        let mut out = Vec::new();
        let payloads = [vec![1; 5], vec![2; 300], vec![3; 70000], vec![]];
        for payload in &payloads {
            encode_into(&mut out, OpCode::Binary, payload);
        }
        let mut rest = &out[..];
        for payload in &payloads {
            let (opcode, range, total) = parse_unmasked(rest).unwrap();
            assert_eq!((opcode, &rest[range]), (OpCode::Binary, &payload[..]));
            rest = &rest[total..];
        }
        assert!(parse_unmasked(rest).is_none());
        assert!(parse_unmasked(&out[..6]).is_none(), "cut short");
        assert!(
            parse_unmasked(&[0x81, 0x80, 0, 0, 0, 0]).is_none(),
            "masked"
        );
        assert!(parse_unmasked(&[0x01, 0x00]).is_none(), "a fragment");
        assert!(parse_unmasked(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]).is_none());
    }

    #[test]
    fn a_close_payload_fits_and_leaves_out_codes_that_may_not_be_sent() {
        assert_eq!(close_payload(CloseCode::NORMAL, "bye"), b"\x03\xe8bye");
        assert_eq!(close_payload(CloseCode::NO_STATUS, "bye"), b"");
        assert_eq!(
            close_payload(CloseCode::NORMAL, &"x".repeat(500)).len(),
            125
        );
    }
}
