//! States of a session.

/// Stage of a session's life cycle (`readyState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Messages are exchanged in both directions.
    Open,
    /// The queue is still sent, and no input is accepted.
    Closing,
    /// The session has ended.
    Closed,
}

/// Progress of an upgrade from polling to WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    No,
    /// The WebSocket is connected and has not sent `2probe` yet.
    Attached,
    /// `3probe` was sent; a pending GET is ended at intervals.
    Probed,
}
