//! What a client sends: handlers of one socket, and the way of an event to all of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_protocol::socket::ArgsBuf;

use super::{DISCONNECTED, ListenerId, OutgoingEvent, Socket};
use crate::ack::AckSender;
use crate::client::{AtWork, Client};
use crate::handler::{EventContext, Handler, IntoAck, OnEvent, erase_event};
use crate::io::run_or_spawn;

impl Socket {
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
        self.extra()
            .listeners
            .add(Some(event), false, erase_event(handler))
    }

    /// As [`on`](Self::on), for the next event of this name only.
    pub fn once<H, T>(&self, event: &str, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.extra()
            .listeners
            .add(Some(event), true, erase_event(handler))
    }

    /// As [`on`](Self::on), for every event; acknowledgements do not pass it.
    pub fn on_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.extra()
            .listeners
            .add(None, false, erase_event(handler))
    }

    /// As [`on_any`](Self::on_any), before the handlers that were added to this socket earlier.
    pub fn prepend_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.extra().listeners.prepend_any(erase_event(handler))
    }

    /// Takes off all handlers of this socket for an event; says how many.
    pub fn off_event(&self, event: &str) -> usize {
        let extra = self.0.extra.get();
        extra.map_or(0, |extra| extra.listeners.remove_all(Some(event)))
    }

    /// Takes off all handlers of this socket for every event; says how many.
    pub fn off_any(&self) -> usize {
        let extra = self.0.extra.get();
        extra.map_or(0, |extra| extra.listeners.remove_all(None))
    }

    /// Adds a listener for every event that is sent to this socket, broadcasts included, before it leaves. It must not
    /// block. Acknowledgements do not pass it. While some socket has one, broadcasts of the namespace look for it at
    /// each recipient.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &OutgoingEvent) + Send + Sync + 'static,
    ) {
        self.extra().outgoing.lock().push(Arc::new(listener));
        let count = &self.0.namespace.outgoing_listeners;
        count.fetch_add(1, Ordering::Relaxed);
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            self.off_any_outgoing();
        }
    }

    /// Takes off all listeners of this socket for what is sent; says how many.
    pub fn off_any_outgoing(&self) -> usize {
        let Some(extra) = self.0.extra.get() else {
            return 0;
        };
        let gone = std::mem::take(&mut *extra.outgoing.lock()).len();
        let count = &self.0.namespace.outgoing_listeners;
        count.fetch_sub(gone, Ordering::Relaxed);
        gone
    }

    pub(crate) fn outgoing(&self, event: &OutgoingEvent) {
        if let Some(extra) = self.0.extra.get() {
            let listeners = extra.outgoing.lock().clone();
            listeners.iter().for_each(|listener| listener(self, event));
        }
    }

    /// Takes a handler of this socket off; `false` if it was gone already.
    pub fn off(&self, listener: ListenerId) -> bool {
        self.0
            .extra
            .get()
            .is_some_and(|extra| extra.listeners.remove(listener))
    }

    /// An event has arrived: its middlewares, then its handlers.
    #[inline]
    pub(crate) fn receive(&self, cx: &EventContext<'_>) {
        self.0.namespace.stats.event_in();
        tracing::trace!(socket = %self.0.id, event = cx.event, ack = cx.ack, "event received");
        if self.0.namespace.behaviour.packet_middlewares.is_empty() {
            self.dispatch(cx);
        } else {
            let work = Client::work(self.connection(), cx.args.byte_len());
            let event = cx.event.to_owned();
            let guarded = guarded(self.clone(), event, cx.args.to_buf(), cx.ack, work);
            run_or_spawn(&self.io_inner().running, guarded);
        }
    }

    #[inline]
    fn dispatch(&self, cx: &EventContext<'_>) {
        let behaviour = &self.0.namespace.behaviour;
        let mut handled = behaviour.dispatch(cx);
        if let Some(extra) = self.0.extra.get() {
            handled |= extra.listeners.dispatch(cx);
        }
        if handled {
            return;
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
    };
    for middleware in &socket.0.namespace.behaviour.packet_middlewares {
        if let Err(error) = middleware.call(&cx).await {
            tracing::debug!(socket = %socket.id(), event, %error, "event refused");
            let _ = AckSender::new(&socket, ack).send(&error);
            return;
        }
    }
    if socket.connected() {
        socket.dispatch(&cx);
    }
}
