//! Dispatch of the server's packets to the sockets.

use std::sync::Arc;
use std::time::Instant;

use super::membership::MAIN;
use super::{Manager, V2_HINT};
use crate::client::codec::Decoded;
use crate::client::engine::after;
use crate::client::socket::{MAX_ID, Phase, Socket};
use crate::client::{
    ConnectError, DisconnectReason, Event, IncomingEvent, ManagerEvent, SocketEvent, SocketId,
    TransportError,
};
use crate::socket::ConnectErrorBody;

impl Manager {
    /// Starts the deadline of a partially received packet after a message was read.
    pub(super) fn watch_packet(&mut self, now: Instant) {
        if !self.decoder.is_under_way() {
            self.packet_due = None;
        } else if self.packet_due.is_none() {
            self.packet_due = Some(after(now, self.config.limits.packet_timeout));
        }
    }

    pub(super) fn packet_timed_out(&mut self, now: Instant) {
        let limit = self.config.limits.packet_timeout;
        let error = format!("a packet was begun and not completed within {limit:?}");
        self.parse_error(now, error);
        self.settle(now);
    }

    pub(super) fn decoded(&mut self, now: Instant, decoded: Result<Option<Decoded>, String>) {
        let packet = match decoded {
            Ok(Some(packet)) if self.is_legacy() => packet.without_query(),
            Ok(Some(packet)) => packet,
            Ok(None) => return,
            Err(error) => return self.parse_error(now, error),
        };
        if self.config.report_packets {
            let (kind, namespace) = (packet.kind(), packet.nsp().into());
            self.manager_event(ManagerEvent::Packet { kind, namespace });
        }
        let id = self.sockets.find(packet.nsp());
        match packet {
            Decoded::Connect { namespace, payload } => {
                let namespace: Arc<str> = namespace.into();
                let answered = self.connect_answered(&namespace);
                let main = self.is_legacy() && &*namespace == MAIN;
                match id {
                    Some(id) if answered && self.socket(id).is_some_and(Socket::is_joining) => {
                        self.joined(now, id, payload.as_deref());
                    }
                    // It was joined unasked, and other sockets need it.
                    _ if answered && main => self.proven(),
                    // The answer is no longer wanted, or not with these credentials.
                    _ if answered => self.leave_namespace(now, &namespace),
                    // CONNECT was not sent yet, so the server does not know that it must be sent.
                    Some(id)
                        if payload.is_none() && !self.is_legacy() && self.is_authenticating(id) =>
                    {
                        self.old_server(id);
                    }
                    _ => {}
                }
                if answered && main {
                    self.main_joined(now);
                }
            }
            Decoded::ConnectError { namespace, body } => {
                if !self.is_awaited(&namespace) {
                    return;
                }
                if self.is_legacy() && &*namespace == MAIN {
                    self.main_rejected(now, &body);
                }
                if let Some(id) = id.filter(|id| self.socket(*id).is_some_and(Socket::is_joining)) {
                    self.memberships.remove(&*namespace);
                    self.rejected(now, id, body);
                }
                self.ended_by_server(now, &namespace);
            }
            Decoded::Disconnect { namespace } => {
                let mine = |socket: &Socket| socket.is_joining() || socket.is_connected();
                if let Some(id) = id.filter(|id| self.socket(*id).is_some_and(mine)) {
                    self.memberships.remove(&*namespace);
                    self.leave(id, DisconnectReason::IoServerDisconnect, None);
                    self.close_if_unused(now);
                }
                self.ended_by_server(now, &namespace);
            }
            // A namespace that was left may still have packets on their way.
            Decoded::Event {
                ack, name, args, ..
            } => {
                let Some(id) = id else { return };
                let Some(mut socket) = self.sockets.get_mut(id) else {
                    return;
                };
                if socket.is_joining() {
                    let timeout = socket.config.join_timeout;
                    socket.await_answer_until(after(now, timeout));
                } else if !socket.is_connected() {
                    return;
                }
                let event = IncomingEvent {
                    name,
                    args,
                    ack,
                    epoch: socket.epoch,
                };
                let received = socket.received(event);
                drop(socket);
                match received {
                    Ok(Some(event)) => self
                        .events
                        .push_back(Event::Socket(id, SocketEvent::Event(event))),
                    Ok(None) => {}
                    Err(error) => self.parse_error(now, error.to_owned()),
                }
            }
            Decoded::Ack { id: ack, args, .. } => {
                let Some(id) = id.filter(|id| self.is_connected(*id)) else {
                    return;
                };
                if let Some(mut socket) = self.sockets.get_mut(id) {
                    socket.settle(ack, Ok(args), &mut self.events);
                }
                self.drain_queue(now, id);
            }
        }
    }

    fn is_authenticating(&self, id: SocketId) -> bool {
        let asking = |phase| {
            matches!(
                phase,
                Phase::Authenticating { .. } | Phase::AuthRetry { .. }
            )
        };
        self.socket(id).is_some_and(|socket| asking(socket.phase))
    }

    /// Handles a server of Socket.IO v2, which joins the socket without giving it an id.
    fn old_server(&mut self, id: SocketId) {
        let error = TransportError::new(V2_HINT);
        self.connect_error(id, ConnectError::Transport(error));
    }

    pub(super) fn joined(&mut self, now: Instant, id: SocketId, payload: Option<&str>) {
        #[derive(serde::Deserialize)]
        struct Joined {
            sid: String,
            #[serde(default)]
            pid: Option<String>,
        }
        let joined = if self.is_legacy() {
            let namespace = self.socket(id).map(|socket| socket.namespace.clone());
            let sid = self.legacy_id(&namespace.unwrap_or_default()).to_string();
            Joined { sid, pid: None }
        } else if let Ok(joined) = serde_json::from_str(payload.unwrap_or("null")) {
            joined
        } else {
            self.old_server(id);
            return;
        };
        let pid_len = joined.pid.as_ref().map_or(0, String::len);
        if joined.sid.len().max(pid_len) > MAX_ID {
            let error = format!("id of the socket longer than {MAX_ID} bytes");
            return self.parse_error(now, error);
        }
        self.proven();
        let Some(mut socket) = self.sockets.get_mut(id) else {
            return;
        };
        let sid: Arc<str> = joined.sid.into();
        let recovered = socket.joined(sid.clone(), joined.pid);
        let received = socket.take_received();
        let outgoing = socket.take_buffered(now, &mut self.events);
        drop(socket);
        self.events.push_back(Event::Socket(
            id,
            SocketEvent::Connect { id: sid, recovered },
        ));
        self.events.extend(
            received
                .into_iter()
                .map(|event| Event::Socket(id, SocketEvent::Event(event))),
        );
        for event in outgoing {
            self.send_event(now, id, event);
        }
        self.drain_queue(now, id);
    }

    pub(super) fn rejected(&mut self, now: Instant, id: SocketId, body: ConnectErrorBody) {
        self.proven();
        if let Some(mut socket) = self.sockets.get_mut(id) {
            socket.give_up();
            socket.lost(&mut self.events);
        }
        let error = ConnectError::Rejected {
            message: body.message,
            data: body.data.map(String::into_boxed_str),
        };
        self.connect_error(id, error);
        self.close_if_unused(now);
    }

    /// Ends the connection because of a packet that cannot be decoded.
    pub(super) fn parse_error(&mut self, now: Instant, error: String) {
        let details = TransportError::new("parse error").with_description(error);
        self.abandon(now, details);
    }
}
