//! Operators that send the events of a contract and no others.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use fanfare_protocol::typed::{Answer, FromServer};
use serde::Serialize;

use super::TypedSocket;
use crate::ack::{AckFuture, BroadcastAckFuture};
use crate::adapter::{FetchSocketsError, RemoteSocket};
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::error::EmitError;
use crate::socket::{Socket, SocketEmitter};

/// Defines a view for a contract: the wrapped value and the contract's type, at no cost. There is no `Deref`, because
/// it would expose the untyped methods of the wrapped value.
macro_rules! view {
    ($view:ident, $inner:ty) => {
        impl<C> $view<C> {
            pub(super) fn new(inner: $inner) -> Self {
                Self {
                    inner,
                    contract: PhantomData,
                }
            }
        }

        impl<C> $view<C> {
            /// Returns the wrapped value, for operations that the contract does not cover.
            pub fn untyped(&self) -> &$inner {
                &self.inner
            }
        }

        impl<C> Clone for $view<C> {
            fn clone(&self) -> Self {
                Self::new(self.inner.clone())
            }
        }

        impl<C> fmt::Debug for $view<C> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.inner.fmt(f)
            }
        }
    };
}
pub(super) use view;

/// A [`BroadcastOperator`] for the events that the server sends by the contract `C`.
#[must_use = "this only says whom to send to: call `emit`"]
pub struct TypedOperator<C> {
    inner: BroadcastOperator,
    contract: PhantomData<fn() -> C>,
}

view!(TypedOperator, BroadcastOperator);

impl BroadcastOperator {
    /// Returns the same recipients, for the events of a contract and no others.
    pub fn typed<C>(self) -> TypedOperator<C> {
        TypedOperator::new(self)
    }
}

impl<C> TypedOperator<C> {
    /// Selects the sockets in these rooms, see [`BroadcastOperator::to`].
    pub fn to(self, rooms: impl RoomNames) -> Self {
        Self::new(self.inner.to(rooms))
    }

    /// Excludes the sockets in these rooms, see [`BroadcastOperator::except`].
    pub fn except(self, rooms: impl RoomNames) -> Self {
        Self::new(self.inner.except(rooms))
    }

    /// Makes the event volatile, see [`BroadcastOperator::volatile`].
    pub fn volatile(self) -> Self {
        Self::new(self.inner.volatile())
    }

    /// Sets whether the event is worth compressing, see [`BroadcastOperator::compress`].
    pub fn compress(self, compress: bool) -> Self {
        Self::new(self.inner.compress(compress))
    }

    /// Selects only the sockets on this server, see [`BroadcastOperator::local`].
    pub fn local(self) -> Self {
        Self::new(self.inner.local())
    }

    /// Sets the timeout of acknowledgements, see [`BroadcastOperator::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self::new(self.inner.timeout(timeout))
    }

    /// Sends an event of the contract, see [`BroadcastOperator::emit`].
    ///
    /// # Errors
    /// As [`BroadcastOperator::emit`].
    pub fn emit<E: FromServer<C> + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.inner.emit_event(event)
    }

    /// Sends an event of the contract and collects one answer from each recipient, see
    /// [`BroadcastOperator::emit_with_ack`].
    ///
    /// # Errors
    /// As [`BroadcastOperator::emit_with_ack`].
    pub fn emit_with_ack<E>(&self, event: &E) -> BroadcastAckFuture<E::Ack>
    where
        E: FromServer<C, Ack: Answer> + Serialize,
    {
        self.inner.emit_event_with_ack(event)
    }

    /// Returns the sockets on this server, see [`BroadcastOperator::sockets`].
    pub fn sockets(&self) -> Vec<TypedSocket<C>> {
        self.inner.sockets().iter().map(Socket::typed).collect()
    }

    /// Makes the sockets join rooms, see [`BroadcastOperator::sockets_join`].
    pub fn sockets_join(&self, rooms: impl RoomNames) {
        self.inner.sockets_join(rooms);
    }

    /// Makes the sockets leave rooms, see [`BroadcastOperator::sockets_leave`].
    pub fn sockets_leave(&self, rooms: impl RoomNames) {
        self.inner.sockets_leave(rooms);
    }

    /// Disconnects the sockets, see [`BroadcastOperator::disconnect_sockets`].
    pub fn disconnect_sockets(&self, close: bool) {
        self.inner.disconnect_sockets(close);
    }

    /// Returns the sockets on all servers, see [`BroadcastOperator::fetch_sockets`].
    ///
    /// # Errors
    /// As [`BroadcastOperator::fetch_sockets`].
    ///
    /// # Cancel safety
    /// As [`BroadcastOperator::fetch_sockets`](crate::BroadcastOperator::fetch_sockets).
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        self.inner.fetch_sockets().await
    }

    /// Returns the ids of the sockets on all servers, see [`BroadcastOperator::all_sockets`].
    ///
    /// # Errors
    /// As [`BroadcastOperator::all_sockets`].
    pub async fn all_sockets(&self) -> Result<HashSet<String>, FetchSocketsError> {
        self.inner.all_sockets().await
    }
}

/// A [`SocketEmitter`] for the events that the server sends by the contract `C`.
#[must_use = "this only says how to send: call `emit`"]
pub struct TypedEmitter<C> {
    inner: SocketEmitter,
    contract: PhantomData<fn() -> C>,
}

view!(TypedEmitter, SocketEmitter);

impl<C> TypedEmitter<C> {
    /// Makes the event volatile, see [`SocketEmitter::volatile`].
    pub fn volatile(self) -> Self {
        Self::new(self.inner.volatile())
    }

    /// Sets whether the event is worth compressing, see [`SocketEmitter::compress`].
    pub fn compress(self, compress: bool) -> Self {
        Self::new(self.inner.compress(compress))
    }

    /// Sets the timeout of acknowledgements, see [`SocketEmitter::timeout`].
    pub fn timeout(self, timeout: Duration) -> Self {
        Self::new(self.inner.timeout(timeout))
    }

    /// Sends an event of the contract, see [`SocketEmitter::emit`].
    ///
    /// # Errors
    /// As [`SocketEmitter::emit`].
    pub fn emit<E: FromServer<C> + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.inner.emit_event(event)
    }

    /// Sends an event of the contract and waits for its acknowledgement, see [`SocketEmitter::emit_with_ack`].
    ///
    /// # Errors
    /// As [`SocketEmitter::emit_with_ack`].
    pub fn emit_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: FromServer<C, Ack: Answer> + Serialize,
    {
        self.inner.emit_event_with_ack(event)
    }

    /// Selects all sockets but this one, see [`SocketEmitter::broadcast`].
    pub fn broadcast(&self) -> TypedOperator<C> {
        self.inner.broadcast().typed()
    }

    /// Selects the sockets in these rooms, see [`SocketEmitter::to`].
    pub fn to(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.inner.to(rooms).typed()
    }
}
