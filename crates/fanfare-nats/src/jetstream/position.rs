//! Positions in the log, and the messages that have them.

use bytes::Bytes;
use fanfare::adapter::LogPosition;

use crate::protocol::Incoming;

/// Header by which JetStream recognises a repeated message.
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";
/// Header with the sequence of a message of the log.
const SEQUENCE: &str = "Nats-Sequence";
/// Message of the log.
pub(super) struct Received {
    pub(super) sequence: u64,
    /// Id of the message, by which a node recognises its own messages.
    pub(super) id: Option<String>,
    pub(super) payload: Bytes,
}

impl Received {
    pub(super) fn of(message: &Incoming) -> Option<Self> {
        Some(Self {
            sequence: message.header(SEQUENCE)?.parse().ok()?,
            id: message.header(MESSAGE_ID).map(str::to_owned),
            payload: message.payload.clone(),
        })
    }
}

/// Returns the identity of a stream: its time of creation, in milliseconds, as a number that grows.
pub(super) fn epoch(created: &str) -> u64 {
    let digits = created.chars().filter(char::is_ascii_digit).take(17);
    let text: String = digits.collect();
    text.parse().unwrap_or_default()
}

/// Returns the position of a sequence.
pub(super) fn position(epoch: u64, sequence: u64) -> LogPosition {
    let order = (u128::from(epoch) << 64) | u128::from(sequence);
    LogPosition::new(order, format!("{epoch:x}-{sequence}"))
}

/// Parses a position.
pub(super) fn read_position(text: &str) -> Option<(u64, u64)> {
    let (epoch, sequence) = text.split_once('-')?;
    let epoch = u64::from_str_radix(epoch, 16).ok()?;
    Some((epoch, sequence.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_again_and_grow() {
        let first = epoch("2026-11-30T21:42:04.123456789Z");
        let later = epoch("2026-12-01T00:00:00Z");
        assert_eq!(first, 20_261_130_214_204_123);
        let all = [
            position(first, 1),
            position(first, 2),
            position(first, u64::MAX),
        ];
        assert!(all.is_sorted());
        assert_eq!(read_position(all[1].text()), Some((first, 2)));
        assert!(later > 0 && read_position("x-1").is_none() && read_position("1").is_none());
    }
}
