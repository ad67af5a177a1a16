//! Sockets and events with types.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use fanfare_protocol::typed::{Answer, FromClients, FromServer, TakesEvent, Typed, TypedEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ack::AckRequest;
use crate::emitter::Emitter;
use crate::error::EmitError;
use crate::event::Listen;
use crate::handler::{
    Acknowledges, EventContext, FromContext, Handler, ListenerId, OnEvent, Rejection,
};
use crate::socket::Socket;

impl<E: TypedEvent + DeserializeOwned> FromContext<OnEvent> for Typed<E> {
    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        Ok(cx.event.data()?)
    }
}

impl Socket {
    /// Emits an event with its type, which knows its name.
    ///
    /// ```no_run
    /// # #[cfg(feature = "macros")] {
    /// use fanfare_client::{EmitError, Socket, TypedEvent};
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
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Emits an event with its type and awaits the acknowledgement that belongs to it, see
    /// [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckRequest<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
    }

    /// Handles an event with a type from now on: the event is that of the parameter [`Typed<E>`](Typed), and what the
    /// handler returns must be its acknowledgement, see [`ClientBuilder::on_event`](crate::ClientBuilder::on_event).
    pub fn on_event<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.on(T::Event::NAME, handler)
    }

    /// Handles an event with a type one time.
    pub fn once_event<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.once(T::Event::NAME, handler)
    }

    /// The events of one type from now on, as a stream, see [`listen`](Self::listen).
    #[must_use]
    pub fn listen_event<E: TypedEvent + DeserializeOwned>(&self) -> Listen<Typed<E>> {
        self.listen(E::NAME)
    }

    /// The same socket, for the events of a contract and no others.
    #[must_use]
    pub fn typed<C>(&self) -> TypedSocket<C> {
        TypedSocket::new(self.clone())
    }
}

impl Emitter<'_> {
    /// As [`Socket::emit_event`].
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    pub fn emit_event<E: TypedEvent + Serialize>(self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// As [`Socket::emit_event_with_ack`].
    pub fn emit_event_with_ack<E>(self, event: &E) -> AckRequest<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
    }
}

/// A [`Socket`] that emits what clients send by the contract `C`, and receives what the server sends by it, and no
/// others; for everything else it is the socket.
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
    /// As [`Socket::emit`].
    pub fn emit<E: FromClients<C> + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.socket.emit_event(event)
    }

    /// Emits an event of the contract if it can be written right now, see [`Socket::emit_volatile`].
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    pub fn emit_volatile<E: FromClients<C> + Serialize>(
        &self,
        event: &E,
    ) -> Result<bool, EmitError> {
        self.socket.emit_volatile(E::NAME, Typed(event))
    }

    /// Emits an event of the contract and awaits its acknowledgement, see [`Socket::emit_with_ack`].
    pub fn emit_with_ack<E>(&self, event: &E) -> AckRequest<E::Ack>
    where
        E: FromClients<C, Ack: Answer> + Serialize,
    {
        self.socket.emit_event_with_ack(event)
    }

    /// Chooses whether the next event of the contract may be compressed, see [`Socket::compress`].
    pub fn compress(&self, compress: bool) -> TypedEmitter<'_, C> {
        TypedEmitter {
            inner: self.socket.compress(compress),
            contract: PhantomData,
        }
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

    /// Handles an event of the contract one time.
    pub fn once<H, T, I>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        T: TakesEvent<I, Event: FromServer<C>> + 'static,
        H::Output: Acknowledges<<T::Event as TypedEvent>::Ack>,
    {
        self.socket.once_event(handler)
    }

    /// The events of one type of the contract from now on, as a stream, see [`Socket::listen`].
    #[must_use]
    pub fn listen<E: FromServer<C> + DeserializeOwned>(&self) -> Listen<Typed<E>> {
        self.socket.listen_event()
    }
}

impl<C> Deref for TypedSocket<C> {
    type Target = Socket;

    fn deref(&self) -> &Socket {
        &self.socket
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

/// Emits one event of the contract `C` otherwise than by default: what [`TypedSocket::compress`] returns.
#[must_use = "nothing is sent before `emit`"]
pub struct TypedEmitter<'a, C> {
    inner: Emitter<'a>,
    contract: PhantomData<fn() -> C>,
}

impl<C> TypedEmitter<'_, C> {
    /// As [`TypedSocket::emit`].
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    pub fn emit<E: FromClients<C> + Serialize>(self, event: &E) -> Result<(), EmitError> {
        self.inner.emit_event(event)
    }

    /// As [`TypedSocket::emit_volatile`].
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`].
    pub fn emit_volatile<E: FromClients<C> + Serialize>(
        self,
        event: &E,
    ) -> Result<bool, EmitError> {
        self.inner.emit_volatile(E::NAME, Typed(event))
    }

    /// As [`TypedSocket::emit_with_ack`].
    pub fn emit_with_ack<E>(self, event: &E) -> AckRequest<E::Ack>
    where
        E: FromClients<C, Ack: Answer> + Serialize,
    {
        self.inner.emit_event_with_ack(event)
    }
}

impl<C> Clone for TypedEmitter<'_, C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for TypedEmitter<'_, C> {}

impl<C> fmt::Debug for TypedEmitter<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
