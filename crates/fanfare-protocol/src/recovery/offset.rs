//! The number of an event on its way to the client and back.

use super::Position;

/// How a position travels: `epoch.position`, where the epoch names the log, eight characters of `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Of this log.
    Own(Position),
    /// Of another log: that of a server that has ended since, or of another node.
    Foreign,
    /// Not one of ours: the client took the last argument of some other event for one.
    Unknown,
}

impl Offset {
    /// The text of a position.
    #[must_use]
    pub fn text(epoch: &str, position: Position) -> String {
        format!("{epoch}.{position}")
    }

    /// Reads what a client sent.
    #[must_use]
    pub fn parse(epoch: &str, text: &str) -> Self {
        let Some((named, position)) = text.split_once('.') else {
            return Self::Unknown;
        };
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let position = match position.parse::<Position>() {
            Ok(n) if position.bytes().all(|b| b.is_ascii_digit()) => n,
            _ => return Self::Unknown,
        };
        if named == epoch {
            Self::Own(position)
        } else if named.len() == 8 && named.bytes().all(is_word) {
            Self::Foreign
        } else {
            Self::Unknown
        }
    }
}
