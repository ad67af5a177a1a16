//! Public API of a namespace.

use std::future::Future;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::ack::AckFuture;
use crate::core::{Core, Shared};
use crate::error::{BuildError, EmitError, StartError};
use crate::event::{EventStream, Events};
use crate::handler::{
    EventError, Handler, Handlers, IntoAck, IntoOutcome, ListenerId, OnConnect, OnConnectError,
    OnDisconnect, OnEvent, dispatch, erase, erase_event,
};
use crate::manager::Manager;
use crate::options::{SocketOptions, auth_callback, auth_json};
use crate::protocol::SocketId;
use crate::queue::{Bounds, queue};
use crate::socket::SocketEmitter;
use crate::socket::{OutgoingEvent, OutgoingListener};

/// Socket of one namespace of a server, which emits and receives events. Cheap to clone.
///
/// Dropping the last handle disconnects the socket, after flushing earlier emits. A program that ends right away should
/// await [`disconnect`](Self::disconnect).
///
/// A handler that needs the socket takes it as an argument (`async |socket: Socket| …`) and holds it only while it
/// runs. A handler that captures its own socket keeps it, and the connection, alive for ever: the socket holds its
/// handlers.
///
/// When the runtime in which the socket was built has ended, [`emit`](Self::emit) returns [`EmitError::Closed`],
/// streams end, and `disconnect` returns at once.
#[derive(Debug, Clone)]
#[must_use = "the socket is disconnected when its last handle is dropped"]
pub struct Socket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    id: SocketId,
    namespace: String,
    shared: Arc<Shared>,
    handlers: Arc<Handlers>,
    dispatching: AtomicBool,
    inbound: Bounds,
    manager: Manager,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.close();
        self.manager.inner.core.with(|state, now| {
            state.manager.remove_socket(now, self.id);
            state.sockets.remove(&self.id);
        });
    }
}

impl Socket {
    pub(crate) fn new(
        manager: &Manager,
        namespace: &str,
        options: SocketOptions,
    ) -> Result<Self, BuildError> {
        let auth = options.auth.map_err(BuildError::Auth)?;
        let namespace = if namespace.starts_with('/') {
            namespace.to_owned()
        } else {
            format!("/{namespace}")
        };
        let shared = Arc::new(Shared::new(auth));
        if manager.inner.core.look(|state| state.is_gone()) {
            return Err(BuildError::NoRuntime);
        }
        let id = manager.inner.core.with(|state, _| {
            let id = state.manager.add_socket(&namespace, options.config)?;
            state.sockets.insert(id, shared.clone());
            Some(id)
        });
        let id = id.ok_or_else(|| BuildError::NamespaceInUse(namespace.clone()))?;
        let inner = Inner {
            id,
            namespace,
            shared,
            handlers: Arc::new(options.handlers),
            dispatching: AtomicBool::new(false),
            inbound: options.inbound,
            manager: manager.clone(),
        };
        let socket = Self {
            inner: Arc::new(inner),
        };
        // No other handle exists yet.
        let _ = socket.inner.shared.owner.set(Arc::downgrade(&socket.inner));
        socket.update_outgoing();
        if !socket.inner.handlers.is_empty() {
            socket.start_dispatch();
        }
        Ok(socket)
    }

    pub(crate) fn from_inner(inner: Arc<Inner>) -> Self {
        Self { inner }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.inner.manager.inner.core
    }

    pub(crate) fn id_in_manager(&self) -> SocketId {
        self.inner.id
    }

    /// Connects and waits for the outcome.
    pub(crate) async fn start(&self, fail_fast: bool) -> Result<(), StartError> {
        // Created before the connection, so that no early outcome is missed.
        let outcome = self.inner.shared.wait(fail_fast);
        self.connect();
        self.outcome(outcome).await
    }

    async fn outcome(
        &self,
        outcome: oneshot::Receiver<Result<(), StartError>>,
    ) -> Result<(), StartError> {
        if self.core().look(|state| state.is_gone()) {
            return Err(StartError::Closed);
        }
        outcome.await.unwrap_or(Err(StartError::Closed))
    }

    fn start_dispatch(&self) {
        if !self.inner.dispatching.swap(true, Ordering::AcqRel) {
            let (sender, receiver) = queue(self.inner.inbound);
            self.inner.shared.listen(sender, None);
            let (handlers, weak) = (self.inner.handlers.clone(), Arc::downgrade(&self.inner));
            self.core()
                .runtime
                .spawn(dispatch(receiver, handlers, weak));
        }
    }

    // --- connection -----------------------------------------------------------------------------------------

    /// Connects; does nothing if the socket is connected or connecting. To be called after `build`, after a
    /// disconnection by either side, and after the server rejected the namespace.
    pub fn connect(&self) {
        self.inner.shared.retry();
        self.core()
            .with(|state, now| state.manager.connect(now, self.inner.id));
    }

    /// Disconnects. Earlier emits are flushed. The returned future need not be awaited; it ends when everything is
    /// written and, with the last socket of a connection, the connection is closed.
    pub fn disconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        let core = self.core().clone();
        core.with(|state, now| state.manager.disconnect(now, self.inner.id));
        self.inner.shared.disconnected();
        async move { core.wait_until(|state| state.is_flushed()).await }
    }

    /// Waits until the socket is connected.
    ///
    /// # Errors
    ///
    /// [`StartError::Connect`] if it will not connect without a call of `connect` (any more), [`StartError::Closed`] if
    /// it was disconnected.
    pub async fn connected_or_failed(&self) -> Result<(), StartError> {
        self.outcome(self.inner.shared.wait(false)).await
    }

    /// Whether the socket has joined its namespace.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.core()
            .look(|state| !state.is_gone() && state.manager.is_connected(self.inner.id))
    }

    /// Whether the socket is connected or will connect without a call of `connect`.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.core()
            .look(|state| !state.is_gone() && state.manager.is_active(self.inner.id))
    }

    /// Returns the socket's id while it is connected. It changes with each connection that is not recovered.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        self.core()
            .look(|state| state.manager.socket_id(self.inner.id))
    }

    /// Whether the last connection restored the previous session, so that no event was missed.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.core()
            .look(|state| state.manager.is_recovered(self.inner.id))
    }

    /// Returns the name of the namespace.
    #[must_use]
    pub fn namespace_name(&self) -> &str {
        &self.inner.namespace
    }

    /// Returns the connection.
    pub fn manager(&self) -> &Manager {
        &self.inner.manager
    }

    /// Sets the `auth` payload of the next connect.
    ///
    /// # Errors
    ///
    /// [`BuildError::Auth`] if it does not serialize as a JSON object.
    pub fn set_auth(&self, auth: impl Serialize) -> Result<(), BuildError> {
        let json = auth_json(&auth).map_err(BuildError::Auth)?;
        *self.inner.shared.auth.lock() = crate::core::AuthSource::Value(json);
        Ok(())
    }

    /// Sets a callback that returns the `auth` payload at each connect from now on.
    pub fn set_auth_with<F, Fut, T, E>(&self, callback: F)
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: std::fmt::Display,
    {
        *self.inner.shared.auth.lock() = auth_callback(callback);
    }

    // --- emitting -------------------------------------------------------------------------------------------

    /// Emits an event, or keeps it until the socket is connected. `&T` is one argument, a tuple is several, `()` none.
    ///
    /// ```no_run
    /// # fn run(socket: &fanfare_client::Socket) -> Result<(), fanfare_client::EmitError> {
    /// socket.emit("join", "lobby")?;
    /// socket.emit("position", (3.5, 7.25))?;
    /// socket.emit("picture", bytes::Bytes::from_static(b"\x89PNG"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`], or [`EmitError::Full`] when the buffer is full.
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// The same as [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Makes the next event volatile: it is dropped if it cannot be written right now, and never buffered.
    ///
    /// ```no_run
    /// # fn run(socket: &fanfare_client::Socket) -> Result<(), fanfare_client::EmitError> {
    /// socket.volatile().emit("position", (3.5, 7.25))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn volatile(&self) -> SocketEmitter {
        self.emitter().volatile()
    }

    /// Sets whether the next event may be compressed, as by
    /// [`per_message_deflate`](crate::ClientBuilder::per_message_deflate). By default it may.
    ///
    /// ```no_run
    /// # fn run(socket: &fanfare_client::Socket, picture: bytes::Bytes) -> Result<(), fanfare_client::EmitError> {
    /// socket.compress(false).emit("picture", picture)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn compress(&self, compress: bool) -> SocketEmitter {
        self.emitter().compress(compress)
    }

    /// Sets the timeout of the next event's acknowledgement, in place of
    /// [`ack_timeout`](crate::ClientBuilder::ack_timeout). Without either, [`emit_with_ack`](Self::emit_with_ack) waits
    /// until the connection is lost.
    pub fn timeout(&self, timeout: Duration) -> SocketEmitter {
        self.emitter().timeout(timeout)
    }

    fn emitter(&self) -> SocketEmitter {
        SocketEmitter::new(self.clone())
    }

    /// Emits an event and awaits its acknowledgement: the first argument of the answer, several for a tuple.
    ///
    /// The event is emitted at once; the answer arrives when the future is awaited. Dropping the future withdraws the
    /// event if it is still buffered.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(socket: &fanfare_client::Socket) -> Result<(), fanfare_client::AckError> {
    /// let id: u64 = socket.timeout(Duration::from_secs(5)).emit_with_ack("message", "hello").await?;
    /// let (ok, count): (bool, u32) = socket.emit_with_ack("save", ("a", 1)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future fails with [`AckError`](crate::AckError): if the event cannot be emitted, after the
    /// [`timeout`](Self::timeout), or when the connection is lost.
    pub fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        self.emitter().emit_with_ack(event, args)
    }

    /// Number of events in the offline buffer and the `retries` queue, and of their bytes.
    #[must_use]
    pub fn buffered(&self) -> (usize, usize) {
        self.core()
            .look(|state| state.manager.buffered(self.inner.id))
    }

    /// Drops the events in the offline buffer (and in the `retries` queue, apart from the one in flight), when they
    /// have become useless. Their acknowledgements fail with [`AckError::Dropped`](crate::AckError::Dropped). Returns
    /// the number of events dropped.
    pub fn clear_buffer(&self) -> usize {
        let id = self.inner.id;
        self.core()
            .with(|state, now| state.manager.clear_buffer(now, id))
    }

    /// Number of pending acknowledgements.
    #[must_use]
    pub fn pending_acks(&self) -> usize {
        self.core()
            .look(|state| state.manager.pending_acks(self.inner.id))
    }

    /// Waits until all emits were handed to the operating system; returns `false` after the timeout. Provides
    /// back-pressure for applications that produce faster than the network sends. Events that wait for a connection
    /// count too.
    pub async fn flushed(&self, timeout: Duration) -> bool {
        let id = self.inner.id;
        let flushed = self.core().wait_until(move |state| {
            state.manager.pending_bytes() == 0 && state.manager.buffered(id).0 == 0
        });
        tokio::time::timeout(timeout, flushed).await.is_ok()
    }

    // --- receiving ------------------------------------------------------------------------------------------

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

    /// Removes all catch-all handlers; returns their number. [`off`](Self::off) removes a
    /// single one.
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

    /// Removes all outgoing listeners; returns their number. [`off`](Self::off) removes a
    /// single one.
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

    pub(crate) fn outgoing_listeners(&self) -> Vec<OutgoingListener> {
        self.inner.handlers.outgoing()
    }

    /// Sets whether the state machine reports sent events, which it does while there are listeners. Reads that with the
    /// lock of the state machine held, so that the last of several changes counts.
    fn update_outgoing(&self) {
        let (id, handlers) = (self.inner.id, &self.inner.handlers);
        self.core()
            .with(|state, _| state.manager.report_outgoing(id, handlers.has_outgoing()));
    }

    /// Runs after each connect from now on.
    pub fn on_connect<T: 'static>(
        &self,
        handler: impl Handler<OnConnect, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        let id = self.inner.handlers.on_connect(erase(handler));
        self.start_dispatch();
        id
    }

    /// Runs after each disconnect from now on.
    pub fn on_disconnect<T: 'static>(
        &self,
        handler: impl Handler<OnDisconnect, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        let id = self.inner.handlers.on_disconnect(erase(handler));
        self.start_dispatch();
        id
    }

    /// Runs after each failed attempt to connect from now on.
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

/// Clones of a socket are equal.
impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Socket {}

impl Hash for Socket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.inner).hash(state);
    }
}
