//! A running namespace of a contract.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use fanfare_protocol::typed::{Answer, BetweenServers, Contract, FromServer};
use serde::Serialize;

use super::operator::view;
use super::{TypedOperator, TypedSocket};
use crate::ack::ServerSideAckFuture;
use crate::adapter::{AdapterError, FetchSocketsError, RemoteSocket, ServerSideEmitError};
use crate::broadcast::{BroadcastReport, RoomNames};
use crate::error::EmitError;
use crate::id::SocketId;
use crate::namespace::{NamespaceHandle, NamespaceParams};
use crate::server::SocketIo;
use crate::socket::Socket;

/// A [`NamespaceHandle`] that sends the events of the contract `C`, and no others; [`untyped`](Self::untyped) returns
/// the handle itself.
pub struct TypedNamespace<C> {
    inner: NamespaceHandle,
    contract: PhantomData<fn() -> C>,
}

view!(TypedNamespace, NamespaceHandle);

impl NamespaceHandle {
    /// Returns the same namespace, for the events of a contract and no others.
    pub fn typed<C>(&self) -> TypedNamespace<C> {
        TypedNamespace::new(self.clone())
    }
}

impl SocketIo {
    /// Returns the namespace of a contract, for its events and no others. For dynamic namespaces, use
    /// [`namespace`](Self::namespace), and then [`NamespaceHandle::typed`].
    pub fn typed<C: Contract>(&self) -> TypedNamespace<C> {
        self.of(C::NAMESPACE).typed()
    }
}

impl<C> TypedNamespace<C> {
    /// Returns the name, see [`NamespaceHandle::name`].
    pub fn name(&self) -> &str {
        self.inner.name()
    }

    /// Returns the parameters of the name, see [`NamespaceHandle::params`].
    pub fn params(&self) -> NamespaceParams<'_> {
        self.inner.params()
    }

    /// Returns the sockets on this server, see [`NamespaceHandle::sockets`].
    pub fn sockets(&self) -> Vec<TypedSocket<C>> {
        self.inner.sockets().iter().map(Socket::typed).collect()
    }

    /// Returns the socket with this id, see [`NamespaceHandle::socket`].
    pub fn socket(&self, id: &str) -> Option<TypedSocket<C>> {
        self.inner.socket(id).map(|socket| socket.typed())
    }

    /// Returns the ids of the sockets on this server, see [`NamespaceHandle::socket_ids`].
    pub fn socket_ids(&self) -> Vec<SocketId> {
        self.inner.socket_ids()
    }

    /// Returns the number of sockets, see [`NamespaceHandle::len`].
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether no socket is connected, see [`NamespaceHandle::is_empty`].
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Returns the rooms, see [`NamespaceHandle::rooms`].
    pub fn rooms(&self) -> Vec<(String, usize)> {
        self.inner.rooms()
    }

    /// Makes the sockets join rooms, see [`NamespaceHandle::sockets_join`].
    pub fn sockets_join(&self, rooms: impl RoomNames) {
        self.inner.sockets_join(rooms);
    }

    /// Makes the sockets leave rooms, see [`NamespaceHandle::sockets_leave`].
    pub fn sockets_leave(&self, rooms: impl RoomNames) {
        self.inner.sockets_leave(rooms);
    }

    /// Disconnects the sockets, see [`NamespaceHandle::disconnect_sockets`].
    pub fn disconnect_sockets(&self, close: bool) {
        self.inner.disconnect_sockets(close);
    }

    /// Returns the sockets on all servers, see [`NamespaceHandle::fetch_sockets`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::fetch_sockets`].
    ///
    /// # Cancel safety
    /// As [`BroadcastOperator::fetch_sockets`](crate::BroadcastOperator::fetch_sockets).
    pub async fn fetch_sockets(&self) -> Result<Vec<RemoteSocket>, FetchSocketsError> {
        self.inner.fetch_sockets().await
    }

    /// Returns the ids of the sockets on all servers, see [`NamespaceHandle::all_sockets`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::all_sockets`].
    pub async fn all_sockets(&self) -> Result<HashSet<String>, FetchSocketsError> {
        self.inner.all_sockets().await
    }

    /// Returns the number of servers in the cluster, see [`NamespaceHandle::server_count`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::server_count`].
    pub async fn server_count(&self) -> Result<usize, AdapterError> {
        self.inner.server_count().await
    }

    /// Selects all sockets, see [`NamespaceHandle::everyone`].
    pub fn everyone(&self) -> TypedOperator<C> {
        self.inner.everyone().typed()
    }

    /// Sends an event of the contract to all sockets of the namespace.
    ///
    /// # Errors
    /// As [`NamespaceHandle::emit`].
    pub fn emit<E: FromServer<C> + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.inner.emit_event(event)
    }

    /// Selects the sockets in these rooms, see [`NamespaceHandle::to`].
    pub fn to(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.everyone().to(rooms)
    }

    /// Excludes the sockets in these rooms, see [`NamespaceHandle::except`].
    pub fn except(&self, rooms: impl RoomNames) -> TypedOperator<C> {
        self.everyone().except(rooms)
    }

    /// Makes the event volatile, see [`NamespaceHandle::volatile`].
    pub fn volatile(&self) -> TypedOperator<C> {
        self.everyone().volatile()
    }

    /// Selects only the sockets on this server, see [`NamespaceHandle::local`].
    pub fn local(&self) -> TypedOperator<C> {
        self.everyone().local()
    }

    /// Sets the timeout of acknowledgements, see [`NamespaceHandle::timeout`].
    pub fn timeout(&self, timeout: Duration) -> TypedOperator<C> {
        self.everyone().timeout(timeout)
    }

    /// Sets whether the event is worth compressing, see [`NamespaceHandle::compress`].
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

    /// Sends an event of the contract to the other servers and collects their answers, see
    /// [`NamespaceHandle::server_side_emit_event_with_ack`].
    ///
    /// # Errors
    /// As [`NamespaceHandle::server_side_emit_with_ack`].
    pub fn server_side_emit_with_ack<E>(&self, event: &E) -> ServerSideAckFuture<E::Ack>
    where
        E: BetweenServers<C, Ack: Answer> + Serialize,
    {
        self.inner.server_side_emit_event_with_ack(event)
    }
}
