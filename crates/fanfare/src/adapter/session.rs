//! Sessions of clients that may reconnect, kept by an adapter.

use std::time::Duration;

use super::{AdapterError, BoxFuture, PublishOutcome};

/// Store of the sessions of clients that lost their connection, shared by all nodes of a cluster.
///
/// With [connection state recovery](crate::recovery::ConnectionStateRecovery) and an adapter that has a session store and an
/// [event log](super::EventLog), clients are recovered on any node: the node that takes the session restores the id, the
/// rooms and the data of the socket, runs the middlewares, and sends the events that the log has for it.
pub trait SessionStore: Send + Sync {
    /// Stores a session for this time. Must not block. A later [`take`](Self::take) of this node finds it.
    fn store(&self, namespace: &str, session: SessionData, lifetime: Duration) -> PublishOutcome;

    /// Removes a session and returns it, atomically: of several calls, on all nodes, at most one gets it. `private_id`
    /// is what a client sent; it may be forged.
    ///
    /// # Errors
    /// [`AdapterError`] if the store cannot be reached.
    fn take<'a>(
        &'a self,
        namespace: &'a str,
        private_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<SessionData>, AdapterError>>;
}

/// State of a client that lost its connection.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionData {
    /// Secret id by which the client asks for its session (Node's `pid`).
    pub private_id: String,
    /// Public id of the socket.
    pub id: String,
    /// Rooms of the socket, including that of its id.
    pub rooms: Vec<String>,
    /// Data of the application.
    pub data: serde_json::Value,
    /// Position of the log at which the client joined: from there it is brought up to date if it received no event.
    /// `None` if it is not known; such a client is recovered only if it knows a position itself.
    pub position: Option<String>,
}

impl SessionData {
    /// Creates the session of a socket.
    pub fn new(private_id: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            private_id: private_id.into(),
            id: id.into(),
            ..Self::default()
        }
    }

    /// Sets the rooms.
    #[must_use]
    pub fn rooms(mut self, rooms: Vec<String>) -> Self {
        self.rooms = rooms;
        self
    }

    /// Sets the data of the application.
    #[must_use]
    pub fn data(mut self, data: serde_json::Value) -> Self {
        self.data = data;
        self
    }

    /// Sets the position of the log at which the client joined.
    #[must_use]
    pub fn position(mut self, position: Option<String>) -> Self {
        self.position = position;
        self
    }
}
