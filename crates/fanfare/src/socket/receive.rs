//! What a client sends: handlers of one socket, and the way of an event to all of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_protocol::socket::ArgsBuf;

use super::{DISCONNECTED, ListenerId, Listeners, OutgoingEvent, OutgoingHandler, Socket};
use crate::ack::{AckSender, Answered};
use crate::client::{AtWork, Client};
use crate::handler::{EventContext, Handler, IntoAck, OnEvent, erase_event};
use crate::io::run_or_spawn;

impl Socket {
    fn own_listeners(&self) -> Option<&Listeners> {
        self.0.extra.get()?.listeners.get().map(|own| &**own)
    }

    fn add_listeners(&self) -> &Listeners {
        self.extra().listeners.get_or_init(Box::default)
    }

    /// Adds a handler for this socket alone. Most behaviour belongs to [`Namespace::on`](crate::Namespace::on), which
    /// costs a socket nothing; handlers added here run after those of the namespace, and end with the socket.
    ///
    /// ```
    /// use fanfare::{Data, Namespace, Socket};
    ///
    /// let ns = Namespace::new("/").on_connect(async |socket: Socket| {
    ///     socket.once("ready", async |socket: Socket, Data(name): Data<String>| socket.emit("hello", name));
    /// });
    /// ```
    pub fn on<H, T>(&self, event: &str, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listeners()
            .add(Some(event), false, erase_event(handler))
    }

    /// As [`on`](Self::on), for the next event of this name only.
    pub fn once<H, T>(&self, event: &str, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listeners()
            .add(Some(event), true, erase_event(handler))
    }

    /// As [`on`](Self::on), for every event: it runs before the middlewares and the handlers of the event, also of
    /// events that these refuse. It cannot acknowledge, and acknowledgements do not pass it.
    pub fn on_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listeners().add(None, false, erase_event(handler))
    }

    /// As [`on_any`](Self::on_any), before the handlers that were added to this socket earlier.
    pub fn prepend_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.add_listeners().prepend_any(erase_event(handler))
    }

    /// The handlers of this socket for an event, in their order; not those of the namespace.
    pub fn listeners(&self, event: &str) -> Vec<ListenerId> {
        let own = self.own_listeners();
        own.map_or_else(Vec::new, |own| own.ids(Some(event)))
    }

    /// The handlers of this socket for every event, in their order (Node's `listenersAny`).
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        let own = self.own_listeners();
        own.map_or_else(Vec::new, |own| own.ids(None))
    }

    /// Takes off all handlers of this socket for an event; says how many.
    pub fn off_event(&self, event: &str) -> usize {
        let own = self.own_listeners();
        own.map_or(0, |own| own.remove_all(Some(event)))
    }

    /// Takes off all handlers of this socket for every event; says how many.
    pub fn off_any(&self) -> usize {
        let own = self.own_listeners();
        own.map_or(0, |own| own.remove_all(None))
    }

    /// Adds a listener for every event that is sent to this socket, broadcasts included, before it leaves. It must not
    /// block. Acknowledgements do not pass it. While some socket has one, broadcasts of the namespace look for it at
    /// each recipient.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &OutgoingEvent) + Send + Sync + 'static,
    ) -> ListenerId {
        self.add_outgoing(Arc::new(listener), false)
    }

    /// As [`on_any_outgoing`](Self::on_any_outgoing), before the listeners that were added to this socket earlier.
    pub fn prepend_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &OutgoingEvent) + Send + Sync + 'static,
    ) -> ListenerId {
        self.add_outgoing(Arc::new(listener), true)
    }

    fn add_outgoing(&self, listener: OutgoingHandler, first: bool) -> ListenerId {
        let extra = self.extra();
        let id = self.add_listeners().reserve();
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

    /// The listeners of this socket for what is sent, in their order (Node's `listenersAnyOutgoing`).
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        let Some(extra) = self.0.extra.get() else {
            return Vec::new();
        };
        extra.outgoing.lock().iter().map(|(id, _)| *id).collect()
    }

    /// Takes off all listeners of this socket for what is sent; says how many.
    pub fn off_any_outgoing(&self) -> usize {
        self.remove_outgoing(|_| true)
    }

    fn remove_outgoing(&self, goes: impl Fn(ListenerId) -> bool) -> usize {
        let Some(extra) = self.0.extra.get() else {
            return 0;
        };
        let mut list = extra.outgoing.lock();
        let before = list.len();
        list.retain(|(id, _)| !goes(*id));
        let gone = before - list.len();
        let count = &self.0.namespace.outgoing_listeners;
        count.fetch_sub(gone, Ordering::Relaxed);
        gone
    }

    pub(crate) fn outgoing(&self, event: &OutgoingEvent) {
        if let Some(extra) = self.0.extra.get() {
            let listeners = extra.outgoing.lock().clone();
            listeners
                .iter()
                .for_each(|(_, listener)| listener(self, event));
        }
    }

    /// Takes a handler of this socket off, of whatever kind; `false` if it was gone already.
    pub fn off(&self, listener: ListenerId) -> bool {
        let own = self.own_listeners();
        own.is_some_and(|own| own.remove(listener)) || self.remove_outgoing(|id| id == listener) > 0
    }

    /// An event has arrived: the handlers of every event, its middlewares, its handlers.
    #[inline]
    pub(crate) fn receive(&self, cx: &EventContext<'_>) {
        self.0.namespace.stats.event_in();
        tracing::trace!(socket = %self.0.id, event = cx.event, ack = cx.ack, "event received");
        if self.catch_alls(cx) && !self.connected() {
            return; // one of them has disconnected it
        }
        if self.0.namespace.behaviour.packet_middlewares.is_empty() {
            self.dispatch(cx);
        } else {
            let work = Client::work(self.connection(), cx.args.byte_len());
            let event = cx.event.to_owned();
            let guarded = guarded(self.clone(), event, cx.args.to_buf(), cx.ack, work);
            run_or_spawn(&self.io_inner().running, guarded);
        }
    }

    /// Runs the handlers of every event; `false` if there are none.
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
                tracing::debug!(socket = %self.0.id, event = cx.event, "no handler for this event");
            }
        }
    }
}

async fn guarded(socket: Socket, event: String, args: ArgsBuf, ack: Option<u64>, _work: AtWork) {
    let args = args.as_args();
    let cx = EventContext {
        socket: &socket,
        event: &event,
        args: &args,
        ack,
        answered: None,
    };
    for middleware in &socket.0.namespace.behaviour.packet_middlewares {
        if let Err(error) = middleware.call(&cx).await {
            tracing::debug!(socket = %socket.id(), event, %error, "event refused");
            let _ = AckSender::new(&socket, ack, None).send(&error);
            return;
        }
    }
    if socket.connected() {
        socket.dispatch(&cx);
    }
}
