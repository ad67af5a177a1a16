//! Current and past memberships in rooms.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::Position;

/// Maximum number of remembered rooms that a session has left.
pub(super) const LEFT: usize = 64;

/// Bytes of a membership in addition to the name of its room.
const OVERHEAD_BYTES: usize = 96;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub(super) room: Arc<str>,
    pub(super) after: Position,
    pub(super) until: Position,
}

/// Rooms that a session is and was in, with the positions of joining and leaving: a session has not missed events sent
/// to a room before it joined. Joining and leaving take constant time in the number of rooms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    pub(super) current: HashMap<Arc<str>, Position>,
    /// Past memberships, oldest first.
    pub(super) past: VecDeque<Past>,
}

impl Memberships {
    /// Joins a room when the log is at `position`. Does nothing if the session is in it.
    pub fn join(&mut self, room: &str, position: Position) {
        if !self.current.contains_key(room) {
            self.current.insert(room.into(), position);
        }
    }

    /// Leaves a room. The session still may receive events sent there before.
    pub fn leave(&mut self, room: &str, position: Position) {
        if let Some((room, after)) = self.current.remove_entry(room) {
            self.past.push_back(Past {
                room,
                after,
                until: position,
            });
            if self.past.len() > LEFT {
                self.past.pop_front();
            }
        }
    }

    /// Drops memberships, current and past, of rooms that are not to be kept: the session loses access to their events.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let current = self.current.keys();
        let revoked: HashSet<Arc<str>> = current.filter(|room| !keep(room)).cloned().collect();
        if !revoked.is_empty() {
            self.current.retain(|room, _| !revoked.contains(room));
            self.past.retain(|past| !revoked.contains(&past.room));
        }
    }

    /// Whether the session is in the room.
    #[must_use]
    pub fn has(&self, room: &str) -> bool {
        self.current.contains_key(room)
    }

    /// Returns the rooms that the session is in, in any order.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        self.current.keys().map(|room| &**room)
    }

    /// Returns each current or past room, with the positions after which and until which the session was in it.
    pub(super) fn spans(&self) -> impl Iterator<Item = (&str, Position, Option<Position>)> {
        let current = self.current.iter();
        let current = current.map(|(room, after)| (&**room, *after, None));
        let past = self.past.iter();
        current.chain(past.map(|past| (&*past.room, past.after, Some(past.until))))
    }

    /// Whether the session was in the room when this position was sent.
    pub(super) fn had(&self, room: &str, position: Position) -> bool {
        let is_in = self
            .current
            .get(room)
            .is_some_and(|after| position > *after);
        is_in
            || self
                .past
                .iter()
                .any(|past| position > past.after && position <= past.until && *past.room == *room)
    }

    /// Estimated memory, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.spans()
            .map(|(room, ..)| room.len() + OVERHEAD_BYTES)
            .sum()
    }
}
