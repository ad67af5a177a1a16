//! Reception of events: streams, handlers and listeners.

use std::marker::PhantomData;
use std::sync::Arc;

use fanfare_core::{EventError, Handler, IntoAck, IntoOutcome, ListenerId};
use serde::de::DeserializeOwned;

use super::erased::{erase, erase_event};
use super::kinds::{OnConnect, OnConnectError, OnDisconnect, OnEvent};
use super::{OutgoingEvent, OutgoingListener, Socket};
use crate::event::{EventStream, Events};
use crate::queue::queue;

impl Socket {
    /// Returns a stream of all events of the socket from now on, in order. Each call creates an independent one.
    ///
    /// ```no_run
    /// use fanfare_client::event::SocketEvent;
    ///
    /// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = fanfare_client::connect("http://localhost:3000").build()?;
    /// let mut events = socket.events();
    /// socket.connect();
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         SocketEvent::Event(event) => println!("{} {:?}", event.name(), event.args().raw_json()),
    ///         SocketEvent::Disconnect { reason, .. } if !reason.reconnects() => break,
    ///         other => println!("{other:?}"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn events(&self) -> Events {
        let (sender, receiver) = queue(self.inner.inbound);
        self.inner.shared.listen(sender, None);
        Events { receiver }
    }

    /// Returns a stream of the events of one name from now on, decoded as with [`Data`](crate::Data). Others do not
    /// count against its limits; if it is read too slowly, dropped events are reported as
    /// [`ListenError::Lagged`](crate::event::ListenError::Lagged).
    ///
    /// ```no_run
    /// # async fn run(socket: fanfare_client::Socket) {
    /// let mut news = socket.listen::<String>("news");
    /// while let Some(Ok(headline)) = news.next().await {
    ///     println!("{headline}");
    /// }
    /// # }
    /// ```
    pub fn listen<T: DeserializeOwned>(&self, event: impl AsRef<str>) -> EventStream<T> {
        let (sender, receiver) = queue(self.inner.inbound);
        self.inner
            .shared
            .listen(sender, Some(event.as_ref().to_owned()));
        EventStream {
            receiver,
            kind: PhantomData,
        }
    }

    /// Handles an event from now on; see [`ClientBuilder::on`](crate::ClientBuilder::on).
    pub fn on<T: 'static>(
        &self,
        event: impl AsRef<str>,
        handler: impl Handler<OnEvent, T, Output: IntoAck>,
    ) -> ListenerId {
        let id = self
            .inner
            .handlers
            .on(event.as_ref().to_owned(), erase_event(handler));
        self.start_dispatch();
        id
    }

    /// Handles the next event of this name only.
    pub fn once<T: 'static>(
        &self,
        event: impl AsRef<str>,
        handler: impl Handler<OnEvent, T, Output: IntoAck>,
    ) -> ListenerId {
        let id = self
            .inner
            .handlers
            .add(event.as_ref().to_owned(), erase_event(handler), true);
        self.start_dispatch();
        id
    }

    /// Handles every event from now on, before the handlers of its name. As in the JavaScript client it may
    /// acknowledge, and then does so before them.
    pub fn on_any<T: 'static>(
        &self,
        handler: impl Handler<OnEvent, T, Output: IntoAck>,
    ) -> ListenerId {
        let id = self.inner.handlers.on_any(erase_event(handler));
        self.start_dispatch();
        id
    }

    /// Handles every event as [`on_any`](Self::on_any) does, before the catch-all handlers that were added earlier.
    pub fn prepend_any<T: 'static>(
        &self,
        handler: impl Handler<OnEvent, T, Output: IntoAck>,
    ) -> ListenerId {
        let id = self.inner.handlers.prepend_any(erase_event(handler));
        self.start_dispatch();
        id
    }

    /// Removes all catch-all handlers; returns their number. [`off`](Self::off) removes a single one.
    pub fn off_any(&self) -> usize {
        self.inner.handlers.off_any()
    }

    /// Returns the ids of the catch-all handlers, in order (`listenersAny`).
    #[must_use]
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        self.inner.handlers.any_ids()
    }

    /// Adds a listener for every event that is sent to the server, called when the event is handed to the connection:
    /// at once while the socket is connected, otherwise when the buffer is sent. With
    /// [`retries`](crate::ClientBuilder::retries) it is called at each attempt. It is never called for acknowledgements
    /// and dropped events.
    ///
    /// Listeners are called in the order in which the events are sent. They run in the thread that emits, or in the
    /// connection's task, and must not block; they may emit.
    ///
    /// ```no_run
    /// use fanfare_client::socket::OutgoingEvent;
    /// use fanfare_client::Socket;
    ///
    /// # fn run(socket: &Socket) {
    /// socket.on_any_outgoing(|_: &Socket, event: &OutgoingEvent| println!("sent {}", event.name()));
    /// # }
    /// ```
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Self, &OutgoingEvent) + Send + Sync + 'static,
    ) -> ListenerId {
        self.add_outgoing(Arc::new(listener), false)
    }

    /// Adds a listener as [`on_any_outgoing`](Self::on_any_outgoing) does, before those that were added earlier.
    pub fn prepend_any_outgoing(
        &self,
        listener: impl Fn(&Self, &OutgoingEvent) + Send + Sync + 'static,
    ) -> ListenerId {
        self.add_outgoing(Arc::new(listener), true)
    }

    fn add_outgoing(&self, listener: OutgoingListener, first: bool) -> ListenerId {
        let id = self.inner.handlers.add_outgoing(listener, first);
        self.update_outgoing();
        id
    }

    /// Removes all outgoing listeners; returns their number. [`off`](Self::off) removes a single one.
    pub fn off_any_outgoing(&self) -> usize {
        let gone = self.inner.handlers.off_any_outgoing();
        self.update_outgoing();
        gone
    }

    /// Returns the ids of the outgoing listeners, in order (`listenersAnyOutgoing`).
    #[must_use]
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        self.inner.handlers.outgoing_ids()
    }

    /// Sets whether the state machine reports sent events, which it does while there are listeners. Reads that with the
    /// lock of the state machine held, so that the last of several changes counts.
    pub(super) fn update_outgoing(&self) {
        let (id, handlers) = (self.inner.id, &self.inner.handlers);
        self.core()
            .with(|state, _| state.manager.report_outgoing(id, handlers.has_outgoing()));
    }

    /// Adds a handler that runs after each connect from now on.
    pub fn on_connect<T: 'static>(
        &self,
        handler: impl Handler<OnConnect, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        let id = self.inner.handlers.on_connect(erase(handler));
        self.start_dispatch();
        id
    }

    /// Adds a handler that runs after each disconnect from now on.
    pub fn on_disconnect<T: 'static>(
        &self,
        handler: impl Handler<OnDisconnect, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        let id = self.inner.handlers.on_disconnect(erase(handler));
        self.start_dispatch();
        id
    }

    /// Adds a handler that runs after each failed attempt to connect from now on.
    pub fn on_connect_error<T: 'static>(
        &self,
        handler: impl Handler<OnConnectError, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        let id = self.inner.handlers.on_connect_error(erase(handler));
        self.start_dispatch();
        id
    }

    /// Returns the ids of the handlers of an event, in order.
    #[must_use]
    pub fn listeners(&self, event: impl AsRef<str>) -> Vec<ListenerId> {
        self.inner.handlers.ids(event.as_ref())
    }

    /// Removes all handlers of an event; returns their number.
    pub fn off_event(&self, event: impl AsRef<str>) -> usize {
        self.inner.handlers.off(event.as_ref())
    }

    /// Removes one handler or listener of any kind; returns `false` if it had been removed already.
    pub fn off(&self, listener: ListenerId) -> bool {
        let removed = self.inner.handlers.remove(listener);
        self.update_outgoing();
        removed
    }
}
