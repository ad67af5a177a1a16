//! Reasons for which a session ends.

use std::fmt;

/// Reason for which an Engine.IO session ended; `as_str` gives Node's spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CloseReason {
    /// The transport failed, or the peer violated the rules of the transport.
    TransportError,
    /// The peer closed the transport (connection gone, tab closed).
    TransportClose,
    /// This side closed the session.
    ForcedClose,
    /// The peer did not answer a heartbeat in time.
    PingTimeout,
    /// The peer sent data that is no Engine.IO packet.
    ParseError,
}

impl CloseReason {
    /// Every reason, in declaration order; for metrics that register their labels up front.
    pub const ALL: [Self; 5] = [
        Self::TransportError,
        Self::TransportClose,
        Self::ForcedClose,
        Self::PingTimeout,
        Self::ParseError,
    ];

    /// Returns the text that Node passes to `disconnect` handlers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TransportError => "transport error",
            Self::TransportClose => "transport close",
            Self::ForcedClose => "forced close",
            Self::PingTimeout => "ping timeout",
            Self::ParseError => "parse error",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
