use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::{BroadcastOptions, Connection, Prepared};
use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::RoomNames;
use crate::ack::{BroadcastAckFuture, Collector};
use crate::adapter::ClusterMessage;
use crate::client::Client;
use crate::encode::encode_event;
use crate::error::EmitError;
use crate::handler::reports;
use crate::namespace::NamespaceInner;
use crate::recovery::Recovery;
use crate::rooms::Audience;
use crate::socket::Socket;

/// What became of a broadcast on this server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastReport {
    /// The sockets it was meant for.
    pub recipients: usize,
    /// How many of them did not get it because their outbox was full.
    pub full: usize,
}

/// Whom an event is sent to, and how. Clone it to keep a chain for later.
///
/// ```
/// # use fanfare::SocketIo;
/// # fn f(io: &SocketIo) -> Result<(), fanfare::EmitError> {
/// let staff = io.of("/chat").to(["admins", "moderators"]);
/// staff.emit("alert", "somebody is at the door")?;
/// staff.clone().except("absent").volatile().emit("tick", 1)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct BroadcastOperator {
    pub(super) namespace: Arc<NamespaceInner>,
    pub(super) rooms: SmallVec<[String; 1]>,
    pub(super) except: SmallVec<[String; 1]>,
    /// The sender of `socket.to(…)` and `socket.broadcast()`.
    pub(super) sender: Option<Socket>,
    pub(super) volatile: bool,
    pub(super) compress: bool,
    pub(super) local: bool,
    pub(super) timeout: Option<Duration>,
}

impl BroadcastOperator {
    pub(crate) fn new(namespace: Arc<NamespaceInner>) -> Self {
        Self {
            namespace,
            rooms: SmallVec::new(),
            except: SmallVec::new(),
            sender: None,
            volatile: false,
            compress: true,
            local: false,
            timeout: None,
        }
    }

    pub(crate) fn from_sender(socket: &Socket) -> Self {
        Self {
            sender: Some(socket.clone()),
            ..Self::new(socket.0.namespace.clone())
        }
    }

    /// Adds rooms: the event goes to those who are in at least one, once each.
    pub fn to(mut self, rooms: impl RoomNames) -> Self {
        rooms.add_to(&mut self.rooms);
        self
    }

    /// As [`to`](Self::to).
    pub fn within(self, rooms: impl RoomNames) -> Self {
        self.to(rooms)
    }

    /// Leaves out those who are in at least one of these rooms.
    pub fn except(mut self, rooms: impl RoomNames) -> Self {
        rooms.add_to(&mut self.except);
        self
    }

    /// Leaves out those who cannot take the event at once (something is queued for them, or no polling request is
    /// waiting).
    pub fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    /// Whether the event is worth compressing (where the transport negotiated compression). Default: yes.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// Stays on this server of a cluster.
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    /// How long [`emit_with_ack`](Self::emit_with_ack) waits. Default: `ack_timeout` of the builder.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends an event: `&T` is one argument, a tuple is several. It is encoded once, whatever the number of
    /// recipients.
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`]. Recipients whose outbox is full are counted in the report.
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.emit_ref(event, &args)
    }

    pub(crate) fn emit_ref(
        &self,
        event: &str,
        args: &impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        if self.namespace.watches_outgoing() {
            self.namespace.outgoing(event, args, || self.select());
        }
        if self.namespace.cluster.is_some() {
            self.publish_event(event, args)?;
        }
        if let (Some(recovery), false) = (&self.namespace.recovery, self.volatile) {
            return self.emit_recoverable(recovery, event, args);
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

    fn deliver(&self, message: &Prepared) -> BroadcastReport {
        let skip = self.sender.as_ref().map(|socket| &socket.0.connection);
        let report = fanfare_engine::broadcast(&self.audience(), message, self.options(), skip);
        self.count(report.recipients, message, report.full);
        BroadcastReport {
            recipients: report.recipients,
            full: report.full,
        }
    }

    #[cold]
    fn emit_recoverable(
        &self,
        recovery: &Recovery,
        event: &str,
        args: &impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        let mut except: SmallVec<[&str; 2]> = self.except.iter().map(String::as_str).collect();
        except.extend(self.sender.iter().map(|socket| socket.0.id.as_str()));
        let rooms: SmallVec<[&str; 1]> = self.rooms.iter().map(String::as_str).collect();
        let NamespaceInner { name, codec, .. } = &*self.namespace;
        let send = |message: &Prepared| self.deliver(message);
        Ok(recovery.emit((codec, name), (event, args), &rooms, &except, send)?)
    }

    fn count(&self, recipients: usize, message: &Prepared, full: usize) {
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

    /// Sends an event and gathers one answer from each recipient: the first argument of its acknowledgement (all of
    /// them, if `R` is a tuple). The event is sent at once; the answers come when the future is awaited.
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
    /// The future fails with [`BroadcastAckError`](crate::BroadcastAckError); at a timeout the answers that did come
    /// are in it. Recipients that disconnect meanwhile are not waited for. (Those of other
    /// servers are, until the timeout: servers have no word for it.)
    pub fn emit_with_ack<R>(&self, event: &str, args: impl IntoArgs) -> BroadcastAckFuture<R>
    where
        R: DeserializeOwned + Send + 'static,
    {
        if self.namespace.watches_outgoing() {
            self.namespace.outgoing(event, &args, || self.select());
        }
        let timeout = self.timeout.unwrap_or_else(|| {
            self.namespace
                .io()
                .map_or(Duration::ZERO, |io| io.ack_timeout)
        });
        let remote = match self.request_acks(event, &args, timeout) {
            Ok(remote) => remote,
            Err(error) => return BroadcastAckFuture::failed(error),
        };
        let id = self.namespace.next_ack_id();
        let message = match encode_event(
            &self.namespace.codec,
            &self.namespace.name,
            Some(id),
            event,
            &args,
        ) {
            Ok(message) => message,
            Err(error) => return BroadcastAckFuture::failed(error.into()),
        };
        let recipients = self.select();
        let collector = Collector::new(recipients.iter().map(|socket| socket.0.id.clone()));
        self.namespace
            .broadcast_acks
            .register(id, collector.clone());
        let audience: Audience<Connection<Client>> = recipients
            .iter()
            .map(|socket| socket.0.connection.clone())
            .collect();
        let report = fanfare_engine::broadcast(&audience, &message, self.options(), None);
        self.count(audience.len(), &message, report.full);
        // A socket that went before it was registered would be waited for in vain.
        recipients
            .iter()
            .filter(|socket| !socket.connected())
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

    /// The sockets concerned, on this server.
    pub fn sockets(&self) -> Vec<Socket> {
        self.select()
    }

    /// Makes the sockets concerned join rooms. Those that would be in too many stay out of all of them, which is logged
    /// and counted, as are names that are too long, see [`Socket::join`].
    pub fn sockets_join(&self, rooms: impl RoomNames) {
        let mut names = SmallVec::new();
        rooms.add_to(&mut names);
        self.publish(|options| ClusterMessage::SocketsJoin {
            options,
            rooms: names.to_vec(),
        });
        for socket in self.select() {
            if let Err(error) = socket.join(names.as_slice()) {
                reports::not_joined(&socket, &error);
            }
        }
    }

    /// Makes the sockets concerned leave rooms.
    pub fn sockets_leave(&self, rooms: impl RoomNames) {
        let mut names = SmallVec::new();
        rooms.add_to(&mut names);
        self.publish(|options| ClusterMessage::SocketsLeave {
            options,
            rooms: names.to_vec(),
        });
        for socket in self.select() {
            socket.leave(names.as_slice());
        }
    }

    /// Disconnects the sockets concerned, with `close` also their connections.
    pub fn disconnect_sockets(&self, close: bool) {
        self.publish(|options| ClusterMessage::DisconnectSockets { options, close });
        for socket in self.select() {
            socket.disconnect(close);
        }
    }

    /// The connections concerned, perhaps with the sender's. The common cases share the list that the index keeps.
    fn audience(&self) -> Audience<Connection<Client>> {
        let room = match (self.rooms.as_slice(), self.except.as_slice()) {
            ([], []) => None,
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
        let rooms = self.namespace.rooms.read();
        let chosen = rooms.select(&self.rooms, &self.except).into_iter();
        match &self.sender {
            None => chosen.cloned().collect(),
            Some(sender) => chosen
                .filter(|socket| socket.0.id != sender.0.id)
                .cloned()
                .collect(),
        }
    }
}
