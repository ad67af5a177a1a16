//! The manager: one connection, its reconnection, and the sockets that share it.

mod connection;
mod emit;
mod incoming;
mod legacy;
mod membership;
mod status;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use membership::Membership;

use super::codec::Decoder;
use super::engine::{Engine, Output, Sink, after};
use super::id::Serials;
use super::socket::{Phase, Socket};
use super::sockets::{SocketMut, Sockets};
use super::{
    Action, AuthError, Backoff, Config, ConnectError, ConnectionId, DisconnectReason, Event, Input,
    ManagerEvent, SocketConfig, SocketEvent, SocketId, Transport, TransportError,
};

/// Maximum number of events made of one payload before the caller has taken some.
const MAX_EVENTS_PER_POLL: usize = 1024;

/// Hint of the JavaScript client for the answer of a Socket.IO v2 server.
const V2_HINT: &str = "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they are \
                       not compatible";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Closed,
    Opening,
    Open,
}

/// Socket.IO client as a state machine. See the [module documentation](super) for its use by a driver.
#[derive(Debug)]
pub struct Manager {
    config: Config,
    sockets: Sockets,
    /// Server state by namespace, for the open connection.
    memberships: HashMap<Arc<str>, Membership>,
    link: Link,
    engine: Option<Engine>,
    /// Connections that are flushing their last packets.
    closing: Vec<Engine>,
    backoff: Backoff,
    /// Whether a namespace was answered over the open connection, which proves it usable.
    proven: bool,
    /// Whether a reconnection is scheduled or in progress.
    reconnecting: bool,
    /// Whether the application closed the connection: no reconnection until it opens one again.
    skip_reconnect: bool,
    reconnect_at: Option<Instant>,
    /// Whether WebSocket worked the last time.
    websocket_worked: bool,
    decoder: Decoder,
    /// Deadline of a packet of which the server has sent a part.
    packet_due: Option<Instant>,
    actions: VecDeque<Action>,
    events: VecDeque<Event>,
    outputs: VecDeque<Output>,
    connections: Serials,
    ack_keys: Serials,
    idle: bool,
    /// Time of the last input.
    now: Option<Instant>,
}

impl Manager {
    /// Creates a manager that is not connected and has no sockets.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let backoff = config.backoff();
        let decoder = Decoder::new(config.parser);
        Self {
            config,
            sockets: Sockets::default(),
            memberships: HashMap::new(),
            link: Link::Closed,
            engine: None,
            closing: Vec::new(),
            backoff,
            proven: false,
            reconnecting: false,
            skip_reconnect: false,
            reconnect_at: None,
            websocket_worked: false,
            decoder,
            packet_due: None,
            actions: VecDeque::new(),
            events: VecDeque::new(),
            outputs: VecDeque::new(),
            connections: Serials::default(),
            ack_keys: Serials::default(),
            idle: true,
            now: None,
        }
    }

    /// Adds a socket for a namespace; it does nothing before [`connect`](Self::connect). One namespace can have one
    /// socket per manager: `None` if it has one already.
    pub fn add_socket(&mut self, namespace: &str, config: SocketConfig) -> Option<SocketId> {
        let namespace: Arc<str> = if namespace.starts_with('/') {
            namespace.into()
        } else {
            format!("/{namespace}").into()
        };
        self.sockets.add(namespace, config)
    }

    /// Returns the socket of a namespace.
    #[must_use]
    pub fn find_socket(&self, namespace: &str) -> Option<SocketId> {
        self.sockets.find(namespace)
    }

    /// Disconnects a socket and removes it. Its buffered events are dropped, its acknowledgements fail.
    pub fn remove_socket(&mut self, now: Instant, id: SocketId) {
        self.disconnect(now, id);
        if let Some(mut socket) = self.sockets.remove(id) {
            socket.remove(&mut self.events);
        }
    }

    /// Returns the connection and the destination of its output.
    fn engine(&mut self) -> Option<(&mut Engine, Sink<'_>)> {
        let sink = Sink {
            actions: &mut self.actions,
            outputs: &mut self.outputs,
            connections: &mut self.connections,
        };
        self.engine.as_mut().map(|engine| (engine, sink))
    }

    fn socket(&self, id: SocketId) -> Option<&Socket> {
        self.sockets.get(id)
    }

    fn socket_mut(&mut self, id: SocketId) -> Option<SocketMut<'_>> {
        self.sockets.get_mut(id)
    }

    /// Sets whether to report each event of a socket that is handed to the connection, as [`SocketEvent::Outgoing`]:
    /// buffered events when they are sent, those of the `retries` queue at each attempt, acknowledgements never.
    pub fn report_outgoing(&mut self, id: SocketId, report: bool) {
        if let Some(mut socket) = self.socket_mut(id) {
            socket.report_outgoing = report;
        }
    }

    /// Connects a socket; does nothing if it is active already.
    pub fn connect(&mut self, now: Instant, id: SocketId) {
        let Some(mut socket) = self.socket_mut(id).filter(|socket| !socket.is_active()) else {
            return;
        };
        socket.phase = Phase::Waiting;
        socket.backoff = None;
        drop(socket);
        self.skip_reconnect = false;
        match self.link {
            Link::Open => self.authenticate(now, id),
            Link::Closed if !self.reconnecting => self.open(now),
            Link::Closed | Link::Opening => {}
        }
        self.settle(now);
    }

    /// Disconnects a socket. Earlier emits are flushed; the connection closes with its last active socket.
    pub fn disconnect(&mut self, now: Instant, id: SocketId) {
        let Some(socket) = self.socket(id).filter(|socket| socket.is_active()) else {
            return;
        };
        let (namespace, mine) = (
            socket.namespace.clone(),
            socket.is_connected() || socket.is_joining(),
        );
        // A pending CONNECT is left once it is answered: an earlier DISCONNECT would make a Node server close the
        // connection.
        if mine && self.is_member(&namespace) {
            self.leave_namespace(now, &namespace);
        }
        self.leave(id, DisconnectReason::IoClientDisconnect, None);
        self.close_if_unused(now);
        self.settle(now);
    }

    /// Drops the offline buffer and the `retries` queue, apart from the event in flight. Their acknowledgements fail
    /// with [`AckError::Evicted`](super::AckError::Evicted). Returns the number of events dropped.
    pub fn clear_buffer(&mut self, now: Instant, id: SocketId) -> usize {
        let events = &mut self.events;
        let dropped = self
            .sockets
            .get_mut(id)
            .map_or(0, |mut socket| socket.clear(events));
        self.settle(now);
        dropped
    }

    /// Disconnects all sockets and closes the connection after flushing.
    pub fn close(&mut self, now: Instant) {
        for id in self.sockets.ids() {
            self.disconnect(now, id);
        }
    }

    /// Handles the answer to [`Action::Authenticate`]: the `auth` payload, a JSON object as text.
    pub fn authenticated(
        &mut self,
        now: Instant,
        id: SocketId,
        attempt: u64,
        auth: Result<Option<String>, AuthError>,
    ) {
        let Some(mut socket) = self
            .sockets
            .get_mut(id)
            .filter(|socket| socket.phase == Phase::Authenticating { attempt })
        else {
            return;
        };
        match auth.and_then(|auth| socket.connect_payload(auth).map_err(AuthError)) {
            Ok(payload) => {
                drop(socket);
                self.join(now, id, payload);
            }
            Err(error) => {
                match socket.retry(&self.config) {
                    Some(delay) => {
                        socket.phase = Phase::AuthRetry {
                            at: after(now, delay),
                        };
                    }
                    None => socket.give_up(),
                }
                drop(socket);
                self.connect_error(id, error.into());
                self.close_if_unused(now);
            }
        }
        self.settle(now);
    }

    /// Handles a result or event of a connection.
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
                connections: &mut self.connections,
            };
            engine.handle(now, input, &mut sink);
        }
        self.settle(now);
    }

    /// Deadline of the next call of [`handle_timeout`](Self::handle_timeout).
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let engines = self
            .engine
            .iter()
            .chain(&self.closing)
            .filter_map(Engine::next_timeout);
        engines
            .chain(self.sockets.next_timeout())
            .chain(self.reconnect_at)
            .chain(self.packet_due)
            .min()
    }

    /// Processes the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut sink = Sink {
            actions: &mut self.actions,
            outputs: &mut self.outputs,
            connections: &mut self.connections,
        };
        for engine in self.engine.iter_mut().chain(&mut self.closing) {
            engine.handle_timeout(now, &mut sink);
        }
        self.settle(now);
        if self.packet_due.is_some_and(|at| at <= now) {
            self.packet_timed_out(now);
        }
        for id in self.sockets.due(now) {
            let Some(mut socket) = self.sockets.get_mut(id) else {
                continue;
            };
            socket.handle_timeout(now, &mut self.events);
            let phase = socket.phase;
            match phase {
                Phase::AuthRetry { at } if at <= now => {
                    socket.phase = Phase::Waiting;
                    drop(socket);
                    if self.link == Link::Open {
                        self.authenticate(now, id);
                    }
                }
                Phase::Deferred { deadline } | Phase::Connecting { deadline }
                    if deadline <= now =>
                {
                    drop(socket);
                    self.join_timed_out(now, id);
                }
                _ => drop(socket),
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

    /// Returns the next task for the driver.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Returns the next notification for the application. Its reaction may produce more actions: poll actions again
    /// afterwards.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty()
            && let Some(now) = self.now
        {
            self.settle(now);
        }
        self.events.pop_front()
    }

    #[cfg(test)]
    pub(super) fn queued_events(&self) -> usize {
        self.events.len()
    }

    #[cfg(test)]
    pub(super) fn sockets_visited(&self) -> usize {
        self.sockets.visited()
    }

    fn connect_error(&mut self, id: SocketId, error: ConnectError) {
        let event = SocketEvent::ConnectError(error);
        self.events.push_back(Event::Socket(id, event));
    }

    fn manager_event(&mut self, event: ManagerEvent) {
        self.events.push_back(Event::Manager(event));
    }

    fn authenticate(&mut self, now: Instant, id: SocketId) {
        let main = |socket: &Socket| &*socket.namespace == membership::MAIN;
        if self.is_legacy() && self.socket(id).is_some_and(main) {
            // Its credentials are in the query of the requests.
            return self.join(now, id, None);
        }
        if let Some(mut socket) = self.sockets.get_mut(id) {
            socket.attempts += 1;
            let attempt = socket.attempts;
            socket.phase = Phase::Authenticating { attempt };
            self.actions.push_back(Action::Authenticate {
                socket: id,
                attempt,
            });
        }
    }

    /// Processes the engine's output, and removes engines that are done. A payload is processed packet by packet, as
    /// long as there are not too many events.
    fn settle(&mut self, now: Instant) {
        self.now = Some(now);
        loop {
            let Some(output) = self.outputs.pop_front() else {
                let more = self.events.len() < MAX_EVENTS_PER_POLL
                    && self
                        .engine()
                        .is_some_and(|(engine, mut sink)| engine.next_packet(now, &mut sink));
                if more {
                    continue;
                }
                break;
            };
            match output {
                Output::Open { transport } => self.opened(now, transport),
                Output::Text(text) => {
                    let decoded = self.decoder.text(&text, &self.config.limits);
                    self.watch_packet(now);
                    self.decoded(now, decoded);
                }
                Output::Binary(data) => {
                    let decoded = self.decoder.binary(&data, &self.config.limits);
                    self.watch_packet(now);
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
                Output::Left(namespace) => self.left(now, &namespace),
                Output::Closed { reason, details } => {
                    self.engine = None;
                    self.packet_due = None;
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
