use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::{BroadcastOptions, Connection, EncodedMessage};
use fanfare_protocol::EncodedEvent;
use fanfare_protocol::socket::{EncodeError, IntoArgs};
use serde::de::DeserializeOwned;

use super::{RoomList, RoomNames};
use crate::ack::{BroadcastAckFuture, Collector};
use crate::adapter::{DisconnectSockets, PublishOutcome, SocketsJoin, SocketsLeave};
use crate::client::Client;
use crate::encode::{self, encode_event};
use crate::error::{EmitError, TooManyRooms};
use crate::handler::reports;
use crate::namespace::NamespaceInner;
use crate::recovery::Identity;
use crate::rooms::Audience;
use crate::socket::Socket;

/// Outcome of a broadcast.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastReport {
    /// Number of sockets of this server that were selected. 0 if the adapter has a log: then the event is sent later, in
    /// the order of the log.
    pub recipients: usize,
    /// Number of selected sockets that did not receive the event because their outbox was full.
    pub full: usize,
    /// Whether the adapter has accepted the event for the other servers; `None` if it was not passed to an adapter.
    ///
    /// After [`PublishOutcome::Full`] or [`PublishOutcome::Down`] only clients of this server get the event; if the
    /// adapter has a log and it is `Full`, no client does, so that the event may be sent again.
    pub cluster: Option<PublishOutcome>,
}

/// Selects the recipients and the flags of an event. Clone it to keep a chain for later.
///
/// ```
/// # use fanfare::SocketIo;
/// # fn f(io: &SocketIo) -> Result<(), fanfare::EmitError> {
/// let staff = io.of("/chat").to(["admins", "moderators"]);
/// staff.emit("alert", "the door bell rang")?;
/// staff.clone().except("absent").volatile().emit("tick", 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct BroadcastOperator {
    pub(super) namespace: Arc<NamespaceInner>,
    /// Selected rooms. Without any, all sockets are selected, unless rooms were asked for: then none is.
    pub(super) rooms: RoomList,
    /// Whether rooms were asked for, possibly with an empty list.
    pub(super) targeted: bool,
    pub(super) except: RoomList,
    /// Sender to exclude, of `socket.to(…)` and `socket.broadcast()`.
    pub(super) sender: Option<Socket>,
    pub(super) volatile: bool,
    pub(super) compress: bool,
    pub(super) local: bool,
    pub(super) timeout: Option<Duration>,
    /// Identity of the event, if it came from another server or goes to others.
    pub(super) identity: Identity,
}

impl BroadcastOperator {
    pub(crate) fn new(namespace: Arc<NamespaceInner>) -> Self {
        Self {
            rooms: RoomList::new(namespace.max_rooms_per_call),
            targeted: false,
            except: RoomList::new(namespace.max_rooms_per_call),
            namespace,
            sender: None,
            volatile: false,
            compress: true,
            local: false,
            timeout: None,
            identity: Identity::Local,
        }
    }

    pub(crate) fn from_sender(socket: &Socket) -> Self {
        Self {
            sender: Some(socket.clone()),
            ..Self::new(socket.0.namespace.clone())
        }
    }

    /// Adds rooms: the event goes once to each socket that is in at least one of them. An empty list of rooms selects
    /// no socket, unlike in Node, where it selects all.
    ///
    /// More rooms than [`Limits::max_rooms_per_call`](crate::Limits::max_rooms_per_call) make the following operation
    /// fail: [`emit`](Self::emit) returns the error; operations that return nothing, such as
    /// [`disconnect_sockets`](Self::disconnect_sockets), do nothing, which is logged and counted.
    pub fn to(mut self, rooms: impl RoomNames) -> Self {
        self.targeted = true;
        rooms.add_to(&mut self.rooms);
        self
    }

    /// Adds rooms, as [`to`](Self::to) does.
    pub fn within(self, rooms: impl RoomNames) -> Self {
        self.to(rooms)
    }

    /// Excludes the sockets that are in at least one of these rooms. The limit is that of [`to`](Self::to).
    pub fn except(mut self, rooms: impl RoomNames) -> Self {
        rooms.add_to(&mut self.except);
        self
    }

    /// Excludes the sockets that cannot take the event at once (something is queued for them, or no polling request is
    /// waiting).
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Sets whether the event is worth compressing (where the transport negotiated compression). Default: yes.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Restricts the operation to this server of a cluster.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// Sets the timeout of [`emit_with_ack`](Self::emit_with_ack). Default: `ack_timeout` of the builder.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event: `&T` is one argument, a tuple is several. It is encoded once, regardless of the number of
    /// recipients.
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`], [`EmitError::TooManyRooms`]. Recipients whose outbox is full are counted in the
    /// report.
    pub fn emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit_ref(event.as_ref(), &args)
    }

    pub(crate) fn emit_ref(
        &self,
        event: &str,
        args: &impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        self.check()?;
        if self.is_nobody() {
            let NamespaceInner { name, codec, .. } = &*self.namespace;
            encode_event(codec, name, None, event, args)?;
            return Ok(BroadcastReport::default());
        }
        if self.namespace.shares_encoding() {
            let shared = encode::shared_event(&self.namespace.codec, event, args)?;
            return self.emit_watched(&shared);
        }
        let message = encode_event(
            &self.namespace.codec,
            &self.namespace.name,
            None,
            event,
            args,
        )?;
        Ok(self.deliver(&message))
    }

    pub(super) fn count(&self, recipients: usize, message: &EncodedMessage, full: usize) {
        let stats = &self.namespace.stats;
        stats.event_out(recipients.saturating_sub(full), message.len());
        if full > 0 {
            crate::stats::outbox_full(full);
        }
    }

    pub(super) fn options(&self) -> BroadcastOptions {
        BroadcastOptions::default()
            .volatile(self.volatile)
            .compress(self.compress)
    }

    /// Sends an event `message`, as Node's `send` does.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and collects one answer from each recipient: the first argument of its acknowledgement (all of
    /// them, if `R` is a tuple). The event is sent at once; the answers arrive when the future is awaited.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # async fn f(io: fanfare::SocketIo) -> Result<(), Box<dyn std::error::Error>> {
    /// let votes: Vec<bool> = io.to("jury").timeout(Duration::from_secs(5)).emit_with_ack("guilty?", ()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The future fails with [`BroadcastAckError`](crate::ack::BroadcastAckError), which after a timeout contains the
    /// answers that arrived. Recipients that disconnect meanwhile are not waited for. (Those of other servers are,
    /// until the timeout: the protocol between servers has no message for a disconnection.)
    pub fn emit_with_ack<R>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> BroadcastAckFuture<R>
    where
        R: DeserializeOwned + Send + 'static,
    {
        let event = event.as_ref();
        if let Err(error) = self.check() {
            return BroadcastAckFuture::failed(error.into());
        }
        let id = self.namespace.next_ack_id();
        let (message, shared) = match self.encode_request(id, event, &args) {
            Ok(encoded) => encoded,
            Err(error) => return BroadcastAckFuture::failed(error.into()),
        };
        if let Some(shared) = &shared
            && self.namespace.watches_outgoing()
        {
            self.namespace.outgoing(shared, || self.select());
        }
        let timeout = self.timeout.unwrap_or_else(|| {
            self.namespace
                .io()
                .map_or(Duration::ZERO, |io| io.ack_timeout)
        });
        let remote = shared.and_then(|shared| self.request_acks(&shared, timeout));
        let recipients = self.select();
        let acks = &self.namespace.broadcast_acks;
        let ids = recipients.iter().map(|socket| socket.0.id.clone());
        let collector = Collector::new(ids, acks.budget());
        acks.register(id, collector.clone());
        let audience: Audience<Connection<Client>> = recipients
            .iter()
            .map(|socket| socket.0.connection.clone())
            .collect();
        let report = fanfare_engine::broadcast(&audience, &message, self.options(), None);
        self.count(audience.len(), &message, report.full);
        // A socket that disconnected before it was registered would never answer.
        recipients
            .iter()
            .filter(|socket| !socket.is_connected())
            .for_each(|socket| {
                self.namespace.broadcast_acks.gone(&socket.0.id);
            });
        BroadcastAckFuture::new(
            self.namespace.clone(),
            id,
            collector,
            timeout,
            remote,
            PhantomData,
        )
    }

    /// Encodes an event with an acknowledgement; also for listeners and other nodes, if there are any.
    fn encode_request(
        &self,
        id: u64,
        event: &str,
        args: &impl IntoArgs,
    ) -> Result<(EncodedMessage, Option<EncodedEvent>), EncodeError> {
        let NamespaceInner { name, codec, .. } = &*self.namespace;
        if !self.namespace.shares_encoding() {
            return Ok((encode_event(codec, name, Some(id), event, args)?, None));
        }
        let shared = encode::shared_event(codec, event, args)?;
        let message = encode::packet(codec, name, Some(id), &shared, None)?;
        Ok((message, Some(shared)))
    }

    /// Returns the selected sockets of this server.
    pub fn sockets(&self) -> Vec<Socket> {
        self.select()
    }

    /// Makes the selected sockets join rooms. A socket that would exceed its limit of rooms joins none of them, which
    /// is logged and counted, as are names that are too long or too many, see [`Socket::join`].
    pub fn sockets_join(&self, rooms: impl RoomNames) {
        let Some(names) = self.names(rooms) else {
            return;
        };
        self.publish(|options| SocketsJoin::new(options, names.as_slice().to_vec()));
        for socket in self.select() {
            if let Err(error) = socket.join_list(&names) {
                reports::not_joined(&socket, &error);
            }
        }
    }

    /// Makes the selected sockets leave rooms. Does nothing if there are too many names, which is logged and counted.
    pub fn sockets_leave(&self, rooms: impl RoomNames) {
        let Some(names) = self.names(rooms) else {
            return;
        };
        self.publish(|options| SocketsLeave::new(options, names.as_slice().to_vec()));
        for socket in self.select() {
            socket.leave_all(names.as_slice());
        }
    }

    /// Disconnects the selected sockets; with `close`, also closes their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        if !self.concerns_somebody() {
            return;
        }
        self.publish(|options| DisconnectSockets::new(options, close));
        for socket in self.select() {
            socket.disconnect(close);
        }
    }

    /// Returns the names for an operation that returns no errors, unless it has nothing to do.
    fn names(&self, rooms: impl RoomNames) -> Option<RoomList> {
        let names = RoomList::of(rooms, self.namespace.max_rooms_per_call);
        let fit = match names.check() {
            Ok(names) => !names.is_empty(),
            Err(error) => {
                self.namespace.rejected(TooManyRooms::CAUSE);
                reports::too_many_rooms(&self.namespace, error);
                false
            }
        };
        (fit && self.concerns_somebody()).then_some(names)
    }

    /// Whether an operation that returns no errors can select any socket.
    fn concerns_somebody(&self) -> bool {
        match self.check() {
            Ok(()) => !self.is_nobody(),
            Err(error) => {
                reports::too_many_rooms(&self.namespace, error);
                false
            }
        }
    }

    /// Checks the number of rooms.
    #[inline]
    pub(super) fn check(&self) -> Result<(), TooManyRooms> {
        let rooms = self.rooms.check();
        match rooms.and_then(|_| self.except.check()) {
            Ok(_) => Ok(()),
            Err(error) => {
                self.namespace.rejected(TooManyRooms::CAUSE);
                Err(error)
            }
        }
    }

    /// Whether rooms were asked for with an empty list. The wire format of a cluster cannot express this.
    #[inline]
    pub(super) fn is_nobody(&self) -> bool {
        self.targeted && self.rooms.is_empty()
    }

    /// Returns the selected connections, possibly with the sender's. The common cases share the list that the index
    /// caches.
    pub(super) fn audience(&self) -> Audience<Connection<Client>> {
        let room = match (self.rooms.as_slice(), self.except.as_slice()) {
            ([], []) if !self.targeted => None,
            ([room], []) => Some(room.as_str()),
            _ => {
                let chosen = self.select();
                return chosen
                    .iter()
                    .map(|socket| socket.0.connection.clone())
                    .collect();
            }
        };
        self.namespace.rooms.audience(room)
    }

    pub(super) fn select(&self) -> Vec<Socket> {
        let (Ok(chosen), Ok(except), false) =
            (self.rooms.check(), self.except.check(), self.is_nobody())
        else {
            return Vec::new();
        };
        let rooms = self.namespace.rooms.read();
        let chosen = rooms.select(chosen, except).into_iter();
        match &self.sender {
            None => chosen.cloned().collect(),
            Some(sender) => chosen
                .filter(|socket| socket.0.id != sender.0.id)
                .cloned()
                .collect(),
        }
    }
}
