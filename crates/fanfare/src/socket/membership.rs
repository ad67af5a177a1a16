//! Rooms of a socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_protocol::Escaped;

use super::{CONNECTED, CONNECTING, LEAVING, Socket};
use crate::broadcast::{RoomList, RoomNames};
use crate::error::JoinError;
use crate::log_target;
use crate::rooms::Left;

/// Number of rooms that are left before the lock of the namespace is released.
const ROOMS_PER_LOCK: usize = 1024;

impl Socket {
    /// Joins a room or several: all of them, or none if there is an error. Does nothing once the socket is
    /// disconnected.
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
    /// [`JoinError`] if a name is longer than [`Limits::max_room_len`](crate::Limits), there are more than
    /// [`Limits::max_rooms_per_call`](crate::Limits) names, or the socket would be in more rooms than
    /// [`Limits::max_rooms_per_socket`](crate::Limits). The error is also counted.
    pub fn join(&self, rooms: impl RoomNames) -> Result<(), JoinError> {
        let names = RoomList::of(rooms, self.0.namespace.max_rooms_per_call);
        self.join_list(&names)
    }

    /// Joins rooms as [`join`](Self::join) does, with names that have been collected.
    pub(crate) fn join_list(&self, names: &RoomList) -> Result<(), JoinError> {
        let names = names.check().map_err(JoinError::from);
        let joined = names.and_then(|names| self.join_all(names));
        if let Err(error) = &joined {
            tracing::debug!(target: log_target::SOCKET, socket = %self.0.id, error = %Escaped(error), "rooms not joined");
            self.io_inner().stats.rejected(error.cause());
        }
        joined
    }

    fn join_all(&self, names: &[String]) -> Result<(), JoinError> {
        let io = self.io_inner();
        let limits = &io.limits;
        if let Some(name) = names.iter().find(|name| name.len() > limits.max_room_len) {
            return Err(JoinError::too_long(name, limits.max_room_len));
        }
        // The socket is already in the room of its id.
        let own = self.0.id.as_str();
        let given = names.len();
        let names = || {
            let names = names.iter().map(String::as_str);
            names.filter(move |name| *name != own)
        };
        // The number of new rooms is determined only if it matters; if it is too high, nothing is changed.
        let check = |before: usize, missing: &dyn Fn() -> usize| {
            let limit = limits.max_rooms_per_socket;
            if before + given <= limit {
                return Ok(());
            }
            match before + missing() {
                rooms if rooms > limit => Err(JoinError::TooManyRooms { rooms, limit }),
                _ => Ok(()),
            }
        };
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let seat = self.0.seat.load(Ordering::Relaxed);
                check(index.room_count_of(seat), &|| index.missing(seat, names()))?;
                for name in names() {
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
                check(early.len(), &|| early.missing(names()))?;
                names().for_each(|name| early.join(name));
            }
            _ => {}
        }
        drop(index);
        drop(recovery);
        self.0.namespace.flush_interest();
        Ok(())
    }

    /// Leaves a room or several, without a limit.
    pub fn leave(&self, rooms: impl RoomNames) {
        self.leave_all(RoomList::of(rooms, usize::MAX).as_slice());
    }

    /// Leaves rooms in batches, so that other threads do not wait long for the lock.
    pub(crate) fn leave_all(&self, names: &[String]) {
        names
            .chunks(ROOMS_PER_LOCK)
            .for_each(|names| self.leave_some(names));
    }

    fn leave_some(&self, names: &[String]) {
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let seat = self.0.seat.load(Ordering::Relaxed);
                for name in names {
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
            CONNECTING => {
                let mut early = self.extra().early_rooms.lock();
                names.iter().for_each(|name| early.leave(name));
            }
            _ => {}
        }
        drop(index);
        drop(recovery);
        self.0.namespace.flush_interest();
    }

    /// Returns the rooms that the socket is in; the first is its id. Once it is disconnected there are none; but while
    /// its `on_disconnecting` handlers are pending, they are those that it was in when it left.
    pub fn rooms(&self) -> Vec<String> {
        let index = self.0.namespace.rooms.read();
        let own = std::iter::once(self.0.id.to_string());
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let joined = index.rooms_of(self.0.seat.load(Ordering::Relaxed));
                own.chain(joined.iter().map(|name| name.to_string()))
                    .collect()
            }
            CONNECTING => {
                let early = self.extra().early_rooms.lock();
                own.chain(early.iter().map(|name| name.to_string()))
                    .collect()
            }
            _ => self.rooms_at_leaving(),
        }
    }

    /// Keeps the rooms for a handler that runs while the socket leaves, as long as the guard lives.
    pub(crate) fn keep_rooms(&self) -> Option<KeptRooms> {
        if self.0.phase.load(Ordering::Acquire) != LEAVING {
            return None;
        }
        self.extra().left_rooms.lock().kept_by += 1;
        Some(KeptRooms(self.clone()))
    }

    /// Records the rooms that the socket has left.
    pub(super) fn left_rooms(&self, rooms: &[Left]) {
        if let Some(extra) = self.0.extra.get() {
            let mut kept = extra.left_rooms.lock();
            if kept.kept_by > 0 {
                kept.rooms = rooms.iter().map(|(name, _)| name.clone()).collect();
                kept.has_left = true;
            }
        }
    }

    fn rooms_at_leaving(&self) -> Vec<String> {
        let Some(extra) = self.0.extra.get() else {
            return Vec::new();
        };
        let kept = extra.left_rooms.lock();
        if !kept.has_left {
            return Vec::new();
        }
        let own = std::iter::once(self.0.id.to_string());
        own.chain(kept.rooms.iter().map(|name| name.to_string()))
            .collect()
    }
}

/// Rooms that a socket has left, for pending handlers.
#[derive(Debug, Default)]
pub(super) struct LeftRooms {
    /// Number of pending handlers.
    kept_by: u32,
    has_left: bool,
    rooms: Box<[Arc<str>]>,
}

/// Keeps the rooms that a socket has left available, as long as it lives.
#[derive(Debug)]
pub(crate) struct KeptRooms(Socket);

impl Drop for KeptRooms {
    fn drop(&mut self) {
        let mut kept = self.0.extra().left_rooms.lock();
        kept.kept_by -= 1;
        if kept.kept_by == 0 {
            *kept = LeftRooms::default();
        }
    }
}
