//! The server's state of each namespace on the open connection.
//!
//! It is kept apart from the sockets, which are added and removed: a CONNECT that was sent is answered even if its
//! socket is gone, and a Node server that gets a second one, or a DISCONNECT before its answer, closes the whole
//! connection.

use std::sync::Arc;
use std::time::Instant;

use super::Manager;
use crate::client::codec;
use crate::client::engine::after;
use crate::client::socket::Phase;
use crate::client::{SocketId, TransportError};

/// Name of the main namespace.
pub(super) const MAIN: &str = "/";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Membership {
    /// CONNECT was sent with this payload and is not answered.
    Joining(Option<String>),
    Joined,
    /// DISCONNECT was sent; the server may not have read it.
    Leaving,
}

impl Manager {
    /// Sends CONNECT after a socket's credentials arrived, unless the server must get another packet first.
    pub(super) fn join(&mut self, now: Instant, id: SocketId, payload: Option<String>) {
        let legacy = self.is_legacy();
        let main = self
            .socket(id)
            .is_some_and(|socket| &*socket.namespace == MAIN);
        let early = legacy && !main && !self.main_is_joined(now);
        let Some(mut socket) = self.sockets.get_mut(id) else {
            return;
        };
        let deadline = after(now, socket.config.join_timeout);
        match self.memberships.get(&socket.namespace) {
            _ if early => socket.defer(payload, deadline),
            // The server joins the main namespace for other sockets, too.
            Some(Membership::Joined) if legacy && main => {
                drop(socket);
                self.joined(now, id, None);
            }
            None => {
                socket.phase = Phase::Connecting { deadline };
                let packet = codec::connect(&self.config, &socket.namespace, payload.as_deref());
                let joining = Membership::Joining(payload);
                self.memberships.insert(socket.namespace.clone(), joining);
                drop(socket);
                self.send(now, Some(packet));
            }
            // The same CONNECT was sent for an earlier socket, or for this one before it was disconnected.
            Some(Membership::Joining(sent)) if *sent == payload => {
                socket.phase = Phase::Connecting { deadline };
            }
            Some(_) => socket.defer(payload, deadline),
        }
    }

    /// Joins a socket that waited until the server had released this namespace.
    fn vacated(&mut self, now: Instant, namespace: &str) {
        self.memberships.remove(namespace);
        if let Some(id) = self.sockets.find(namespace)
            && let Some(payload) = self.sockets.get_mut(id).and_then(|mut s| s.take_deferred())
        {
            self.join(now, id, payload);
        }
        if self.is_legacy() && namespace == MAIN {
            self.main_joined(now);
        }
    }

    /// Handles the server's message that the namespace was not joined, or has ended.
    pub(super) fn ended_by_server(&mut self, now: Instant, namespace: &str) {
        // While leaving, this side's DISCONNECT is in flight all the same.
        if self.memberships.get(namespace) != Some(&Membership::Leaving) {
            self.vacated(now, namespace);
        }
    }

    /// Handles the confirmation that the server has read the DISCONNECT of this namespace.
    pub(super) fn left(&mut self, now: Instant, namespace: &str) {
        if self.memberships.get(namespace) == Some(&Membership::Leaving) {
            self.vacated(now, namespace);
        }
    }

    /// Sends DISCONNECT.
    pub(super) fn leave_namespace(&mut self, now: Instant, namespace: &Arc<str>) {
        self.memberships
            .insert(namespace.clone(), Membership::Leaving);
        let packet = codec::disconnect(self.config.parser, namespace);
        if let Some((engine, mut sink)) = self.engine() {
            engine.send_leave(now, packet, namespace.clone(), &mut sink);
        }
    }

    /// Records the answer to CONNECT; returns `false` if none was pending.
    pub(super) fn connect_answered(&mut self, namespace: &Arc<str>) -> bool {
        let joining = self.is_awaited(namespace);
        if joining {
            self.memberships
                .insert(namespace.clone(), Membership::Joined);
        }
        joining
    }

    /// Whether the answer to a CONNECT is pending.
    pub(super) fn is_awaited(&self, namespace: &str) -> bool {
        matches!(
            self.memberships.get(namespace),
            Some(Membership::Joining(_))
        )
    }

    pub(super) fn is_member(&self, namespace: &str) -> bool {
        self.memberships.get(namespace) == Some(&Membership::Joined)
    }

    /// Handles a CONNECT that was not answered in time. Another one cannot be sent over the same connection, so if no
    /// other socket uses it, a new connection is tried. Otherwise a late answer still counts, until the attempts are
    /// exhausted.
    pub(super) fn join_timed_out(&mut self, now: Instant, id: SocketId) {
        let shared = self.sockets.any_connected();
        let Some(mut socket) = self.sockets.get_mut(id) else {
            return;
        };
        let timeout = socket.config.join_timeout;
        if shared {
            if socket.retry(&self.config).is_some() {
                socket.await_answer_until(after(now, timeout));
            } else {
                socket.give_up();
            }
        } else {
            socket.phase = Phase::Waiting;
        }
        drop(socket);
        self.connect_error(id, crate::client::ConnectError::JoinTimeout(timeout));
        if !shared {
            self.abandon(now, TransportError::new("timeout"));
        }
    }
}
