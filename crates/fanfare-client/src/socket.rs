//! The public face of a namespace.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ack::AckRequest;
use crate::core::{Core, Shared, Status};
use crate::emitter::Emitter;
use crate::error::{BuildError, EmitError, StartError};
use crate::event::{Events, Listen};
use crate::handler::{
    Handler, Handlers, ListenerId, OnConnect, OnConnectError, OnDisconnect, OnEvent, dispatch,
    erase,
};
use crate::manager::Manager;
use crate::options::{SocketOptions, auth_callback, auth_json};
use crate::outgoing::{OutgoingEvent, OutgoingListener};
use crate::protocol::{EmitOptions, Emitted, Payload, SocketId};
use crate::queue::{Bounds, queue};

/// One namespace of a server: emits events and receives them. Cheap to clone.
///
/// Dropping the last handle disconnects the socket, after flushing what was emitted. (Handlers hold one only while
/// they run.) A program that ends right away should await [`disconnect`](Self::disconnect).
#[derive(Debug, Clone)]
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
        // Nobody else has it yet.
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
        self.connect();
        self.wait(fail_fast).await
    }

    async fn wait(&self, fail_fast: bool) -> Result<(), StartError> {
        let mut status = self.inner.shared.status.subscribe();
        let found = status
            .wait_for(|status| match status {
                Status::Pending => false,
                Status::Connected => true,
                Status::Failed { active, .. } => fail_fast || !active,
                Status::Disconnected { active } => !active,
            })
            .await;
        match found.map(|status| status.clone()) {
            Ok(Status::Connected) => Ok(()),
            Ok(Status::Failed { error, .. }) => Err(error.into()),
            _ => Err(StartError::Closed),
        }
    }

    fn start_dispatch(&self) {
        if !self.inner.dispatching.swap(true, Ordering::AcqRel) {
            let (sender, receiver) = queue(self.inner.inbound);
            self.inner.shared.listen(sender);
            let (handlers, weak) = (self.inner.handlers.clone(), Arc::downgrade(&self.inner));
            self.core()
                .runtime
                .spawn(dispatch(receiver, handlers, weak));
        }
    }

    // --- connection -----------------------------------------------------------------------------------------

    /// Connects; does nothing if the socket is connected or about to be. To be called after `build`, after a
    /// disconnection by either side, and after the server refused the namespace.
    pub fn connect(&self) {
        self.inner.shared.retry();
        self.core()
            .with(|state, now| state.manager.connect(now, self.inner.id));
    }

    /// Disconnects. What was emitted before is flushed. The returned future need not be awaited; it ends when
    /// everything is written and, with the last socket of a connection, the connection is closed.
    pub fn disconnect(&self) -> impl Future<Output = ()> + Send + use<> {
        let core = self.core().clone();
        core.with(|state, now| state.manager.disconnect(now, self.inner.id));
        // If it never was connected, nobody else tells those who wait.
        self.inner.shared.status.send_if_modified(|status| {
            let waiting = matches!(
                status,
                Status::Pending | Status::Failed { active: true, .. }
            );
            if waiting {
                *status = Status::Disconnected { active: false };
            }
            waiting
        });
        async move { core.wait_until(|state| state.is_flushed()).await }
    }

    /// Waits until the socket is connected.
    ///
    /// # Errors
    ///
    /// [`StartError::Connect`] if it will not connect by itself (any more), [`StartError::Closed`] if it was
    /// disconnected.
    pub async fn connected_or_failed(&self) -> Result<(), StartError> {
        self.wait(false).await
    }

    /// Whether the socket has joined its namespace.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.core()
            .look(|state| state.manager.is_connected(self.inner.id))
    }

    /// Whether the socket is connected or will connect by itself.
    #[must_use]
    pub fn active(&self) -> bool {
        self.core()
            .look(|state| state.manager.is_active(self.inner.id))
    }

    /// The socket's id while it is connected. It changes with each connection that is not recovered.
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        self.core()
            .look(|state| state.manager.socket_id(self.inner.id))
    }

    /// Whether the last connection restored the session before: nothing was missed.
    #[must_use]
    pub fn recovered(&self) -> bool {
        self.core()
            .look(|state| state.manager.is_recovered(self.inner.id))
    }

    /// The namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.inner.namespace
    }

    /// The connection.
    #[must_use]
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

    /// Asks for the `auth` payload at each connect from now on.
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
    /// [`EmitError::NotSerializable`], or [`EmitError::Full`] when too much waits already.
    #[allow(clippy::needless_pass_by_value)]
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit_with(event.as_ref(), &args, EmitOptions::new())
            .map(drop)
    }

    /// Emits an event only if it can be written right now; `false` if it was dropped.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    #[allow(clippy::needless_pass_by_value)]
    pub fn emit_volatile(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<bool, EmitError> {
        let emitted = self.emit_with(event.as_ref(), &args, EmitOptions::new().volatile(true))?;
        Ok(emitted != Emitted::Dropped)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// As [`emit`](Self::emit).
    #[allow(clippy::needless_pass_by_value)]
    pub fn send(&self, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Chooses whether the next event may be compressed, as by
    /// [`per_message_deflate`](crate::ClientBuilder::per_message_deflate). By default it may.
    ///
    /// ```no_run
    /// # fn run(socket: &fanfare_client::Socket, picture: bytes::Bytes) -> Result<(), fanfare_client::EmitError> {
    /// socket.compress(false).emit("picture", picture)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn compress(&self, compress: bool) -> Emitter<'_> {
        Emitter::new(self, EmitOptions::new().compress(compress))
    }

    pub(crate) fn emit_with(
        &self,
        event: &str,
        args: &impl IntoArgs,
        options: EmitOptions,
    ) -> Result<Emitted, EmitError> {
        let payload = Payload::event(self.core().parser, event, args)?;
        self.core()
            .with(|state, now| state.manager.emit(now, self.inner.id, payload, options))
            .map(|(emitted, _)| emitted)
    }

    /// Emits an event and awaits its acknowledgement: the first argument of the answer, several for a tuple.
    ///
    /// Nothing is sent before the returned value is awaited (or [`send`](AckRequest::send) is called). Dropping it
    /// withdraws the event if it is still buffered.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(socket: &fanfare_client::Socket) -> Result<(), fanfare_client::AckError> {
    /// let id: u64 = socket.emit_with_ack("message", "hello").timeout(Duration::from_secs(5)).await?;
    /// let (ok, count): (bool, u32) = socket.emit_with_ack("save", ("a", 1)).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[allow(clippy::needless_pass_by_value)]
    pub fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckRequest<R> {
        AckRequest::new(
            self.clone(),
            Payload::event(self.core().parser, event.as_ref(), &args),
        )
    }

    /// Events that wait for the connection (or in the `retries` queue), and their bytes.
    #[must_use]
    pub fn buffered(&self) -> (usize, usize) {
        self.core()
            .look(|state| state.manager.buffered(self.inner.id))
    }

    /// Acknowledgements that are awaited.
    #[must_use]
    pub fn pending_acks(&self) -> usize {
        self.core()
            .look(|state| state.manager.pending_acks(self.inner.id))
    }

    /// Waits until everything emitted was handed to the operating system, or the time is up; `false` then. For those
    /// who produce faster than the network takes. What waits for a connection counts too.
    pub async fn flushed(&self, timeout: Duration) -> bool {
        let id = self.inner.id;
        let flushed = self.core().wait_until(move |state| {
            state.manager.pending_bytes() == 0 && state.manager.buffered(id).0 == 0
        });
        tokio::time::timeout(timeout, flushed).await.is_ok()
    }

    // --- receiving ------------------------------------------------------------------------------------------

    /// Everything that happens to the socket from now on, in order, as a stream. Each call makes an independent one.
    ///
    /// ```no_run
    /// use fanfare_client::SocketEvent;
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
    #[must_use]
    pub fn events(&self) -> Events {
        let (sender, receiver) = queue(self.inner.inbound);
        self.inner.shared.listen(sender);
        Events { receiver }
    }

    /// The events of one name from now on, decoded as with [`Data`](crate::Data), as a stream.
    ///
    /// ```no_run
    /// # async fn run(socket: fanfare_client::Socket) {
    /// let mut news = socket.listen::<String>("news");
    /// while let Some(Ok(headline)) = news.next().await {
    ///     println!("{headline}");
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn listen<T: DeserializeOwned>(&self, event: impl Into<String>) -> Listen<T> {
        let Events { receiver } = self.events();
        Listen {
            receiver,
            name: event.into(),
            kind: PhantomData,
        }
    }

    /// Handles an event from now on; see [`ClientBuilder::on`](crate::ClientBuilder::on).
    pub fn on<T: 'static>(
        &self,
        event: impl Into<String>,
        handler: impl Handler<OnEvent, T>,
    ) -> ListenerId {
        let id = self.inner.handlers.on(event.into(), erase(handler));
        self.start_dispatch();
        id
    }

    /// Handles an event one time.
    pub fn once<T: 'static>(
        &self,
        event: impl Into<String>,
        handler: impl Handler<OnEvent, T>,
    ) -> ListenerId {
        let id = self.inner.handlers.add(event.into(), erase(handler), true);
        self.start_dispatch();
        id
    }

    /// Handles every event from now on, before its own handlers. As with the JavaScript client it may acknowledge, and
    /// then does so before them.
    pub fn on_any<T: 'static>(&self, handler: impl Handler<OnEvent, T>) -> ListenerId {
        let id = self.inner.handlers.on_any(erase(handler));
        self.start_dispatch();
        id
    }

    /// As [`on_any`](Self::on_any), before the handlers of every event that were added earlier.
    pub fn prepend_any<T: 'static>(&self, handler: impl Handler<OnEvent, T>) -> ListenerId {
        let id = self.inner.handlers.prepend_any(erase(handler));
        self.start_dispatch();
        id
    }

    /// Removes all handlers of every event; says how many. One of them goes with
    /// [`remove_listener`](Self::remove_listener).
    pub fn off_any(&self) -> usize {
        self.inner.handlers.off_any()
    }

    /// The handlers of every event, in their order (`listenersAny`).
    #[must_use]
    pub fn listeners_any(&self) -> Vec<ListenerId> {
        self.inner.handlers.any_ids()
    }

    /// Adds a listener for every event that is sent to the server, called when it is handed to the connection: at once
    /// while the socket is connected, otherwise when what was kept leaves. With
    /// [`retries`](crate::ClientBuilder::retries) it hears of each try, and of acknowledgements and dropped events never.
    ///
    /// Listeners hear of events in the order in which these leave. They run in the thread that emits, or in the
    /// connection's task, and must not block; they may emit.
    ///
    /// ```no_run
    /// use fanfare_client::{OutgoingEvent, Socket};
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

    /// As [`on_any_outgoing`](Self::on_any_outgoing), before the listeners that were added earlier.
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

    /// Removes all listeners for what is sent; says how many. One of them goes with
    /// [`remove_listener`](Self::remove_listener).
    pub fn off_any_outgoing(&self) -> usize {
        let gone = self.inner.handlers.off_any_outgoing();
        self.update_outgoing();
        gone
    }

    /// The listeners for what is sent, in their order (`listenersAnyOutgoing`).
    #[must_use]
    pub fn listeners_any_outgoing(&self) -> Vec<ListenerId> {
        self.inner.handlers.outgoing_ids()
    }

    pub(crate) fn outgoing_listeners(&self) -> Vec<OutgoingListener> {
        self.inner.handlers.outgoing()
    }

    /// Has the state machine report what is sent if anybody listens. Asked with its lock held, so that of several
    /// changes the last one counts.
    fn update_outgoing(&self) {
        let (id, handlers) = (self.inner.id, &self.inner.handlers);
        self.core()
            .with(|state, _| state.manager.report_outgoing(id, handlers.has_outgoing()));
    }

    /// Runs after each connect from now on.
    pub fn on_connect<T: 'static>(&self, handler: impl Handler<OnConnect, T>) -> ListenerId {
        let id = self.inner.handlers.on_connect(erase(handler));
        self.start_dispatch();
        id
    }

    /// Runs after each disconnect from now on.
    pub fn on_disconnect<T: 'static>(&self, handler: impl Handler<OnDisconnect, T>) -> ListenerId {
        let id = self.inner.handlers.on_disconnect(erase(handler));
        self.start_dispatch();
        id
    }

    /// Runs after each failed attempt to connect from now on.
    pub fn on_connect_error<T: 'static>(
        &self,
        handler: impl Handler<OnConnectError, T>,
    ) -> ListenerId {
        let id = self.inner.handlers.on_connect_error(erase(handler));
        self.start_dispatch();
        id
    }

    /// The handlers of an event, in their order.
    #[must_use]
    pub fn listeners(&self, event: &str) -> Vec<ListenerId> {
        self.inner.handlers.ids(event)
    }

    /// Removes all handlers of an event.
    pub fn off(&self, event: &str) {
        self.inner.handlers.off(event);
    }

    /// Removes one handler or listener, of whatever kind; `false` if it was gone already.
    pub fn remove_listener(&self, id: ListenerId) -> bool {
        let removed = self.inner.handlers.remove(id);
        self.update_outgoing();
        removed
    }
}
