//! What sends the events of a contract and no others.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use fanfare_protocol::typed::{Answer, FromServer};
use serde::Serialize;

use crate::ack::{AckFuture, BroadcastAckFuture};
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::error::EmitError;
use crate::socket::SocketEmitter;

/// What all views of a contract are: the thing itself, and the contract's name. It costs nothing.
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

        impl<C> Deref for $view<C> {
            type Target = $inner;

            fn deref(&self) -> &$inner {
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

/// As a [`BroadcastOperator`], for the events that the server sends by the contract `C`.
#[must_use = "this only says whom to send to: call `emit`"]
pub struct TypedOperator<C> {
    inner: BroadcastOperator,
    contract: PhantomData<fn() -> C>,
}

view!(TypedOperator, BroadcastOperator);

impl BroadcastOperator {
    /// The same recipients, for the events of a contract and no others.
    pub fn typed<C>(self) -> TypedOperator<C> {
        TypedOperator::new(self)
    }
}

impl<C> TypedOperator<C> {
    /// See [`BroadcastOperator::to`].
    pub fn to(self, rooms: impl RoomNames) -> Self {
        Self::new(self.inner.to(rooms))
    }

    /// See [`BroadcastOperator::except`].
    pub fn except(self, rooms: impl RoomNames) -> Self {
        Self::new(self.inner.except(rooms))
    }

    /// See [`BroadcastOperator::volatile`].
    pub fn volatile(self) -> Self {
        Self::new(self.inner.volatile())
    }

    /// See [`BroadcastOperator::compress`].
    pub fn compress(self, compress: bool) -> Self {
        Self::new(self.inner.compress(compress))
    }

    /// See [`BroadcastOperator::local`].
    pub fn local(self) -> Self {
        Self::new(self.inner.local())
    }

    /// See [`BroadcastOperator::timeout`].
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

    /// Sends an event of the contract and gathers one answer from each recipient, see
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
}

/// As a [`SocketEmitter`], for the events that the server sends by the contract `C`.
#[must_use = "this only says how to send: call `emit`"]
pub struct TypedEmitter<C> {
    inner: SocketEmitter,
    contract: PhantomData<fn() -> C>,
}

view!(TypedEmitter, SocketEmitter);

impl<C> TypedEmitter<C> {
    /// See [`SocketEmitter::volatile`].
    pub fn volatile(self) -> Self {
        Self::new(self.inner.volatile())
    }

    /// See [`SocketEmitter::compress`].
    pub fn compress(self, compress: bool) -> Self {
        Self::new(self.inner.compress(compress))
    }

    /// See [`SocketEmitter::timeout`].
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

    /// See [`SocketEmitter::broadcast`].
    pub fn broadcast(&self) -> TypedOperator<C> {
        self.inner.broadcast().typed()
    }

    /// See [`SocketEmitter::to`].
    pub fn to(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.inner.to(rooms).typed()
    }
}
