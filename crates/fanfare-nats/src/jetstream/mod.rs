//! Events and sessions in JetStream.

#[cfg(feature = "adapter")]
mod api;
#[cfg(feature = "adapter")]
mod log;
#[cfg(feature = "adapter")]
mod pending;
#[cfg(feature = "adapter")]
mod replay;
#[cfg(feature = "adapter")]
mod sessions;

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

impl JetStream {
    /// Returns the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time for which events and sessions are stored, at least 1 s. Default: 5 min. It should be longer than
    /// the time in which clients may reconnect; a client that received no event for longer is not recovered.
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

    /// Sets the number of NATS servers that store a copy, 1 to 5. Default: 1.
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
