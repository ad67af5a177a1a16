//! A running namespace of a contract.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::time::Duration;

use fanfare_protocol::typed::{Answer, BetweenServers, Contract, FromServer};
use serde::Serialize;

use super::TypedOperator;
use super::operator::view;
use crate::adapter::ServerSideEmitError;
use crate::broadcast::{BroadcastReport, RoomNames};
use crate::error::EmitError;
use crate::io::SocketIo;
use crate::namespace::NamespaceHandle;

/// A [`NamespaceHandle`] that sends the events of the contract `C`, and no others; for everything else it is the handle.
pub struct TypedNamespace<C> {
    inner: NamespaceHandle,
    contract: PhantomData<fn() -> C>,
}

view!(TypedNamespace, NamespaceHandle);

impl NamespaceHandle {
    /// The same namespace, for the events of a contract and no others.
    pub fn typed<C>(&self) -> TypedNamespace<C> {
        TypedNamespace::new(self.clone())
    }
}

impl SocketIo {
    /// The namespace of a contract, for its events and no others. Of namespaces that come into being as clients join
    /// them, take one with [`namespace`](Self::namespace), and then [`NamespaceHandle::typed`].
    pub fn typed<C: Contract>(&self) -> TypedNamespace<C> {
        self.of(C::NAMESPACE).typed()
    }
}

impl<C> TypedNamespace<C> {
    /// See [`NamespaceHandle::everyone`].
    pub fn everyone(&self) -> TypedOperator<C> {
        self.inner.everyone().typed()
    }

    /// Sends an event of the contract to everyone in the namespace.
    ///
    /// # Errors
    /// As [`NamespaceHandle::emit`].
    pub fn emit<E: FromServer<C> + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.inner.emit_event(event)
    }

    /// See [`NamespaceHandle::to`].
    pub fn to(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.everyone().to(rooms)
    }

    /// See [`NamespaceHandle::except`].
    pub fn except(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.everyone().except(rooms)
    }

    /// See [`NamespaceHandle::volatile`].
    pub fn volatile(&self) -> TypedOperator<C> {
        self.everyone().volatile()
    }

    /// See [`NamespaceHandle::local`].
    pub fn local(&self) -> TypedOperator<C> {
        self.everyone().local()
    }

    /// See [`NamespaceHandle::timeout`].
    pub fn timeout(&self, timeout: Duration) -> TypedOperator<C> {
        self.everyone().timeout(timeout)
    }

    /// See [`NamespaceHandle::compress`].
    pub fn compress(&self, compress: bool) -> TypedOperator<C> {
        self.everyone().compress(compress)
    }

    /// Sends an event of the contract to the other servers, see [`NamespaceHandle::server_side_emit_event`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::server_side_emit`].
    pub fn server_side_emit<E: BetweenServers<C> + Serialize>(
        &self,
        event: &E,
    ) -> Result<(), ServerSideEmitError> {
        self.inner.server_side_emit_event(event)
    }

    /// Sends an event of the contract to the other servers and gathers their answers, see
    /// [`NamespaceHandle::server_side_emit_event_with_ack`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::server_side_emit_with_ack`].
    pub async fn server_side_emit_with_ack<E>(
        &self,
        event: &E,
    ) -> Result<Vec<E::Ack>, ServerSideEmitError<E::Ack>>
    where
        E: BetweenServers<C, Ack: Answer> + Serialize,
    {
        self.inner.server_side_emit_event_with_ack(event).await
    }
}
