//! Outcomes and errors of an adapter.

use std::fmt;

/// Outcome of passing a message to an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PublishOutcome {
    /// The adapter has accepted the message: it is sent, or waits in a bounded queue.
    Queued,
    /// The queue of the adapter is full: the message has been dropped.
    Full,
    /// The adapter has no connection, and does not queue for later: the message has been dropped.
    Down,
}

impl PublishOutcome {
    /// Whether the adapter has accepted the message.
    pub const fn is_queued(self) -> bool {
        matches!(self, Self::Queued)
    }

    /// Returns a short name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Full => "full",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for PublishOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queued => "the message is queued",
            Self::Full => "the queue of the adapter is full",
            Self::Down => "the adapter has no connection",
        })
    }
}

/// Error of an adapter.
#[derive(Debug)]
pub struct AdapterError(Box<dyn std::error::Error + Send + Sync>);

impl AdapterError {
    /// Wraps an error of the adapter.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl From<PublishOutcome> for AdapterError {
    fn from(outcome: PublishOutcome) -> Self {
        Self::new(outcome.to_string())
    }
}

impl fmt::Display for AdapterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the cluster is out of reach: {}", self.0)
    }
}

impl std::error::Error for AdapterError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}
