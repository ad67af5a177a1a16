//! Handlers of one socket.

use fanfare_core::ListenerId;
use parking_lot::RwLock;

use crate::handler::EventHandler;

struct Listener {
    id: ListenerId,
    /// Event name; `None` for every event.
    event: Option<Box<str>>,
    once: bool,
    handler: EventHandler,
}

/// Handlers of one socket, in the order in which they were added.
#[derive(Default)]
pub(super) struct Listeners(RwLock<Vec<Listener>>);

impl Listeners {
    pub(super) fn add(&self, event: Option<&str>, once: bool, handler: EventHandler) -> ListenerId {
        let id = ListenerId::new();
        self.0.write().push(Listener {
            id,
            event: event.map(Into::into),
            once,
            handler,
        });
        id
    }

    /// Adds a handler for every event before the others.
    pub(super) fn prepend_any(&self, handler: EventHandler) -> ListenerId {
        let id = self.add(None, false, handler);
        let mut list = self.0.write();
        if let Some(at) = list.iter().position(|listener| listener.id == id) {
            list[..=at].rotate_right(1);
        }
        id
    }

    /// Removes all handlers of an event, or all of every event; returns their number.
    pub(super) fn remove_all(&self, event: Option<&str>) -> usize {
        self.remove_where(|listener| listener.event.as_deref() == event)
    }

    /// Returns the ids of the handlers of an event, or of those of every event.
    pub(super) fn ids(&self, event: Option<&str>) -> Vec<ListenerId> {
        let list = self.0.read();
        let matching = list.iter().filter(|one| one.event.as_deref() == event);
        matching.map(|listener| listener.id).collect()
    }

    /// Removes one handler; returns `false` if it is not here.
    pub(super) fn remove(&self, id: ListenerId) -> bool {
        self.remove_where(|listener| listener.id == id) > 0
    }

    pub(super) fn clear(&self) {
        self.remove_where(|_| true);
    }

    /// Removes handlers; returns their number. They are dropped without the lock, because that may access the handlers
    /// of the same socket.
    fn remove_where(&self, mut goes: impl FnMut(&Listener) -> bool) -> usize {
        let removed: Vec<Listener> = self.0.write().extract_if(.., |one| goes(one)).collect();
        removed.len()
    }

    /// Returns the handlers of an event, or those of every event. The caller does not hold the lock while they run, so
    /// that they may add and remove others.
    pub(super) fn take(&self, event: Option<&str>) -> Vec<EventHandler> {
        let matches = |listener: &Listener| listener.event.as_deref() == event;
        let chosen = |list: &[Listener]| {
            let chosen = list.iter().filter(|listener| matches(listener));
            chosen.map(|listener| listener.handler.clone()).collect()
        };
        let list = self.0.read();
        if !list.iter().any(|one| one.once && matches(one)) {
            return chosen(&list);
        }
        drop(list);
        let mut list = self.0.write();
        let handlers = chosen(&list);
        // The handlers still exist, so that nothing is dropped here.
        list.retain(|listener| !(listener.once && matches(listener)));
        handlers
    }
}
