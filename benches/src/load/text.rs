//! Text helpers: numbers, filler, WebSocket frames.

/// Masking key of all frames. The protocol requires random ones; a fixed one costs less here and the same in the
/// server.
const MASK: [u8; 4] = [0x1b, 0xa4, 0x7c, 0xe3];

/// Opcodes of RFC 6455.
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// Appends a masked frame whose payload `write` appends.
pub(super) fn frame(out: &mut Vec<u8>, opcode: u8, write: impl FnOnce(&mut Vec<u8>)) {
    // Length of the longest frame header; unused bytes are removed below.
    const HEAD: usize = 14;
    let start = out.len();
    out.resize(start + HEAD, 0);
    write(out);
    let len = out.len() - start - HEAD;
    let mut head = [0; HEAD];
    head[0] = 0x80 | opcode;
    let used = match len {
        0..126 => {
            head[1] = 0x80 | len as u8;
            2
        }
        126..65_536 => {
            head[1] = 0x80 | 126;
            head[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            4
        }
        _ => {
            head[1] = 0x80 | 127;
            head[2..10].copy_from_slice(&(len as u64).to_be_bytes());
            10
        }
    };
    head[used..used + 4].copy_from_slice(&MASK);
    let used = used + 4;
    out[start..start + used].copy_from_slice(&head[..used]);
    out.copy_within(start + HEAD.., start + used);
    out.truncate(start + used + len);
    for (at, byte) in out[start + used..].iter_mut().enumerate() {
        *byte ^= MASK[at % 4];
    }
}

/// Frame from the server.
pub(super) struct Frame<'a> {
    pub(super) opcode: u8,
    pub(super) payload: &'a [u8],
    /// Length including the header, in bytes.
    pub(super) len: usize,
}

/// Parses the first frame of `bytes`; returns `None` if it is incomplete.
pub(super) fn parse_frame(bytes: &[u8]) -> Result<Option<Frame<'_>>, String> {
    let [first, second, ..] = *bytes else {
        return Ok(None);
    };
    if first & 0xf0 != 0x80 || second & 0x80 != 0 {
        return Err(format!(
            "a frame that is fragmented, compressed or masked: {first:#04x} {second:#04x}"
        ));
    }
    let (head, len): (usize, usize) = match second {
        126 => match bytes.get(2..4) {
            Some(&[a, b]) => (4, usize::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|b| <[u8; 8]>::try_from(b).ok()) {
            Some(b) => (
                10,
                usize::try_from(u64::from_be_bytes(b)).unwrap_or(usize::MAX),
            ),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    let end = head.saturating_add(len);
    Ok(bytes.get(head..end).map(|payload| Frame {
        opcode: first & 0x0f,
        payload,
        len: end,
    }))
}

/// Appends eight hexadecimal digits.
pub(super) fn hex(out: &mut Vec<u8>, value: u32) {
    out.extend((0..8).map(|i| b"0123456789abcdef"[(value >> (28 - 4 * i)) as usize & 15]));
}

/// Parses the eight hexadecimal digits at the start.
pub(super) fn unhex(text: &[u8]) -> Option<u32> {
    let mut value = 0;
    for &byte in text.get(..8)? {
        value = value << 4 | char::from(byte).to_digit(16)?;
    }
    Some(value)
}

/// Appends a decimal number.
pub(super) fn decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Parses the decimal number at the start; returns it and the rest.
pub(super) fn undecimal(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    Some((number, &text[digits..]))
}

/// Returns text that JSON does not escape, always the same.
pub(super) fn filler(len: usize) -> Vec<u8> {
    let alphabet = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .";
    let mut state = 0x9e37_79b9_u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            alphabet[(state >> 26) as usize]
        })
        .collect()
}

/// Returns the start of a message, for an error.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_are_what_a_server_expects() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = filler(len);
            let mut out = b"before".to_vec();
            frame(&mut out, BINARY, |out| out.extend_from_slice(&payload));
            let mut bytes = out.split_off(6);
            assert_eq!(bytes[1] & 0x80, 0x80, "clients mask");
            // Unmasked, as the server sends it.
            bytes[1] &= 0x7f;
            let head = bytes.len() - len - 4;
            let key: Vec<u8> = bytes.drain(head..head + 4).collect();
            for (at, byte) in bytes[head..].iter_mut().enumerate() {
                *byte ^= key[at % 4];
            }
            let frame = parse_frame(&bytes).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload), (BINARY, &payload[..]));
            assert_eq!(frame.len, bytes.len());
            assert!(parse_frame(&bytes[..bytes.len() - 1]).unwrap().is_none());
        }
    }

    #[test]
    fn numbers_come_back() {
        for value in [0, 7, 0xdead_beef, u32::MAX] {
            let mut out = Vec::new();
            hex(&mut out, value);
            assert_eq!(unhex(&out), Some(value));
            out.clear();
            decimal(&mut out, u64::from(value));
            out.push(b'[');
            assert_eq!(undecimal(&out), Some((u64::from(value), &b"["[..])));
        }
        assert_eq!(unhex(b"0123"), None);
        assert_eq!(undecimal(b"x"), None);
    }
}
