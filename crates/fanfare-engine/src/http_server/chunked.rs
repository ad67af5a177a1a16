//! The chunked coding of a body (RFC 9112, section 7.1).

/// Maximum total length of extensions and trailers, which are ignored, in bytes.
const MAX_CHUNK_OVERHEAD_BYTES: usize = 16 * 1024;
/// Maximum number of hexadecimal digits of the length of a chunk.
const MAX_CHUNK_SIZE_DIGITS: u32 = 15;

/// Incremental decoder of a chunked body, which may arrive in any pieces.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    state: State,
    /// Part of the chunk's length that was read so far, or number of bytes that are missing from the chunk.
    left: u64,
    digits: u32,
    wasted: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Length,
    /// In blanks behind the length, which may precede an extension (RFC 9112, section 7.1.1).
    LengthBlank,
    Extension,
    LengthEnd,
    Data,
    DataEnd,
    DataLf,
    /// At the beginning of a line after the last chunk.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    LastLf,
    Done,
}

/// Error of a malformed body.
#[derive(Debug)]
pub(super) struct Malformed;

impl Chunked {
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Decodes the part of the input that belongs to the body, and returns its length: all of the input, unless the
    /// body ends before.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < input.len() && self.state != State::Done {
            if self.state == State::Data {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX);
                let n = most.min(input.len() - at);
                data(&input[at..at + n]);
                at += n;
                self.left -= n as u64;
                if self.left == 0 {
                    self.state = State::DataEnd;
                }
                continue;
            }
            self.state = self.step(input[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        Ok(match (self.state, byte) {
            (State::Length, _)
                if byte.is_ascii_hexdigit() && self.digits < MAX_CHUNK_SIZE_DIGITS =>
            {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.left = self.left * 16 + u64::from(digit);
                self.digits += 1;
                State::Length
            }
            (State::Length, b';') if self.digits > 0 => State::Extension,
            (State::Length, b'\r') if self.digits > 0 => State::LengthEnd,
            (State::Length, b' ' | b'\t') if self.digits > 0 => self.waste(State::LengthBlank)?,
            (State::LengthBlank, b' ' | b'\t') => self.waste(State::LengthBlank)?,
            (State::LengthBlank, b';') => State::Extension,
            (State::LengthBlank, b'\r') => State::LengthEnd,
            (State::Extension, b'\r') => State::LengthEnd,
            (State::LengthEnd, b'\n') => {
                self.digits = 0;
                match self.left {
                    0 => State::Trailer,
                    _ => State::Data,
                }
            }
            (State::DataEnd, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Length,
            (State::Trailer, b'\r') => State::LastLf,
            (State::TrailerName, b':') => self.waste(State::TrailerValue)?,
            (State::TrailerValue, b'\r') => State::TrailerEnd,
            (State::TrailerEnd, b'\n') => State::Trailer,
            (State::LastLf, b'\n') => State::Done,
            (State::Extension, _) if is_text(byte) => self.waste(State::Extension)?,
            (State::TrailerValue, _) if is_text(byte) => self.waste(State::TrailerValue)?,
            (State::Trailer | State::TrailerName, _) if is_token(byte) => {
                self.waste(State::TrailerName)?
            }
            _ => return Err(Malformed),
        })
    }

    fn waste(&mut self, next: State) -> Result<State, Malformed> {
        self.wasted += 1;
        match self.wasted > MAX_CHUNK_OVERHEAD_BYTES {
            true => Err(Malformed),
            false => Ok(next),
        }
    }
}

/// Whether a field name may contain this byte (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailer_has_a_name_and_a_colon() {
        for line in ["Az b", " a: b", ": b", "a b: c"] {
            let body = format!("3\r\nabc\r\n0\r\n{line}\r\n\r\n");
            assert!(decoded(body.as_bytes(), 1).is_err(), "{line:?}");
        }
        let body = b"3\r\nabc\r\n0\r\nx-Check: 1\r\n\r\n";
        let (data, consumed) = decoded(body, 1).unwrap().unwrap();
        assert_eq!((&data[..], consumed), (&b"abc"[..], body.len()));
    }

    /// Returns the body and its encoded length; `None` if the input is incomplete.
    fn decoded(input: &[u8], cut: usize) -> Result<Option<(Vec<u8>, usize)>, Malformed> {
        let (mut chunked, mut body, mut consumed) = (Chunked::default(), Vec::new(), 0);
        for piece in input.chunks(cut) {
            let n = chunked.decode(piece, |data| body.extend_from_slice(data))?;
            consumed += n;
            if chunked.is_done() {
                return Ok(Some((body, consumed)));
            }
            assert_eq!(n, piece.len());
        }
        Ok(None)
    }

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        let input = b"3;ext=\"x\"\r\nabc\r\n00A \r\n0123456789\r\n0\r\nA: b\r\nC: d\r\n\r\nGET /";
        for cut in 1..=input.len() {
            let (body, consumed) = decoded(input, cut).unwrap().unwrap();
            assert_eq!(body, b"abc0123456789");
            assert_eq!(&input[consumed..], b"GET /");
        }
        for end in 0..input.len() - 5 {
            assert!(decoded(&input[..end], 1 << 10).unwrap().is_none(), "{end}");
        }
    }

    #[test]
    fn what_is_not_in_order_is_rejected() {
        for input in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\n",
            "0x1\r\n",
            ";a\r\n",
            "1\n",
            "1\r\nab",
            "1\r\na\n0",
            "0\n\r\n",
            "0\r\n\n",
            "0\r\nA: b\n",
            "1;\0\r\n",
            "0 x\r\n",
            "1111111111111111\r\n",
        ] {
            assert!(decoded(input.as_bytes(), 1).is_err(), "{input:?}");
        }
        let waste = format!("1;{}", "x".repeat(MAX_CHUNK_OVERHEAD_BYTES + 1));
        assert!(decoded(waste.as_bytes(), 100).is_err());
        let waste = format!(
            "0\r\n{}",
            "x: y\r\n".repeat(MAX_CHUNK_OVERHEAD_BYTES / 4 + 1)
        );
        assert!(decoded(waste.as_bytes(), 100).is_err());
    }
}
