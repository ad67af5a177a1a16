//! The manager: one connection, its reconnection, and the sockets that share it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::codec::{self, Decoded, Decoder, Kind};
use super::engine::{Engine, Output, Sink, after};
use super::socket::{Phase, Socket};
use super::{
    AckError, AckKey, Action, AuthError, Backoff, Config, ConnectError, ConnectionId,
    DisconnectReason, EmitError, EmitOptions, Emitted, Event, IncomingEvent, Input, ManagerEvent,
    Payload, SocketConfig, SocketEvent, SocketId, Transport, TransportError,
};
use crate::socket::ConnectErrorBody;

/// What the JavaScript client says when a Socket.IO v2 server answers.
const V2_HINT: &str = "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they are \
                       not compatible";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Closed,
    Opening,
    Open,
}

/// A Socket.IO client as a state machine. See the [module documentation](super) for how to drive it.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    sockets: Vec<Option<Socket>>,
    link: Link,
    engine: Option<Engine>,
    /// Connections that flush their last packets.
    closing: Vec<Engine>,
    backoff: Backoff,
    /// A reconnection is scheduled or under way.
    reconnecting: bool,
    /// The application closed the connection: no reconnection until it opens one again.
    skip_reconnect: bool,
    reconnect_at: Option<Instant>,
    decoder: Decoder,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    outputs: VecDeque<Output>,
    next_connection: u64,
    next_ack: u64,
    idle: bool,
}

impl Manager {
    /// A manager that is not connected and has no sockets.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let backoff = Backoff::new(
            config.reconnection_delay,
            config.reconnection_delay_max,
            config.randomization_factor,
            config.seed,
        );
        let decoder = Decoder::new(config.parser);
        Self {
            config,
            sockets: Vec::new(),
            link: Link::Closed,
            engine: None,
            closing: Vec::new(),
            backoff,
            reconnecting: false,
            skip_reconnect: false,
            reconnect_at: None,
            decoder,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            outputs: VecDeque::new(),
            next_connection: 0,
            next_ack: 0,
            idle: true,
        }
    }

    /// Adds a socket for a namespace; it does nothing before [`connect`](Self::connect). One namespace can have one
    /// socket per manager: `None` if it has one already.
    pub fn add_socket(&mut self, namespace: &str, config: SocketConfig) -> Option<SocketId> {
        let nsp: Arc<str> = if namespace.starts_with('/') {
            namespace.into()
        } else {
            format!("/{namespace}").into()
        };
        if self.find_socket(&nsp).is_some() {
            return None;
        }
        let socket = Socket::new(nsp, config);
        let index = match self.sockets.iter().position(Option::is_none) {
            Some(index) => {
                self.sockets[index] = Some(socket);
                index
            }
            None => {
                self.sockets.push(Some(socket));
                self.sockets.len() - 1
            }
        };
        Some(SocketId(u32::try_from(index).unwrap_or(u32::MAX)))
    }

    /// The socket of a namespace.
    #[must_use]
    pub fn find_socket(&self, namespace: &str) -> Option<SocketId> {
        let index = self.sockets.iter().position(|slot| {
            slot.as_ref()
                .is_some_and(|socket| &*socket.nsp == namespace)
        })?;
        u32::try_from(index).ok().map(SocketId)
    }

    /// Disconnects a socket and forgets it. Its buffered events are dropped, its acknowledgements fail.
    pub fn remove_socket(&mut self, now: Instant, id: SocketId) {
        self.disconnect(now, id);
        if let Some(slot) = self.sockets.get_mut(id.0 as usize)
            && let Some(mut socket) = slot.take()
        {
            socket.remove(&mut self.events);
        }
    }

    fn socket(&self, id: SocketId) -> Option<&Socket> {
        self.sockets.get(id.0 as usize)?.as_ref()
    }

    fn socket_mut(&mut self, id: SocketId) -> Option<&mut Socket> {
        self.sockets.get_mut(id.0 as usize)?.as_mut()
    }

    fn ids(&self) -> impl Iterator<Item = SocketId> + use<> {
        (0..u32::try_from(self.sockets.len()).unwrap_or(u32::MAX)).map(SocketId)
    }

    // --- what one can ask -----------------------------------------------------------------------------------

    /// Whether the socket has joined its namespace.
    #[must_use]
    pub fn is_connected(&self, id: SocketId) -> bool {
        self.socket(id).is_some_and(Socket::is_connected)
    }

    /// Whether the socket is connected or will connect by itself (`socket.active`).
    #[must_use]
    pub fn is_active(&self, id: SocketId) -> bool {
        self.socket(id).is_some_and(Socket::is_active)
    }

    /// The socket's id while it is connected.
    #[must_use]
    pub fn socket_id(&self, id: SocketId) -> Option<Arc<str>> {
        self.socket(id)?.sid.clone()
    }

    /// Whether the server restored the socket's session at its last connection.
    #[must_use]
    pub fn is_recovered(&self, id: SocketId) -> bool {
        self.socket(id).is_some_and(|socket| socket.recovered)
    }

    /// Events that wait in a socket's offline buffer and `retries` queue, and their bytes.
    #[must_use]
    pub fn buffered(&self, id: SocketId) -> (usize, usize) {
        self.socket(id).map_or((0, 0), Socket::waiting)
    }

    /// Acknowledgements a socket awaits.
    #[must_use]
    pub fn pending_acks(&self, id: SocketId) -> usize {
        self.socket(id).map_or(0, Socket::pending_acks)
    }

    /// The transport of the open connection.
    #[must_use]
    pub fn transport(&self) -> Option<Transport> {
        self.engine
            .as_ref()
            .filter(|_| self.link == Link::Open)
            .map(Engine::transport)
    }

    /// The session id of the open connection.
    #[must_use]
    pub fn session_id(&self) -> Option<Arc<str>> {
        self.engine.as_ref()?.sid().cloned()
    }

    #[cfg(test)]
    pub(super) fn current_connection(&self) -> Option<ConnectionId> {
        self.engine.as_ref().map(Engine::id)
    }

    /// Bytes that wait for the transport.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.engine.as_ref().map_or(0, Engine::pending_bytes)
    }

    /// Whether nothing is open, flushing or scheduled.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.engine.is_none() && self.closing.is_empty() && self.reconnect_at.is_none()
    }

    /// Whether everything emitted so far was written, also on connections that are being closed.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.closing.is_empty() && self.pending_bytes() == 0
    }

    // --- what the application wants -------------------------------------------------------------------------

    /// Connects a socket; nothing happens if it is active already.
    pub fn connect(&mut self, now: Instant, id: SocketId) {
        let Some(socket) = self.socket_mut(id).filter(|socket| !socket.is_active()) else {
            return;
        };
        if socket.phase == Phase::Abandoned {
            // The answer to the CONNECT already sent is on its way; a second one would be a protocol error.
            socket.phase = Phase::Connecting;
            return;
        }
        socket.phase = Phase::Waiting;
        self.skip_reconnect = false;
        match self.link {
            Link::Open => self.authenticate(id),
            Link::Closed if !self.reconnecting => self.open(now),
            Link::Closed | Link::Opening => {}
        }
        self.settle(now);
    }

    /// Disconnects a socket. What was emitted before is flushed; the connection closes with its last active socket.
    pub fn disconnect(&mut self, now: Instant, id: SocketId) {
        let Some(socket) = self.socket_mut(id).filter(|socket| socket.is_active()) else {
            return;
        };
        let phase = socket.phase;
        let nsp = socket.nsp.clone();
        if phase == Phase::Connected {
            self.send_leave(codec::disconnect(self.config.parser, &nsp));
        }
        self.leave(id, DisconnectReason::IoClientDisconnect, None);
        if let Some(socket) = self.socket_mut(id).filter(|_| phase == Phase::Connecting) {
            socket.phase = Phase::Abandoned;
        }
        self.close_if_unused(now);
        self.settle(now);
    }

    /// Disconnects all sockets and closes the connection after flushing.
    pub fn close(&mut self, now: Instant) {
        for id in self.ids() {
            self.disconnect(now, id);
        }
    }

    /// Emits an event, or keeps it until the socket connects.
    ///
    /// With [`EmitOptions::ack`], the answer comes as [`Event::Ack`] with the returned key, exactly once.
    ///
    /// # Errors
    ///
    /// [`EmitError::Full`], [`EmitError::TooManyAcks`] or [`EmitError::Closed`]; the event was not accepted.
    pub fn emit(
        &mut self,
        now: Instant,
        id: SocketId,
        payload: Payload,
        options: EmitOptions,
    ) -> Result<(Emitted, Option<AckKey>), EmitError> {
        // A machine that slept may hold a connection that is long dead: find out before trusting it.
        if self
            .engine
            .as_ref()
            .is_some_and(|engine| engine.heartbeat_expired(now))
        {
            self.handle_timeout(now);
        }
        let result = self.try_emit(now, id, payload, options);
        self.settle(now);
        result
    }

    fn try_emit(
        &mut self,
        now: Instant,
        id: SocketId,
        payload: Payload,
        options: EmitOptions,
    ) -> Result<(Emitted, Option<AckKey>), EmitError> {
        self.next_ack += 1;
        let key = AckKey(self.next_ack);
        let limit = self.config.write_buffer;
        let pending = self.pending_bytes();
        let writable =
            self.link == Link::Open && self.engine.as_ref().is_some_and(Engine::is_writable);
        let events = &mut self.events;
        let slot = self.sockets.get_mut(id.0 as usize).and_then(Option::as_mut);
        let socket = slot.ok_or(EmitError::Closed)?;
        let asked = options.ack.then_some(key);

        if socket.config.retries.is_some() && !options.volatile {
            if !socket.reserve(now, &payload, events)? {
                return Ok(dropped(asked, events));
            }
            socket.enqueue(key, options.ack, payload, options.timeout);
            self.drain_queue(now, id);
            return Ok((Emitted::Buffered, asked));
        }
        if options.volatile && !writable {
            return Ok(dropped(asked, events));
        }
        if socket.is_connected() {
            if pending > 0 && pending.saturating_add(payload.byte_len()) > limit {
                return Err(EmitError::Full { pending, limit });
            }
            let ack = asked
                .map(|key| socket.expect_ack(now, key, options.timeout, false))
                .transpose()?;
            let packets = payload.packets(Kind::Event, &socket.nsp, ack);
            self.send(packets);
            return Ok((Emitted::Sent, asked));
        }
        let ack = asked
            .map(|key| socket.expect_ack(now, key, options.timeout, false))
            .transpose()?;
        match socket.reserve(now, &payload, events) {
            Ok(true) => {
                socket.keep(now, payload, ack);
                Ok((Emitted::Buffered, asked))
            }
            other => {
                if let Some(ack) = ack {
                    socket.forget_ack(ack);
                }
                other.map(|_| dropped(asked, events))
            }
        }
    }

    /// Answers an event of the server. `epoch` is that of the event: an answer that comes after the connection
    /// ended is dropped, and `false` returned.
    ///
    /// # Errors
    ///
    /// [`EmitError::Full`] when too much waits for the transport already.
    pub fn ack(
        &mut self,
        now: Instant,
        id: SocketId,
        epoch: u64,
        ack: u64,
        payload: &Payload,
    ) -> Result<bool, EmitError> {
        let (pending, limit) = (self.pending_bytes(), self.config.write_buffer);
        let Some(socket) = self
            .socket(id)
            .filter(|socket| socket.is_connected() && socket.epoch == epoch)
        else {
            return Ok(false);
        };
        if pending > 0 && pending.saturating_add(payload.byte_len()) > limit {
            return Err(EmitError::Full { pending, limit });
        }
        let packets = payload.packets(Kind::Ack, &socket.nsp, Some(ack));
        self.send(packets);
        self.settle(now);
        Ok(true)
    }

    /// Nobody waits for this acknowledgement any more; an event still buffered is withdrawn. No event follows.
    pub fn cancel_ack(&mut self, now: Instant, id: SocketId, key: AckKey) {
        if let Some(socket) = self.socket_mut(id) {
            socket.cancel(key);
        }
        self.drain_queue(now, id);
        self.settle(now);
    }

    /// The answer to [`Action::Authenticate`]: the `auth` payload, a JSON object as text.
    pub fn authenticated(
        &mut self,
        now: Instant,
        id: SocketId,
        attempt: u64,
        auth: Result<Option<String>, AuthError>,
    ) {
        let retry = after(now, self.config.reconnection_delay);
        let (reconnection, parser) = (self.config.reconnection, self.config.parser);
        let Some(socket) = self
            .socket_mut(id)
            .filter(|socket| socket.phase == Phase::Authenticating { attempt })
        else {
            return;
        };
        match auth.and_then(|auth| socket.connect_payload(auth).map_err(AuthError)) {
            Ok(data) => {
                socket.phase = Phase::Connecting;
                let packet = codec::connect(parser, &socket.nsp, data.as_deref());
                self.send(Some(packet));
            }
            Err(error) => {
                socket.phase = if reconnection {
                    Phase::AuthRetry { at: retry }
                } else {
                    Phase::Inactive
                };
                self.events
                    .push_back(Event::Socket(id, SocketEvent::ConnectError(error.into())));
                self.close_if_unused(now);
            }
        }
        self.settle(now);
    }

    // --- what the network did -------------------------------------------------------------------------------

    /// Something happened to a connection.
    pub fn handle(&mut self, now: Instant, connection: ConnectionId, input: Input) {
        let current = self
            .engine
            .as_mut()
            .filter(|engine| engine.id() == connection);
        let engine = match current {
            Some(engine) => Some(engine),
            None => self
                .closing
                .iter_mut()
                .find(|engine| engine.id() == connection),
        };
        if let Some(engine) = engine {
            let mut sink = Sink {
                actions: &mut self.actions,
                outputs: &mut self.outputs,
                next_connection: &mut self.next_connection,
            };
            engine.handle(now, input, &mut sink);
        }
        self.settle(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let engines = self
            .engine
            .iter()
            .chain(&self.closing)
            .filter_map(Engine::next_timeout);
        let sockets = self
            .sockets
            .iter()
            .flatten()
            .filter_map(Socket::next_timeout);
        engines.chain(sockets).chain(self.reconnect_at).min()
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut sink = Sink {
            actions: &mut self.actions,
            outputs: &mut self.outputs,
            next_connection: &mut self.next_connection,
        };
        for engine in self.engine.iter_mut().chain(&mut self.closing) {
            engine.handle_timeout(now, &mut sink);
        }
        self.settle(now);
        for id in self.ids() {
            let Some(socket) = self.sockets.get_mut(id.0 as usize).and_then(Option::as_mut) else {
                continue;
            };
            socket.handle_timeout(now, &mut self.events);
            if matches!(socket.phase, Phase::AuthRetry { at } if at <= now) {
                socket.phase = Phase::Waiting;
                if self.link == Link::Open {
                    self.authenticate(id);
                }
            }
            self.drain_queue(now, id);
        }
        if self.reconnect_at.is_some_and(|at| at <= now) {
            self.reconnect_at = None;
            if !self.skip_reconnect {
                self.manager_event(ManagerEvent::ReconnectAttempt(self.backoff.attempts()));
                self.open(now);
            }
        }
        self.settle(now);
    }

    /// The next thing to do.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The next thing to tell the application.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    // --- inside ---------------------------------------------------------------------------------------------

    fn manager_event(&mut self, event: ManagerEvent) {
        self.events.push_back(Event::Manager(event));
    }

    fn send(&mut self, packets: impl IntoIterator<Item = super::Packet>) {
        if let Some(engine) = &mut self.engine {
            let mut sink = Sink {
                actions: &mut self.actions,
                outputs: &mut self.outputs,
                next_connection: &mut self.next_connection,
            };
            engine.send(packets, &mut sink);
        }
    }

    fn send_leave(&mut self, packet: super::Packet) {
        if let Some(engine) = &mut self.engine {
            let mut sink = Sink {
                actions: &mut self.actions,
                outputs: &mut self.outputs,
                next_connection: &mut self.next_connection,
            };
            engine.send_leave(packet, &mut sink);
        }
    }

    fn drain_queue(&mut self, now: Instant, id: SocketId) {
        let Some(socket) = self.socket_mut(id) else {
            return;
        };
        if let Some(outgoing) = socket.drain_queue(now) {
            let packets = outgoing
                .payload
                .packets(Kind::Event, &socket.nsp, outgoing.ack);
            self.send(packets);
        }
    }

    fn open(&mut self, now: Instant) {
        if self.link != Link::Closed {
            return;
        }
        self.skip_reconnect = false;
        self.link = Link::Opening;
        self.decoder = Decoder::new(self.config.parser);
        let mut sink = Sink {
            actions: &mut self.actions,
            outputs: &mut self.outputs,
            next_connection: &mut self.next_connection,
        };
        self.engine = Some(Engine::open(&self.config, now, &mut sink));
    }

    fn authenticate(&mut self, id: SocketId) {
        if let Some(socket) = self.socket_mut(id) {
            socket.attempts += 1;
            let attempt = socket.attempts;
            socket.phase = Phase::Authenticating { attempt };
            self.actions.push_back(Action::Authenticate {
                socket: id,
                attempt,
            });
        }
    }

    /// Works off what the engine said, and forgets engines that are done.
    fn settle(&mut self, now: Instant) {
        while let Some(output) = self.outputs.pop_front() {
            match output {
                Output::Open { transport } => self.opened(transport),
                Output::Text(text) => {
                    let decoded = self.decoder.text(&text, &self.config.limits);
                    self.decoded(now, decoded);
                }
                Output::Binary(data) => {
                    let decoded = self.decoder.binary(&data, &self.config.limits);
                    self.decoded(now, decoded);
                }
                Output::Ping => self.manager_event(ManagerEvent::Ping),
                Output::Upgrade => self.manager_event(ManagerEvent::Upgrade {
                    transport: Transport::WebSocket,
                }),
                Output::UpgradeError(error) => {
                    self.manager_event(ManagerEvent::UpgradeError(error));
                }
                Output::Closed { reason, details } => {
                    self.engine = None;
                    if self.link == Link::Opening {
                        self.open_failed(
                            now,
                            details.unwrap_or_else(|| TransportError::new(reason.as_str())),
                        );
                    } else {
                        self.closed(now, reason, details.as_ref());
                    }
                }
            }
        }
        self.closing.retain(|engine| !engine.is_closed());
        let idle = self.is_idle();
        if idle && !self.idle {
            self.manager_event(ManagerEvent::Idle);
        }
        self.idle = idle;
    }

    fn opened(&mut self, transport: Transport) {
        self.link = Link::Open;
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

    fn open_failed(&mut self, now: Instant, error: TransportError) {
        self.link = Link::Closed;
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
    fn closed(&mut self, now: Instant, reason: DisconnectReason, details: Option<&TransportError>) {
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

    fn reconnect(&mut self, now: Instant) {
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
    fn leave(&mut self, id: SocketId, reason: DisconnectReason, details: Option<TransportError>) {
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
    fn forget_abandoned(&mut self) {
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
    fn close_if_unused(&mut self, now: Instant) {
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

    fn decoded(&mut self, now: Instant, decoded: Result<Option<Decoded>, String>) {
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

    fn joined(&mut self, now: Instant, id: SocketId, payload: Option<&str>) {
        #[derive(serde::Deserialize)]
        struct Joined {
            sid: String,
            #[serde(default)]
            pid: Option<String>,
        }
        let Ok(joined) = serde_json::from_str::<Joined>(payload.unwrap_or("null")) else {
            let error = ConnectError::Transport(TransportError::new(V2_HINT));
            self.events
                .push_back(Event::Socket(id, SocketEvent::ConnectError(error)));
            return;
        };
        let Some(socket) = self.sockets.get_mut(id.0 as usize).and_then(Option::as_mut) else {
            return;
        };
        let sid: Arc<str> = joined.sid.into();
        let recovered = socket.joined(sid.clone(), joined.pid);
        let received = socket.take_received();
        let outgoing = socket.take_buffered(now, &mut self.events);
        let nsp = socket.nsp.clone();
        self.events.push_back(Event::Socket(
            id,
            SocketEvent::Connect { id: sid, recovered },
        ));
        self.events.extend(
            received
                .into_iter()
                .map(|event| Event::Socket(id, SocketEvent::Event(event))),
        );
        for packet in outgoing {
            self.send(packet.payload.packets(Kind::Event, &nsp, packet.ack));
        }
        self.drain_queue(now, id);
    }

    fn refused(&mut self, now: Instant, id: SocketId, body: ConnectErrorBody) {
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
    fn parse_error(&mut self, now: Instant, error: String) {
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

/// A volatile or surplus event that was dropped at once.
fn dropped(asked: Option<AckKey>, events: &mut VecDeque<Event>) -> (Emitted, Option<AckKey>) {
    if let Some(key) = asked {
        events.push_back(Event::Ack(key, Err(AckError::Dropped)));
    }
    (Emitted::Dropped, asked)
}
