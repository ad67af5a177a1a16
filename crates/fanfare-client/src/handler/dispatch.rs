//! Dispatch of queued events to handlers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Poll;

use fanfare_protocol::Escaped;
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::erased::{Erased, Failure};
use super::{
    ConnectContext, ConnectErrorContext, Connected, DisconnectContext, Disconnected, EventContext,
    HandlerKind, OnConnect, OnConnectError, OnDisconnect, OnEvent,
};
use crate::event::{Event, SocketEvent};
use crate::log_target;
use crate::queue::Receiver;
use crate::socket::OutgoingListener;
use crate::socket::{Inner, Socket};

/// Maximum number of concurrent event handlers of one socket, beyond which events stay in the queue. It is also the
/// maximum number of concurrent handlers of connects, disconnects and connect errors, beyond which further ones do not
/// run.
const MAX_RUNNING: usize = 1024;

/// Id of a handler that was added, to remove it. It is unique among all sockets of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

struct Listener<M: HandlerKind> {
    id: ListenerId,
    once: bool,
    handler: Arc<dyn Erased<M>>,
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
    fn listener<M: HandlerKind>(&self, handler: Arc<dyn Erased<M>>, once: bool) -> Listener<M> {
        Listener {
            id: self.id(),
            once,
            handler,
        }
    }

    fn id(&self) -> ListenerId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        ListenerId(NEXT.fetch_add(1, Ordering::Relaxed))
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
    ($name:ident, $moment:ty) => {
        pub(crate) fn $name(&self, handler: Arc<dyn Erased<$moment>>) -> ListenerId {
            let mut table = self.table.write();
            let listener = table.listener(handler, false);
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
        let listener = table.listener(handler, false);
        let id = listener.id;
        table.any.insert(0, listener);
        id
    }

    /// Adds an outgoing listener, after the others or before them.
    pub(crate) fn add_outgoing(&self, listener: OutgoingListener, first: bool) -> ListenerId {
        let mut table = self.table.write();
        let id = table.id();
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
        let listener = table.listener(handler, once);
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

    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table.read();
        table.events.is_empty()
            && table.any.is_empty()
            && table.connect.is_empty()
            && table.disconnect.is_empty()
            && table.connect_error.is_empty()
    }

    /// Returns the handlers of an event, catch-all handlers first, and removes those that run only once.
    fn of(&self, event: &str) -> Vec<Listener<OnEvent>> {
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

/// Runs handlers until the socket is gone. Each is polled once right here, so that handlers start in the order of
/// events and those that need not wait need no task; a handler that must wait continues in a separate task.
pub(crate) async fn dispatch(
    receiver: Receiver<SocketEvent>,
    handlers: Arc<Handlers>,
    socket: Weak<Inner>,
) {
    let mut dispatcher = Dispatcher {
        receiver,
        handlers,
        events: Arc::new(Semaphore::new(MAX_RUNNING)),
        lifecycle: Arc::new(Semaphore::new(MAX_RUNNING)),
    };
    while let Some(event) = dispatcher.receiver.next().await {
        let Some(socket) = socket.upgrade().map(Socket::from_inner) else {
            return;
        };
        match event {
            SocketEvent::Event(event) => dispatcher.event(socket, event).await,
            other => dispatcher.lifecycle(socket, other).await,
        }
    }
}

struct Dispatcher {
    receiver: Receiver<SocketEvent>,
    handlers: Arc<Handlers>,
    events: Arc<Semaphore>,
    lifecycle: Arc<Semaphore>,
}

impl Dispatcher {
    async fn event(&mut self, socket: Socket, event: Event) {
        let listeners = self.handlers.of(event.name());
        if listeners.is_empty() {
            return;
        }
        let name: Arc<str> = event.inner.name.clone();
        let cx = EventContext { socket, event };
        for listener in listeners {
            let Some(permit) = self.permit(&cx.socket).await else {
                return;
            };
            run(permit, &*listener.handler, &cx, &name).await;
        }
    }

    /// Waits for a permit to run one more event handler. Without one, connects and disconnects are dispatched ahead of
    /// the queued events.
    async fn permit(&mut self, socket: &Socket) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.events.clone().try_acquire_owned() {
            return Some(permit);
        }
        let mut acquire = std::pin::pin!(self.events.clone().acquire_owned());
        loop {
            let other = tokio::select! {
                biased;
                permit = &mut acquire => return permit.ok(),
                other = self.receiver.next_weightless() => other,
            };
            match other {
                Some(event) => self.lifecycle(socket.clone(), event).await,
                None => return acquire.await.ok(),
            }
        }
    }

    /// Runs the handlers of connects, disconnects and connect errors.
    async fn lifecycle(&self, socket: Socket, event: SocketEvent) {
        let table = &self.handlers.table;
        match event {
            SocketEvent::Connect { id, recovered } => {
                let cx = ConnectContext {
                    socket,
                    connected: Connected::new(id, recovered),
                };
                let listeners = table.read().connect.clone();
                self.run_all(listeners, &cx, "connect").await;
            }
            SocketEvent::Disconnect { reason, details } => {
                let cx = DisconnectContext {
                    socket,
                    disconnected: Disconnected::new(reason, details),
                };
                let listeners = table.read().disconnect.clone();
                self.run_all(listeners, &cx, "disconnect").await;
            }
            SocketEvent::ConnectError(error) => {
                let cx = ConnectErrorContext { socket, error };
                let listeners = table.read().connect_error.clone();
                self.run_all(listeners, &cx, "connect_error").await;
            }
            SocketEvent::Lagged(missed) => {
                tracing::warn!(
                    target: log_target::HANDLER,
                    missed,
                    namespace = socket.namespace_name(),
                    "handlers too slow: events dropped"
                );
            }
            SocketEvent::Event(_) => {}
        }
    }

    async fn run_all<M: HandlerKind>(
        &self,
        listeners: Vec<Listener<M>>,
        cx: &M::Context<'_>,
        name: &str,
    ) {
        for listener in listeners {
            // Does not wait, because the running handlers may have hung.
            match self.lifecycle.clone().try_acquire_owned() {
                Ok(permit) => run(permit, &*listener.handler, cx, name).await,
                Err(_) => tracing::error!(target: log_target::HANDLER, event = name,
                    limit = MAX_RUNNING,
                    "handler not run: too many of its kind have not ended"
                ),
            }
        }
    }
}

/// Runs a handler: it is polled once right here, and continues in a separate task if it is not finished then.
async fn run<M: HandlerKind>(
    permit: OwnedSemaphorePermit,
    handler: &dyn Erased<M>,
    cx: &M::Context<'_>,
    name: &str,
) {
    let mut future = match handler.call(cx) {
        Ok(future) => future,
        Err(failure) => return report(name, &failure),
    };
    match std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(failure)) => report(name, &failure),
        Poll::Pending => {
            let name = name.to_owned();
            tokio::spawn(async move {
                if let Err(failure) = future.await {
                    report(&name, &failure);
                }
                drop(permit);
            });
        }
    }
}

/// Logs the failure of a handler.
fn report(name: &str, failure: &Failure) {
    let event = Escaped(name);
    match failure {
        Failure::Rejected(rejection) => {
            let rejection = Escaped(rejection);
            tracing::warn!(target: log_target::HANDLER, %event, %rejection, "handler not run");
        }
        Failure::Error(error) => {
            let error = Escaped(error);
            tracing::warn!(target: log_target::HANDLER, %event, %error, "handler failed");
        }
        Failure::Panicked => {
            tracing::error!(target: log_target::HANDLER, %event, "handler panicked");
        }
    }
}
