//! Ids of entries, which are positions in the stream.

use std::fmt;
use std::str::FromStr;

use fanfare::adapter::LogPosition;

/// Id of an entry: milliseconds, and a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamId {
    milliseconds: u64,
    number: u64,
}

impl StreamId {
    pub(super) fn position(self) -> LogPosition {
        let order = (u128::from(self.milliseconds) << 64) | u128::from(self.number);
        LogPosition::new(order, self.to_string())
    }

    /// Returns the next possible id.
    pub(super) fn next(self) -> Self {
        match self.number.checked_add(1) {
            Some(number) => Self { number, ..self },
            None => Self {
                milliseconds: self.milliseconds.saturating_add(1),
                number: 0,
            },
        }
    }
}

impl FromStr for StreamId {
    type Err = ();

    /// Reads `digits-digits`, and nothing else: it may come from a client.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (milliseconds, number) = text.split_once('-').ok_or(())?;
        let number_of = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|_| digits).ok_or(())
        };
        Ok(Self {
            milliseconds: number_of(milliseconds)?,
            number: number_of(number)?,
        })
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_strictly_and_ordered() {
        let id: StreamId = "1795338712164-3".parse().unwrap();
        assert_eq!(id.to_string(), "1795338712164-3");
        assert!(id < "1795338712165-0".parse().unwrap() && id < id.next());
        assert!(id.position() < id.next().position());
        let wrong = [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-1",
            "1-1-1",
            "1- 1",
            "99999999999999999999-0",
        ];
        for wrong in wrong {
            assert_eq!(wrong.parse::<StreamId>(), Err(()), "{wrong}");
        }
        let last: StreamId = "5-18446744073709551615".parse().unwrap();
        assert_eq!(last.next().to_string(), "6-0");
    }
}
