//! The words for what a session is in.

/// The revision of Engine.IO that the client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Revision {
    /// `EIO=3`: the client pings.
    V3,
    /// `EIO=4`: the server pings.
    V4,
}

/// What carries a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransportKind {
    /// Long-polling.
    Polling,
    /// WebSocket.
    WebSocket,
}

/// Which way a packet of the session came. (Packets of a probe have their own method.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// In the body of a POST.
    Polling,
    /// In a WebSocket frame.
    WebSocket,
}

/// How far the session is in its life (`readyState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Messages go both ways.
    Open,
    /// What is queued still goes out, nothing comes in any more.
    Closing,
    /// Over.
    Closed,
}
