//! The rooms of a socket.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::{CONNECTED, CONNECTING, LEAVING, Socket};
use crate::broadcast::RoomNames;

impl Socket {
    /// Joins a room or several. Does nothing once the socket is disconnected.
    ///
    /// Rooms beyond [`Limits::max_rooms_per_socket`](crate::Limits) are not joined, which is logged.
    pub fn join(&self, rooms: impl RoomNames) {
        let mut names = SmallVec::<[String; 1]>::new();
        rooms.add_to(&mut names);
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let limit = self.io_inner().limits.max_rooms_per_socket;
                let seat = self.0.seat.load(Ordering::Relaxed);
                for name in &names {
                    if index.room_count_of(seat) >= limit {
                        tracing::warn!(socket = %self.0.id, room = %name, limit, "too many rooms: not joined");
                        return;
                    }
                    let change = index.join(seat, name);
                    if change.moved {
                        let hub = &self.0.namespace.room_hub;
                        hub.joined(name, &self.0.id, change.room);
                    }
                    if let (true, Some(state), Some(part)) = (change.moved, &recovery, self.part())
                    {
                        part.lock().joined(state, name);
                    }
                }
            }
            CONNECTING => self.extra().early_rooms.lock().extend(names),
            _ => {}
        }
    }

    /// Leaves a room or several.
    pub fn leave(&self, rooms: impl RoomNames) {
        let mut names = SmallVec::<[String; 1]>::new();
        rooms.add_to(&mut names);
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let seat = self.0.seat.load(Ordering::Relaxed);
                for name in &names {
                    let change = index.leave(seat, name);
                    if change.moved {
                        let hub = &self.0.namespace.room_hub;
                        hub.left(name, &self.0.id, change.room);
                    }
                    if let (true, Some(state), Some(part)) = (change.moved, &recovery, self.part())
                    {
                        part.lock().left(state, name);
                    }
                }
            }
            CONNECTING => self
                .extra()
                .early_rooms
                .lock()
                .retain(|room| !names.contains(room)),
            _ => {}
        }
    }

    /// The rooms that the socket is in; the first is its own id.
    pub fn rooms(&self) -> Vec<String> {
        let index = self.0.namespace.rooms.read();
        let own = std::iter::once(self.0.id.to_string());
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let joined = index.rooms_of(self.0.seat.load(Ordering::Relaxed));
                own.chain(joined.iter().map(|name| name.to_string()))
                    .collect()
            }
            CONNECTING => own
                .chain(self.extra().early_rooms.lock().iter().cloned())
                .collect(),
            _ => Vec::new(),
        }
    }
}
