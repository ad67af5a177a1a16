//! How the connection comes and goes: opening, losing, reconnecting.

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
            next_connection: &mut self.next_connection,
        };
        self.engine = Some(Engine::open(&self.config, transports, now, &mut sink));
    }
    pub(super) fn opened(&mut self, transport: Transport) {
        self.link = Link::Open;
        self.websocket_worked = transport == Transport::WebSocket;
        self.manager_event(ManagerEvent::Open { transport });
        let attempt = self.backoff.attempts();
        let reconnected = std::mem::take(&mut self.reconnecting);
        self.backoff.reset();
        for id in self.ids() {
            if self
                .socket(id)
                .is_some_and(|socket| socket.phase == Phase::Waiting)
            {
                self.authenticate(id);
            }
        }
        if reconnected {
            self.manager_event(ManagerEvent::Reconnect(attempt));
        }
    }

    pub(super) fn open_failed(&mut self, now: Instant, error: TransportError) {
        self.link = Link::Closed;
        self.websocket_worked = false;
        self.manager_event(ManagerEvent::Error(error.clone()));
        for id in self.ids() {
            if self.socket(id).is_some_and(Socket::is_active) {
                let error = ConnectError::Transport(error.clone());
                self.events
                    .push_back(Event::Socket(id, SocketEvent::ConnectError(error)));
            }
        }
        if std::mem::take(&mut self.reconnecting) {
            self.manager_event(ManagerEvent::ReconnectError(error));
        }
        self.reconnect(now);
    }

    /// The open connection ended by itself.
    pub(super) fn closed(
        &mut self,
        now: Instant,
        reason: DisconnectReason,
        details: Option<&TransportError>,
    ) {
        self.link = Link::Closed;
        self.backoff.reset();
        self.manager_event(ManagerEvent::Close {
            reason,
            details: details.cloned(),
        });
        for id in self.ids() {
            if self.socket(id).is_some_and(Socket::is_active) {
                self.leave(id, reason, details.cloned());
            }
        }
        self.forget_abandoned();
        self.reconnect(now);
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
            // Nothing will happen by itself any more; `connect` starts anew.
            for socket in self.sockets.iter_mut().flatten() {
                socket.phase = Phase::Inactive;
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

    /// A socket is no longer connected. It stays active if the reason is one after which it comes back.
    pub(super) fn leave(
        &mut self,
        id: SocketId,
        reason: DisconnectReason,
        details: Option<TransportError>,
    ) {
        let Some(socket) = self.sockets.get_mut(id.0 as usize).and_then(Option::as_mut) else {
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

    /// With the connection, the CONNECT answers that nobody wants are gone.
    pub(super) fn forget_abandoned(&mut self) {
        for socket in self
            .sockets
            .iter_mut()
            .flatten()
            .filter(|socket| socket.phase == Phase::Abandoned)
        {
            socket.phase = Phase::Inactive;
        }
    }

    /// Closes the connection after flushing if no socket wants it.
    pub(super) fn close_if_unused(&mut self, now: Instant) {
        if self.sockets.iter().flatten().any(Socket::is_active) {
            return;
        }
        self.forget_abandoned();
        self.skip_reconnect = true;
        self.reconnecting = false;
        self.reconnect_at = None;
        self.backoff.reset();
        let was_open = self.link == Link::Open;
        self.link = Link::Closed;
        if let Some(mut engine) = self.engine.take() {
            let mut sink = Sink {
                actions: &mut self.actions,
                outputs: &mut self.outputs,
                next_connection: &mut self.next_connection,
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
