//! The first packet of a session.

use std::time::Duration;

use serde::Deserialize;

/// What a server announces in the `open` packet; [`Open::write_json`] keeps Node's key order.
#[derive(Clone, Copy, Debug)]
pub struct Open<'a> {
    /// Session id.
    pub sid: &'a str,
    /// Transports the client may upgrade to.
    pub upgrades: &'a [&'a str],
    /// Time between two heartbeats; written in milliseconds.
    pub ping_interval: Duration,
    /// Time to wait for the answer to a heartbeat; written in milliseconds.
    pub ping_timeout: Duration,
    /// Longest message accepted, in bytes.
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
        out.extend_from_slice(digits.format(self.ping_interval.as_millis()).as_bytes());
        out.extend_from_slice(b",\"pingTimeout\":");
        out.extend_from_slice(digits.format(self.ping_timeout.as_millis()).as_bytes());
        out.extend_from_slice(b",\"maxPayload\":");
        out.extend_from_slice(digits.format(self.max_payload).as_bytes());
        out.push(b'}');
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    // A string cannot fail to serialise, nor a Vec to take it.
    let _ = serde_json::to_writer(out, text);
}

/// What a client reads in the `open` packet.
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
    /// Longest message the server accepts, in bytes; older servers do not say.
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
            ping_interval: u64,
            ping_timeout: u64,
            #[serde(default)]
            max_payload: Option<u64>,
        }
        let wire: Wire =
            serde_json::from_str(json).map_err(|error| OpenError(error.to_string()))?;
        Ok(Self {
            sid: wire.sid,
            upgrades: wire.upgrades,
            ping_interval: Duration::from_millis(wire.ping_interval),
            ping_timeout: Duration::from_millis(wire.ping_timeout),
            max_payload: wire
                .max_payload
                .map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        })
    }
}

/// An `open` packet that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid open packet: {0}")]
pub struct OpenError(String);
