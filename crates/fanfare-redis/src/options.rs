//! Options that adapters and emitters share.

/// Default prefix of channels, the same as in Node's adapters.
pub(crate) const DEFAULT_PREFIX: &str = "socket.io";

/// Defines the methods of a builder that set the options of its connection.
macro_rules! link_options {
    () => {
        /// Sets the limits of the messages that wait to be sent. Default: 65,536 messages, 16 MiB. Further messages are
        /// dropped, which `emit` reports.
        pub fn queue(mut self, limits: fanfare_cluster::QueueLimits) -> Self {
            self.link.limits = limits;
            self
        }

        /// Sets the time for which messages are queued without a connection, to be sent when it is restored. Default: 5
        /// s. Afterwards they are dropped until there is a connection again, which `emit` reports.
        pub fn max_outage(mut self, time: std::time::Duration) -> Self {
            self.link.max_outage = time;
            self
        }
    };
}

/// Defines the methods of a builder that describe its node.
macro_rules! node_options {
    () => {
        /// Sets the human-readable name of this node, which the other nodes of Fanfare see in `Cluster::nodes`.
        #[cfg(feature = "adapter")]
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.node.name = Some(name.into());
            self
        }

        /// Sets the address at which the other nodes reach this one, which they see in `Cluster::nodes`.
        #[cfg(feature = "adapter")]
        pub fn address(mut self, address: impl Into<String>) -> Self {
            self.node.address = Some(address.into());
            self
        }
    };
}

pub(crate) use link_options;
pub(crate) use node_options;
