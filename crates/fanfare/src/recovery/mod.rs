//! Connection state recovery: clients that lost their connection come back as who they were.

mod outcome;
mod part;
mod store;

use std::time::Duration;

pub use outcome::{RecoveryFailure, RecoveryOutcome};
pub(crate) use part::Part;
pub(crate) use store::{Attempt, Recovery};

/// Lets clients that lost their connection come back as who they were: with their id, rooms and data, and with the
/// events that they missed, each once and in order. Node's `connectionStateRecovery`; off unless it is given to
/// [`connection_state_recovery`](crate::SocketIoBuilder::connection_state_recovery).
///
/// Official JavaScript clients (4.6 and later) take part by themselves: the server adds an offset, a string, as last
/// argument to each event without acknowledgement that is not volatile, and the client says at its return what it got
/// last. A client that got nothing yet is recovered by its private session id alone.
///
/// What was sent is kept in memory, [`Limits::recovery_bytes`](crate::Limits) for each namespace, for the time of
/// `max_disconnection_duration` and what heartbeats need to notice a loss. While it is on, events of one namespace are
/// put into order under a lock.
///
/// ```
/// use std::time::Duration;
/// use fanfare::{ConnectionStateRecovery, Namespace, Socket, SocketIo};
///
/// let io = SocketIo::builder()
///     .connection_state_recovery(ConnectionStateRecovery {
///         max_disconnection_duration: Duration::from_secs(60),
///         ..ConnectionStateRecovery::default()
///     })
///     .namespace(Namespace::new("/").on_connect(async |socket: Socket| {
///         match socket.recovered() {
///             true => Ok(()), // it is there already
///             false => socket.join("lobby"),
///         }
///     }))
///     .build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStateRecovery {
    /// How long a client may be away. Default: 2 minutes, as in Node.
    pub max_disconnection_duration: Duration,
    /// Whether the middlewares of the namespace are left out for recovered clients. Default: **no**, unlike Node: a
    /// client whose access was revoked meanwhile gets nothing of what it missed.
    pub skip_middlewares: bool,
}

impl Default for ConnectionStateRecovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: false,
        }
    }
}
