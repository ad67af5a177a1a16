//! A socket of a contract.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use fanfare_engine::{Protocol, Transport};
use fanfare_protocol::typed::{Answer, Contract, FromClients, FromServer, TakesEvent, TypedEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::operator::view;
use super::{TypedEmitter, TypedNamespace, TypedOperator};
use crate::ack::AckFuture;
use crate::broadcast::RoomNames;
use crate::engine::EngineConnection;
use crate::error::{EmitError, JoinError};
use crate::extract::{FromContext, Rejection};
use crate::handler::{Acknowledges, Handler, HandlerKind, HasSocket, OnEvent, Requirements};
use crate::id::SocketId;
use crate::namespace::NamespaceParams;
use crate::recovery::RecoveryOutcome;
use crate::server::SocketIo;
use crate::socket::{Extensions, Handshake, ListenerId, Socket};

/// A [`Socket`] that sends and receives the events of the contract `C`, and no others. [`untyped`](Self::untyped)
/// returns the socket itself.
///
/// Handlers take it as a parameter in place of [`Socket`]. The contract of the namespace is checked against it when the
/// server is built ([`BuildError::OtherContract`](crate::BuildError::OtherContract)).
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use fanfare::typed::{Contract, TypedEvent, TypedSocket};
/// use fanfare::{EventError, Namespace};
///
/// #[derive(serde::Serialize, TypedEvent)]
/// struct Welcome;
///
/// #[derive(Contract)]
/// #[contract(namespace = "/chat", from_server(Welcome))]
/// struct Chat;
///
/// let chat = Namespace::typed::<Chat>().on_connect(async |socket: TypedSocket<Chat>| {
///     socket.join("lobby")?;
///     socket.emit(&Welcome)?;
///     Ok::<_, EventError>(())
/// });
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # use fanfare::typed::{Contract, TypedEvent, TypedSocket};
/// # use fanfare::Namespace;
/// # #[derive(serde::Serialize, TypedEvent)]
/// # struct Welcome;
/// #[derive(serde::Serialize, TypedEvent)]
/// struct Goodbye;
/// # #[derive(Contract)]
/// # #[contract(namespace = "/chat", from_server(Welcome))]
/// # struct Chat;
///
/// # fn f(socket: TypedSocket<Chat>) {
/// socket.emit(&Goodbye); // `Goodbye` is not an event that the server sends in `Chat`
/// # }
/// ```
///
/// Methods that send untyped events do not exist:
///
/// ```compile_fail,E0599
/// # use fanfare::typed::{Contract, TypedSocket};
/// # #[derive(Contract)]
/// # struct Chat;
/// # fn f(socket: TypedSocket<Chat>) {
/// socket.send("anything");
/// # }
/// ```
pub struct TypedSocket<C> {
    inner: Socket,
    contract: PhantomData<fn() -> C>,
}

view!(TypedSocket, Socket);

impl Socket {
    /// Returns the same socket, for the events of a contract and no others.
    pub fn typed<C>(&self) -> TypedSocket<C> {
        TypedSocket::new(self.clone())
    }
}

impl<M: HandlerKind<Socket = Socket>, C: Contract> FromContext<M> for TypedSocket<C> {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.socket().typed())
    }

    fn requirements(needs: &mut Requirements) {
        needs.contract::<C>();
    }
}

impl<C: Contract> TypedSocket<C> {
    /// Sends an event of the contract, see [`Socket::emit`].
    ///
    /// # Errors
    /// As [`Socket::emit`].
    pub fn emit<E: FromServer<C> + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.inner.emit_event(event)
    }

    /// Sends an event of the contract and waits for its acknowledgement, see [`Socket::emit_with_ack`].
    ///
    /// # Errors
    /// As [`Socket::emit_with_ack`].
    pub fn emit_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: FromServer<C, Ack: Answer> + Serialize,
    {
        self.inner.emit_event_with_ack(event)
    }

    /// Adds a handler for this socket only, see [`Socket::on_event`].
    pub fn on<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromClients<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.inner.on_event(handler)
    }

    /// Adds a handler as [`on`](Self::on) does, for the next such event only.
    pub fn once<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromClients<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.inner.once_event(handler)
    }

    /// Makes the event volatile, see [`Socket::volatile`].
    pub fn volatile(&self) -> TypedEmitter<C> {
        TypedEmitter::new(self.inner.volatile())
    }

    /// Sets whether the event is worth compressing, see [`Socket::compress`].
    pub fn compress(&self, compress: bool) -> TypedEmitter<C> {
        TypedEmitter::new(self.inner.compress(compress))
    }

    /// Sets the timeout of acknowledgements, see [`Socket::timeout`].
    pub fn timeout(&self, timeout: Duration) -> TypedEmitter<C> {
        TypedEmitter::new(self.inner.timeout(timeout))
    }

    /// Selects all sockets but this one, see [`Socket::broadcast`].
    pub fn broadcast(&self) -> TypedOperator<C> {
        self.inner.broadcast().typed()
    }

    /// Selects the sockets in these rooms, see [`Socket::to`].
    pub fn to(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.inner.to(rooms).typed()
    }

    /// Excludes the sockets in these rooms, see [`Socket::except`].
    pub fn except(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.inner.except(rooms).typed()
    }

    /// Returns the namespace, see [`Socket::namespace`].
    pub fn namespace(&self) -> TypedNamespace<C> {
        self.inner.namespace().typed()
    }

    /// Returns the public id, see [`Socket::id`].
    pub fn id(&self) -> SocketId {
        self.inner.id()
    }

    /// Returns the name of the namespace, see [`Socket::namespace_name`].
    pub fn namespace_name(&self) -> &str {
        self.inner.namespace_name()
    }

    /// Returns the parameters of the name, see [`Socket::params`].
    pub fn params(&self) -> NamespaceParams<'_> {
        self.inner.params()
    }

    /// Returns the server, see [`Socket::io`].
    pub fn io(&self) -> SocketIo {
        self.inner.io()
    }

    /// Whether the socket is connected, see [`Socket::is_connected`].
    pub fn is_connected(&self) -> bool {
        self.inner.is_connected()
    }

    /// Returns the first request and the client's `auth`, see [`Socket::handshake`].
    pub fn handshake(&self) -> Handshake {
        self.inner.handshake()
    }

    /// Returns the underlying connection, see [`Socket::conn`].
    pub fn conn(&self) -> EngineConnection {
        self.inner.conn()
    }

    /// Returns the current transport, see [`Socket::transport`].
    pub fn transport(&self) -> Transport {
        self.inner.transport()
    }

    /// Returns the version of Engine.IO, see [`Socket::protocol`].
    pub fn protocol(&self) -> Protocol {
        self.inner.protocol()
    }

    /// Returns the values that belong to this socket, see [`Socket::extensions`].
    pub fn extensions(&self) -> &Extensions {
        self.inner.extensions()
    }

    /// Whether the client has resumed its session, see [`Socket::is_recovered`].
    pub fn is_recovered(&self) -> bool {
        self.inner.is_recovered()
    }

    /// Returns the outcome of the recovery, see [`Socket::recovery`].
    pub fn recovery(&self) -> RecoveryOutcome {
        self.inner.recovery()
    }

    /// Joins rooms, see [`Socket::join`].
    ///
    /// # Errors
    /// As [`Socket::join`].
    pub fn join(&self, rooms: impl RoomNames) -> Result<(), JoinError> {
        self.inner.join(rooms)
    }

    /// Leaves rooms, see [`Socket::leave`].
    pub fn leave(&self, rooms: impl RoomNames) {
        self.inner.leave(rooms);
    }

    /// Returns the rooms, see [`Socket::rooms`].
    pub fn rooms(&self) -> Vec<String> {
        self.inner.rooms()
    }

    /// Disconnects the client, see [`Socket::disconnect`].
    pub fn disconnect(&self, close: bool) {
        self.inner.disconnect(close);
    }

    /// Waits until the outbox has space, see [`Socket::ready`].
    ///
    /// # Errors
    /// As [`Socket::ready`].
    ///
    /// # Cancel safety
    ///
    /// A dropped call has changed nothing.
    pub async fn ready(&self) -> Result<(), EmitError> {
        self.inner.ready().await
    }

    /// Returns the number of queued bytes, see [`Socket::pending_bytes`].
    pub fn pending_bytes(&self) -> usize {
        self.inner.pending_bytes()
    }

    /// Removes a handler or listener, see [`Socket::off`].
    pub fn off(&self, listener: ListenerId) -> bool {
        self.inner.off(listener)
    }

    /// Deserializes the data of the socket to the contract's type, see [`Socket::data`].
    ///
    /// # Errors
    /// As [`Socket::data`]: also if none has been set and the type cannot be `null`.
    pub fn data(&self) -> Result<C::SocketData, serde_json::Error>
    where
        C::SocketData: DeserializeOwned,
    {
        self.inner.data()
    }

    /// Replaces the data, see [`Socket::set_data`].
    ///
    /// # Errors
    /// As [`Socket::set_data`].
    pub fn set_data(&self, data: &C::SocketData) -> Result<(), serde_json::Error>
    where
        C::SocketData: Serialize,
    {
        self.inner.set_data(data)
    }
}
