//! State of the connection and of its sockets, for the application.

use std::sync::Arc;

use super::{Link, Manager};
#[cfg(test)]
use crate::client::ConnectionId;
use crate::client::engine::Engine;
use crate::client::socket::Socket;
use crate::client::{SocketId, Transport};

impl Manager {
    /// Whether the socket has joined its namespace.
    #[must_use]
    pub fn is_connected(&self, id: SocketId) -> bool {
        self.socket(id).is_some_and(Socket::is_connected)
    }

    /// Whether the socket is connected or will connect without a call (`socket.active`).
    #[must_use]
    pub fn is_active(&self, id: SocketId) -> bool {
        self.socket(id).is_some_and(Socket::is_active)
    }

    /// Id of the socket while it is connected.
    #[must_use]
    pub fn socket_id(&self, id: SocketId) -> Option<Arc<str>> {
        self.socket(id)?.sid.clone()
    }

    /// Whether the server restored the socket's session at its last connection.
    #[must_use]
    pub fn is_recovered(&self, id: SocketId) -> bool {
        self.socket(id).is_some_and(|socket| socket.recovered)
    }

    /// Number of events in a socket's offline buffer and `retries` queue, and of their bytes.
    #[must_use]
    pub fn buffered(&self, id: SocketId) -> (usize, usize) {
        self.socket(id).map_or((0, 0), Socket::waiting)
    }

    /// Number of a socket's pending acknowledgements.
    #[must_use]
    pub fn pending_acks(&self, id: SocketId) -> usize {
        self.socket(id).map_or(0, Socket::pending_acks)
    }

    /// Transport of the open connection.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.engine
            .as_ref()
            .filter(|_| self.link == Link::Open)
            .map(Engine::transport)
    }

    /// Session id of the open connection.
    #[must_use]
    pub fn session_id(&self) -> Option<Arc<str>> {
        self.engine.as_ref()?.sid().cloned()
    }

    #[cfg(test)]
    pub(in crate::client) fn current_connection(&self) -> Option<ConnectionId> {
        self.engine.as_ref().map(Engine::id)
    }

    /// Number of bytes in the write buffer.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, Engine::pending_bytes)
    }

    /// Whether nothing is open, flushing or scheduled.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.engine.is_none() && self.closing.is_empty() && self.reconnect_at.is_none()
    }

    /// Whether everything emitted so far was written, also on connections that are being closed.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.closing.is_empty() && self.pending_bytes() == 0
    }
}
