//! Format of the messages sent, `<sequence>:<nanoseconds>:<stream>:xxxx…`, and verification of those received.

use std::collections::BTreeSet;

/// Message received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    pub(super) sequence: u64,
    /// Time at which it was sent (or due), in nanoseconds since the start.
    pub(super) sent: u64,
    pub(super) stream: u32,
}

/// Writes a message of exactly `len` bytes, at least 64.
pub(super) fn write(out: &mut Vec<u8>, sequence: u64, sent: u64, stream: u32, len: usize) {
    let start = out.len();
    out.extend_from_slice(format!("{sequence}:{sent}:{stream}:").as_bytes());
    out.resize((start + len).max(out.len()), b'x');
}

/// Reads a message; returns `None` if a single byte differs from what was sent.
pub(super) fn read(bytes: &[u8], len: usize) -> Option<Received> {
    if bytes.len() != len {
        return None;
    }
    let mut parts = bytes.splitn(4, |byte| *byte == b':');
    let mut number = || std::str::from_utf8(parts.next()?).ok()?.parse::<u64>().ok();
    let (sequence, sent, stream) = (number()?, number()?, number()?);
    let fill = parts.next()?;
    fill.iter().all(|byte| *byte == b'x').then_some(Received {
        sequence,
        sent,
        stream: u32::try_from(stream).ok()?,
    })
}

/// Messages of one stream that one client has received.
#[derive(Debug, Default)]
pub(super) struct Track {
    next: u64,
    gaps: BTreeSet<u64>,
}

/// Position of a message relative to those received before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Next,
    /// Message that arrives after a later one.
    Late,
    Duplicate,
}

impl Track {
    pub(super) fn take(&mut self, sequence: u64) -> Fit {
        if sequence >= self.next {
            self.gaps.extend(self.next..sequence);
            self.next = sequence + 1;
            Fit::Next
        } else if self.gaps.remove(&sequence) {
            Fit::Late
        } else {
            Fit::Duplicate
        }
    }

    /// Returns the number of messages received.
    pub(super) fn received(&self) -> u64 {
        self.next - self.gaps.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_recognised_to_the_byte() {
        let mut bytes = Vec::new();
        write(&mut bytes, 7, 123_456, 3, 64);
        assert_eq!(bytes.len(), 64);
        assert_eq!(
            read(&bytes, 64),
            Some(Received {
                sequence: 7,
                sent: 123_456,
                stream: 3
            })
        );
        assert_eq!(read(&bytes, 65), None);
        bytes[63] = b'y';
        assert_eq!(read(&bytes, 64), None);
    }

    #[test]
    fn gaps_duplicates_and_late_ones_are_told_apart() {
        let mut track = Track::default();
        assert_eq!(track.take(0), Fit::Next);
        assert_eq!(track.take(2), Fit::Next);
        assert_eq!(track.received(), 2);
        assert_eq!(track.take(1), Fit::Late);
        assert_eq!(track.take(1), Fit::Duplicate);
        assert_eq!(track.take(2), Fit::Duplicate);
        assert_eq!(track.received(), 3);
    }
}
