//! What became of a recovery.

/// What became of the recovery of a connection, see [`Socket::recovery`](crate::Socket::recovery).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryOutcome {
    /// A new connection: the client did not ask for anything, or recovery is off.
    NotAttempted,
    /// The client is back.
    #[non_exhaustive]
    Recovered {
        /// How many events it had missed. In middlewares 0: they are looked up afterwards.
        missed: usize,
    },
    /// The client wanted to come back, but it is a new connection now.
    Failed(RecoveryFailure),
}

/// Why a connection was not recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryFailure {
    /// The session is of another server, or of this one before it was restarted.
    #[error("the session is of another server, or of this one before it was restarted")]
    OtherServer,
    /// The session is not there: its time is over, it had to make room for others
    /// ([`Limits::recovery_bytes`](crate::Limits)), or it ended with a disconnection from the namespace.
    #[error("the session has expired, had to make room, or was ended")]
    SessionGone,
    /// The offset of the client is unknown, and something was sent to it: it cannot be told how much it got. This
    /// happens if the last event a client got was volatile and ended with a string.
    #[error("the offset of the client is unknown")]
    UnknownOffset,
    /// Some of what the client missed had to make room for later events
    /// ([`Limits::recovery_bytes`](crate::Limits)).
    #[error("some of what the client missed is no longer kept")]
    EventsGone,
}

impl RecoveryFailure {
    /// A short name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::OtherServer => "other_server",
            Self::SessionGone => "session_gone",
            Self::UnknownOffset => "unknown_offset",
            Self::EventsGone => "events_gone",
        }
    }
}
