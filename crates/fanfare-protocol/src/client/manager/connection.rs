//! Life cycle of the connection: opening, losing, reconnecting.

use std::collections::VecDeque;
use std::time::Instant;

use super::{Link, Manager};
use crate::client::codec::Decoder;
use crate::client::engine::{Engine, Sink, after};
use crate::client::socket::{Phase, Socket};
use crate::client::{
    ConnectError, DisconnectReason, Event, ManagerEvent, SocketEvent, SocketId, Transport,
    TransportError,
};

impl Manager {
    pub(super) fn open(&mut self, now: Instant) {
        if self.link != Link::Closed {
            return;
        }
        self.skip_reconnect = false;
        self.link = Link::Opening;
        self.decoder = Decoder::new(self.config.parser);
        let mut transports: VecDeque<Transport> = self.config.transports.iter().copied().collect();
        if self.config.remember_upgrade
            && self.websocket_worked
            && let Some(at) = transports
                .iter()
                .position(|transport| *transport == Transport::WebSocket)
        {
            transports.swap(0, at);
        }
        let mut sink = Sink {
            actions: &mut self.actions,
            outputs: &mut self.outputs,
            connections: &mut self.connections,
        };
        self.engine = Some(Engine::open(&self.config, transports, now, &mut sink));
    }

    pub(super) fn opened(&mut self, now: Instant, transport: Transport) {
        self.link = Link::Open;
        self.websocket_worked = transport == Transport::WebSocket;
        self.manager_event(ManagerEvent::Open { transport });
        self.proven = false;
        self.memberships.clear();
        if self.is_legacy() {
            self.await_main();
        }
        let attempt = self.backoff.attempts();
        let reconnected = std::mem::take(&mut self.reconnecting);
        for id in self.sockets.ids() {
            if self
                .socket(id)
                .is_some_and(|socket| socket.phase == Phase::Waiting)
            {
                self.authenticate(now, id);
            }
        }
        if reconnected {
            self.manager_event(ManagerEvent::Reconnect(attempt));
        }
    }

    /// Records that the server has answered for a namespace, which resets the reconnection delays.
    pub(super) fn proven(&mut self) {
        self.proven = true;
        self.backoff.reset();
    }

    pub(super) fn open_failed(&mut self, now: Instant, error: TransportError) {
        self.link = Link::Closed;
        self.websocket_worked = false;
        self.manager_event(ManagerEvent::Error(error.clone()));
        for id in self.sockets.ids() {
            if self.socket(id).is_some_and(Socket::is_active) {
                self.connect_error(id, ConnectError::Transport(error.clone()));
            }
        }
        if std::mem::take(&mut self.reconnecting) {
            self.manager_event(ManagerEvent::ReconnectError(error));
        }
        self.reconnect(now);
    }

    /// Handles the end of the open connection.
    pub(super) fn closed(
        &mut self,
        now: Instant,
        reason: DisconnectReason,
        details: Option<&TransportError>,
    ) {
        self.link = Link::Closed;
        self.memberships.clear();
        self.manager_event(ManagerEvent::Close {
            reason,
            details: details.cloned(),
        });
        let failed = details.cloned().unwrap_or_else(|| {
            TransportError::new(reason.as_str())
                .with_description("closed before the namespace was joined")
        });
        for id in self.sockets.ids() {
            let Some(mut socket) = self.sockets.get_mut(id) else {
                continue;
            };
            match socket.phase {
                Phase::Connected => {
                    drop(socket);
                    self.leave(id, reason, details.cloned());
                }
                // The socket was joining. It gets an error, so that callers that wait for the outcome are notified.
                Phase::Authenticating { .. }
                | Phase::Deferred { .. }
                | Phase::Connecting { .. } => {
                    socket.phase = Phase::Waiting;
                    socket.lost(&mut self.events);
                    drop(socket);
                    self.connect_error(id, ConnectError::Transport(failed.clone()));
                }
                Phase::AuthRetry { .. } => socket.phase = Phase::Waiting,
                Phase::Inactive | Phase::Waiting => {}
            }
        }
        self.reconnect(now);
    }

    /// Drops an open connection that does not become usable.
    pub(super) fn abandon(&mut self, now: Instant, error: TransportError) {
        let Some((engine, mut sink)) = self.engine() else {
            return;
        };
        engine.abort(&mut sink);
        self.engine = None;
        self.packet_due = None;
        self.outputs.clear();
        let reason = match &*error.message {
            "parse error" => DisconnectReason::ParseError,
            _ => DisconnectReason::TransportError,
        };
        self.closed(now, reason, Some(&error));
    }

    pub(super) fn reconnect(&mut self, now: Instant) {
        if self.reconnecting || self.skip_reconnect {
            return;
        }
        let exhausted = self
            .config
            .reconnection_attempts
            .is_some_and(|max| self.backoff.attempts() >= max);
        if !self.config.reconnection || exhausted {
            if self.config.reconnection {
                self.manager_event(ManagerEvent::ReconnectFailed);
            }
            self.backoff.reset();
            // No further attempt is scheduled; `connect` starts again.
            for id in self.sockets.ids() {
                if let Some(mut socket) = self.sockets.get_mut(id) {
                    socket.give_up();
                }
            }
            return;
        }
        let delay = self.backoff.next_delay();
        self.reconnecting = true;
        self.reconnect_at = Some(after(now, delay));
        self.manager_event(ManagerEvent::ReconnectScheduled {
            attempt: self.backoff.attempts(),
            delay,
        });
    }

    /// Marks a socket as no longer connected. It stays active if the reason is one after which it reconnects.
    pub(super) fn leave(
        &mut self,
        id: SocketId,
        reason: DisconnectReason,
        details: Option<TransportError>,
    ) {
        let Some(mut socket) = self.sockets.get_mut(id) else {
            return;
        };
        let connected = socket.is_connected();
        socket.phase = if reason.reconnects() {
            Phase::Waiting
        } else {
            Phase::Inactive
        };
        if connected {
            self.events.push_back(Event::Socket(
                id,
                SocketEvent::Disconnect { reason, details },
            ));
        }
        if !reason.reconnects() {
            socket.forget_session();
        }
        socket.lost(&mut self.events);
    }

    /// Closes the connection after flushing if no socket needs it.
    pub(super) fn close_if_unused(&mut self, now: Instant) {
        if self.sockets.any_active() {
            return;
        }
        self.memberships.clear();
        self.skip_reconnect = true;
        self.reconnecting = false;
        self.reconnect_at = None;
        self.packet_due = None;
        self.backoff.reset();
        let was_open = self.link == Link::Open;
        self.link = Link::Closed;
        if let Some(mut engine) = self.engine.take() {
            let mut sink = Sink {
                actions: &mut self.actions,
                outputs: &mut self.outputs,
                connections: &mut self.connections,
            };
            engine.close(now, self.config.close_timeout, &mut sink);
            self.outputs.clear();
            self.closing.push(engine);
            if was_open {
                self.manager_event(ManagerEvent::Close {
                    reason: DisconnectReason::IoClientDisconnect,
                    details: None,
                });
            }
        }
    }
}
