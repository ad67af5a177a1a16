//! Times of the clock of NATS.

use std::time::Duration;

/// Returns the time that has passed between two times in the format of RFC 3339, in UTC and with up to nine decimals;
/// `None` if one is invalid, or the second is not later.
pub(super) fn between(earlier: &str, later: &str) -> Option<Duration> {
    since_1970(later)?.checked_sub(since_1970(earlier)?)
}

fn since_1970(text: &str) -> Option<Duration> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.parse::<u32>().ok();
    let mut parts = date.split('-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = time.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?)?, number(parts.next()?)?);
    let second = parts.next()?;
    let (second, fraction) = second.split_once('.').unwrap_or((second, ""));
    let second = number(second)?;
    let in_range = (1970..=9999).contains(&year) && (1..=12).contains(&month);
    if !in_range || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let nanoseconds = match fraction.len() {
        0 => 0,
        len @ 1..=9 => number(fraction)? * 10_u32.pow(9 - u32::try_from(len).ok()?),
        _ => return None,
    };
    // Years that begin in March, so that the additional day is the last.
    let (year, month) = match month {
        1 | 2 => (year - 1, month + 9),
        _ => (year, month - 3),
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = u64::from(days.checked_sub(DAYS_BEFORE_1970)?);
    let seconds = days * 86_400 + u64::from(hour * 3600 + minute * 60 + second);
    Some(Duration::new(seconds, nanoseconds))
}

/// Days from the first of March of the year 0 to the beginning of 1970.
const DAYS_BEFORE_1970: u32 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_compared() {
        assert_eq!(since_1970("1970-01-01T00:00:00Z"), Some(Duration::ZERO));
        let known = since_1970("2026-11-30T21:42:04.5Z").unwrap();
        assert_eq!(known, Duration::from_millis(1_796_074_924_500));
        let passed = |earlier, later| between(earlier, later).map(|passed| passed.as_millis());
        assert_eq!(
            passed("2028-02-28T23:59:59.999Z", "2028-03-01T00:00:00Z"),
            Some(86_400_001)
        );
        assert_eq!(
            passed("2027-02-28T23:59:59Z", "2027-03-01T00:00:00Z"),
            Some(1000)
        );
        assert_eq!(
            passed("2026-12-31T23:59:59Z", "2027-01-01T00:00:00.123456789Z"),
            Some(1123)
        );
        assert_eq!(passed("2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), None);
        for wrong in [
            "",
            "Z",
            "T",
            "2026-11-30",
            "2026-13-01T00:00:00Z",
            "2026-11-30T21:42Z",
            "1969-12-31T00:00:00Z",
            "2026-11-30T21:42:04+01:00",
            "2026-11-30T21:42:04.1234567891Z",
            "4294967295-01-01T00:00:00Z",
            "-2026-11-30T00:00:00Z",
        ] {
            assert_eq!(since_1970(wrong), None, "{wrong}");
        }
    }
}
