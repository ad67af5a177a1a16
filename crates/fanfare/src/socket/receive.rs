//! Incoming events: the handlers of one socket, and the dispatch of an event to all its handlers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_protocol::Escaped;
use fanfare_protocol::socket::ArgsBuf;

use super::listeners::Listeners;
use super::{DISCONNECTED, ListenerId, OutgoingEvent, OutgoingHandler, Socket};
use crate::ack::{AckSender, Answered};
use crate::client::{Client, HandlerBudget};
use crate::handler::{
    AckSink, EventContext, Handler, IntoAck, OnEvent, PendingAck, erase_event, reports,
};
use crate::log_target;
use crate::server::run_or_spawn;

impl Socket {
    fn own_listeners(&self) -> Option<&Listeners> {
        self.0.extra.get()?.listeners.get().map(|own| &**own)
    }

    /// Adds to the handlers of this socket. A disconnected socket stores none: a handler may contain the socket, which
    /// would never be freed.
    fn add_listener(&self, add: impl FnOnce(&Listeners) -> ListenerId) -> ListenerId {
        let listeners = self.extra().listeners.get_or_init(Box::default);
        let id = add(listeners);
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            listeners.clear();
        }
        id
    }

    /// Removes every handler and listener of a socket that has disconnected.
    pub(super) fn drop_listeners(&self) {
        self.off_any_outgoing();
        if let Some(own) = self.own_listeners() {
            own.clear();
        }
    }

    /// Adds a handler for this socket only. Most behaviour belongs to [`Namespace::on`](crate::Namespace::on), which
    /// costs a socket nothing; handlers added here run after those of the namespace, and are removed with the socket.
    ///
    /// ```
    /// use fanfare::{Data, Namespace, Socket};
    ///
    /// let ns = Namespace::new("/").on_connect(async |socket: Socket| {
    ///     socket.once("ready", async |socket: Socket, Data(name): Data<String>| socket.emit("hello", name));
    /// });
    /// ```
    pub fn on<H, T>(&self, event: impl AsRef<str>, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listener(|own| own.add(Some(event.as_ref()), false, erase_event(handler)))
    }

    /// Adds a handler as [`on`](Self::on) does, for the next event of this name only.
    pub fn once<H, T>(&self, event: impl AsRef<str>, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listener(|own| own.add(Some(event.as_ref()), true, erase_event(handler)))
    }

    /// Adds a handler as [`on`](Self::on) does, for every event: it runs before the middlewares and the handlers of the
    /// event, and also for events that these reject. It cannot acknowledge, and it does not see acknowledgements.
    pub fn on_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listener(|own| own.add(None, false, erase_event(handler)))
    }

    /// Adds a handler as [`on_any`](Self::on_any) does, before those that were added to this socket earlier.
    pub fn prepend_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listener(|own| own.prepend_any(erase_event(handler)))
    }

    /// Returns the handlers of this socket for an event, in their order, without those of the namespace.
    pub fn listeners(&self, event: impl AsRef<str>) -> Vec<ListenerId> {
        let own = self.own_listeners();
        own.map_or_else(Vec::new, |own| own.ids(Some(event.as_ref())))
    }

    /// Returns the handlers of this socket for every event, in their order (Node's `listenersAny`).
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        let own = self.own_listeners();
        own.map_or_else(Vec::new, |own| own.ids(None))
    }

    /// Removes all handlers of this socket for an event; returns their number.
    pub fn off_event(&self, event: impl AsRef<str>) -> usize {
        let own = self.own_listeners();
        own.map_or(0, |own| own.remove_all(Some(event.as_ref())))
    }

    /// Removes all handlers of this socket for every event; returns their number.
    pub fn off_any(&self) -> usize {
        let own = self.own_listeners();
        own.map_or(0, |own| own.remove_all(None))
    }

    /// Adds a listener for every event that is sent to this socket, broadcasts included, before it leaves. It must not
    /// block. It does not see acknowledgements. While any socket has one, broadcasts of the namespace check each
    /// recipient for it.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &OutgoingEvent) + Send + Sync + 'static,
    ) -> ListenerId {
        self.add_outgoing(Arc::new(listener), false)
    }

    /// Adds a listener as [`on_any_outgoing`](Self::on_any_outgoing) does, before those that were added to this socket
    /// earlier.
    pub fn prepend_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &OutgoingEvent) + Send + Sync + 'static,
    ) -> ListenerId {
        self.add_outgoing(Arc::new(listener), true)
    }

    fn add_outgoing(&self, listener: OutgoingHandler, first: bool) -> ListenerId {
        let extra = self.extra();
        let id = ListenerId::new();
        let mut list = extra.outgoing.lock();
        let at = if first { 0 } else { list.len() };
        list.insert(at, (id, listener));
        drop(list);
        let count = &self.0.namespace.outgoing_listeners;
        count.fetch_add(1, Ordering::Relaxed);
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            self.off_any_outgoing();
        }
        id
    }

    /// Returns the listeners of this socket for outgoing events, in their order (Node's `listenersAnyOutgoing`).
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        let Some(extra) = self.0.extra.get() else {
            return Vec::new();
        };
        extra.outgoing.lock().iter().map(|(id, _)| *id).collect()
    }

    /// Removes all listeners of this socket for outgoing events; returns their number.
    pub fn off_any_outgoing(&self) -> usize {
        self.remove_outgoing(|_| true)
    }

    fn remove_outgoing(&self, goes: impl Fn(ListenerId) -> bool) -> usize {
        let Some(extra) = self.0.extra.get() else {
            return 0;
        };
        let mut list = extra.outgoing.lock();
        let all = std::mem::take(&mut *list);
        let (gone, stays): (Vec<_>, Vec<_>) = all.into_iter().partition(|(id, _)| goes(*id));
        *list = stays;
        drop(list); // dropped last: dropping a listener may access the list
        let count = &self.0.namespace.outgoing_listeners;
        count.fetch_sub(gone.len(), Ordering::Relaxed);
        gone.len()
    }

    /// Passes an outgoing event to the listeners of the namespace and of this socket.
    pub(crate) fn outgoing(&self, of_namespace: &[OutgoingHandler], event: &OutgoingEvent) {
        let own = match self.0.extra.get() {
            Some(extra) => extra.outgoing.lock().clone(),
            None => Vec::new(),
        };
        let io = self.io_inner();
        let own = own.iter().map(|(_, listener)| listener);
        for listener in of_namespace.iter().chain(own) {
            io.contain("on_any_outgoing", || listener(self, event));
        }
    }

    /// Removes a handler or listener of this socket; returns `false` if it had been removed already.
    pub fn off(&self, listener: ListenerId) -> bool {
        let own = self.own_listeners();
        own.is_some_and(|own| own.remove(listener)) || self.remove_outgoing(|id| id == listener) > 0
    }

    /// Dispatches an incoming event: to the handlers of every event, its middlewares, its handlers.
    #[inline]
    pub(crate) fn receive(&self, cx: &EventContext<'_>) {
        self.0.namespace.stats.event_in();
        let event = Escaped(cx.event);
        tracing::trace!(target: log_target::EVENT, socket = %self.0.id, %event, ack = cx.ack, "event received");
        if self.catch_alls(cx) && !self.is_connected() {
            return; // one of them has disconnected the socket
        }
        if self.0.namespace.behaviour.packet_middlewares.is_empty() {
            self.dispatch(cx);
        } else {
            let held = cx.args.held_bytes() + cx.args.decoded_bytes();
            let work = Client::work(self.connection(), held);
            let event = cx.event.to_owned();
            let guarded = guarded(self.clone(), event, cx.args.to_buf(), cx.ack, work);
            run_or_spawn(&self.io_inner().running, guarded);
        }
    }

    /// Runs the handlers of every event; returns `false` if there are none.
    #[inline]
    fn catch_alls(&self, cx: &EventContext<'_>) -> bool {
        let of_namespace = &self.0.namespace.behaviour.any;
        let own = self.own_listeners().map(|own| own.take(None));
        let own = own.as_deref().unwrap_or_default();
        if of_namespace.is_empty() && own.is_empty() {
            return false;
        }
        let cx = EventContext { ack: None, ..*cx };
        of_namespace
            .iter()
            .chain(own)
            .for_each(|handler| handler.call(&cx));
        true
    }

    #[inline]
    fn dispatch(&self, cx: &EventContext<'_>) {
        let behaviour = &self.0.namespace.behaviour;
        let of_namespace = behaviour.handlers(cx.event);
        let own = self.own_listeners().map(|own| own.take(Some(cx.event)));
        let own = own.as_deref().unwrap_or_default();
        if let ([handler], []) = (of_namespace, own) {
            return handler.call(cx);
        }
        if !of_namespace.is_empty() || !own.is_empty() {
            let answered = cx.ack.map(|_| Answered::default());
            let answered = answered.as_ref();
            let cx = EventContext { answered, ..*cx };
            let handlers = of_namespace.iter().chain(own);
            return handlers.for_each(|handler| handler.call(&cx));
        }
        match &behaviour.fallback {
            Some(handler) => handler.call(cx),
            None => {
                let event = Escaped(cx.event);
                tracing::debug!(target: log_target::EVENT, socket = %self.0.id, %event, "no handler for this event");
            }
        }
    }
}

async fn guarded(
    socket: Socket,
    event: String,
    args: ArgsBuf,
    ack: Option<u64>,
    _work: HandlerBudget,
) {
    let args = args.as_args();
    let cx = EventContext {
        socket: &socket,
        event: &event,
        args: &args,
        ack,
        answered: None,
    };
    let pending = PendingAck::new(AckSender::new(&socket, ack, None));
    for middleware in &socket.0.namespace.behaviour.packet_middlewares {
        if let Err(error) = middleware.call(&cx).await {
            let (event, text) = (Escaped(&event), Escaped(&error));
            tracing::debug!(target: log_target::EVENT, socket = %socket.id(), %event, error = %text, "event rejected");
            if error.cause().is_some() {
                reports::failure(&cx, &error); // reported nowhere else
            }
            pending.settle(|ack| ack.fail(&error));
            return;
        }
    }
    // From here on the handlers have to answer.
    pending.settle(drop);
    if socket.is_connected() {
        socket.dispatch(&cx);
    }
}
