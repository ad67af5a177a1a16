//! A namespace at work.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use fanfare_engine::Connection;
use fanfare_protocol::Limits;
use fanfare_protocol::socket::IntoArgs;

use super::room_events::RoomHub;
use super::{Behaviour, Parent, RoomEvents};
use crate::ack::BroadcastAcks;
use crate::adapter::ClusterInner;
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::client::Client;
use crate::codec::Codec;
use crate::error::EmitError;
use crate::id::SocketId;
use crate::io::IoInner;
use crate::recovery::{ConnectionStateRecovery, Recovery};
use crate::rooms::{Member, SharedRooms};
use crate::socket::{OutgoingEvent, Socket};
use crate::stats::{NamespaceStats, Stats};

/// What all namespaces of a server have in common.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) recovery: Option<ConnectionStateRecovery>,
    /// In this time heartbeats notice that a client is gone.
    pub(crate) heartbeat: Duration,
    pub(crate) limits: Limits,
    pub(crate) cluster: Option<Arc<ClusterInner>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) codec: Codec,
}

impl Settings {
    fn recovery(&self) -> Option<Box<Recovery>> {
        let settings = self.recovery.clone()?;
        Some(Box::new(Recovery::new(
            settings,
            self.heartbeat,
            &self.limits,
        )))
    }
}

pub(crate) struct NamespaceInner {
    pub(crate) name: Box<str>,
    pub(crate) behaviour: Arc<Behaviour>,
    /// Set if the namespace goes when nobody uses it any longer.
    parent: Option<Arc<Parent>>,
    /// Clients that are in it or joining; counted for dynamic namespaces only, changed under the server's lock.
    users: AtomicUsize,
    pub(crate) rooms: SharedRooms<Socket>,
    pub(crate) broadcast_acks: BroadcastAcks,
    /// Boxed, because it is rare.
    pub(crate) recovery: Option<Box<Recovery>>,
    next_ack: AtomicU64,
    pub(crate) cluster: Option<Arc<ClusterInner>>,
    pub(crate) room_hub: RoomHub,
    /// How many listeners for outgoing events its sockets have.
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
    /// A namespace that stays.
    pub(crate) fn new(
        name: &str,
        behaviour: Arc<Behaviour>,
        settings: &Settings,
        io: Weak<IoInner>,
    ) -> Arc<Self> {
        Self::create(name, behaviour, None, settings, io)
    }

    /// A namespace that stays while it is used.
    pub(crate) fn child(
        name: &str,
        parent: &Arc<Parent>,
        settings: &Settings,
        io: Weak<IoInner>,
    ) -> Arc<Self> {
        let behaviour = parent.behaviour.clone();
        Self::create(name, behaviour, Some(parent.clone()), settings, io)
    }

    fn create(
        name: &str,
        behaviour: Arc<Behaviour>,
        parent: Option<Arc<Parent>>,
        settings: &Settings,
        io: Weak<IoInner>,
    ) -> Arc<Self> {
        // One label for all of a declaration: clients choose the names.
        let label = parent.as_ref().map_or(name, |parent| &parent.name);
        Arc::new(Self {
            name: name.into(),
            stats: settings.stats.namespace(label),
            codec: settings.codec.clone(),
            behaviour,
            parent,
            users: AtomicUsize::new(0),
            rooms: SharedRooms::new(),
            broadcast_acks: BroadcastAcks::default(),
            recovery: settings.recovery(),
            next_ack: AtomicU64::new(0),
            cluster: settings.cluster.clone(),
            room_hub: RoomHub::default(),
            outgoing_listeners: AtomicUsize::new(0),
            io,
        })
    }

    /// The server; `None` once it is gone.
    pub(crate) fn io(&self) -> Option<Arc<IoInner>> {
        self.io.upgrade()
    }

    /// One counter for all sockets, as in Node: a broadcast needs an id that is free in all of them.
    pub(crate) fn next_ack_id(&self) -> u64 {
        self.next_ack.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn is_child_of(&self, parent: &Arc<Parent>) -> bool {
        self.parent
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(own, parent))
    }

    /// A client joins; to be called while the namespace cannot be removed.
    pub(crate) fn enter(&self) {
        if self.parent.is_some() {
            self.users.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// A client that [entered](Self::enter) is gone, refused or disconnected.
    pub(crate) fn exit(&self) {
        if self.parent.is_some()
            && self.users.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(io) = self.io()
        {
            io.remove_unused(&self.name);
        }
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.parent.is_some()
            && self.users.load(Ordering::Acquire) == 0
            && !self.recovery.as_ref().is_some_and(|r| r.has_sessions())
    }

    pub(crate) fn remove_if_unused(&self) {
        if self.is_unused()
            && let Some(io) = self.io()
        {
            io.remove_unused(&self.name);
        }
    }

    /// Whether anybody wants to see what is sent.
    #[inline]
    pub(crate) fn watches_outgoing(&self) -> bool {
        !self.behaviour.outgoing.is_empty() || self.outgoing_listeners.load(Ordering::Relaxed) > 0
    }

    #[cold]
    pub(crate) fn outgoing(
        &self,
        event: &str,
        args: &impl IntoArgs,
        recipients: impl FnOnce() -> Vec<Socket>,
    ) {
        let Some(event) = OutgoingEvent::new(event, args) else {
            return;
        };
        for socket in recipients() {
            for listener in &self.behaviour.outgoing {
                listener(&socket, &event);
            }
            socket.outgoing(&event);
        }
    }

    pub(crate) fn sockets(&self) -> Vec<Socket> {
        self.rooms.read().members().cloned().collect()
    }
}

impl fmt::Debug for NamespaceInner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A running namespace: `io.of("/chat")`.
#[derive(Debug, Clone)]
pub struct NamespaceHandle(pub(crate) Arc<NamespaceInner>);

impl NamespaceHandle {
    /// The name, with its leading slash.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The sockets that are connected to this namespace on this server.
    pub fn sockets(&self) -> Vec<Socket> {
        self.0.sockets()
    }

    /// The socket with this id, if it is connected to this server.
    pub fn socket(&self, id: &str) -> Option<Socket> {
        self.0.rooms.read().get(id).cloned()
    }

    /// How many sockets are connected to this namespace on this server.
    pub fn len(&self) -> usize {
        self.0.rooms.read().len()
    }

    /// Whether no socket is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rooms of this server and how many sockets are in each; without those of the sockets' own ids.
    pub fn rooms(&self) -> Vec<(String, usize)> {
        self.0
            .rooms
            .read()
            .rooms()
            .map(|(name, len)| (name.to_string(), len))
            .collect()
    }

    /// Subscribes to what happens to the rooms of this server.
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

    /// Everyone in the namespace, as the start of an operator chain.
    pub fn everyone(&self) -> BroadcastOperator {
        BroadcastOperator::new(self.0.clone())
    }

    /// Sends an event to everyone in the namespace.
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`]. Slow recipients are counted in the report.
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.everyone().emit(event, args)
    }

    /// Sends an event `message`, as Node's `send` does.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.emit("message", args)
    }

    /// Those in a room, or in at least one of several.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.everyone().to(rooms)
    }

    /// Those who are in none of these rooms.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.everyone().except(rooms)
    }

    /// Messages that may be dropped for those who cannot take them at once.
    pub fn volatile(&self) -> BroadcastOperator {
        self.everyone().volatile()
    }

    /// Only those connected to this server of a cluster.
    pub fn local(&self) -> BroadcastOperator {
        self.everyone().local()
    }

    /// How long acknowledgements may take.
    pub fn timeout(&self, timeout: std::time::Duration) -> BroadcastOperator {
        self.everyone().timeout(timeout)
    }

    /// Whether the event is worth compressing (where the transport negotiated compression).
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

    /// Disconnects all sockets, with `close` also their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.everyone().disconnect_sockets(close);
    }

    /// The ids of the sockets connected to this server.
    pub fn socket_ids(&self) -> Vec<SocketId> {
        self.0
            .rooms
            .read()
            .members()
            .map(|socket| socket.0.id.clone())
            .collect()
    }
}

/// The namespaces of one dynamic declaration: `io.parent("/orders-{id}")`.
#[derive(Debug, Clone)]
pub struct ParentNamespace {
    pub(crate) io: Arc<IoInner>,
    pub(crate) parent: Arc<Parent>,
}

impl ParentNamespace {
    /// The pattern or the label.
    pub fn name(&self) -> &str {
        &self.parent.name
    }

    /// Those that exist at the moment.
    pub fn children(&self) -> Vec<NamespaceHandle> {
        self.io
            .children(&self.parent)
            .into_iter()
            .map(NamespaceHandle)
            .collect()
    }

    /// Sends an event to everyone in every one of them.
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`]. Slow recipients are counted in the report.
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.emit_with(|everyone| everyone, event, args)
    }

    /// Sends an event in every one of them to those whom `choose` leaves: Node's `parent.to(…).emit(…)`.
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
        event: &str,
        args: impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        let mut total = BroadcastReport::default();
        for child in self.children() {
            let report = choose(child.everyone()).emit_ref(event, &args)?;
            total.recipients += report.recipients;
            total.full += report.full;
        }
        Ok(total)
    }
}
