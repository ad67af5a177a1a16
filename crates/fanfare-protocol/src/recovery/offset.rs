//! Encoding of an event's position for the client.

use super::Position;

/// Encoding of a position: `epoch.position`, where the epoch names the log, eight characters of `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Position in this log.
    Own(Position),
    /// Position in another log: that of a server that has stopped, or of another server of the cluster.
    Foreign,
    /// No position: the client took the last argument of another event for one.
    Unknown,
}

impl Offset {
    /// Returns the text of a position.
    #[must_use]
    pub fn text(epoch: &str, position: Position) -> String {
        format!("{epoch}.{position}")
    }

    /// Parses the text that a client sent.
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
