//! What the server says to the sockets.

use std::sync::Arc;
use std::time::Instant;

use super::{Manager, V2_HINT};
use crate::client::codec::{self, Decoded};
use crate::client::engine::Sink;
use crate::client::socket::Phase;
use crate::client::{
    ConnectError, DisconnectReason, Event, IncomingEvent, ManagerEvent, SocketEvent, SocketId,
    TransportError,
};
use crate::socket::ConnectErrorBody;

impl Manager {
    pub(super) fn decoded(&mut self, now: Instant, decoded: Result<Option<Decoded>, String>) {
        let packet = match decoded {
            Ok(Some(packet)) => packet,
            Ok(None) => return,
            Err(error) => return self.parse_error(now, error),
        };
        if self.config.report_packets {
            let (kind, namespace) = (packet.kind(), packet.nsp().into());
            self.manager_event(ManagerEvent::Packet { kind, namespace });
        }
        // A namespace that was left may still have packets on their way.
        let Some(id) = self.find_socket(packet.nsp()) else {
            return;
        };
        let Some(phase) = self.socket(id).map(|socket| socket.phase) else {
            return;
        };
        let joining = phase == Phase::Connecting;
        match packet {
            Decoded::Connect { nsp, .. } if phase == Phase::Abandoned => {
                self.send_leave(codec::disconnect(self.config.parser, &nsp));
                if let Some(socket) = self.socket_mut(id) {
                    socket.phase = Phase::Inactive;
                }
            }
            Decoded::ConnectError { .. } | Decoded::Disconnect { .. }
                if phase == Phase::Abandoned =>
            {
                if let Some(socket) = self.socket_mut(id) {
                    socket.phase = Phase::Inactive;
                }
            }
            Decoded::Connect { payload, .. } if joining => self.joined(now, id, payload.as_deref()),
            // Nobody has asked yet, so it does not know that it has to be asked.
            Decoded::Connect { payload: None, .. }
                if matches!(
                    phase,
                    Phase::Authenticating { .. } | Phase::AuthRetry { .. }
                ) =>
            {
                self.old_server(id);
            }
            Decoded::ConnectError { body, .. } if joining => self.refused(now, id, body),
            Decoded::Disconnect { .. } if joining || phase == Phase::Connected => {
                self.leave(id, DisconnectReason::IoServerDisconnect, None);
                self.close_if_unused(now);
            }
            Decoded::Event {
                ack, name, args, ..
            } if joining || phase == Phase::Connected => {
                let Some(socket) = self.socket_mut(id) else {
                    return;
                };
                let event = IncomingEvent {
                    name,
                    args,
                    ack,
                    epoch: socket.epoch,
                };
                match socket.received(event) {
                    Ok(Some(event)) => self
                        .events
                        .push_back(Event::Socket(id, SocketEvent::Event(event))),
                    Ok(None) => {}
                    Err(error) => self.parse_error(now, error.to_owned()),
                }
            }
            Decoded::Ack { id: ack, args, .. } if phase == Phase::Connected => {
                if let Some(socket) = self.sockets.get_mut(id.0 as usize).and_then(Option::as_mut) {
                    socket.settle(ack, Ok(args), &mut self.events);
                }
                self.drain_queue(now, id);
            }
            _ => {}
        }
    }

    /// It has let the socket join without giving it an id.
    fn old_server(&mut self, id: SocketId) {
        let error = ConnectError::Transport(TransportError::new(V2_HINT));
        self.events
            .push_back(Event::Socket(id, SocketEvent::ConnectError(error)));
    }

    pub(super) fn joined(&mut self, now: Instant, id: SocketId, payload: Option<&str>) {
        #[derive(serde::Deserialize)]
        struct Joined {
            sid: String,
            #[serde(default)]
            pid: Option<String>,
        }
        let Ok(joined) = serde_json::from_str::<Joined>(payload.unwrap_or("null")) else {
            self.old_server(id);
            return;
        };
        let Some(socket) = self.sockets.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let sid: Arc<str> = joined.sid.into();
        let recovered = socket.joined(sid.clone(), joined.pid);
        let received = socket.take_received();
        let outgoing = socket.take_buffered(now, &mut self.events);
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
            self.send_event(id, event);
        }
        self.drain_queue(now, id);
    }

    pub(super) fn refused(&mut self, now: Instant, id: SocketId, body: ConnectErrorBody) {
        if let Some(socket) = self.sockets.get_mut(id.0 as usize).and_then(Option::as_mut) {
            socket.phase = Phase::Inactive;
            socket.lost(&mut self.events);
        }
        let error = ConnectError::Refused {
            message: body.message,
            data: body.data.map(String::into_boxed_str),
        };
        self.events
            .push_back(Event::Socket(id, SocketEvent::ConnectError(error)));
        self.close_if_unused(now);
    }

    /// A packet that cannot be understood ends the connection.
    pub(super) fn parse_error(&mut self, now: Instant, error: String) {
        let Some(mut engine) = self.engine.take() else {
            return;
        };
        let mut sink = Sink {
            actions: &mut self.actions,
            outputs: &mut self.outputs,
            next_connection: &mut self.next_connection,
        };
        engine.abort(&mut sink);
        self.outputs.clear();
        let details = TransportError::new("parse error").with_description(error);
        self.closed(now, DisconnectReason::ParseError, Some(&details));
    }
}
