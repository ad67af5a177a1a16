//! A socket of a contract.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use fanfare_protocol::typed::{Answer, Contract, FromClients, FromServer, TakesEvent, TypedEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::operator::view;
use super::{TypedEmitter, TypedNamespace, TypedOperator};
use crate::ack::AckFuture;
use crate::broadcast::RoomNames;
use crate::error::EmitError;
use crate::extract::{FromContext, Rejection};
use crate::handler::{Acknowledges, Handler, HasSocket, Moment, OnEvent, Requirements};
use crate::socket::{ListenerId, Socket};

/// A [`Socket`] that sends and takes the events of the contract `C`, and no others; for everything else it is the socket.
///
/// Handlers have it as parameter in place of [`Socket`]. That the namespace has this contract and not another is checked
/// when the server is built ([`BuildError::OtherContract`](crate::BuildError::OtherContract)).
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use fanfare::typed::TypedSocket;
/// use fanfare::{Contract, EventError, Namespace, TypedEvent};
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
/// # use fanfare::typed::TypedSocket;
/// # use fanfare::{Contract, Namespace, TypedEvent};
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
pub struct TypedSocket<C> {
    inner: Socket,
    contract: PhantomData<fn() -> C>,
}

view!(TypedSocket, Socket);

impl Socket {
    /// The same socket, for the events of a contract and no others.
    pub fn typed<C>(&self) -> TypedSocket<C> {
        TypedSocket::new(self.clone())
    }
}

impl<M: Moment, C: Contract> FromContext<M> for TypedSocket<C> {
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

    /// Adds a handler for this socket alone, see [`Socket::on_event`].
    pub fn on<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromClients<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.inner.on_event(handler)
    }

    /// As [`on`](Self::on), for the next such event only.
    pub fn once<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromClients<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.inner.once_event(handler)
    }

    /// See [`Socket::volatile`].
    pub fn volatile(&self) -> TypedEmitter<C> {
        TypedEmitter::new(self.inner.volatile())
    }

    /// See [`Socket::compress`].
    pub fn compress(&self, compress: bool) -> TypedEmitter<C> {
        TypedEmitter::new(self.inner.compress(compress))
    }

    /// See [`Socket::timeout`].
    pub fn timeout(&self, timeout: Duration) -> TypedEmitter<C> {
        TypedEmitter::new(self.inner.timeout(timeout))
    }

    /// See [`Socket::broadcast`].
    pub fn broadcast(&self) -> TypedOperator<C> {
        self.inner.broadcast().typed()
    }

    /// See [`Socket::to`].
    pub fn to(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.inner.to(rooms).typed()
    }

    /// See [`Socket::except`].
    pub fn except(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.inner.except(rooms).typed()
    }

    /// See [`Socket::nsp`].
    pub fn nsp(&self) -> TypedNamespace<C> {
        self.inner.nsp().typed()
    }

    /// The data of the socket, of the contract's type, see [`Socket::data`].
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
