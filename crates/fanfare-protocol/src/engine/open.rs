//! The first packet of a session.

use std::time::Duration;

use serde::Deserialize;

/// Contents of the `open` packet that a server sends; [`Open::write_json`] keeps Node's key order.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Session id.
    pub sid: &'a str,
    /// Transports the client may upgrade to.
    pub upgrades: &'a [&'a str],
    /// Time between two heartbeats; written in milliseconds, at most 2^30 - 1 of them.
    pub ping_interval: Duration,
    /// Timeout of the answer to a heartbeat; written in milliseconds, with the same limit.
    pub ping_timeout: Duration,
    /// Maximum length of a message the server accepts, in bytes.
    pub max_payload: usize,
}

impl Open<'_> {
    /// Appends `{"sid":..,"upgrades":[..],"pingInterval":..,"pingTimeout":..,"maxPayload":..}`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"sid\":");
        write_string(out, self.sid);
        out.extend_from_slice(b",\"upgrades\":[");
        for (i, upgrade) in self.upgrades.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_string(out, upgrade);
        }
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(b"],\"pingInterval\":");
        out.extend_from_slice(digits.format(announced(self.ping_interval)).as_bytes());
        out.extend_from_slice(b",\"pingTimeout\":");
        out.extend_from_slice(digits.format(announced(self.ping_timeout)).as_bytes());
        out.extend_from_slice(b",\"maxPayload\":");
        out.extend_from_slice(digits.format(self.max_payload).as_bytes());
        out.push(b'}');
    }
}

/// Returns a time in milliseconds, limited for JavaScript. A client waits for the sum of both times, and a timer of
/// JavaScript that is set to more than 2^31 - 1 milliseconds (25 days) fires at once.
fn announced(time: Duration) -> u32 {
    const MOST: u32 = (1 << 30) - 1;
    u32::try_from(time.as_millis()).map_or(MOST, |millis| millis.min(MOST))
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    // Serializing a string into a `Vec` cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Contents of the `open` packet that a client reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Session id.
    pub sid: String,
    /// Transports the client may upgrade to.
    pub upgrades: Vec<String>,
    /// Time between two heartbeats.
    pub ping_interval: Duration,
    /// Time the peer waits for the answer to a heartbeat.
    pub ping_timeout: Duration,
    /// Maximum length of a message the server accepts, in bytes; older servers do not announce it.
    pub max_payload: Option<usize>,
}

impl Opened {
    /// Reads the JSON of an `open` packet (without the leading `0`).
    ///
    /// # Errors
    /// [`OpenError`] if it is no JSON object with the expected members.
    pub fn parse(json: &str) -> Result<Self, OpenError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            sid: String,
            #[serde(default)]
            upgrades: Vec<String>,
            // JavaScript servers may send any number.
            ping_interval: f64,
            ping_timeout: f64,
            #[serde(default)]
            max_payload: Option<u64>,
        }
        let wire: Wire =
            serde_json::from_str(json).map_err(|error| OpenError(error.to_string()))?;
        Ok(Self {
            sid: wire.sid,
            upgrades: wire.upgrades,
            ping_interval: milliseconds("pingInterval", wire.ping_interval)?,
            ping_timeout: milliseconds("pingTimeout", wire.ping_timeout)?,
            max_payload: wire
                .max_payload
                .map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        })
    }
}

/// Maximum accepted interval: 100 years. A longer one would never pass either, and this one can be added to any
/// instant.
const MAX_INTERVAL: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// Converts milliseconds, which may have a fraction.
fn milliseconds(name: &str, time: f64) -> Result<Duration, OpenError> {
    if time < 0.0 {
        return Err(OpenError(format!("{name} is negative: {time}")));
    }
    let time = Duration::try_from_secs_f64(time / 1000.0).unwrap_or(Duration::MAX);
    Ok(time.min(MAX_INTERVAL))
}

/// Error of an `open` packet that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid open packet: {0}")]
pub struct OpenError(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn times(interval: &str, timeout: &str) -> Result<(Duration, Duration), OpenError> {
        let json = format!(r#"{{"sid":"a","pingInterval":{interval},"pingTimeout":{timeout}}}"#);
        Opened::parse(&json).map(|opened| (opened.ping_interval, opened.ping_timeout))
    }

    #[test]
    fn times_are_any_numbers_of_milliseconds() {
        let micros = Duration::from_micros;
        assert_eq!(
            times("25000", "0").unwrap(),
            (micros(25_000_000), Duration::ZERO)
        );
        assert_eq!(
            times("25000.5", "2e4").unwrap(),
            (micros(25_000_500), micros(20_000_000))
        );
        assert_eq!(
            times("1e300", "1e19").unwrap(),
            (MAX_INTERVAL, MAX_INTERVAL)
        );
        assert!(
            times("-1", "1")
                .unwrap_err()
                .to_string()
                .contains("pingInterval is negative")
        );
        assert!(times("\"25000\"", "1").is_err());
    }
}
