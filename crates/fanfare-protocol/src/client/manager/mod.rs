//! The manager: one connection, its reconnection, and the sockets that share it.

mod connection;
mod emit;
mod incoming;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::codec::{self, Decoder};
use super::engine::{Engine, Output, Sink, after};
use super::socket::{Phase, Socket};
use super::{
    Action, AuthError, Backoff, Config, ConnectionId, DisconnectReason, Event, Input, ManagerEvent,
    SocketConfig, SocketEvent, SocketId, Transport, TransportError,
};

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
    /// WebSocket worked the last time.
    websocket_worked: bool,
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
            websocket_worked: false,
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

    /// The connection, and where it puts what it has to say.
    fn engine(&mut self) -> Option<(&mut Engine, Sink<'_>)> {
        let sink = Sink {
            actions: &mut self.actions,
            outputs: &mut self.outputs,
            next_connection: &mut self.next_connection,
        };
        self.engine.as_mut().map(|engine| (engine, sink))
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

    /// Whether to report each event of a socket that is handed to the connection, as [`SocketEvent::Outgoing`]: those
    /// that waited when they leave, those of the `retries` queue at each try, acknowledgements never.
    pub fn report_outgoing(&mut self, id: SocketId, report: bool) {
        if let Some(socket) = self.socket_mut(id) {
            socket.report_outgoing = report;
        }
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

    fn manager_event(&mut self, event: ManagerEvent) {
        self.events.push_back(Event::Manager(event));
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
                Output::Upgrade => {
                    self.websocket_worked = true;
                    self.manager_event(ManagerEvent::Upgrade {
                        transport: Transport::WebSocket,
                    });
                }
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
}
