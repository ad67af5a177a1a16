//! Connection state recovery: clients that lost their connection resume their session.

mod budget;
mod cluster;
mod logged;
mod missed;
mod outcome;
mod peers;
mod sessions;
mod state;
mod store;

use std::time::Duration;

use fanfare_protocol::Escaped;

use crate::log_target;
use crate::socket::Socket;

pub(crate) use budget::Budget;
pub(crate) use cluster::{ClusterClaim, ClusterRecovery};
pub(crate) use logged::{Identity, Keep};
pub use outcome::{RecoveryFailure, RecoveryOutcome};
pub(crate) use peers::{PeerClaim, answer_peer};
pub(crate) use state::RecoveryState;
pub(crate) use store::{Attempt, Lost, Recovery, is_recoverable};

/// Counts the outcome of a recovery, and logs a failure.
fn report(socket: &Socket, outcome: RecoveryOutcome) {
    match outcome {
        RecoveryOutcome::NotAttempted => {}
        RecoveryOutcome::Recovered { .. } => crate::stats::recovery("recovered"),
        RecoveryOutcome::Failed(failure) => crate::stats::recovery(failure.label()),
    }
    if let RecoveryOutcome::Failed(failure) = outcome {
        tracing::info!(target: log_target::RECOVERY, socket = %socket.id(), namespace = %Escaped(socket.namespace_name()), %failure, "connection not recovered");
    }
}

/// Resumes the session of clients that lost their connection: with their id, rooms and data, and with the events that
/// they missed, each once and in order. Node's `connectionStateRecovery`; off unless it is given to
/// [`connection_state_recovery`](crate::SocketIoBuilder::connection_state_recovery).
///
/// Official JavaScript clients (4.6 and later) take part without configuration: the server adds an offset, a string, as
/// last argument to each event without acknowledgement, and a reconnecting client sends the last one that it got. A
/// client that got no event yet is recovered by its private session id alone. Volatile events have an offset as well,
/// but are not kept.
///
/// Sent events are kept in memory, [`Limits::recovery_bytes`](crate::Limits) for the whole server, for the time of
/// `max_disconnection_duration` and that which heartbeats need to detect a loss. While recovery is on, events of one
/// namespace are ordered under a lock.
///
/// With an adapter that has an [event log](crate::adapter::EventLog) and a
/// [session store](crate::adapter::SessionStore), both are used in place of the memory of this server, and a client is
/// recovered by any server of the cluster: with its id, rooms and data, but without its extensions. With any other adapter
/// the servers ask each other: each server that a client was connected to has its session and events in memory, and
/// hands them over. A server that has stopped cannot; its clients are new ones elsewhere.
///
/// A client that cannot be recovered is a new one in every respect. If the recovery fails only while its middlewares
/// run, they run once more, for a new socket.
///
/// ```
/// use std::time::Duration;
/// use fanfare::recovery::ConnectionStateRecovery;
/// use fanfare::{Namespace, Socket, SocketIo};
///
/// let io = SocketIo::builder()
///     .connection_state_recovery(ConnectionStateRecovery::new().max_disconnection_duration(Duration::from_secs(60)))
///     .namespace(Namespace::new("/").on_connect(async |socket: Socket| {
///         match socket.is_recovered() {
///             true => Ok(()), // it is there already
///             false => socket.join("lobby"),
///         }
///     }))
///     .build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectionStateRecovery {
    /// Maximum time for which a client may be disconnected. Default: 2 minutes, as in Node.
    pub max_disconnection_duration: Duration,
    /// Whether the middlewares of the namespace are skipped for recovered clients. Default: **no**, unlike Node: a
    /// client whose access was revoked meanwhile gets none of the events that it missed.
    pub skip_middlewares: bool,
}

impl ConnectionStateRecovery {
    /// Creates the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fanfare_protocol::setters! {
        max_disconnection_duration: Duration,
        skip_middlewares: bool,
    }
}

impl Default for ConnectionStateRecovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: false,
        }
    }
}
