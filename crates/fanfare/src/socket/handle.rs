//! The socket: identity, state, and what is read from it.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use fanfare_cluster::HandshakeData;
use fanfare_core::ListenerId;
use fanfare_engine::{Connection, Protocol, Transport};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::early_events::EarlyEvents;
use super::early_rooms::EarlyRooms;
use super::extensions::Extensions;
use super::handshake::Handshake;
use super::listeners::Listeners;
use super::membership::LeftRooms;
use super::outgoing::OutgoingHandler;
use crate::ack::PendingAcks;
use crate::client::Client;
use crate::disconnect_reason::DisconnectReason;
use crate::engine::EngineConnection;
use crate::handler::Reports;
use crate::id::SocketId;
use crate::limits::Owner;
use crate::namespace::{NamespaceHandle, NamespaceInner, NamespaceParams};
use crate::recovery::{ClusterClaim, PeerClaim, RecoveryFailure, RecoveryOutcome, RecoveryState};
use crate::server::{IoInner, NoNamespace, SocketIo};

/// A client that is connected to a namespace. Cheap to clone; clones are the same socket.
///
/// Holding one after the disconnection is harmless: [`is_connected`](Self::is_connected) is false and sending fails with
/// [`EmitError::Disconnected`](crate::EmitError::Disconnected).
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

pub(crate) struct SocketInner {
    pub(crate) id: SocketId,
    pub(crate) namespace: Arc<NamespaceInner>,
    pub(crate) connection: Arc<Connection<Client>>,
    /// The client's `auth` value as JSON, if it sent one.
    pub(super) auth: Option<Box<str>>,
    /// Slot of the socket in the room index of its namespace; only valid while it is there.
    pub(super) seat: AtomicU32,
    pub(super) phase: AtomicU8,
    /// State that most sockets never need.
    pub(super) extra: OnceLock<Box<LazyState>>,
}

#[derive(Default)]
pub(super) struct LazyState {
    pub(super) acks: PendingAcks,
    pub(super) data: Mutex<Value>,
    pub(super) extensions: OnceLock<Arc<Extensions>>,
    /// Boxed, because it is rare.
    pub(super) listeners: OnceLock<Box<Listeners>>,
    pub(super) outgoing: Mutex<Vec<(ListenerId, OutgoingHandler)>>,
    /// Rooms joined in a middleware, before there is a slot.
    pub(super) early_rooms: Mutex<EarlyRooms>,
    pub(super) left_rooms: Mutex<LeftRooms>,
    pub(super) early_events: Mutex<EarlyEvents>,
    /// Set only if recovery is on.
    pub(super) recovery: OnceLock<Box<Mutex<RecoveryState>>>,
    /// Serialized form of the first request, once the sockets of a cluster have been listed.
    handshake: OnceLock<HandshakeData>,
    /// Set only if the application assigned one.
    pub(super) owner: OnceLock<Owner>,
}

/// `phase`: middlewares are running.
pub(super) const CONNECTING: u8 = 0;
/// `phase`: the client was told that it is connected.
pub(super) const CONNECTED: u8 = 1;
/// `phase`: its `disconnecting` handlers run; the rooms are still there.
pub(super) const LEAVING: u8 = 2;
/// `phase`: disconnected, for any reason.
pub(super) const DISCONNECTED: u8 = 3;

/// Whether a socket in this phase is in the index of its namespace.
pub(super) const fn is_seated(phase: u8) -> bool {
    matches!(phase, CONNECTED | LEAVING)
}

impl Socket {
    pub(crate) fn new(
        namespace: Arc<NamespaceInner>,
        connection: Arc<Connection<Client>>,
        auth: Option<Box<str>>,
        part: Option<RecoveryState>,
    ) -> Self {
        let extra = OnceLock::new();
        let mut id = None;
        if let Some(session) = part.as_ref().and_then(RecoveryState::restored) {
            id = Some(session.id);
            let mut restored = LazyState::default();
            *restored.data.get_mut() = session.data;
            if let Some(extensions) = session.extensions {
                let _ = restored.extensions.set(extensions);
            }
            let early = restored.early_rooms.get_mut();
            session.rooms.iter().for_each(|room| early.join(room));
            let _ = extra.set(Box::new(restored));
        }
        if let Some(part) = part {
            let extra = extra.get_or_init(Box::<LazyState>::default);
            let _ = extra.recovery.set(Box::new(Mutex::new(part)));
        }
        Self(Arc::new(SocketInner {
            id: id.unwrap_or_else(|| match connection.protocol() {
                Protocol::V3 if namespace.has_transport_ids() => {
                    SocketId::derived(&namespace.name, connection.sid())
                }
                Protocol::V3 | Protocol::V4 => SocketId::random(),
            }),
            namespace,
            connection,
            auth,
            seat: AtomicU32::new(0),
            phase: AtomicU8::new(CONNECTING),
            extra,
        }))
    }

    /// Returns a new socket for the same client, which could not be recovered.
    pub(crate) fn renewed(&self, failure: RecoveryFailure) -> Self {
        self.with_recovery(RecoveryState::new(Some(Err(failure))))
    }

    /// Returns a new socket for the same client, which takes over a session of the adapter.
    pub(crate) fn restored(&self, claim: ClusterClaim) -> Self {
        self.with_recovery(RecoveryState::of_cluster(claim))
    }

    /// Returns a new socket for the same client, which takes over a session of another server.
    pub(crate) fn restored_from_peer(&self, claim: PeerClaim) -> Self {
        self.with_recovery(RecoveryState::of_peer(claim))
    }

    fn with_recovery(&self, part: RecoveryState) -> Self {
        let SocketInner {
            namespace,
            connection,
            auth,
            ..
        } = &*self.0;
        Self::new(
            namespace.clone(),
            connection.clone(),
            auth.clone(),
            Some(part),
        )
    }

    /// Returns the public id, new with every connection that is not recovered.
    pub fn id(&self) -> SocketId {
        self.0.id.clone()
    }

    /// Returns the name of the namespace.
    pub fn namespace_name(&self) -> &str {
        &self.0.namespace.name
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> NamespaceHandle {
        NamespaceHandle(self.0.namespace.clone())
    }

    /// Returns the parameters of the pattern of the namespace: `id` of `/orders-{id}`. Empty if it was not created from
    /// one.
    pub fn params(&self) -> NamespaceParams<'_> {
        self.0.namespace.params()
    }

    /// Returns the server.
    pub fn io(&self) -> SocketIo {
        SocketIo::from_inner(self.io_inner())
    }

    pub(crate) fn io_inner(&self) -> Arc<IoInner> {
        self.0.connection.state().io.clone()
    }

    pub(crate) fn reports(&self) -> &Reports {
        &self.0.namespace.behaviour.reports
    }

    pub(crate) fn connection(&self) -> &Arc<Connection<Client>> {
        &self.0.connection
    }

    /// Whether the socket is connected (middlewares have passed, and it has not been disconnected).
    pub fn is_connected(&self) -> bool {
        is_seated(self.0.phase.load(Ordering::Acquire))
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.0.phase.load(Ordering::Acquire) == CONNECTING
    }

    /// Returns the first request and the client's `auth`.
    pub fn handshake(&self) -> Handshake {
        Handshake::new(self.clone())
    }

    /// Whether the client sent an `auth` value.
    pub(crate) fn has_auth(&self) -> bool {
        self.0.auth.is_some()
    }

    pub(crate) fn auth_json(&self) -> &str {
        self.0.auth.as_deref().unwrap_or("null")
    }

    /// Returns the underlying connection: its transport, its first request, its queue.
    pub fn conn(&self) -> EngineConnection {
        EngineConnection::new(self.0.connection.clone())
    }

    /// Returns the current transport of the connection: `polling` or `websocket`.
    pub fn transport(&self) -> Transport {
        self.0.connection.transport()
    }

    /// Returns the version of Engine.IO that the client speaks (Node's `conn.protocol`): [`Protocol::V3`] are clients
    /// of Socket.IO v2, see [`allow_eio3`](crate::SocketIoBuilder::allow_eio3).
    pub fn protocol(&self) -> Protocol {
        self.0.connection.protocol()
    }

    pub(super) fn extra(&self) -> &LazyState {
        self.0.extra.get_or_init(Box::default)
    }

    /// Deserializes the data of the application, visible to all servers of a cluster (Node's `socket.data`): `Null`
    /// until [`set_data`](Self::set_data).
    ///
    /// # Errors
    /// If the data does not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        let data = self
            .0
            .extra
            .get()
            .map_or(Value::Null, |extra| extra.data.lock().clone());
        serde_json::from_value(data)
    }

    /// Passes on the data of the application, if there is any.
    pub(crate) fn read_data(&self, read: impl FnOnce(&Value)) {
        if let Some(extra) = self.0.extra.get() {
            read(&extra.data.lock());
        }
    }

    /// Returns the serialized form of the first request, which is kept: it never changes.
    pub(crate) fn handshake_data(
        &self,
        serialize: impl FnOnce() -> HandshakeData,
    ) -> HandshakeData {
        self.extra().handshake.get_or_init(serialize).clone()
    }

    /// Replaces the data.
    ///
    /// # Errors
    /// If the value cannot be represented in JSON.
    pub fn set_data(&self, data: &impl Serialize) -> Result<(), serde_json::Error> {
        *self.extra().data.lock() = serde_json::to_value(data)?;
        Ok(())
    }

    /// Returns the values of any type that belong to this socket on this server, one of each type.
    pub fn extensions(&self) -> &Extensions {
        self.extra().extensions.get_or_init(Arc::default)
    }

    /// Returns a clone of the extension of this type.
    pub(crate) fn extension<T: Clone + 'static>(&self) -> Option<T> {
        self.0.extra.get()?.extensions.get()?.get()
    }

    // ---- recovery ----

    pub(crate) fn part(&self) -> Option<&Mutex<RecoveryState>> {
        self.0.extra.get()?.recovery.get().map(|part| &**part)
    }

    /// Whether the client has resumed its session with its id, rooms and data, see
    /// [`ConnectionStateRecovery`](crate::recovery::ConnectionStateRecovery). The events that it missed have been sent when the
    /// connect handlers run.
    pub fn is_recovered(&self) -> bool {
        matches!(self.recovery(), RecoveryOutcome::Recovered { .. })
    }

    /// Returns the outcome of the recovery, and the reason if it failed.
    ///
    /// ```
    /// use fanfare::recovery::RecoveryOutcome;
    /// use fanfare::{Namespace, Socket};
    ///
    /// let ns = Namespace::new("/").on_connect(async |socket: Socket| {
    ///     if let RecoveryOutcome::Failed(why) = socket.recovery() {
    ///         println!("{} has to load everything anew: {why}", socket.id());
    ///     }
    /// });
    /// ```
    pub fn recovery(&self) -> RecoveryOutcome {
        self.part()
            .map_or(RecoveryOutcome::NotAttempted, |part| part.lock().outcome())
    }

    /// Returns the owner of the share that the socket uses.
    pub(crate) fn owner(&self) -> Owner {
        let chosen = self.0.extra.get().and_then(|extra| extra.owner.get());
        chosen.copied().unwrap_or_else(|| self.address_owner())
    }

    /// Returns the owner by address, which applies until the application has assigned one.
    pub(super) fn address_owner(&self) -> Owner {
        Owner::of(self.0.connection.handshake().address().map(|a| a.ip()))
    }

    /// Determines the owner, once the middlewares have passed. A namespace that was created for the client moves to the
    /// same owner.
    ///
    /// # Errors
    /// [`NoNamespace`] if the owner has reached its limit of namespaces.
    pub(crate) fn settle_owner(&self) -> Result<(), NoNamespace> {
        let io = &self.0.connection.state().io;
        let Some(share_of) = &io.share_of else {
            return Ok(());
        };
        let Some(key) = io.contain("share_key", || share_of(self)).flatten() else {
            return Ok(());
        };
        let owner = Owner::Key(key);
        let _ = self.extra().owner.set(owner);
        self.0.namespace.hand_over(self.address_owner(), owner)
    }

    /// Returns the reason for the disconnection, if recovery is on and the `disconnecting` handlers run.
    pub(crate) fn leaving(&self) -> Option<DisconnectReason> {
        self.part()?.lock().leaving()
    }

    /// Returns the application's state that a session keeps.
    pub(crate) fn state(&self) -> (Value, Option<Arc<Extensions>>) {
        let extra = self.extra();
        (extra.data.lock().clone(), extra.extensions.get().cloned())
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.id)
            .field("namespace", &self.0.namespace.name)
            .field("connected", &self.is_connected())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}

impl Hash for Socket {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
