//! The rooms of a socket.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::{CONNECTED, CONNECTING, LEAVING, Socket};
use crate::broadcast::RoomNames;

impl Socket {
    /// Joins a room or several. Does nothing once the socket is disconnected.
    ///
    /// Rooms beyond [`Limits::max_rooms_per_socket`](crate::Limits), and those whose names are longer than
    /// [`Limits::max_room_len`](crate::Limits), are not joined; that is logged and counted.
    pub fn join(&self, rooms: impl RoomNames) {
        let mut names = SmallVec::<[String; 1]>::new();
        rooms.add_to(&mut names);
        let io = self.io_inner();
        let limits = &io.limits;
        names.retain(|name| {
            let fits = name.len() <= limits.max_room_len;
            if !fits {
                let (len, limit) = (name.len(), limits.max_room_len);
                tracing::warn!(socket = %self.0.id, len, limit, "the name of a room is too long: not joined");
                io.stats.refused("room_too_long");
            }
            fits
        });
        let too_many = |room: &str| {
            let limit = limits.max_rooms_per_socket;
            tracing::warn!(socket = %self.0.id, room, limit, "too many rooms: not joined");
            io.stats.refused("too_many_rooms");
        };
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let seat = self.0.seat.load(Ordering::Relaxed);
                for name in &names {
                    if index.room_count_of(seat) >= limits.max_rooms_per_socket {
                        return too_many(name);
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
            CONNECTING => {
                let mut early = self.extra().early_rooms.lock();
                for name in names {
                    if early.len() >= limits.max_rooms_per_socket {
                        return too_many(&name);
                    }
                    if !early.contains(&name) {
                        early.push(name);
                    }
                }
            }
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
