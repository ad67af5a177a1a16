//! Joining of namespaces with Socket.IO protocol 4, over Engine.IO 3.
//!
//! The server joins the main namespace unasked, and reads a CONNECT of another one only after that. It gives no ids:
//! those of the sockets follow from that of the session.

use std::sync::Arc;
use std::time::Instant;

use super::Manager;
use super::membership::{MAIN, Membership};
use crate::client::SocketId;
use crate::client::codec;
use crate::client::socket::Phase;
use crate::engine::Protocol;
use crate::socket::ConnectErrorBody;

impl Manager {
    pub(super) fn is_legacy(&self) -> bool {
        self.config.protocol == Protocol::V3
    }

    /// Records that the server is about to join the main namespace, at the opening of a connection.
    pub(super) fn await_main(&mut self) {
        self.memberships
            .insert(MAIN.into(), Membership::Joining(None));
    }

    /// Whether the server has joined the main namespace, without which it reads no other CONNECT. If it never will, the
    /// main namespace is requested.
    pub(super) fn main_is_joined(&mut self, now: Instant) -> bool {
        match self.memberships.get(MAIN) {
            Some(membership) => *membership == Membership::Joined,
            None => {
                self.await_main();
                let packet = codec::connect(&self.config, MAIN, None);
                self.send(now, Some(packet));
                false
            }
        }
    }

    /// Handles the server's CONNECT of the main namespace: the others can be joined now.
    pub(super) fn main_joined(&mut self, now: Instant) {
        for id in self.deferred() {
            let deferred = self.sockets.get_mut(id).and_then(|mut s| s.take_deferred());
            if let Some(payload) = deferred {
                self.join(now, id, payload);
            }
        }
    }

    /// Handles the server's rejection of the main namespace: none of the others can be joined, either.
    pub(super) fn main_rejected(&mut self, now: Instant, body: &ConnectErrorBody) {
        for id in self.deferred() {
            self.rejected(now, id, body.clone());
        }
    }

    /// Sockets whose CONNECT waits.
    fn deferred(&self) -> Vec<SocketId> {
        let is_deferred = |id: &SocketId| {
            let phase = self.socket(*id).map(|socket| socket.phase);
            matches!(phase, Some(Phase::Deferred { .. }))
        };
        self.sockets.ids().into_iter().filter(is_deferred).collect()
    }

    /// Returns the id of a socket.
    pub(super) fn legacy_id(&self, namespace: &str) -> Arc<str> {
        let session = self.session_id().unwrap_or_default();
        match namespace {
            MAIN => session,
            _ => format!("{namespace}#{session}").into(),
        }
    }
}
