//! Sockets of a manager, and the indexes that find one without scanning the others.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use super::SocketConfig;
use super::id::{Serials, SocketId};
use super::socket::Socket;

#[derive(Debug)]
struct Entry {
    socket: Socket,
    /// State recorded in `timers` and `active`.
    timer: Option<Instant>,
    active: bool,
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    serials: Serials,
    /// Sockets in the order in which they were added.
    entries: BTreeMap<SocketId, Entry>,
    names: HashMap<Arc<str>, SocketId>,
    index: Index,
    /// First wire id for acknowledgements: those below were used by sockets that are gone.
    first_ack: u64,
    #[cfg(test)]
    visited: std::cell::Cell<usize>,
}

/// Indexes derived from the sockets. Updated by [`SocketMut`], the only way to change a socket.
#[derive(Debug, Default)]
struct Index {
    timers: BTreeSet<(Instant, SocketId)>,
    active: usize,
}

impl Sockets {
    /// Adds a socket; `None` if the namespace has one.
    pub(super) fn add(&mut self, namespace: Arc<str>, config: SocketConfig) -> Option<SocketId> {
        if self.names.contains_key(&namespace) {
            return None;
        }
        let id = SocketId(self.serials.next());
        self.names.insert(namespace.clone(), id);
        let entry = Entry {
            socket: Socket::new(namespace, config, self.first_ack),
            timer: None,
            active: false,
        };
        self.entries.insert(id, entry);
        Some(id)
    }

    pub(super) fn remove(&mut self, id: SocketId) -> Option<Socket> {
        let entry = self.entries.remove(&id)?;
        self.names.remove(&entry.socket.namespace);
        if let Some(at) = entry.timer {
            self.index.timers.remove(&(at, id));
        }
        self.index.active -= usize::from(entry.active);
        self.first_ack = self.first_ack.max(entry.socket.next_ack());
        Some(entry.socket)
    }

    pub(super) fn find(&self, namespace: &str) -> Option<SocketId> {
        self.names.get(namespace).copied()
    }

    pub(super) fn get(&self, id: SocketId) -> Option<&Socket> {
        self.visit();
        self.entries.get(&id).map(|entry| &entry.socket)
    }

    pub(super) fn get_mut(&mut self, id: SocketId) -> Option<SocketMut<'_>> {
        self.visit();
        let entry = self.entries.get_mut(&id)?;
        Some(SocketMut {
            id,
            entry,
            index: &mut self.index,
        })
    }

    /// Returns the ids of all sockets.
    pub(super) fn ids(&self) -> Vec<SocketId> {
        self.entries.keys().copied().collect()
    }

    /// Whether any socket is connected or will connect without a call.
    pub(super) fn any_active(&self) -> bool {
        self.index.active > 0
    }

    pub(super) fn any_connected(&self) -> bool {
        self.entries
            .values()
            .inspect(|_| self.visit())
            .any(|entry| entry.socket.is_connected())
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.index.timers.first().map(|(at, _)| *at)
    }

    /// Returns the ids of the sockets whose timer is due.
    pub(super) fn due(&self, now: Instant) -> Vec<SocketId> {
        let timers = self.index.timers.iter();
        timers
            .take_while(|(at, _)| *at <= now)
            .map(|(_, id)| *id)
            .collect()
    }

    #[cfg(test)]
    fn visit(&self) {
        self.visited.set(self.visited.get() + 1);
    }

    #[cfg(not(test))]
    fn visit(&self) {}

    /// Number of sockets accessed since the last call.
    #[cfg(test)]
    pub(super) fn visited(&self) -> usize {
        self.visited.take()
    }
}

/// Mutable access to a socket, which updates the indexes when dropped.
pub(super) struct SocketMut<'a> {
    id: SocketId,
    entry: &'a mut Entry,
    index: &'a mut Index,
}

impl Deref for SocketMut<'_> {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.entry.socket
    }
}

impl DerefMut for SocketMut<'_> {
    fn deref_mut(&mut self) -> &mut Socket {
        &mut self.entry.socket
    }
}

impl Drop for SocketMut<'_> {
    fn drop(&mut self) {
        let Entry {
            socket,
            timer,
            active,
        } = &mut *self.entry;
        let next = socket.next_timeout();
        if next != *timer {
            if let Some(at) = *timer {
                self.index.timers.remove(&(at, self.id));
            }
            if let Some(at) = next {
                self.index.timers.insert((at, self.id));
            }
            *timer = next;
        }
        if socket.is_active() != *active {
            *active = socket.is_active();
            self.index.active = if *active {
                self.index.active + 1
            } else {
                self.index.active - 1
            };
        }
    }
}
