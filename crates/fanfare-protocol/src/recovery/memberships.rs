//! Who was in which room, and when.

use std::sync::Arc;

use super::Position;

/// So many rooms that a session has left are remembered.
pub(super) const LEFT: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) room: Arc<str>,
    pub(super) after: Position,
    pub(super) until: Option<Position>,
}

/// In which rooms a session is and was, and from which position to which: what was sent to a room before somebody
/// joined it is not missed by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    pub(super) list: Vec<Membership>,
}

impl Memberships {
    /// The session joins a room when the log is at `position`. Does nothing if it is in.
    pub fn join(&mut self, room: &str, position: Position) {
        if !self.has(room) {
            self.list.push(Membership {
                room: room.into(),
                after: position,
                until: None,
            });
        }
    }

    /// The session leaves a room. What was sent there before is still its own.
    pub fn leave(&mut self, room: &str, position: Position) {
        let open = |m: &&mut Membership| m.until.is_none() && *m.room == *room;
        if let Some(member) = self.list.iter_mut().find(open) {
            member.until = Some(position);
            if self.list.iter().filter(|m| m.until.is_some()).count() > LEFT
                && let Some(oldest) = self.list.iter().position(|m| m.until.is_some())
            {
                self.list.remove(oldest);
            }
        }
    }

    /// The session loses the right to what was sent to a room, past and future.
    pub fn revoke(&mut self, room: &str) {
        self.list.retain(|member| *member.room != *room);
    }

    /// Whether the session is in the room.
    #[must_use]
    pub fn has(&self, room: &str) -> bool {
        self.rooms().any(|name| name == room)
    }

    /// The rooms it is in.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        let current = self.list.iter().filter(|member| member.until.is_none());
        current.map(|member| &*member.room)
    }

    /// Whether it was in the room when this position was sent.
    pub(super) fn had(&self, room: &str, position: Position) -> bool {
        self.list.iter().any(|member| {
            *member.room == *room
                && position > member.after
                && member.until.is_none_or(|until| position <= until)
        })
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.list.iter().map(|member| member.room.len() + 64).sum()
    }
}
