//! Typed sockets and events.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use fanfare_core::EventError;
use fanfare_protocol::typed::{Answer, FromClients, FromServer, TakesEvent, Typed, TypedEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ack::AckFuture;
use crate::error::{BuildError, EmitError, StartError};
use crate::event::EventStream;
use crate::extract::{FromContext, Rejection};
use crate::handler::{
    Acknowledges, EventContext, Handler, IntoOutcome, OnConnect, OnConnectError, OnDisconnect,
    OnEvent,
};
use crate::manager::Manager;
use crate::socket::{ListenerId, Socket, SocketEmitter};

impl<E: TypedEvent + DeserializeOwned> FromContext<OnEvent> for Typed<E> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        cx.event.data().map_err(Rejection::Args)
    }
}

impl Socket {
    /// Emits a typed event; the name follows from the type.
    ///
    /// ```no_run
    /// # #[cfg(feature = "macros")] {
    /// use fanfare_client::typed::TypedEvent;
    /// use fanfare_client::{EmitError, Socket};
    ///
    /// #[derive(serde::Serialize, TypedEvent)]
    /// struct UserMoved(f64, f64);
    ///
    /// fn run(socket: &Socket) -> Result<(), EmitError> {
    ///     socket.emit_event(&UserMoved(1.5, 2.5)) // as `socket.emit("user_moved", (1.5, 2.5))`
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The same as [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Emits a typed event and awaits its acknowledgement, see [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
            .checked(E::check_ack)
    }

    /// Handles a typed event from now on: the parameter [`Typed<E>`](Typed) selects the event, and the handler must
    /// return its acknowledgement, see [`ClientBuilder::on_event`](crate::ClientBuilder::on_event).
    pub fn on_event<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.on(T::Event::NAME, handler)
    }

    /// Handles the next typed event only.
    pub fn once_event<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.once(T::Event::NAME, handler)
    }

    /// Returns a stream of the events of one type from now on, see [`listen`](Self::listen).
    pub fn listen_event<E: TypedEvent + DeserializeOwned>(&self) -> EventStream<Typed<E>> {
        self.listen(E::NAME)
    }

    /// Returns the same socket, restricted to the events of a contract.
    pub fn typed<C>(&self) -> TypedSocket<C> {
        TypedSocket::new(self.clone())
    }
}

impl SocketEmitter {
    /// Emits a typed event as [`Socket::emit_event`] does.
    ///
    /// # Errors
    ///
    /// The same as [`Socket::emit`].
    pub fn emit_event<E: TypedEvent + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Emits a typed event and awaits its acknowledgement, as [`Socket::emit_event_with_ack`] does.
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
            .checked(E::check_ack)
    }
}

/// [`Socket`] that only emits events that clients send by the contract `C`, and only receives those that the server
/// sends by it. [`untyped`](Self::untyped) returns the socket itself.
///
/// [`ClientBuilder::typed`](crate::ClientBuilder::typed) and [`Socket::typed`] make one.
pub struct TypedSocket<C> {
    socket: Socket,
    contract: PhantomData<fn() -> C>,
}

impl<C> TypedSocket<C> {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            contract: PhantomData,
        }
    }

    /// Emits an event of the contract, see [`Socket::emit`].
    ///
    /// # Errors
    ///
    /// The same as [`Socket::emit`].
    pub fn emit<E: FromClients<C> + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.socket.emit_event(event)
    }

    /// Emits an event of the contract and awaits its acknowledgement, see [`Socket::emit_with_ack`].
    pub fn emit_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: FromClients<C, Ack: Answer> + Serialize,
    {
        self.socket.emit_event_with_ack(event)
    }

    /// Makes the next event of the contract volatile, see [`Socket::volatile`].
    pub fn volatile(&self) -> TypedEmitter<C> {
        TypedEmitter::new(self.socket.volatile())
    }

    /// Sets whether the next event of the contract may be compressed, see [`Socket::compress`].
    pub fn compress(&self, compress: bool) -> TypedEmitter<C> {
        TypedEmitter::new(self.socket.compress(compress))
    }

    /// Sets the timeout of the next event's acknowledgement, see [`Socket::timeout`].
    pub fn timeout(&self, timeout: Duration) -> TypedEmitter<C> {
        TypedEmitter::new(self.socket.timeout(timeout))
    }

    /// Handles an event of the contract from now on, see [`Socket::on_event`].
    pub fn on<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromServer<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.socket.on_event(handler)
    }

    /// Handles the next event of the contract of this type only.
    pub fn once<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromServer<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.socket.once_event(handler)
    }

    /// Returns a stream of the events of one type of the contract from now on, see [`Socket::listen`].
    pub fn listen<E: FromServer<C> + DeserializeOwned>(&self) -> EventStream<Typed<E>> {
        self.socket.listen_event()
    }

    /// Returns the same socket without the contract, for events outside it.
    pub fn untyped(&self) -> &Socket {
        &self.socket
    }

    /// Connects, see [`Socket::connect`].
    pub fn connect(&self) {
        self.socket.connect();
    }

    /// Disconnects, see [`Socket::disconnect`].
    pub fn disconnect(&self) -> impl Future<Output = ()> + Send + use<C> {
        self.socket.disconnect()
    }

    /// Waits until the socket is connected, see [`Socket::connected_or_failed`].
    ///
    /// # Errors
    ///
    /// The same as [`Socket::connected_or_failed`].
    pub async fn connected_or_failed(&self) -> Result<(), StartError> {
        self.socket.connected_or_failed().await
    }

    /// Whether the socket has joined its namespace, see [`Socket::is_connected`].
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.socket.is_connected()
    }

    /// Whether the socket is connected or will connect without a call of `connect`, see [`Socket::is_active`].
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.socket.is_active()
    }

    /// Returns the socket's id while it is connected, see [`Socket::id`].
    #[must_use]
    pub fn id(&self) -> Option<Arc<str>> {
        self.socket.id()
    }

    /// Whether the last connection restored the previous session, see [`Socket::is_recovered`].
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.socket.is_recovered()
    }

    /// Returns the name of the namespace, see [`Socket::namespace_name`].
    #[must_use]
    pub fn namespace_name(&self) -> &str {
        self.socket.namespace_name()
    }

    /// Returns the connection, see [`Socket::manager`].
    pub fn manager(&self) -> &Manager {
        self.socket.manager()
    }

    /// Sets the `auth` payload of the next connect, see [`Socket::set_auth`].
    ///
    /// # Errors
    ///
    /// The same as [`Socket::set_auth`].
    pub fn set_auth(&self, auth: impl Serialize) -> Result<(), BuildError> {
        self.socket.set_auth(auth)
    }

    /// Number of buffered events, and of their bytes, see [`Socket::buffered`].
    #[must_use]
    pub fn buffered(&self) -> (usize, usize) {
        self.socket.buffered()
    }

    /// Number of pending acknowledgements, see [`Socket::pending_acks`].
    #[must_use]
    pub fn pending_acks(&self) -> usize {
        self.socket.pending_acks()
    }

    /// Waits until all emits were handed to the operating system, see [`Socket::flushed`].
    pub async fn flushed(&self, timeout: Duration) -> bool {
        self.socket.flushed(timeout).await
    }

    /// Adds a handler that runs after each connect, see [`Socket::on_connect`].
    pub fn on_connect<T: 'static>(
        &self,
        handler: impl Handler<OnConnect, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        self.socket.on_connect(handler)
    }

    /// Adds a handler that runs after each disconnect, see [`Socket::on_disconnect`].
    pub fn on_disconnect<T: 'static>(
        &self,
        handler: impl Handler<OnDisconnect, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        self.socket.on_disconnect(handler)
    }

    /// Adds a handler that runs after each failed attempt to connect, see [`Socket::on_connect_error`].
    pub fn on_connect_error<T: 'static>(
        &self,
        handler: impl Handler<OnConnectError, T, Output: IntoOutcome<EventError>>,
    ) -> ListenerId {
        self.socket.on_connect_error(handler)
    }

    /// Removes one handler or listener, see [`Socket::off`].
    pub fn off(&self, listener: ListenerId) -> bool {
        self.socket.off(listener)
    }
}

impl<C> Clone for TypedSocket<C> {
    fn clone(&self) -> Self {
        Self::new(self.socket.clone())
    }
}

impl<C> fmt::Debug for TypedSocket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(f)
    }
}

impl<C: 'static> FromContext<OnEvent> for TypedSocket<C> {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(cx.socket.typed())
    }
}

/// Flags of an event of the contract `C`: [`TypedSocket::volatile`], [`TypedSocket::timeout`],
/// [`TypedSocket::compress`].
#[must_use = "this only says how to send: call `emit`"]
pub struct TypedEmitter<C> {
    inner: SocketEmitter,
    contract: PhantomData<fn() -> C>,
}

impl<C> TypedEmitter<C> {
    fn new(inner: SocketEmitter) -> Self {
        Self {
            inner,
            contract: PhantomData,
        }
    }

    /// Makes the event volatile, see [`Socket::volatile`].
    pub fn volatile(self) -> Self {
        Self::new(self.inner.volatile())
    }

    /// Sets whether the event may be compressed, see [`Socket::compress`].
    pub fn compress(self, compress: bool) -> Self {
        Self::new(self.inner.compress(compress))
    }

    /// Sets the timeout of the acknowledgement, see [`Socket::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self::new(self.inner.timeout(timeout))
    }

    /// Emits an event as [`TypedSocket::emit`] does.
    ///
    /// # Errors
    ///
    /// The same as [`Socket::emit`].
    pub fn emit<E: FromClients<C> + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.inner.emit_event(event)
    }

    /// Emits an event and awaits its acknowledgement, as [`TypedSocket::emit_with_ack`] does.
    pub fn emit_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: FromClients<C, Ack: Answer> + Serialize,
    {
        self.inner.emit_event_with_ack(event)
    }
}

impl<C> Clone for TypedEmitter<C> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone())
    }
}

impl<C> fmt::Debug for TypedEmitter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
