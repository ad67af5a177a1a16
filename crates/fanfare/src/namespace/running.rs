//! Namespaces at run time.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fanfare_engine::Connection;
use fanfare_protocol::socket::IntoArgs;
use fanfare_protocol::{EncodedEvent, Limits};
use parking_lot::Mutex;

use super::room_events::RoomHub;
use super::{Declaration, HeldRooms, NamespaceParams, Origin, Parent, RoomEvents};
use crate::ack::{AnswerBudget, BroadcastAcks};
use crate::adapter::{ClusterInner, PublishOutcome};
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::client::Client;
use crate::codec::Codec;
use crate::error::EmitError;
use crate::id::SocketId;
use crate::limits::Owner;
use crate::recovery::{Budget, ClusterRecovery, ConnectionStateRecovery, Recovery};
use crate::rooms::{Member, Rooms, SharedRooms};
use crate::server::{IoInner, NoNamespace, Share};
use crate::socket::{OutgoingEvent, Socket};
use crate::stats::{NamespaceStats, ServerStats};

/// Settings that all namespaces of a server share.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) recovery: Option<(ConnectionStateRecovery, Arc<Budget>)>,
    /// Time within which heartbeats detect that a client is gone.
    pub(crate) heartbeat: Duration,
    pub(crate) limits: Limits,
    pub(crate) cluster: Option<Arc<ClusterInner>>,
    pub(crate) stats: Arc<ServerStats>,
    pub(crate) codec: Codec,
    pub(crate) answers: Arc<AnswerBudget>,
}

impl Settings {
    fn recovery(&self, client: Option<Owner>) -> Option<Box<Recovery>> {
        let (settings, budget) = self.recovery.as_ref()?;
        if self.cluster_recovers().is_some() {
            return None;
        }
        let recovery = Recovery::new(
            settings.clone(),
            self.heartbeat,
            &self.limits,
            budget,
            client,
            self.cluster.is_some(),
        );
        Some(Box::new(recovery))
    }

    /// Returns the cluster, if connections are recovered through its adapter.
    fn cluster_recovers(&self) -> Option<&Arc<ClusterInner>> {
        self.cluster.as_ref().filter(|cluster| cluster.recovers())
    }

    fn cluster_recovery(&self) -> Option<Box<ClusterRecovery>> {
        let (settings, _) = self.recovery.as_ref()?;
        let cluster = self.cluster_recovers()?.clone();
        let limit = self.limits.recovery_replay_bytes;
        Some(Box::new(ClusterRecovery::new(
            settings.clone(),
            cluster,
            limit,
        )))
    }
}

/// Lifetime of a namespace.
pub(crate) enum Life {
    /// The namespace lives as long as the server.
    Kept,
    /// The namespace lives as long as anything refers to it: a socket, a handle, an operator, a pending answer.
    Used,
    /// As `Used`, for a namespace that was created for a client and is counted in its share.
    Client(Share),
}

pub(crate) struct NamespaceInner {
    pub(crate) name: Box<str>,
    pub(crate) behaviour: Declaration,
    life: Life,
    /// Reference to the namespace itself, set while it is unused but clients may reconnect to it.
    awaiting: Mutex<Option<Arc<Self>>>,
    pub(crate) rooms: SharedRooms<Socket>,
    pub(crate) max_rooms_per_call: usize,
    pub(crate) broadcast_acks: BroadcastAcks,
    /// Boxed, because it is rare.
    pub(crate) recovery: Option<Box<Recovery>>,
    /// Recovery through the adapter, in place of `recovery`.
    pub(crate) cluster_recovery: Option<Box<ClusterRecovery>>,
    /// Whether events are kept for clients that reconnect, here or by the adapter.
    pub(crate) keeps_events: bool,
    next_ack: AtomicU64,
    pub(crate) cluster: Option<Arc<ClusterInner>>,
    pub(crate) room_hub: RoomHub,
    /// Rooms of clients that may come back.
    pub(crate) held_rooms: HeldRooms,
    /// Number of listeners for outgoing events of its sockets.
    pub(crate) outgoing_listeners: AtomicUsize,
    pub(crate) stats: Arc<NamespaceStats>,
    pub(crate) codec: Codec,
    io: Weak<IoInner>,
}

impl Member for Socket {
    type Target = Connection<Client>;

    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    fn target(&self) -> Arc<Self::Target> {
        self.0.connection.clone()
    }
}

impl NamespaceInner {
    /// Whether v2 clients keep their ids, see
    /// [`SocketIoBuilder::eio3_transport_ids`](crate::SocketIoBuilder::eio3_transport_ids).
    pub(crate) fn has_transport_ids(&self) -> bool {
        self.io.upgrade().is_some_and(|io| io.transport_ids)
    }

    /// Creates a namespace; without an origin it waits for the first client that a predicate accepts. Called only by
    /// the builder and by `server::namespaces`, which know its name.
    pub(crate) fn new(
        name: &str,
        origin: Option<Origin>,
        life: Life,
        settings: &Settings,
        io: Weak<IoInner>,
    ) -> Arc<Self> {
        let behaviour = Declaration::new(origin);
        let client = match &life {
            Life::Client(share) => Some(share.owner()),
            Life::Kept | Life::Used => None,
        };
        // One label for all namespaces of a declaration, because clients choose the names.
        let label = behaviour.parent().map_or(name, |parent| &parent.name);
        Arc::new(Self {
            name: name.into(),
            stats: settings.stats.namespace(label),
            codec: settings.codec.clone(),
            behaviour,
            life,
            awaiting: Mutex::default(),
            rooms: SharedRooms::new(),
            max_rooms_per_call: settings.limits.max_rooms_per_call,
            broadcast_acks: BroadcastAcks::new(&settings.answers),
            recovery: settings.recovery(client),
            cluster_recovery: settings.cluster_recovery(),
            keeps_events: settings.recovery.is_some(),
            next_ack: AtomicU64::new(0),
            cluster: settings.cluster.clone(),
            room_hub: RoomHub::new(settings.cluster.as_ref()),
            held_rooms: HeldRooms::default(),
            outgoing_listeners: AtomicUsize::new(0),
            io,
        })
    }

    /// Moves a namespace that was created for a client from one owner's share to another's.
    ///
    /// # Errors
    /// [`NoNamespace`] if the new owner has reached its limit.
    pub(crate) fn hand_over(&self, from: Owner, to: Owner) -> Result<(), NoNamespace> {
        if let Life::Client(share) = &self.life
            && share.hand_over(from, to)?
            && let Some(recovery) = &self.recovery
        {
            recovery.hand_over(to);
        }
        Ok(())
    }

    /// Returns the parameters of the pattern that the namespace was created from.
    pub(crate) fn params(&self) -> NamespaceParams<'_> {
        self.behaviour.params(&self.name)
    }

    /// Returns the server; `None` once it has been dropped.
    pub(crate) fn io(&self) -> Option<Arc<IoInner>> {
        self.io.upgrade()
    }

    /// Counts a rejection.
    #[cold]
    pub(crate) fn rejected(&self, cause: &'static str) {
        if let Some(io) = self.io() {
            io.stats.rejected(cause);
        }
    }

    /// Returns the next id of an acknowledgement. All sockets share the counter, as in Node: a broadcast needs an id
    /// that is free in all of them.
    pub(crate) fn next_ack_id(&self) -> u64 {
        self.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    /// Keeps the namespace while clients may reconnect to it.
    pub(crate) fn await_returns(self: &Arc<Self>) {
        let mut awaiting = self.awaiting.lock();
        if !matches!(self.life, Life::Kept)
            && self.recovery.as_ref().is_some_and(|r| r.has_sessions())
        {
            *awaiting = Some(self.clone());
        }
    }

    /// Reverses [`await_returns`](Self::await_returns), once no client can reconnect any longer.
    pub(crate) fn remove_if_unused(&self) {
        let mut awaiting = self.awaiting.lock();
        if !self.recovery.as_ref().is_some_and(|r| r.has_sessions()) {
            let own = awaiting.take();
            drop(awaiting);
            drop(own); // never the last reference: the caller holds one
        }
    }

    /// Whether there are any listeners for outgoing events.
    #[inline]
    pub(crate) fn watches_outgoing(&self) -> bool {
        !self.behaviour.outgoing.is_empty() || self.outgoing_listeners.load(Ordering::Relaxed) > 0
    }

    /// Whether broadcasts are encoded for more than their recipients here, so that the encoding is shared.
    #[inline]
    pub(crate) fn shares_encoding(&self) -> bool {
        self.keeps_events || self.cluster.is_some() || self.watches_outgoing()
    }

    #[cold]
    pub(crate) fn outgoing(&self, event: &EncodedEvent, recipients: impl FnOnce() -> Vec<Socket>) {
        let Some(event) = OutgoingEvent::new(event) else {
            return;
        };
        for socket in recipients() {
            socket.outgoing(&self.behaviour.outgoing, &event);
        }
    }

    /// Tells the adapter which rooms have opened and closed, while no lock is held.
    #[inline]
    pub(crate) fn flush_interest(&self) {
        if let (Some(interest), Some(cluster)) = (self.room_hub.interest(), &self.cluster) {
            interest.flush(|changes| cluster.adapter.rooms_changed(&self.name, changes));
        }
    }

    /// Called when the adapter knows the namespace.
    pub(crate) fn announced(&self) {
        if let Some(interest) = self.room_hub.interest() {
            interest.announce();
            self.flush_interest();
        }
    }

    pub(crate) fn sockets(&self) -> Vec<Socket> {
        self.rooms.read().members().cloned().collect()
    }
}

/// Removes the namespace when the last reference to it is dropped. This is the only place that does.
impl Drop for NamespaceInner {
    fn drop(&mut self) {
        if !matches!(self.life, Life::Kept)
            && let Some(io) = self.io()
        {
            io.namespace_unused(&self.name);
        }
    }
}

impl fmt::Debug for NamespaceInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Rooms of one client, held until this is dropped, which must not happen under a lock of the namespace.
pub(crate) struct RoomHold {
    namespace: Weak<NamespaceInner>,
    /// The first is the room of the client's id.
    rooms: Vec<Arc<str>>,
}

impl NamespaceInner {
    /// Holds the room of an id, and others. `index`: the rooms of the namespace, which are locked. The caller tells the
    /// adapter afterwards, by [`flush_interest`](Self::flush_interest).
    pub(crate) fn hold<'a>(
        self: &Arc<Self>,
        index: &Rooms<Socket>,
        id: &str,
        rooms: impl Iterator<Item = &'a str>,
    ) -> RoomHold {
        let id: Arc<str> = id.into();
        let others = rooms.filter(|room| **room != *id).map(Arc::from);
        let rooms: Vec<Arc<str>> = std::iter::once(id.clone()).chain(others).collect();
        for (i, room) in rooms.iter().enumerate() {
            self.held_rooms.hold(room);
            if let Some(interest) = self.room_hub.interest() {
                let open = match i == 0 {
                    true => index.get(room).is_some(),
                    false => index.has_room(room),
                };
                interest.hold(room, open, i == 0);
            }
        }
        RoomHold {
            namespace: Arc::downgrade(self),
            rooms,
        }
    }

    /// Waits until the adapter knows which rooms are open.
    pub(crate) async fn interest_flushed(&self) {
        self.flush_interest();
        if let Some(interest) = self.room_hub.interest() {
            // Another thread is just telling the adapter.
            while !interest.is_flushed() {
                tokio::task::yield_now().await;
            }
        }
    }
}

impl Drop for RoomHold {
    fn drop(&mut self) {
        let Some(namespace) = self.namespace.upgrade() else {
            return;
        };
        for (i, room) in self.rooms.iter().enumerate() {
            namespace.held_rooms.release(room);
            if let Some(interest) = namespace.room_hub.interest() {
                interest.release(room, i == 0);
            }
        }
        namespace.flush_interest();
    }
}

impl fmt::Debug for RoomHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoomHold").field(&self.rooms).finish()
    }
}

/// A running namespace: `io.of("/chat")`.
///
/// A handle stays valid as long as it is kept: a dynamic namespace is removed when no client is in it *and* no handle,
/// operator or socket of it is left.
#[derive(Debug, Clone)]
pub struct NamespaceHandle(pub(crate) Arc<NamespaceInner>);

impl NamespaceHandle {
    /// Returns the name, with its leading slash.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the parameters of the pattern that it was created from; empty if it was not created from one.
    pub fn params(&self) -> NamespaceParams<'_> {
        self.0.params()
    }

    /// Returns the sockets that are connected to this namespace on this server.
    pub fn sockets(&self) -> Vec<Socket> {
        self.0.sockets()
    }

    /// Returns the socket with this id, if it is connected to this server.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0.rooms.read().get(id).cloned()
    }

    /// Returns the number of sockets that are connected to this namespace on this server.
    pub fn len(&self) -> usize {
        self.0.rooms.read().len()
    }

    /// Whether no socket is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the rooms of this server and the number of sockets in each, without the rooms of the sockets' ids.
    pub fn rooms(&self) -> Vec<(String, usize)> {
        self.0
            .rooms
            .read()
            .rooms()
            .map(|(name, len)| (name.to_string(), len))
            .collect()
    }

    /// Subscribes to the events of the rooms of this server.
    ///
    /// ```
    /// # async fn f(io: fanfare::SocketIo) {
    /// let mut events = io.of("/").room_events();
    /// while let Some(event) = events.recv().await {
    ///     match event {
    ///         Ok(event) => println!("{event:?}"),
    ///         Err(missed) => println!("too slow, missed {missed}"),
    ///     }
    /// }
    /// # }
    /// ```
    pub fn room_events(&self) -> RoomEvents {
        self.0.room_hub.subscribe()
    }

    /// Selects all sockets of the namespace, as the start of an operator chain.
    pub fn everyone(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.0.clone())
    }

    /// Sends an event to all sockets of the namespace.
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`]. Recipients whose outbox is full are counted in the report.
    pub fn emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        self.everyone().emit(event, args)
    }

    /// Sends an event `message`, as Node's `send` does.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.emit("message", args)
    }

    /// Selects the sockets in a room, or in at least one of several.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.everyone().to(rooms)
    }

    /// Selects the sockets that are in none of these rooms.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.everyone().except(rooms)
    }

    /// Makes the event volatile: it is dropped for recipients that cannot take it at once.
    pub fn volatile(&self) -> BroadcastOperator {
        self.everyone().volatile()
    }

    /// Selects only the sockets that are connected to this server of a cluster.
    pub fn local(&self) -> BroadcastOperator {
        self.everyone().local()
    }

    /// Sets the timeout of acknowledgements.
    pub fn timeout(&self, timeout: std::time::Duration) -> BroadcastOperator {
        self.everyone().timeout(timeout)
    }

    /// Sets whether the event is worth compressing (where the transport negotiated compression).
    pub fn compress(&self, compress: bool) -> BroadcastOperator {
        self.everyone().compress(compress)
    }

    /// Makes all sockets join rooms.
    pub fn sockets_join(&self, rooms: impl RoomNames) {
        self.everyone().sockets_join(rooms);
    }

    /// Makes all sockets leave rooms.
    pub fn sockets_leave(&self, rooms: impl RoomNames) {
        self.everyone().sockets_leave(rooms);
    }

    /// Disconnects all sockets; with `close`, also closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.everyone().disconnect_sockets(close);
    }

    /// Returns the ids of the sockets connected to this server.
    pub fn socket_ids(&self) -> Vec<SocketId> {
        self.0
            .rooms
            .read()
            .members()
            .map(|socket| socket.0.id.clone())
            .collect()
    }
}

/// Namespaces of one dynamic declaration: `io.parent("/orders-{id}")`.
#[derive(Debug, Clone)]
pub struct ParentNamespace {
    pub(crate) io: Arc<IoInner>,
    pub(crate) parent: Arc<Parent>,
}

impl ParentNamespace {
    /// Returns the pattern or the label.
    pub fn name(&self) -> &str {
        &self.parent.name
    }

    /// Returns the namespaces of the declaration that currently exist.
    pub fn children(&self) -> Vec<NamespaceHandle> {
        self.io
            .children(&self.parent)
            .into_iter()
            .map(NamespaceHandle)
            .collect()
    }

    /// Sends an event to all sockets of every namespace of the declaration.
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`]. Recipients whose outbox is full are counted in the report.
    pub fn emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit_with(|everyone| everyone, event, args)
    }

    /// Sends an event in every namespace of the declaration to the sockets that `choose` selects: Node's
    /// `parent.to(…).emit(…)`.
    ///
    /// ```
    /// # fn f(io: &fanfare::SocketIo) -> Result<(), Box<dyn std::error::Error>> {
    /// let orders = io.parent("/orders-{id}").ok_or("not declared")?;
    /// orders.emit_with(|everyone| everyone.to("staff").volatile(), "tick", 1)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_with(
        &self,
        choose: impl Fn(BroadcastOperator) -> BroadcastOperator,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        let mut total = BroadcastReport::default();
        for child in self.children() {
            let report = choose(child.everyone()).emit_ref(event.as_ref(), &args)?;
            total.recipients += report.recipients;
            total.full += report.full;
            // A failure for one namespace is the outcome for all.
            if total.cluster.is_none_or(PublishOutcome::is_queued) {
                total.cluster = report.cluster.or(total.cluster);
            }
        }
        Ok(total)
    }
}
