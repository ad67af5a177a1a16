//! Rooms that are kept open for clients that are absent.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::NamespaceInner;
use crate::rooms::Rooms;
use crate::socket::Socket;

/// Rooms of clients that may come back, or are about to join: their events are received although no socket here is in
/// them. Number of holders by name.
#[derive(Debug, Default)]
pub(crate) struct HeldRooms(Mutex<HashMap<Arc<str>, usize>>);

impl HeldRooms {
    fn hold(&self, room: &Arc<str>) {
        *self.0.lock().entry(room.clone()).or_default() += 1;
    }

    fn release(&self, room: &Arc<str>) {
        let mut held = self.0.lock();
        if let Some(holders) = held.get_mut(room) {
            *holders -= 1;
            if *holders == 0 {
                held.remove(room);
            }
        }
        if held.is_empty() {
            held.shrink_to_fit();
        }
    }

    pub(crate) fn has(&self, room: &str) -> bool {
        self.0.lock().contains_key(room)
    }
}

/// Rooms of one client, held until this is dropped, which must not happen under a lock of the namespace.
pub(crate) struct RoomHold {
    namespace: Weak<NamespaceInner>,
    /// The first is the room of the client's id.
    rooms: Vec<Arc<str>>,
}

impl NamespaceInner {
    /// Holds the room of an id, and others. `index`: the rooms of the namespace, which are locked. The caller tells the
    /// adapter afterwards, by [`flush_interest`](Self::flush_interest).
    pub(crate) fn hold<'a>(
        self: &Arc<Self>,
        index: &Rooms<Socket>,
        id: &str,
        rooms: impl Iterator<Item = &'a str>,
    ) -> RoomHold {
        let id: Arc<str> = id.into();
        let others = rooms.filter(|room| **room != *id).map(Arc::from);
        let rooms: Vec<Arc<str>> = std::iter::once(id.clone()).chain(others).collect();
        for (i, room) in rooms.iter().enumerate() {
            self.held_rooms.hold(room);
            if let Some(interest) = self.room_hub.interest() {
                let open = match i == 0 {
                    true => index.get(room).is_some(),
                    false => index.has_room(room),
                };
                interest.hold(room, open, i == 0);
            }
        }
        RoomHold {
            namespace: Arc::downgrade(self),
            rooms,
        }
    }

    /// Waits until the adapter knows which rooms are open.
    pub(crate) async fn interest_flushed(&self) {
        self.flush_interest();
        if let Some(interest) = self.room_hub.interest() {
            // Another thread is just telling the adapter.
            while !interest.is_flushed() {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Drop for RoomHold {
    fn drop(&mut self) {
        let Some(namespace) = self.namespace.upgrade() else {
            return;
        };
        for (i, room) in self.rooms.iter().enumerate() {
            namespace.held_rooms.release(room);
            if let Some(interest) = namespace.room_hub.interest() {
                interest.release(room, i == 0);
            }
        }
        namespace.flush_interest();
    }
}

impl fmt::Debug for RoomHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoomHold").field(&self.rooms).finish()
    }
}
