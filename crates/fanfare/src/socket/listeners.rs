//! Handlers of one socket.

use parking_lot::RwLock;

use crate::handler::EventHandler;

/// Identifies a handler of a socket, so that it can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

struct Listener {
    id: u64,
    /// Event name; `None` for every event.
    event: Option<Box<str>>,
    once: bool,
    handler: EventHandler,
}

/// Handlers of one socket, in the order in which they were added.
#[derive(Default)]
pub(super) struct Listeners(RwLock<State>);

#[derive(Default)]
struct State {
    next: u64,
    list: Vec<Listener>,
}

impl Listeners {
    pub(super) fn add(&self, event: Option<&str>, once: bool, handler: EventHandler) -> ListenerId {
        let id = self.reserve();
        self.0.write().list.push(Listener {
            id: id.0,
            event: event.map(Into::into),
            once,
            handler,
        });
        id
    }

    /// Adds a handler for every event before the others.
    pub(super) fn prepend_any(&self, handler: EventHandler) -> ListenerId {
        let id = self.add(None, false, handler);
        let list = &mut self.0.write().list;
        if let Some(at) = list.iter().position(|listener| listener.id == id.0) {
            list[..=at].rotate_right(1);
        }
        id
    }

    /// Removes all handlers of an event, or all of every event.
    pub(super) fn remove_all(&self, event: Option<&str>) -> usize {
        let list = &mut self.0.write().list;
        let before = list.len();
        list.retain(|listener| listener.event.as_deref() != event);
        before - list.len()
    }

    pub(super) fn ids(&self, event: Option<&str>) -> Vec<ListenerId> {
        let state = self.0.read();
        let list = state.list.iter();
        list.filter(|listener| listener.event.as_deref() == event)
            .map(|listener| ListenerId(listener.id))
            .collect()
    }

    /// Returns an id for a listener that is stored elsewhere.
    pub(super) fn reserve(&self) -> ListenerId {
        let mut state = self.0.write();
        let id = state.next;
        state.next += 1;
        ListenerId(id)
    }

    pub(super) fn remove(&self, id: ListenerId) -> bool {
        let list = &mut self.0.write().list;
        let before = list.len();
        list.retain(|listener| listener.id != id.0);
        list.len() < before
    }

    pub(super) fn clear(&self) {
        let list = std::mem::take(&mut self.0.write().list);
        drop(list); // without the lock: dropping a handler may access the listeners
    }

    /// Returns the handlers of an event, or those of every event. The caller does not hold the lock while they run, so
    /// that they may add and remove others.
    pub(super) fn take(&self, event: Option<&str>) -> Vec<EventHandler> {
        let matches = |listener: &Listener| listener.event.as_deref() == event;
        let state = self.0.read();
        let chosen = |list: &[Listener]| {
            let chosen = list.iter().filter(|listener| matches(listener));
            chosen.map(|listener| listener.handler.clone()).collect()
        };
        if !state
            .list
            .iter()
            .any(|listener| listener.once && matches(listener))
        {
            return chosen(&state.list);
        }
        drop(state);
        let mut state = self.0.write();
        let handlers = chosen(&state.list);
        state
            .list
            .retain(|listener| !(listener.once && matches(listener)));
        handlers
    }
}
