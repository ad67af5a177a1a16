//! Delivery of events to the clients of this node.

use fanfare_engine::{Connection, EncodedMessage};
use fanfare_protocol::EncodedEvent;
use smallvec::SmallVec;

use super::{BroadcastOperator, BroadcastReport, RoomList};
use crate::adapter::{LogPosition, not_sent};
use crate::client::Client;
use crate::encode;
use crate::error::EmitError;
use crate::id::SocketId;
use crate::namespace::NamespaceInner;
use crate::recovery::{Keep, Recovery};
use crate::rooms::Audience;
use crate::socket::Socket;

impl BroadcastOperator {
    /// Sends an event that is encoded once: to the listeners, to the other nodes, to the clients of this node.
    #[cold]
    pub(super) fn emit_watched(&self, event: &EncodedEvent) -> Result<BroadcastReport, EmitError> {
        if self.namespace.watches_outgoing() {
            self.namespace.outgoing(event, || self.select());
        }
        self.emit_shared(event)
    }

    /// Sends an encoded event to the clients of this node, in the name of the adapter. `position`: its position in the
    /// adapter's log.
    pub(crate) fn deliver_or_report(&self, event: &EncodedEvent, position: Option<&LogPosition>) {
        let sent = self.check().map_err(EmitError::from).and_then(|()| {
            // Listeners of this node's own events were called when the application emitted these.
            if self.local && self.namespace.watches_outgoing() {
                self.namespace.outgoing(event, || self.select());
            }
            self.deliver_shared(event, position)
        });
        if let Err(error) = sent {
            not_sent(&self.namespace, event.name(), &error);
        }
    }

    /// Sends an encoded event to the clients of this node.
    pub(super) fn deliver_shared(
        &self,
        event: &EncodedEvent,
        position: Option<&LogPosition>,
    ) -> Result<BroadcastReport, EmitError> {
        if let Some(recovery) = &self.namespace.cluster_recovery {
            return Ok(recovery.deliver(self, event, position)?);
        }
        if let Some(recovery) = &self.namespace.recovery {
            return self.emit_recoverable(recovery, event);
        }
        let NamespaceInner { name, codec, .. } = &*self.namespace;
        Ok(self.deliver(&encode::packet(codec, name, None, event, None)?))
    }

    /// Sends a message to the selected sockets of this node.
    pub(crate) fn deliver(&self, message: &EncodedMessage) -> BroadcastReport {
        self.deliver_to(&self.audience(), message)
    }

    /// Sends a message to the selected sockets for which `skips` is false.
    #[cold]
    pub(crate) fn deliver_except(
        &self,
        message: &EncodedMessage,
        skips: impl Fn(&Socket) -> bool,
    ) -> BroadcastReport {
        let chosen = self.select();
        let chosen = chosen.iter().filter(|socket| !skips(socket));
        let audience: Audience<Connection<Client>> =
            chosen.map(|socket| socket.0.connection.clone()).collect();
        self.deliver_to(&audience, message)
    }

    fn deliver_to(
        &self,
        audience: &Audience<Connection<Client>>,
        message: &EncodedMessage,
    ) -> BroadcastReport {
        let skip = self.sender.as_ref().map(|socket| &socket.0.connection);
        let report = fanfare_engine::broadcast(audience, message, self.options(), skip);
        self.count(report.recipients, message, report.full);
        BroadcastReport {
            recipients: report.recipients,
            full: report.full,
            cluster: None,
        }
    }

    pub(crate) fn namespace(&self) -> &NamespaceInner {
        &self.namespace
    }

    /// Whether the event goes to a socket of this id that is in these rooms.
    pub(crate) fn concerns(&self, id: &str, is_in: impl Fn(&str) -> bool) -> bool {
        let any = |rooms: &RoomList| rooms.as_slice().iter().any(|room| is_in(room));
        let selected = !self.targeted || any(&self.rooms);
        let is_sender = self
            .sender
            .as_ref()
            .is_some_and(|sender| sender.0.id == *id);
        selected && !any(&self.except) && !is_sender
    }

    fn emit_recoverable(
        &self,
        recovery: &Recovery,
        event: &EncodedEvent,
    ) -> Result<BroadcastReport, EmitError> {
        let except = self.except.as_slice().iter();
        let mut except: SmallVec<[&str; 2]> = except.map(String::as_str).collect();
        except.extend(self.sender.iter().map(|socket| socket.0.id.as_str()));
        let rooms = self.rooms.as_slice().iter();
        let rooms: SmallVec<[&str; 1]> = rooms.map(String::as_str).collect();
        let NamespaceInner { name, codec, .. } = &*self.namespace;
        let send = |message: &EncodedMessage, had: &[SocketId]| match had.is_empty() {
            true => self.deliver(message),
            false => self.deliver_except(message, |socket| had.contains(&socket.0.id)),
        };
        let keep = match self.volatile {
            true => Keep::No,
            false => Keep::For(&rooms, &except, self.identity),
        };
        Ok(recovery.emit((codec, name), event, keep, send)?)
    }
}
