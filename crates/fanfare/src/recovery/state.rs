//! Recovery state of one connection, and the session that is kept when the client leaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fanfare_protocol::recovery::{Memberships, Position};
use serde_json::Value;

use super::cluster::{ClusterClaim, ClusterMember};
use super::peers::PeerClaim;
use super::store::State;
use super::{RecoveryFailure, RecoveryOutcome};
use crate::disconnect_reason::DisconnectReason;
use crate::id::SocketId;
use crate::limits::Owner;
use crate::namespace::RoomHold;
use crate::socket::{EarlyRooms, Extensions};

/// State that is kept of a client that left.
pub(crate) struct Session {
    pub(crate) id: SocketId,
    pub(super) pid: Box<str>,
    pub(super) start: Position,
    pub(super) memberships: Memberships,
    pub(crate) data: Value,
    /// Extensions of the old socket, shared, so that its `disconnect` handlers still see them.
    pub(crate) extensions: Option<Arc<Extensions>>,
    pub(super) left: Position,
    pub(super) left_at: Instant,
    pub(super) owner: Owner,
    /// Log in whose positions the session is expressed.
    pub(super) epoch: Arc<str>,
    /// Secret of the server to which the session has been lent, see [`super::peers`].
    pub(super) lent: Option<Box<str>>,
    /// Keeps the rooms of the client open, if there are other servers.
    pub(super) hold: Option<RoomHold>,
    /// Counts the session for as long as it lives.
    pub(super) _kept: Kept,
}

/// Counts a session for its namespace, which stays as long as it has any.
pub(super) struct Kept(Arc<AtomicUsize>);

impl Kept {
    pub(super) fn new(sessions: &Arc<AtomicUsize>) -> Self {
        sessions.fetch_add(1, Ordering::AcqRel);
        Self(sessions.clone())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Returns the approximate number of bytes that a value takes in memory.
fn held(value: &Value) -> usize {
    let inside = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() + 16,
        Value::Array(values) => values.iter().map(held).sum::<usize>() + 32,
        Value::Object(map) => {
            let entries = map.iter();
            let entries = entries.map(|(name, value)| name.len() + 80 + held(value));
            entries.sum::<usize>() + 64
        }
    };
    size_of::<Value>() + inside
}

impl Session {
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.memberships.rooms().filter(|room| *room != &*self.id)
    }

    /// Keeps only the memberships of rooms that the socket is still in: a middleware may have made it leave others.
    pub(super) fn keep_rooms(&mut self, rooms: &EarlyRooms) {
        let Self {
            memberships, id, ..
        } = self;
        memberships.retain(|room| rooms.has(room) || room == &**id);
    }

    pub(super) fn size(&self) -> usize {
        let held_rooms = match self.hold {
            Some(_) => self.memberships.size(),
            None => 0,
        };
        512 + self.memberships.size() + held_rooms + held(&self.data)
    }
}

/// A session that was taken out of the store, for one connection.
pub(crate) struct Claim {
    pub(crate) session: Session,
    pub(super) expires: Instant,
    pub(super) offset: Option<String>,
}

/// State of a session that a new socket takes over.
pub(crate) struct Restored {
    pub(crate) id: SocketId,
    pub(crate) data: Value,
    pub(crate) extensions: Option<Arc<Extensions>>,
    /// Rooms without that of the id.
    pub(crate) rooms: Vec<String>,
}

/// Recovery state of a socket.
pub(crate) struct RecoveryState {
    pub(super) outcome: RecoveryOutcome,
    /// Session taken from the adapter, until the socket is connected.
    pub(super) cluster_claim: Option<ClusterClaim>,
    /// Session in the adapter's terms, once the socket is connected.
    pub(super) cluster_member: Option<ClusterMember>,
    /// Session of another server, until the socket is connected.
    pub(super) peer_claim: Option<PeerClaim>,
    /// Hold of the rooms that the socket is about to join.
    hold: Option<RoomHold>,
    /// Claimed session, until the socket is connected.
    pub(super) claim: Option<Claim>,
    /// Membership in the log, once the socket is connected.
    pub(super) member: Option<Member>,
    /// Reason for the disconnection, set while the `disconnecting` handlers run.
    leaving: Option<DisconnectReason>,
}

pub(super) struct Member {
    pub(super) pid: Box<str>,
    pub(super) start: Position,
    pub(super) memberships: Memberships,
}

impl RecoveryState {
    pub(crate) fn new(claim: Option<Result<Claim, RecoveryFailure>>) -> Self {
        let (outcome, claim) = match claim {
            None => (RecoveryOutcome::NotAttempted, None),
            Some(Err(failure)) => (RecoveryOutcome::Failed(failure), None),
            Some(Ok(claim)) => (RecoveryOutcome::Recovered { missed: 0 }, Some(claim)),
        };
        Self {
            outcome,
            cluster_claim: None,
            cluster_member: None,
            peer_claim: None,
            hold: None,
            claim,
            member: None,
            leaving: None,
        }
    }

    /// Creates the state of a socket that takes over a session of the adapter.
    pub(crate) fn of_cluster(claim: ClusterClaim) -> Self {
        Self {
            outcome: RecoveryOutcome::Recovered { missed: 0 },
            cluster_claim: Some(claim),
            ..Self::new(None)
        }
    }

    /// Creates the state of a socket that takes over a session of another server.
    pub(crate) fn of_peer(claim: PeerClaim) -> Self {
        Self {
            outcome: RecoveryOutcome::Recovered { missed: 0 },
            peer_claim: Some(claim),
            ..Self::new(None)
        }
    }

    /// Keeps rooms open until [`take_hold`](Self::take_hold).
    pub(super) fn put_hold(&mut self, hold: Option<RoomHold>) {
        self.hold = hold;
    }

    /// Returns what keeps rooms open, to be dropped while no lock is held, once the socket has joined them.
    pub(crate) fn take_hold(&mut self) -> Option<RoomHold> {
        let claimed = self.peer_claim.as_mut();
        self.hold.take().or_else(|| claimed?.take_hold())
    }

    /// Whether a session has been claimed and the socket is not connected yet.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claim.is_some()
    }

    /// Whether the session of the adapter has been claimed and the missed events have not been looked up.
    pub(crate) fn awaits_replay(&self) -> bool {
        let claim = self.cluster_claim.as_ref();
        let peer_claim = self.peer_claim.as_ref();
        claim.is_some_and(ClusterClaim::awaits_replay)
            || peer_claim.is_some_and(PeerClaim::awaits_replay)
    }

    /// Returns the state that the socket takes over.
    pub(crate) fn restored(&self) -> Option<Restored> {
        if let Some(claim) = &self.cluster_claim {
            return Some(claim.restored());
        }
        if let Some(claim) = &self.peer_claim {
            return Some(claim.restored());
        }
        let session = &self.claim.as_ref()?.session;
        Some(Restored {
            id: session.id.clone(),
            data: session.data.clone(),
            extensions: session.extensions.clone(),
            rooms: session.rooms().map(str::to_owned).collect(),
        })
    }

    /// Records that recovery failed before the middlewares run.
    pub(crate) fn fail(&mut self, failure: RecoveryFailure) {
        self.outcome = RecoveryOutcome::Failed(failure);
    }

    pub(crate) fn outcome(&self) -> RecoveryOutcome {
        self.outcome
    }

    /// Records that the session cannot be restored after all.
    pub(super) fn lost(&mut self, failure: RecoveryFailure) -> Option<Claim> {
        self.outcome = RecoveryOutcome::Failed(failure);
        self.claim.take()
    }

    pub(crate) fn leaves(&mut self, reason: DisconnectReason) {
        self.leaving = Some(reason);
    }

    pub(crate) fn leaving(&self) -> Option<DisconnectReason> {
        self.leaving
    }

    pub(crate) fn joined(&mut self, state: &State, room: &str) {
        if let Some(member) = &mut self.member {
            member.memberships.join(room, state.log.position());
        }
    }

    pub(crate) fn left(&mut self, state: &State, room: &str) {
        if let Some(member) = &mut self.member {
            member.memberships.leave(room, state.log.position());
        }
    }
}
