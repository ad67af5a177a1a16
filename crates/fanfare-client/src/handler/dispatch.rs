//! From queued events to running handlers.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::{
    ConnectContext, ConnectErrorContext, Connected, DisconnectContext, Disconnected, Erased,
    EventContext, EventError, HandlerFuture, Moment, OnConnect, OnConnectError, OnDisconnect,
    OnEvent, Outcome, Rejection,
};
use crate::event::SocketEvent;
use crate::outgoing::OutgoingListener;
use crate::queue::{Receiver, Take};
use crate::socket::{Inner, Socket};

/// Handlers of one socket that may run at a time; further events wait in the queue.
const MAX_RUNNING: usize = 1024;

/// Identifies a handler that was added, to remove it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ListenerId(u64);

struct Listener<M: Moment> {
    id: ListenerId,
    once: bool,
    handler: Arc<dyn Erased<M>>,
}

impl<M: Moment> Clone for Listener<M> {
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
    next: u64,
    events: HashMap<String, Vec<Listener<OnEvent>>>,
    any: Vec<Listener<OnEvent>>,
    outgoing: Vec<(ListenerId, OutgoingListener)>,
    connect: Vec<Listener<OnConnect>>,
    disconnect: Vec<Listener<OnDisconnect>>,
    connect_error: Vec<Listener<OnConnectError>>,
}

impl Table {
    fn listener<M: Moment>(&mut self, handler: Arc<dyn Erased<M>>, once: bool) -> Listener<M> {
        Listener {
            id: self.id(),
            once,
            handler,
        }
    }

    fn id(&mut self) -> ListenerId {
        self.next += 1;
        ListenerId(self.next)
    }
}

/// The handlers of a socket.
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

    /// Puts a handler of every event before the others.
    pub(crate) fn prepend_any(&self, handler: Arc<dyn Erased<OnEvent>>) -> ListenerId {
        let mut table = self.table.write();
        let listener = table.listener(handler, false);
        let id = listener.id;
        table.any.insert(0, listener);
        id
    }

    /// Adds a listener for what is sent, behind the others or before them.
    pub(crate) fn add_outgoing(&self, listener: OutgoingListener, first: bool) -> ListenerId {
        let mut table = self.table.write();
        let id = table.id();
        let at = if first { 0 } else { table.outgoing.len() };
        table.outgoing.insert(at, (id, listener));
        id
    }

    /// The listeners for what is sent, for somebody who does not hold the lock while they run.
    pub(crate) fn outgoing(&self) -> Vec<OutgoingListener> {
        let table = self.table.read();
        let listeners = table.outgoing.iter();
        listeners.map(|(_, listener)| listener.clone()).collect()
    }

    pub(crate) fn has_outgoing(&self) -> bool {
        !self.table.read().outgoing.is_empty()
    }

    /// The handlers of an event, in their order.
    pub(crate) fn ids(&self, event: &str) -> Vec<ListenerId> {
        let table = self.table.read();
        let listeners = table.events.get(event).into_iter().flatten();
        listeners.map(|listener| listener.id).collect()
    }

    /// The handlers of every event, in their order.
    pub(crate) fn any_ids(&self) -> Vec<ListenerId> {
        let table = self.table.read();
        table.any.iter().map(|listener| listener.id).collect()
    }

    /// The listeners for what is sent, in their order.
    pub(crate) fn outgoing_ids(&self) -> Vec<ListenerId> {
        self.table
            .read()
            .outgoing
            .iter()
            .map(|(id, _)| *id)
            .collect()
    }

    /// Removes all handlers of every event; says how many.
    pub(crate) fn off_any(&self) -> usize {
        // Dropped without the lock, for they may hold the last handle of something.
        let gone = std::mem::take(&mut self.table.write().any);
        gone.len()
    }

    /// Removes all listeners for what is sent; says how many.
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

    /// Removes all handlers of an event.
    pub(crate) fn off(&self, event: &str) {
        let gone = self.table.write().events.remove(event);
        drop(gone);
    }

    /// Removes one handler; `false` if it was gone already.
    pub(crate) fn remove(&self, id: ListenerId) -> bool {
        fn take<T>(list: &mut Vec<T>, is: impl FnMut(&T) -> bool) -> Option<T> {
            let at = list.iter().position(is)?;
            Some(list.remove(at))
        }
        fn of<M: Moment>(list: &mut Vec<Listener<M>>, id: ListenerId) -> Option<Listener<M>> {
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
        // Before it is dropped, for it may hold the last handle of something.
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

    /// The handlers of an event: those of all events first. Those for one time are gone after this.
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
            // Somebody else may have taken one meanwhile.
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
/// events and those that need not wait cost no task; one that has to wait goes on in a task of its own.
pub(crate) async fn dispatch(mut receiver: Receiver, handlers: Arc<Handlers>, socket: Weak<Inner>) {
    let permits = Arc::new(Semaphore::new(MAX_RUNNING));
    while let Some(event) = std::future::poll_fn(|cx| receiver.poll_next(cx))
        .await
        .map(Take::into_inner)
    {
        let Some(socket) = socket.upgrade().map(Socket::from_inner) else {
            return;
        };
        match event {
            SocketEvent::Event(event) => {
                let listeners = handlers.of(event.name());
                if listeners.is_empty() {
                    continue;
                }
                let name: Arc<str> = event.inner.name.clone();
                let cx = EventContext { socket, event };
                for listener in listeners {
                    run(&permits, &*listener.handler, &cx, &name, |error| {
                        error.send(&cx);
                    })
                    .await;
                }
            }
            SocketEvent::Connect { id, recovered } => {
                let cx = ConnectContext {
                    socket,
                    connected: Connected::new(id, recovered),
                };
                let listeners = handlers.table.read().connect.clone();
                for listener in listeners {
                    run(&permits, &*listener.handler, &cx, "connect", |_| {}).await;
                }
            }
            SocketEvent::Disconnect { reason, details } => {
                let cx = DisconnectContext {
                    socket,
                    disconnected: Disconnected::new(reason, details),
                };
                let listeners = handlers.table.read().disconnect.clone();
                for listener in listeners {
                    run(&permits, &*listener.handler, &cx, "disconnect", |_| {}).await;
                }
            }
            SocketEvent::ConnectError(error) => {
                let cx = ConnectErrorContext { socket, error };
                let listeners = handlers.table.read().connect_error.clone();
                for listener in listeners {
                    run(&permits, &*listener.handler, &cx, "connect_error", |_| {}).await;
                }
            }
            SocketEvent::Lagged(missed) => {
                tracing::warn!(
                    missed,
                    namespace = socket.namespace(),
                    "handlers too slow: events dropped"
                );
            }
        }
    }
}

async fn run<M: Moment>(
    permits: &Arc<Semaphore>,
    handler: &dyn Erased<M>,
    cx: &M::Context,
    name: &str,
    fail: impl Fn(&EventError),
) {
    // Never closed.
    let Ok(permit) = permits.clone().acquire_owned().await else {
        return;
    };
    let future = match std::panic::catch_unwind(AssertUnwindSafe(|| handler.call(cx))) {
        Ok(Ok(future)) => future,
        Ok(Err(rejection)) => {
            tracing::warn!(event = name, %rejection, "handler not run");
            let (Rejection::Args(_) | Rejection::Other(_)) = rejection;
            return fail(&EventError::new(rejection.to_string()));
        }
        Err(_) => return tracing::error!(event = name, "handler panicked"),
    };
    let mut future = Guarded(future);
    match std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await {
        Poll::Ready(Some(Ok(()))) => {}
        Poll::Ready(Some(Err(error))) => {
            tracing::warn!(event = name, %error, "handler failed");
            fail(&error);
        }
        Poll::Ready(None) => tracing::error!(event = name, "handler panicked"),
        Poll::Pending => {
            let name = name.to_owned();
            let ack = Failure::new(cx);
            tokio::spawn(async move {
                match future.await {
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        tracing::warn!(event = name, %error, "handler failed");
                        ack.send(&error);
                    }
                    None => tracing::error!(event = name, "handler panicked"),
                }
                drop(permit);
            });
        }
    }
}

/// Tells the server about an error, later.
struct Failure(Option<EventContext>);

impl Failure {
    fn new<C: Clone + 'static>(cx: &C) -> Self {
        let any: &dyn std::any::Any = cx;
        Self(any.downcast_ref::<EventContext>().cloned())
    }

    fn send(&self, error: &EventError) {
        if let Some(cx) = &self.0 {
            error.send(cx);
        }
    }
}

/// A handler's future; `None` if it panicked.
struct Guarded(HandlerFuture);

impl Future for Guarded {
    type Output = Option<Outcome>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::panic::catch_unwind(AssertUnwindSafe(|| self.0.as_mut().poll(cx))) {
            Ok(poll) => poll.map(Some),
            Err(_) => Poll::Ready(None),
        }
    }
}
