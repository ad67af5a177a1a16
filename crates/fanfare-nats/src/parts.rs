//! Messages that are longer than one message of NATS.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use fanfare_cluster::dialect::MAX_ID_BYTES;

/// Header of a part: the id of the message, the number of the part, the number of parts.
pub(crate) const PART: &str = "Fanfare-Part";
/// Longest message, in bytes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Number of bytes of a NATS message that are reserved for headers.
const HEADER_BYTES: usize = 512;
/// Shortest part, in bytes, even if a server declares a lower limit.
const MIN_PART_BYTES: usize = 1024;
/// Maximum number of messages of which parts are missing.
const MAX_INCOMPLETE: usize = 64;

/// Divides a message that does not fit into one of at most `max_payload` bytes; `None` if it fits.
pub(crate) fn divide(
    payload: &[u8],
    max_payload: usize,
) -> Option<impl Iterator<Item = (String, &[u8])>> {
    let part = max_payload.saturating_sub(HEADER_BYTES).max(MIN_PART_BYTES);
    if payload.len() <= part {
        return None;
    }
    let id = fanfare_cluster::unique_id();
    let count = payload.len().div_ceil(part);
    let parts = payload.chunks(part).enumerate();
    Some(parts.map(move |(number, part)| (format!("{id} {number} {count}"), part)))
}

/// Messages of which parts are missing. The parts of a message arrive in their order.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    incomplete: VecDeque<Incomplete>,
}

#[derive(Debug)]
struct Incomplete {
    id: String,
    next: usize,
    count: usize,
    data: BytesMut,
}

impl Parts {
    /// Adds a part; returns the message when it is complete. If there are too many incomplete messages, or they are too
    /// long, the oldest are dropped.
    pub(crate) fn take(&mut self, header: &str, part: &Bytes) -> Option<Bytes> {
        let mut fields = header.split(' ');
        let id = fields.next().filter(|id| id.len() <= MAX_ID_BYTES)?;
        let number: usize = fields.next()?.parse().ok()?;
        let count: usize = fields.next()?.parse().ok()?;
        if number == 0 {
            let (next, data) = (0, BytesMut::new());
            let id = id.to_owned();
            self.incomplete.push_back(Incomplete {
                id,
                next,
                count,
                data,
            });
        }
        let index = self.incomplete.iter().position(|found| found.id == id)?;
        let mut found = self.incomplete.remove(index)?;
        let expected = found.next == number && found.count == count;
        if !expected || found.data.len() + part.len() > MAX_MESSAGE_BYTES {
            return None;
        }
        found.data.extend_from_slice(part);
        found.next += 1;
        if found.next == found.count {
            return Some(found.data.freeze());
        }
        self.incomplete.push_back(found);
        while self.incomplete.len() > MAX_INCOMPLETE || self.bytes() > MAX_MESSAGE_BYTES {
            self.incomplete.pop_front();
        }
        None
    }

    /// Returns the number of bytes of all incomplete messages.
    pub(crate) fn bytes(&self) -> usize {
        self.incomplete.iter().map(|found| found.data.len()).sum()
    }

    /// Drops all incomplete messages, as when the connection is lost.
    pub(crate) fn clear(&mut self) {
        self.incomplete.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_divided_and_put_together() {
        let payload: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
        assert!(divide(&payload, 101_000).is_none());
        let parts: Vec<_> = divide(&payload, 10_000).unwrap().collect();
        let other: Vec<_> = divide(&payload[1..], 10_000).unwrap().collect();
        assert_eq!(parts.len(), 11);
        let mut incomplete = Parts::default();
        for (mine, theirs) in parts.iter().zip(&other) {
            let whole = incomplete.take(&mine.0, &Bytes::copy_from_slice(mine.1));
            let last = mine.0 == parts[10].0;
            assert_eq!(whole.is_some(), last);
            assert!(whole.is_none_or(|whole| whole[..] == payload));
            let whole = incomplete.take(&theirs.0, &Bytes::copy_from_slice(theirs.1));
            assert!(whole.is_none_or(|whole| whole[..] == payload[1..]));
        }
        assert!(incomplete.incomplete.is_empty());
    }

    #[test]
    fn what_is_incomplete_is_bounded() {
        let (mut parts, data) = (Parts::default(), Bytes::from(vec![0; 2 << 20]));
        for number in 0..1000 {
            assert_eq!(parts.take(&format!("m{number} 0 3"), &data), None);
            assert!(parts.incomplete.len() <= MAX_INCOMPLETE && parts.bytes() <= MAX_MESSAGE_BYTES);
        }
        assert_eq!(parts.take("m999 2 3", &data), None, "one is missing");
        assert_eq!(parts.take("m999 1 3", &data), None, "and it is forgotten");
        for bad in ["", "a", "a x 2", "a 1 y", "a 0 0", "b 5 5"] {
            assert_eq!(parts.take(bad, &data), None, "{bad}");
        }
        let long = "i".repeat(MAX_ID_BYTES + 1);
        assert_eq!(parts.take(&format!("{long} 0 1"), &data), None);
        assert_eq!(parts.take("c 0 1", &data), Some(data));
    }
}
