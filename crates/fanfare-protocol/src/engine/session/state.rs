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
