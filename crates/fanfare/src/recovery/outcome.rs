//! Outcome of a recovery.

/// Outcome of the recovery of a connection, see [`Socket::recovery`](crate::Socket::recovery).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryOutcome {
    /// The connection is new: the client did not request recovery, or recovery is off.
    NotAttempted,
    /// The session was resumed.
    #[non_exhaustive]
    Recovered {
        /// Number of events that the client had missed. In middlewares 0: they are looked up afterwards.
        missed: usize,
    },
    /// The client requested recovery, but got a new connection.
    Failed(RecoveryFailure),
}

/// Reason for which a connection was not recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryFailure {
    /// The session belongs to another server, or to this one before it was restarted.
    #[error("the session is of another server, or of this one before it was restarted")]
    OtherServer,
    /// The session does not exist: it has expired, was evicted ([`Limits::recovery_session_bytes`](crate::Limits)), or
    /// ended with a disconnection from the namespace.
    #[error("the session has expired, had to make room, or was ended")]
    SessionGone,
    /// The offset of the client is unknown although events were sent to it: the server cannot tell which of them
    /// arrived.
    #[error("the offset of the client is unknown")]
    UnknownOffset,
    /// Some of the events that the client missed were evicted by later events
    /// ([`Limits::recovery_bytes`](crate::Limits)).
    #[error("some of what the client missed is no longer kept")]
    EventsGone,
    /// The adapter, through which connections are recovered, could not be reached in time.
    #[error("the sessions of the cluster are out of reach")]
    Unreachable,
    /// The client missed more than [`Limits::recovery_replay_bytes`](crate::Limits).
    #[error("the client missed too much")]
    TooMuchMissed,
    /// While the client changed servers, a server or emitter that does not number its events, as those of Node.js, sent
    /// equal ones: this server cannot tell which of them the client has missed.
    #[error("equal events of a server that does not number them cannot be told apart")]
    Ambiguous,
}

impl RecoveryFailure {
    /// Returns a short name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::OtherServer => "other_server",
            Self::SessionGone => "session_gone",
            Self::UnknownOffset => "unknown_offset",
            Self::EventsGone => "events_gone",
            Self::Unreachable => "unreachable",
            Self::TooMuchMissed => "too_much_missed",
            Self::Ambiguous => "ambiguous",
        }
    }

    /// Returns the reason that another server named.
    pub(super) fn of_label(label: &str) -> Self {
        let all = [
            Self::OtherServer,
            Self::SessionGone,
            Self::UnknownOffset,
            Self::EventsGone,
            Self::TooMuchMissed,
            Self::Ambiguous,
        ];
        let found = all.into_iter().find(|failure| failure.label() == label);
        found.unwrap_or(Self::Unreachable)
    }
}
