//! A client in a namespace.

mod emitter;
mod extensions;
mod listeners;
mod outgoing;

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use fanfare_engine::{Connection, Prepared, SendError};
use fanfare_protocol::socket::{ArgsBuf, IntoArgs};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use smallvec::SmallVec;

pub use emitter::SocketEmitter;
pub use extensions::Extensions;
pub use listeners::ListenerId;
use listeners::Listeners;
pub use outgoing::OutgoingEvent;
pub(crate) use outgoing::OutgoingHandler;

use crate::ack::{AckError, AckFuture, AckSender, PendingAcks};
use crate::broadcast::{BroadcastOperator, RoomNames};
use crate::client::Client;
use crate::encode;
use crate::error::EmitError;
use crate::extract::Handshake;
use crate::handler::{
    ConnectContext, DisconnectContext, EventContext, Handler, IntoAck, OnEvent, erase_event,
};
use crate::id::SocketId;
use crate::io::{IoInner, SocketIo, run_or_spawn};
use crate::namespace::{NamespaceHandle, NamespaceInner};
use crate::reason::DisconnectReason;
use crate::recovery::{Part, Recovery, RecoveryOutcome};

/// A client that is connected to a namespace. Cheap to clone; clones are the same socket.
///
/// Holding one after the disconnection is harmless: [`connected`](Self::connected) is false and sending fails with
/// [`EmitError::Disconnected`].
#[derive(Clone)]
pub struct Socket(pub(crate) Arc<SocketInner>);

pub(crate) struct SocketInner {
    pub(crate) id: SocketId,
    pub(crate) namespace: Arc<NamespaceInner>,
    pub(crate) connection: Arc<Connection<Client>>,
    /// The client's `auth` value as JSON, if it sent one.
    auth: Option<Box<str>>,
    /// Where the socket sits in the rooms of its namespace; only meaningful while it is there.
    seat: AtomicU32,
    phase: AtomicU8,
    /// What most sockets never need.
    extra: OnceLock<Box<Extra>>,
}

#[derive(Default)]
struct Extra {
    acks: PendingAcks,
    data: Mutex<Value>,
    extensions: OnceLock<Arc<Extensions>>,
    listeners: Listeners,
    outgoing: Mutex<Vec<OutgoingHandler>>,
    /// Rooms joined in a middleware, before there is a seat.
    early_rooms: Mutex<Vec<String>>,
    /// Only where recovery is on.
    recovery: OnceLock<Box<Mutex<Part>>>,
}

/// `phase`: middlewares are running.
const CONNECTING: u8 = 0;
/// `phase`: the client was told that it is connected.
const CONNECTED: u8 = 1;
/// `phase`: its `disconnecting` handlers run; the rooms are still there.
const LEAVING: u8 = 2;
/// `phase`: gone, for whatever reason.
const DISCONNECTED: u8 = 3;

/// Whether a socket in this phase is in the index of its namespace.
const fn is_seated(phase: u8) -> bool {
    matches!(phase, CONNECTED | LEAVING)
}

impl Socket {
    pub(crate) fn new(
        namespace: Arc<NamespaceInner>,
        connection: Arc<Connection<Client>>,
        auth: Option<Box<str>>,
        part: Option<Part>,
    ) -> Self {
        let extra = OnceLock::new();
        let mut id = None;
        if let Some(session) = part.as_ref().and_then(Part::claimed) {
            id = Some(session.id);
            let restored = Extra::default();
            *restored.data.lock() = session.data.clone();
            if let Some(extensions) = &session.extensions {
                let _ = restored.extensions.set(extensions.clone());
            }
            *restored.early_rooms.lock() = session.rooms().map(str::to_owned).collect();
            let _ = extra.set(Box::new(restored));
        }
        if let Some(part) = part {
            let extra = extra.get_or_init(Box::<Extra>::default);
            let _ = extra.recovery.set(Box::new(Mutex::new(part)));
        }
        Self(Arc::new(SocketInner {
            id: id.unwrap_or_else(SocketId::random),
            namespace,
            connection,
            auth,
            seat: AtomicU32::new(0),
            phase: AtomicU8::new(CONNECTING),
            extra,
        }))
    }

    /// The public id: 20 characters, new with every connection.
    pub fn id(&self) -> SocketId {
        self.0.id
    }

    /// The name of the namespace.
    pub fn namespace(&self) -> &str {
        &self.0.namespace.name
    }

    /// The namespace.
    pub fn nsp(&self) -> NamespaceHandle {
        NamespaceHandle(self.0.namespace.clone())
    }

    /// The server.
    pub fn io(&self) -> SocketIo {
        SocketIo::from_inner(self.io_inner())
    }

    pub(crate) fn io_inner(&self) -> Arc<IoInner> {
        self.0.connection.state().io.clone()
    }

    pub(crate) fn connection(&self) -> &Arc<Connection<Client>> {
        &self.0.connection
    }

    /// Whether the socket is connected (middlewares have passed, and it has not been disconnected).
    pub fn connected(&self) -> bool {
        is_seated(self.0.phase.load(Ordering::Acquire))
    }

    pub(crate) fn is_connecting(&self) -> bool {
        self.0.phase.load(Ordering::Acquire) == CONNECTING
    }

    /// The first request and the client's `auth`.
    pub fn handshake(&self) -> Handshake {
        Handshake::new(self.clone())
    }

    pub(crate) fn auth_json(&self) -> &str {
        self.0.auth.as_deref().unwrap_or("null")
    }

    /// What carries the connection at the moment: `polling` or `websocket`.
    pub fn transport(&self) -> &'static str {
        self.0.connection.transport().name()
    }

    fn extra(&self) -> &Extra {
        self.0.extra.get_or_init(Box::default)
    }

    /// Data of the application, visible to all servers of a cluster (Node's `socket.data`): `Null` until
    /// [`set_data`](Self::set_data).
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

    /// Replaces the data.
    ///
    /// # Errors
    /// If the value cannot be represented in JSON.
    pub fn set_data(&self, data: &impl Serialize) -> Result<(), serde_json::Error> {
        *self.extra().data.lock() = serde_json::to_value(data)?;
        Ok(())
    }

    /// Values of any type that belong to this socket on this server, one of each type.
    pub fn extensions(&self) -> &Extensions {
        self.extra().extensions.get_or_init(Arc::default)
    }

    // ---- recovery ----

    fn part(&self) -> Option<&Mutex<Part>> {
        self.0.extra.get()?.recovery.get().map(|part| &**part)
    }

    /// Whether the client is back from a lost connection with its id, rooms and data, see
    /// [`ConnectionStateRecovery`](crate::ConnectionStateRecovery). What it missed has been sent when the connect
    /// handlers run.
    pub fn recovered(&self) -> bool {
        matches!(self.recovery(), RecoveryOutcome::Recovered { .. })
    }

    /// What became of the recovery, and why if it failed.
    ///
    /// ```
    /// use fanfare::{Namespace, RecoveryOutcome, Socket};
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

    /// Why the socket is leaving, if recovery is on and its `disconnecting` handlers run.
    pub(crate) fn leaving(&self) -> Option<DisconnectReason> {
        self.part()?.lock().leaving()
    }

    /// What is kept of the application's state for a session.
    pub(crate) fn state(&self) -> (Value, Option<Arc<Extensions>>) {
        let extra = self.extra();
        (extra.data.lock().clone(), extra.extensions.get().cloned())
    }

    // ---- receiving ----

    /// Adds a handler for this socket alone. Most behaviour belongs to [`Namespace::on`](crate::Namespace::on), which
    /// costs a socket nothing; handlers added here run after those of the namespace, and end with the socket.
    ///
    /// ```
    /// use fanfare::{Data, Namespace, Socket};
    ///
    /// let ns = Namespace::new("/").on_connect(async |socket: Socket| {
    ///     socket.once("ready", async |socket: Socket, Data(name): Data<String>| socket.emit("hello", name));
    /// });
    /// ```
    pub fn on<H, T>(&self, event: &str, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.extra()
            .listeners
            .add(Some(event), false, erase_event(handler))
    }

    /// As [`on`](Self::on), for the next event of this name only.
    pub fn once<H, T>(&self, event: &str, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.extra()
            .listeners
            .add(Some(event), true, erase_event(handler))
    }

    /// As [`on`](Self::on), for every event; acknowledgements do not pass it.
    pub fn on_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.extra()
            .listeners
            .add(None, false, erase_event(handler))
    }

    /// As [`on_any`](Self::on_any), before the handlers that were added to this socket earlier.
    pub fn prepend_any<H, T>(&self, handler: H) -> ListenerId
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.extra().listeners.prepend_any(erase_event(handler))
    }

    /// Takes off all handlers of this socket for an event; says how many.
    pub fn off_event(&self, event: &str) -> usize {
        let extra = self.0.extra.get();
        extra.map_or(0, |extra| extra.listeners.remove_all(Some(event)))
    }

    /// Takes off all handlers of this socket for every event; says how many.
    pub fn off_any(&self) -> usize {
        let extra = self.0.extra.get();
        extra.map_or(0, |extra| extra.listeners.remove_all(None))
    }

    /// Adds a listener for every event that is sent to this socket, broadcasts included, before it leaves. It must not
    /// block. Acknowledgements do not pass it. While some socket has one, broadcasts of the namespace look for it at
    /// each recipient.
    pub fn on_any_outgoing(
        &self,
        listener: impl Fn(&Socket, &OutgoingEvent) + Send + Sync + 'static,
    ) {
        self.extra().outgoing.lock().push(Arc::new(listener));
        let count = &self.0.namespace.outgoing_listeners;
        count.fetch_add(1, Ordering::Relaxed);
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            self.off_any_outgoing();
        }
    }

    /// Takes off all listeners of this socket for what is sent; says how many.
    pub fn off_any_outgoing(&self) -> usize {
        let Some(extra) = self.0.extra.get() else {
            return 0;
        };
        let gone = std::mem::take(&mut *extra.outgoing.lock()).len();
        let count = &self.0.namespace.outgoing_listeners;
        count.fetch_sub(gone, Ordering::Relaxed);
        gone
    }

    pub(crate) fn outgoing(&self, event: &OutgoingEvent) {
        if let Some(extra) = self.0.extra.get() {
            let listeners = extra.outgoing.lock().clone();
            listeners.iter().for_each(|listener| listener(self, event));
        }
    }

    /// Takes a handler of this socket off; `false` if it was gone already.
    pub fn off(&self, listener: ListenerId) -> bool {
        self.0
            .extra
            .get()
            .is_some_and(|extra| extra.listeners.remove(listener))
    }

    /// An event has arrived: its middlewares, then its handlers.
    #[inline]
    pub(crate) fn receive(&self, cx: &EventContext<'_>) {
        self.0.namespace.stats.event_in();
        tracing::trace!(socket = %self.0.id, event = cx.event, ack = cx.ack, "event received");
        if self.0.namespace.behaviour.packet_middlewares.is_empty() {
            self.dispatch(cx);
        } else {
            let io = self.io_inner();
            run_or_spawn(
                &io.running,
                guarded(self.clone(), cx.event.to_owned(), cx.args.to_buf(), cx.ack),
            );
        }
    }

    #[inline]
    fn dispatch(&self, cx: &EventContext<'_>) {
        let behaviour = &self.0.namespace.behaviour;
        let mut handled = behaviour.dispatch(cx);
        if let Some(extra) = self.0.extra.get() {
            handled |= extra.listeners.dispatch(cx);
        }
        if handled {
            return;
        }
        match &behaviour.fallback {
            Some(handler) => handler.call(cx),
            None => {
                tracing::debug!(socket = %self.0.id, event = cx.event, "no handler for this event");
            }
        }
    }

    // ---- sending ----

    /// Sends an event: `&T` is one argument, a tuple is several.
    ///
    /// ```
    /// # fn f(socket: &fanfare::Socket) -> Result<(), fanfare::EmitError> {
    /// socket.emit("greeting", "hello")?;
    /// socket.emit("position", (1.5, 2.5))?;
    /// socket.emit("picture", bytes::Bytes::from_static(b"\x89PNG"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`]; [`EmitError::Full`] if the outbox of the connection is full (the event is
    /// dropped); [`EmitError::Disconnected`].
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        self.send_event(None, event, &args, false)
    }

    /// Sends an event `message`, as Node's `send` does.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and waits for its acknowledgement: the first argument of the answer (all of them, if `R` is a
    /// tuple). The event is sent at once; the answer comes when the future is awaited.
    ///
    /// ```
    /// # async fn f(socket: fanfare::Socket) -> Result<(), fanfare::AckError> {
    /// let name: String = socket.emit_with_ack("who are you?", ()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The future fails with [`AckError`]: after `ack_timeout` of the builder (see [`timeout`](Self::timeout)), when
    /// the socket disconnects, or when [`Limits::max_pending_acks`](crate::Limits) are waiting.
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        self.timeout(self.io_inner().ack_timeout)
            .emit_with_ack(event, args)
    }

    /// Events that may be dropped: they are, if something is queued for the client or no polling request is waiting.
    pub fn volatile(&self) -> SocketEmitter {
        SocketEmitter::new(self.clone()).volatile()
    }

    /// How long acknowledgements may take.
    pub fn timeout(&self, timeout: std::time::Duration) -> SocketEmitter {
        SocketEmitter::new(self.clone()).timeout(timeout)
    }

    /// Everyone in the namespace but this socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        BroadcastOperator::from_sender(self)
    }

    /// Those in a room, or in at least one of several, but not this socket.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// Everyone but this socket and those in these rooms.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// Waits until the client has taken what was sent to it.
    ///
    /// # Errors
    /// [`EmitError::Disconnected`].
    pub async fn ready(&self) -> Result<(), EmitError> {
        Ok(self.0.connection.ready().await?)
    }

    /// How many bytes wait to be written to the client, over all its namespaces.
    pub fn pending_bytes(&self) -> usize {
        self.0.connection.pending_bytes()
    }

    pub(crate) fn send_event(
        &self,
        ack: Option<u64>,
        event: &str,
        args: &impl IntoArgs,
        volatile: bool,
    ) -> Result<(), EmitError> {
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            return Err(EmitError::Disconnected);
        }
        if self.0.namespace.watches_outgoing() {
            let own = || vec![self.clone()];
            self.0.namespace.outgoing(event, args, own);
        }
        let namespace = &*self.0.namespace.name;
        if volatile {
            let message =
                encode::encode_event(&self.0.namespace.codec, namespace, ack, event, args)?;
            if self.0.connection.send_volatile(&message)? {
                self.sent(event, message.len());
            }
            return Ok(());
        }
        if let (Some(recovery), None) = (&self.0.namespace.recovery, ack) {
            let own = [self.0.id];
            let send = |message: &Prepared| {
                self.0.connection.send(message).map_err(not_sent)?;
                self.sent(event, message.len());
                Ok(())
            };
            let codec = &self.0.namespace.codec;
            return recovery.emit((codec, namespace), (event, args), &own, &[], send)?;
        }
        let mut encoded = Ok(0);
        let sent = self.0.connection.send_with(|buf| {
            let codec = &self.0.namespace.codec;
            encoded = codec
                .write_event(buf, namespace, ack, event, args)
                .map(|()| buf.len());
        });
        if let Err(error) = sent {
            return Err(not_sent(error));
        }
        self.sent(event, encoded?);
        Ok(())
    }

    #[inline]
    fn sent(&self, event: &str, len: usize) {
        self.0.namespace.stats.event_out(1, len);
        tracing::trace!(socket = %self.0.id, event, "event sent");
    }

    pub(crate) fn send_ack(&self, id: u64, args: impl IntoArgs) -> Result<(), EmitError> {
        if !self.connected() {
            return Err(EmitError::Disconnected);
        }
        let mut encoded = Ok(());
        let namespace = &*self.0.namespace.name;
        self.0.connection.send_with(|buf| {
            encoded = self.0.namespace.codec.write_ack(buf, namespace, id, &args);
        })?;
        Ok(encoded?)
    }

    pub(crate) fn request<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        args: &impl IntoArgs,
        timeout: std::time::Duration,
    ) -> AckFuture<R> {
        let id = self.0.namespace.next_ack_id();
        let limit = self.io_inner().limits.max_pending_acks;
        let acks = &self.extra().acks;
        let Some(answer) = acks.register(id, limit) else {
            return AckFuture::failed(AckError::TooManyPending { limit });
        };
        if let Err(error) = self.send_event(Some(id), event, args, false) {
            acks.forget(id);
            return AckFuture::failed(match error {
                EmitError::Disconnected => AckError::Disconnected,
                error => error.into(),
            });
        }
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            acks.forget(id); // it went between the registration and now: nobody else would
        }
        AckFuture::new(self.clone(), id, answer, timeout)
    }

    pub(crate) fn forget_ack(&self, id: u64) {
        if let Some(extra) = self.0.extra.get() {
            extra.acks.forget(id);
        }
    }

    /// An acknowledgement has arrived.
    pub(crate) fn acknowledged(&self, id: u64, payload: impl Fn() -> ArgsBuf) {
        let own = self
            .0
            .extra
            .get()
            .is_some_and(|extra| extra.acks.resolve(id, &payload));
        if !own
            && !self
                .0
                .namespace
                .broadcast_acks
                .resolve(id, &self.0.id, payload)
        {
            tracing::debug!(socket = %self.0.id, id, "acknowledgement of nothing");
        }
    }

    // ---- rooms ----

    /// Joins a room or several. Does nothing once the socket is disconnected.
    ///
    /// Rooms beyond [`Limits::max_rooms_per_socket`](crate::Limits) are not joined, which is logged.
    pub fn join(&self, rooms: impl RoomNames) {
        let mut names = SmallVec::<[String; 1]>::new();
        rooms.add_to(&mut names);
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let limit = self.io_inner().limits.max_rooms_per_socket;
                let seat = self.0.seat.load(Ordering::Relaxed);
                for name in &names {
                    if index.room_count_of(seat) >= limit {
                        tracing::warn!(socket = %self.0.id, room = %name, limit, "too many rooms: not joined");
                        return;
                    }
                    let change = index.join(seat, name);
                    if change.moved {
                        let hub = &self.0.namespace.room_hub;
                        hub.joined(name, self.0.id, change.room);
                    }
                    if let (true, Some(state), Some(part)) = (change.moved, &recovery, self.part())
                    {
                        part.lock().joined(state, name);
                    }
                }
            }
            CONNECTING => self.extra().early_rooms.lock().extend(names),
            _ => {}
        }
    }

    /// Leaves a room or several.
    pub fn leave(&self, rooms: impl RoomNames) {
        let mut names = SmallVec::<[String; 1]>::new();
        rooms.add_to(&mut names);
        let recovery = self.0.namespace.recovery.as_ref().map(|r| r.lock());
        let mut index = self.0.namespace.rooms.write();
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let seat = self.0.seat.load(Ordering::Relaxed);
                for name in &names {
                    let change = index.leave(seat, name);
                    if change.moved {
                        let hub = &self.0.namespace.room_hub;
                        hub.left(name, self.0.id, change.room);
                    }
                    if let (true, Some(state), Some(part)) = (change.moved, &recovery, self.part())
                    {
                        part.lock().left(state, name);
                    }
                }
            }
            CONNECTING => self
                .extra()
                .early_rooms
                .lock()
                .retain(|room| !names.contains(room)),
            _ => {}
        }
    }

    /// The rooms that the socket is in; the first is its own id.
    pub fn rooms(&self) -> Vec<String> {
        let index = self.0.namespace.rooms.read();
        let own = std::iter::once(self.0.id.to_string());
        match self.0.phase.load(Ordering::Acquire) {
            CONNECTED | LEAVING => {
                let joined = index.rooms_of(self.0.seat.load(Ordering::Relaxed));
                own.chain(joined.iter().map(|name| name.to_string()))
                    .collect()
            }
            CONNECTING => own
                .chain(self.extra().early_rooms.lock().iter().cloned())
                .collect(),
            _ => Vec::new(),
        }
    }

    // ---- coming and going ----

    /// Middlewares have passed: takes a seat and tells the client. `false` if it has gone meanwhile.
    pub(crate) fn welcome(&self) -> bool {
        let recovery = self.0.namespace.recovery.as_deref();
        let mut state = recovery.map(Recovery::lock);
        let mut index = self.0.namespace.rooms.write();
        if self.0.phase.load(Ordering::Acquire) != CONNECTING {
            return false;
        }
        let seat = index.insert(self.clone());
        self.0.seat.store(seat, Ordering::Relaxed);
        let mut rooms = match self.0.extra.get() {
            Some(extra) => std::mem::take(&mut *extra.early_rooms.lock()),
            None => Vec::new(),
        };
        let mut resumed = None;
        if let (Some(recovery), Some(state), Some(part)) = (recovery, &mut state, self.part()) {
            resumed = Some(recovery.admit(state, self, &mut part.lock(), &mut rooms));
        }
        let hub = &self.0.namespace.room_hub;
        hub.joined(&self.0.id, self.0.id, true);
        for room in &rooms {
            let change = index.join(seat, room);
            if change.moved {
                hub.joined(room, self.0.id, change.room);
            }
        }
        let (pid, missed) = match &resumed {
            Some((pid, missed)) => (Some(&**pid), missed.as_slice()),
            None => (None, &[][..]),
        };
        // Sent while nobody else can find the socket, so that no broadcast overtakes it; with all that it missed as one
        // message, which an outbox takes however long it is.
        let sent = self.0.connection.send_with(|buf| {
            let NamespaceInner { name, codec, .. } = &*self.0.namespace;
            codec.write_connect_reply(buf, name, &self.0.id, pid);
            missed.iter().for_each(|message| buf.append(message));
        });
        self.0.phase.store(CONNECTED, Ordering::Release);
        self.0.namespace.stats.joined();
        drop(index);
        drop(state);
        if let Some(recovery) = recovery {
            recovery.sweep(&self.0.namespace);
        }
        tracing::debug!(socket = %self.0.id, namespace = self.namespace(), "connected");
        if sent.is_err() {
            tracing::debug!(socket = %self.0.id, "the client went while it was welcomed");
        }
        let cx = ConnectContext { socket: self };
        self.0
            .namespace
            .behaviour
            .connect
            .iter()
            .for_each(|handler| handler.call(&cx));
        true
    }

    /// A middleware refused the client, or it went before it was connected.
    pub(crate) fn reject(&self) {
        self.retire(None);
    }

    /// From now on the socket is gone for everybody; gives the phase it was in.
    pub(crate) fn retire(&self, reason: Option<DisconnectReason>) -> u8 {
        let recovery = self.0.namespace.recovery.as_deref();
        let mut state = recovery.map(Recovery::lock);
        let mut index = self.0.namespace.rooms.write();
        let was = self.0.phase.swap(DISCONNECTED, Ordering::AcqRel);
        if is_seated(was) {
            let left = index.remove(self.0.seat.load(Ordering::Relaxed));
            let hub = &self.0.namespace.room_hub;
            for (room, deleted) in left.map(|(_, left)| left).unwrap_or_default() {
                hub.left(&room, self.0.id, deleted);
            }
            hub.left(&self.0.id, self.0.id, true);
            self.0.namespace.stats.left();
        }
        drop(index);
        if let (Some(recovery), Some(state), Some(part)) = (recovery, &mut state, self.part()) {
            recovery.depart(state, self, &mut part.lock(), reason);
        }
        drop(state);
        if was != DISCONNECTED {
            self.0.namespace.exit();
        }
        was
    }

    /// Leaves the namespace, once; what follows on the wire is the caller's business.
    pub(crate) fn farewell(&self, reason: DisconnectReason) {
        let leaving = {
            let _state = self.0.namespace.recovery.as_deref().map(Recovery::lock);
            let leaving = self.0.phase.compare_exchange(
                CONNECTED,
                LEAVING,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if let (Ok(_), Some(part)) = (leaving, self.part()) {
                part.lock().leaves(reason);
            }
            leaving
        };
        match leaving {
            Ok(_) => {}
            Err(CONNECTING) if !is_seated(self.retire(Some(reason))) => return,
            Err(LEAVING | DISCONNECTED) => return,
            Err(_) => {} // it was connected in the very moment it went
        }
        let cx = DisconnectContext {
            socket: self,
            reason,
        };
        let behaviour = &self.0.namespace.behaviour;
        behaviour
            .disconnecting
            .iter()
            .for_each(|handler| handler.call(&cx));
        self.retire(Some(reason));
        if let Some(extra) = self.0.extra.get() {
            extra.acks.clear();
            self.off_any_outgoing();
            extra.listeners.clear(); // they may hold the socket, which would never be freed
        }
        self.0.namespace.broadcast_acks.gone(&self.0.id);
        crate::stats::disconnected(reason);
        tracing::debug!(socket = %self.0.id, namespace = self.namespace(), %reason, "disconnected");
        behaviour
            .disconnect
            .iter()
            .for_each(|handler| handler.call(&cx));
    }

    /// Disconnects the client from the namespace; with `close` from all its namespaces, and closes its connection.
    ///
    /// The client sees the reason `io server disconnect` and does not reconnect by itself.
    pub fn disconnect(&self, close: bool) {
        if close {
            self.0.connection.state().disconnect_all(&self.0.connection);
        } else {
            self.leave_namespace();
        }
    }

    pub(crate) fn leave_namespace(&self) {
        if !self.connected() {
            return;
        }
        // Failure means that the connection is gone, which ends the socket as well.
        let _ = self.0.connection.send_with(|buf| {
            let NamespaceInner { name, codec, .. } = &*self.0.namespace;
            codec.write_disconnect(buf, name);
        });
        self.0.connection.state().remove(self);
        self.farewell(DisconnectReason::ServerNamespaceDisconnect);
    }
}

#[cold]
fn not_sent(error: SendError) -> EmitError {
    if let SendError::Full { .. } = error {
        crate::stats::outbox_full(1);
    }
    error.into()
}

async fn guarded(socket: Socket, event: String, args: ArgsBuf, ack: Option<u64>) {
    let args = args.as_args();
    let cx = EventContext {
        socket: &socket,
        event: &event,
        args: &args,
        ack,
    };
    for middleware in &socket.0.namespace.behaviour.packet_middlewares {
        if let Err(error) = middleware.call(&cx).await {
            tracing::debug!(socket = %socket.id(), event, %error, "event refused");
            let _ = AckSender::new(&socket, ack).send(&error);
            return;
        }
    }
    if socket.connected() {
        socket.dispatch(&cx);
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("id", &self.0.id)
            .field("namespace", &self.0.namespace.name)
            .field("connected", &self.connected())
            .finish_non_exhaustive()
    }
}

impl PartialEq for Socket {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Socket {}
