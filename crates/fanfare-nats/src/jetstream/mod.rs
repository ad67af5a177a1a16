//! Events and sessions in JetStream.

#[cfg(feature = "adapter")]
mod api;
#[cfg(feature = "adapter")]
mod catch_up;
#[cfg(feature = "adapter")]
mod log;
#[cfg(feature = "adapter")]
mod pending;
#[cfg(feature = "adapter")]
mod position;
#[cfg(feature = "adapter")]
mod replay;
#[cfg(feature = "adapter")]
mod sessions;
#[cfg(feature = "adapter")]
mod time;

use std::time::Duration;

#[cfg(feature = "adapter")]
pub(crate) use log::Log;
#[cfg(feature = "adapter")]
pub(crate) use sessions::Sessions;

/// Options of the streams in which a cluster stores its events and the sessions of clients that may reconnect.
///
/// The first node creates the streams `FANFARE_LOG_<prefix>` and `FANFARE_SESSIONS_<prefix>`; a node with other options
/// changes them.
#[derive(Debug, Clone)]
pub struct JetStream {
    pub(crate) retention: Duration,
    pub(crate) max_bytes: i64,
    pub(crate) replicas: usize,
    pub(crate) in_memory: bool,
}

impl Default for JetStream {
    fn default() -> Self {
        Self {
            retention: Duration::from_secs(300),
            max_bytes: 256 << 20,
            replicas: 1,
            in_memory: false,
        }
    }
}

/// Numbers of copies that NATS accepts.
pub(crate) const REPLICAS: std::ops::RangeInclusive<usize> = 1..=5;

impl JetStream {
    /// Returns the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time for which events and sessions are stored, at least 1 s. Default: 5 min. It should be longer than
    /// the time in which clients may reconnect, which is logged otherwise; a client that received no event for longer is
    /// not recovered.
    #[must_use]
    pub fn retention(mut self, time: Duration) -> Self {
        self.retention = time.max(Duration::from_secs(1));
        self
    }

    /// Sets the maximum number of bytes of the events; the oldest are dropped. Default: 256 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self
    }

    /// Sets the number of NATS servers that store a copy, 1 to 5. Default: 1. Another number is an error when the adapter is
    /// created; more than there are servers make the state [degraded](fanfare_cluster::Health::Degraded).
    #[must_use]
    pub fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// Stores events and sessions in memory instead of files: faster, but lost when NATS restarts. Default: false.
    #[must_use]
    pub fn in_memory(mut self, in_memory: bool) -> Self {
        self.in_memory = in_memory;
        self
    }
}

/// Decoders of replies, for the targets in `fuzz/`.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use super::api::{self, Stored, StreamInfo};
    use super::position::{Received, epoch, position, read_position};
    use super::sessions::StoredSession;
    use crate::protocol::Incoming;

    /// Reads a message as each kind of reply, and as an event of the log.
    pub(crate) fn read(message: &Incoming) {
        if let Ok(info) = api::read::<StreamInfo>(&message.payload) {
            let at = position(epoch(&info.created), info.state.last_seq);
            assert!(read_position(at.text()).is_some());
        }
        let _ = api::read::<Stored>(&message.payload);
        let _ = serde_json::from_slice::<StoredSession>(&message.payload);
        let _ = Received::of(message);
    }
}
