//! Rooms in which an adapter is interested.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

/// Rooms of which an adapter learns when they open and close on this node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interest {
    /// No rooms: the adapter receives the messages for all rooms anyway.
    #[default]
    None,
    /// Rooms that sockets have joined.
    Rooms,
    /// Rooms that sockets have joined, and the room of each socket's id.
    RoomsAndSockets,
}

/// A room has opened on this node, with its first socket, or closed, with its last.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoomChange {
    /// Name of the room.
    pub room: Arc<str>,
    /// Whether the room has opened.
    pub opened: bool,
    /// Whether it is the room of a socket's id, which is open while the socket is connected. A room of the same name
    /// that other sockets have joined opens and closes separately.
    pub is_socket: bool,
}

impl RoomChange {
    /// Creates a change.
    pub fn new(room: impl Into<Arc<str>>, opened: bool, is_socket: bool) -> Self {
        Self {
            room: room.into(),
            opened,
            is_socket,
        }
    }
}

/// Changes of the rooms of a namespace that the adapter has not been told yet. They are added under the lock of the
/// rooms, which gives them their order, and passed on by one thread at a time while no lock is held.
///
/// It holds at most one change of each room: if a room closes before the adapter was told that it opened, or the
/// reverse, both changes are dropped. Its length is therefore bounded by the number of rooms.
#[derive(Debug)]
pub(crate) struct InterestQueue {
    sockets: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether the adapter knows the namespace.
    announced: bool,
    /// Whether a thread is passing changes on.
    flushing: bool,
    changes: BTreeMap<u64, RoomChange>,
    /// Numbers of the changes by room and whether it is that of a socket.
    by_room: HashMap<(Arc<str>, bool), u64>,
    next: u64,
    /// Rooms that are open for the adapter as long as they are held, although they may have no socket.
    held: HashMap<(Arc<str>, bool), Held>,
}

#[derive(Debug)]
struct Held {
    holders: usize,
    /// Whether the room has a socket.
    open: bool,
}

impl State {
    fn change(&mut self, key: (Arc<str>, bool), opened: bool) {
        if let Some(number) = self.by_room.remove(&key) {
            self.changes.remove(&number);
            return;
        }
        let number = self.next;
        self.next += 1;
        let change = RoomChange::new(key.0.clone(), opened, key.1);
        self.changes.insert(number, change);
        self.by_room.insert(key, number);
    }
}

impl InterestQueue {
    pub(crate) fn new(interest: Interest) -> Option<Self> {
        let sockets = match interest {
            Interest::None => return None,
            Interest::Rooms => false,
            Interest::RoomsAndSockets => true,
        };
        Some(Self {
            sockets,
            state: Mutex::default(),
        })
    }

    /// Adds a change. The changes of one room alternate.
    pub(crate) fn push(&self, room: &str, opened: bool, is_socket: bool) {
        if is_socket && !self.sockets {
            return;
        }
        let state = &mut *self.state.lock();
        let key = (Arc::from(room), is_socket);
        match state.held.get_mut(&key) {
            Some(held) => held.open = opened,
            None => state.change(key, opened),
        }
    }

    /// Keeps a room open for the adapter until it is [released](Self::release); `open` says whether it has a socket.
    /// Called under the lock of the rooms.
    pub(crate) fn hold(&self, room: &Arc<str>, open: bool, is_socket: bool) {
        if is_socket && !self.sockets {
            return;
        }
        let state = &mut *self.state.lock();
        let key = (room.clone(), is_socket);
        if let Some(held) = state.held.get_mut(&key) {
            held.holders += 1;
            return;
        }
        state.held.insert(key.clone(), Held { holders: 1, open });
        if !open {
            state.change(key, true);
        }
    }

    /// Releases a room that was held; without a socket it closes.
    pub(crate) fn release(&self, room: &Arc<str>, is_socket: bool) {
        let state = &mut *self.state.lock();
        let key = (room.clone(), is_socket);
        let Some(held) = state.held.get_mut(&key) else {
            return;
        };
        held.holders -= 1;
        if held.holders == 0 {
            let open = held.open;
            state.held.remove(&key);
            if !open {
                state.change(key, false);
            }
        }
    }

    /// Whether the adapter knows all changes.
    pub(crate) fn is_flushed(&self) -> bool {
        let state = self.state.lock();
        !state.flushing && (state.changes.is_empty() || !state.announced)
    }

    /// Enables passing changes on: from now on the adapter knows the namespace.
    pub(crate) fn announce(&self) {
        self.state.lock().announced = true;
    }

    /// Passes the changes on, unless another thread is doing that: then it passes these on as well.
    pub(crate) fn flush(&self, tell: impl Fn(&[RoomChange])) {
        let mut own = false;
        loop {
            let batch: Vec<RoomChange> = {
                let mut state = self.state.lock();
                if state.flushing && !own {
                    return;
                }
                state.flushing = state.announced && !state.changes.is_empty();
                if !state.flushing {
                    return;
                }
                own = true;
                state.by_room.clear();
                std::mem::take(&mut state.changes).into_values().collect()
            };
            tell(&batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(queue: &InterestQueue) -> Vec<(String, bool)> {
        let told = Mutex::new(Vec::new());
        queue.flush(|changes| {
            let changes = changes.iter().map(|c| (c.room.to_string(), c.opened));
            told.lock().extend(changes);
        });
        told.into_inner()
    }

    #[test]
    fn changes_keep_their_order_and_opposite_ones_cancel() {
        assert!(InterestQueue::new(Interest::None).is_none());
        let queue = InterestQueue::new(Interest::Rooms).unwrap();
        queue.push("a", true, false);
        assert_eq!(told(&queue), [], "not before the namespace is known");
        queue.announce();
        queue.push("b", true, false);
        queue.push("c", true, false);
        queue.push("b", false, false);
        queue.push("id", true, true);
        assert_eq!(told(&queue), [("a".into(), true), ("c".into(), true)]);
        queue.push("c", false, false);
        queue.push("d", true, false);
        queue.push("c", true, false);
        queue.push("a", false, false);
        assert_eq!(told(&queue), [("d".into(), true), ("a".into(), false)]);
        assert_eq!(told(&queue), []);
    }

    #[test]
    fn a_room_that_is_held_stays_open() {
        let queue = InterestQueue::new(Interest::Rooms).unwrap();
        queue.announce();
        let (a, b) = (Arc::from("a"), Arc::from("b"));
        queue.push("a", true, false);
        assert_eq!(told(&queue), [("a".into(), true)]);
        queue.hold(&a, true, false);
        queue.push("a", false, false);
        queue.hold(&b, false, false);
        queue.hold(&b, false, false);
        assert_eq!(told(&queue), [("b".into(), true)], "`a` is open already");
        queue.push("b", true, false);
        queue.release(&b, false);
        assert_eq!(told(&queue), []);
        queue.release(&b, false);
        queue.release(&a, false);
        assert_eq!(told(&queue), [("a".into(), false)], "`b` has a socket");
        queue.push("b", false, false);
        assert_eq!(told(&queue), [("b".into(), false)]);
        assert!(queue.is_flushed() && queue.state.lock().held.is_empty());
    }

    #[test]
    fn a_change_during_the_call_is_told_after_it() {
        let queue = InterestQueue::new(Interest::RoomsAndSockets).unwrap();
        queue.announce();
        queue.push("a", true, true);
        let told = Mutex::new(Vec::new());
        queue.flush(|changes| {
            told.lock().push(changes.to_vec());
            if changes[0].opened {
                queue.push("a", false, true);
                queue.flush(|_| panic!("not by a second caller"));
            }
        });
        let expected = [true, false].map(|opened| vec![RoomChange::new("a", opened, true)]);
        assert_eq!(told.into_inner(), expected);
    }
}
