//! Options that adapters and emitters share.

/// Prefix of channels that Node's adapters have unless told otherwise.
pub(crate) const DEFAULT_PREFIX: &str = "socket.io";

/// Defines the methods of a builder that set the options of its connection.
macro_rules! link_options {
    () => {
        /// Sets the limits of the messages that wait to be sent. Default: 65,536 messages, 16 MiB. What exceeds them is
        /// dropped, and the caller of `emit` is told.
        pub fn queue(mut self, limits: fanfare_cluster::QueueLimits) -> Self {
            self.link.limits = limits;
            self
        }

        /// Sets the time without a connection for which messages are queued, to be sent when it is back. Default: 5 s.
        /// Afterwards they are dropped until there is a connection again, and the caller of `emit` is told.
        pub fn max_outage(mut self, time: std::time::Duration) -> Self {
            self.link.max_outage = time;
            self
        }
    };
}

pub(crate) use link_options;
