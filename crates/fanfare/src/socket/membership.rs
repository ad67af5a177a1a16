//! The rooms of a socket.

use std::sync::atomic::Ordering;

use smallvec::SmallVec;

use super::{CONNECTED, CONNECTING, LEAVING, Socket};
use crate::broadcast::RoomNames;
use crate::error::JoinError;

impl Socket {
    /// Joins a room or several: all of them, or none if there is an error. Does nothing once the socket is disconnected.
    ///
    /// ```
    /// use fanfare::{Ack, Data, JoinError, Namespace, Socket};
    ///
    /// let chat = Namespace::new("/chat").on("watch", async |socket: Socket, Data(ids): Data<Vec<String>>| {
    ///     let rooms: Vec<String> = ids.iter().map(|id| format!("order:{id}")).collect();
    ///     match socket.join(rooms) {
    ///         Err(JoinError::TooManyRooms { limit, .. }) => Ok(Ack(format!("no more than {limit}"))),
    ///         joined => joined.map(|()| Ack("watching".to_owned())), // other errors reach the client, too
    ///     }
    /// });
    /// ```
    ///
    /// # Errors
    /// If a name is longer than [`Limits::max_room_len`](crate::Limits), or the socket would be in more rooms than
    /// [`Limits::max_rooms_per_socket`](crate::Limits). That is counted, too.
    pub fn join(&self, rooms: impl RoomNames) -> Result<(), JoinError> {
        let mut names = SmallVec::<[String; 1]>::new();
        rooms.add_to(&mut names);
        // It is in the room of its own id already.
        names.retain(|name| **name != *self.0.id);
        let joined = self.join_all(names);
        if let Err(error) = &joined {
            tracing::debug!(socket = %self.0.id, %error, "rooms not joined");
            self.io_inner().stats.refused(error.cause());
        }
        joined
    }

    fn join_all(&self, names: SmallVec<[String; 1]>) -> Result<(), JoinError> {
        let io = self.io_inner();
        let limits = &io.limits;
        if let Some(name) = names.iter().find(|name| name.len() > limits.max_room_len) {
            return Err(JoinError::too_long(name, limits.max_room_len));
        }
        let fit = |rooms: usize| match limits.max_rooms_per_socket {
            limit if rooms > limit => Err(JoinError::TooManyRooms { rooms, limit }),
            _ => Ok(()),
        };
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let seat = self.0.seat.load(Ordering::Relaxed);
                let before = index.room_count_of(seat);
                // Which of them are new is looked at only if it matters.
                if fit(before + names.len()).is_err() {
                    fit(before + index.missing(seat, &names))?;
                }
                for name in &names {
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
                let before = early.len();
                for name in names {
                    if !early.contains(&name) {
                        early.push(name);
                    }
                }
                if let Err(error) = fit(early.len()) {
                    early.truncate(before);
                    return Err(error);
                }
            }
            _ => {}
        }
        Ok(())
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
