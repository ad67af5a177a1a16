//! What recovery knows of one connection, and what it keeps when the client leaves.

use std::sync::Arc;
use std::time::Instant;

use fanfare_protocol::recovery::{Memberships, Position};
use serde_json::Value;

use super::store::State;
use super::{RecoveryFailure, RecoveryOutcome};
use crate::id::SocketId;
use crate::reason::DisconnectReason;
use crate::socket::Extensions;

/// What is kept of somebody who left.
pub(crate) struct Session {
    pub(crate) id: SocketId,
    pub(super) pid: Box<str>,
    pub(super) start: Position,
    pub(super) memberships: Memberships,
    pub(crate) data: Value,
    /// The same that the socket had, so that its `disconnect` handlers still see them.
    pub(crate) extensions: Option<Arc<Extensions>>,
    pub(super) left: Position,
    pub(super) left_at: Instant,
}

impl Session {
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &str> {
        self.memberships.rooms().filter(|room| *room != &*self.id)
    }

    pub(super) fn size(&self) -> usize {
        let data = if self.data.is_null() {
            0
        } else {
            self.data.to_string().len()
        };
        512 + self.memberships.size() + 2 * data
    }
}

/// A session that was taken out of the store, for one connection.
pub(crate) struct Claim {
    pub(crate) session: Session,
    pub(super) expires: Instant,
    pub(super) offset: Option<String>,
}

/// The part of a socket in this.
pub(crate) struct Part {
    pub(super) outcome: RecoveryOutcome,
    /// Until the socket is connected.
    pub(super) claim: Option<Claim>,
    /// From then on.
    pub(super) member: Option<Member>,
    /// Set while the `disconnecting` handlers run.
    leaving: Option<DisconnectReason>,
}

pub(super) struct Member {
    pub(super) pid: Box<str>,
    pub(super) start: Position,
    pub(super) memberships: Memberships,
}

impl Part {
    pub(crate) fn new(claim: Option<Result<Claim, RecoveryFailure>>) -> Self {
        let (outcome, claim) = match claim {
            None => (RecoveryOutcome::NotAttempted, None),
            Some(Err(failure)) => (RecoveryOutcome::Failed(failure), None),
            Some(Ok(claim)) => (RecoveryOutcome::Recovered { missed: 0 }, Some(claim)),
        };
        Self {
            outcome,
            claim,
            member: None,
            leaving: None,
        }
    }

    /// A session waits for the socket to be let in.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claim.is_some()
    }

    pub(crate) fn claimed(&self) -> Option<&Session> {
        self.claim.as_ref().map(|claim| &claim.session)
    }

    pub(crate) fn outcome(&self) -> RecoveryOutcome {
        self.outcome
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
