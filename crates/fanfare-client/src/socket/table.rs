//! Table of the handlers of a socket.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_core::{HandlerKind, ListenerId};
use parking_lot::RwLock;

use super::OutgoingListener;
use super::erased::Erased;
use super::kinds::{OnConnect, OnConnectError, OnDisconnect, OnEvent};

/// Handler in the table.
pub(super) struct Listener<M: HandlerKind> {
    id: ListenerId,
    once: bool,
    pub(super) handler: Arc<dyn Erased<M>>,
}

impl<M: HandlerKind> Clone for Listener<M> {
    fn clone(&self) -> Self {
        Self {
            id: self.id,
            once: self.once,
            handler: self.handler.clone(),
        }
    }
}

#[derive(Default)]
struct Table {
    events: HashMap<String, Vec<Listener<OnEvent>>>,
    any: Vec<Listener<OnEvent>>,
    outgoing: Vec<(ListenerId, OutgoingListener)>,
    connect: Vec<Listener<OnConnect>>,
    disconnect: Vec<Listener<OnDisconnect>>,
    connect_error: Vec<Listener<OnConnectError>>,
}

impl Table {
    fn listener<M: HandlerKind>(handler: Arc<dyn Erased<M>>, once: bool) -> Listener<M> {
        Listener {
            id: ListenerId::new(),
            once,
            handler,
        }
    }
}

/// Handlers of a socket.
#[derive(Default)]
pub(crate) struct Handlers {
    table: RwLock<Table>,
}

impl std::fmt::Debug for Handlers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handlers")
            .field("events", &self.table.read().events.keys())
            .finish_non_exhaustive()
    }
}

macro_rules! add {
    ($name:ident, $kind:ty) => {
        pub(crate) fn $name(&self, handler: Arc<dyn Erased<$kind>>) -> ListenerId {
            let mut table = self.table.write();
            let listener = Table::listener(handler, false);
            let id = listener.id;
            table.$name.push(listener);
            id
        }
    };
}

impl Handlers {
    add!(connect, OnConnect);
    add!(disconnect, OnDisconnect);
    add!(connect_error, OnConnectError);
    add!(any, OnEvent);

    /// Adds a catch-all handler before the others.
    pub(crate) fn prepend_any(&self, handler: Arc<dyn Erased<OnEvent>>) -> ListenerId {
        let mut table = self.table.write();
        let listener = Table::listener(handler, false);
        let id = listener.id;
        table.any.insert(0, listener);
        id
    }

    /// Adds an outgoing listener, after the others or before them.
    pub(crate) fn add_outgoing(&self, listener: OutgoingListener, first: bool) -> ListenerId {
        let mut table = self.table.write();
        let id = ListenerId::new();
        let at = if first { 0 } else { table.outgoing.len() };
        table.outgoing.insert(at, (id, listener));
        id
    }

    /// Returns the outgoing listeners, so that the caller can run them without the lock.
    pub(crate) fn outgoing(&self) -> Vec<OutgoingListener> {
        let table = self.table.read();
        let listeners = table.outgoing.iter();
        listeners.map(|(_, listener)| listener.clone()).collect()
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        !self.table.read().outgoing.is_empty()
    }

    /// Returns the ids of the handlers of an event, in order.
    pub(crate) fn ids(&self, event: &str) -> Vec<ListenerId> {
        let table = self.table.read();
        let listeners = table.events.get(event).into_iter().flatten();
        listeners.map(|listener| listener.id).collect()
    }

    /// Returns the ids of the catch-all handlers, in order.
    pub(crate) fn any_ids(&self) -> Vec<ListenerId> {
        let table = self.table.read();
        table.any.iter().map(|listener| listener.id).collect()
    }

    /// Returns the ids of the outgoing listeners, in order.
    pub(crate) fn outgoing_ids(&self) -> Vec<ListenerId> {
        self.table
            .read()
            .outgoing
            .iter()
            .map(|(id, _)| *id)
            .collect()
    }

    /// Removes all catch-all handlers; returns their number.
    pub(crate) fn off_any(&self) -> usize {
        // Dropped without the lock, because a handler may hold the last handle of a socket.
        let gone = std::mem::take(&mut self.table.write().any);
        gone.len()
    }

    /// Removes all outgoing listeners; returns their number.
    pub(crate) fn off_any_outgoing(&self) -> usize {
        let gone = std::mem::take(&mut self.table.write().outgoing);
        gone.len()
    }

    pub(crate) fn on(&self, event: String, handler: Arc<dyn Erased<OnEvent>>) -> ListenerId {
        self.add(event, handler, false)
    }

    pub(crate) fn on_any(&self, handler: Arc<dyn Erased<OnEvent>>) -> ListenerId {
        self.any(handler)
    }

    pub(crate) fn on_connect(&self, handler: Arc<dyn Erased<OnConnect>>) -> ListenerId {
        self.connect(handler)
    }

    pub(crate) fn on_disconnect(&self, handler: Arc<dyn Erased<OnDisconnect>>) -> ListenerId {
        self.disconnect(handler)
    }

    pub(crate) fn on_connect_error(&self, handler: Arc<dyn Erased<OnConnectError>>) -> ListenerId {
        self.connect_error(handler)
    }

    pub(crate) fn add(
        &self,
        event: String,
        handler: Arc<dyn Erased<OnEvent>>,
        once: bool,
    ) -> ListenerId {
        let mut table = self.table.write();
        let listener = Table::listener(handler, once);
        let id = listener.id;
        table.events.entry(event).or_default().push(listener);
        id
    }

    /// Removes all handlers of an event; returns their number.
    pub(crate) fn off(&self, event: &str) -> usize {
        // Dropped without the lock, because a handler may hold the last handle of a socket.
        let gone = self.table.write().events.remove(event);
        gone.map_or(0, |listeners| listeners.len())
    }

    /// Removes one handler; returns `false` if it was gone already.
    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        fn take<T>(list: &mut Vec<T>, is: impl FnMut(&T) -> bool) -> Option<T> {
            let at = list.iter().position(is)?;
            Some(list.remove(at))
        }
        fn of<M: HandlerKind>(list: &mut Vec<Listener<M>>, id: ListenerId) -> Option<Listener<M>> {
            take(list, |listener| listener.id == id)
        }
        let mut guard = self.table.write();
        let table = &mut *guard;
        let event = table.events.values_mut().find_map(|list| of(list, id));
        table.events.retain(|_, list| !list.is_empty());
        let event = event.or_else(|| of(&mut table.any, id));
        let outgoing = take(&mut table.outgoing, |(other, _)| *other == id);
        let connect = of(&mut table.connect, id);
        let disconnect = of(&mut table.disconnect, id);
        let connect_error = of(&mut table.connect_error, id);
        // Unlocked before the handler is dropped, because it may hold the last handle of a socket.
        drop(guard);
        event.is_some()
            || outgoing.is_some()
            || connect.is_some()
            || disconnect.is_some()
            || connect_error.is_some()
    }

    /// Returns the handlers of connects.
    pub(super) fn of_connect(&self) -> Vec<Listener<OnConnect>> {
        self.table.read().connect.clone()
    }

    /// Returns the handlers of disconnects.
    pub(super) fn of_disconnect(&self) -> Vec<Listener<OnDisconnect>> {
        self.table.read().disconnect.clone()
    }

    /// Returns the handlers of failed attempts to connect.
    pub(super) fn of_connect_error(&self) -> Vec<Listener<OnConnectError>> {
        self.table.read().connect_error.clone()
    }

    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table.read();
        table.events.is_empty()
            && table.any.is_empty()
            && table.connect.is_empty()
            && table.disconnect.is_empty()
            && table.connect_error.is_empty()
    }

    /// Returns the handlers of an event, catch-all handlers first, and removes those that run only once.
    pub(super) fn of(&self, event: &str) -> Vec<Listener<OnEvent>> {
        let table = self.table.read();
        let mut found = table.any.clone();
        let own = table.events.get(event);
        found.extend(own.into_iter().flatten().cloned());
        if !found.iter().any(|listener| listener.once) {
            return found;
        }
        drop(table);
        let mut table = self.table.write();
        if let Some(listeners) = table.events.get_mut(event) {
            // Another thread may have taken one in the meantime.
            found.retain(|listener| {
                !listener.once || listeners.iter().any(|other| other.id == listener.id)
            });
            listeners.retain(|listener| !listener.once);
            if listeners.is_empty() {
                table.events.remove(event);
            }
        }
        found
    }
}
