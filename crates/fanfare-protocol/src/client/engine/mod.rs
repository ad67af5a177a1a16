//! The Engine.IO client: one connection, its transports, upgrade, heartbeat and write buffer.

mod heartbeat;
mod incoming;
mod outgoing;
mod upgrade;
mod wire;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::id::Serials;
use super::{
    Action, Config, ConnectionId, DisconnectReason, Input, Packet, Transport, TransportError,
};
pub(super) use crate::deadline as after;
use crate::engine::Protocol;
use heartbeat::Heartbeat;

/// Maximum number of bytes handed to the driver in one [`Action::Write`], so that a heartbeat never waits long.
const WRITE_BATCH_BYTES: usize = 256 * 1024;
/// Maximum length of a session id accepted from a server, in bytes.
const MAX_SID_BYTES: usize = 1024;
/// Maximum length of a handshake packet accepted from a server, in bytes.
const MAX_OPEN_PACKET_BYTES: usize = 16 * 1024;
/// Minimum limit on the payload of a polling response, which may hold several messages, in bytes.
const MIN_PAYLOAD_BYTES: usize = 1024 * 1024;
/// Timeout of the WebSocket ping that follows a DISCONNECT, after which the DISCONNECT is taken as read.
const FENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Notification from the engine to the manager.
#[derive(Debug)]
pub(super) enum Output {
    Open {
        transport: Transport,
    },
    Text(Bytes),
    Binary(Bytes),
    Ping,
    Upgrade,
    UpgradeError(TransportError),
    /// The server has read the DISCONNECT of this namespace.
    Left(Arc<str>),
    /// The connection ended. Reported exactly once, unless the manager itself closed the engine.
    Closed {
        reason: DisconnectReason,
        details: Option<TransportError>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Open,
    /// The application closed the connection; the buffer is flushed until the deadline.
    Closing {
        deadline: Instant,
    },
    /// The closing packet of a polling session is in flight.
    Goodbye {
        deadline: Instant,
    },
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Probe {
    None,
    /// The WebSocket of the upgrade is being opened.
    Connecting {
        deadline: Instant,
    },
    /// `2probe` was sent.
    Sent {
        deadline: Instant,
    },
    /// `3probe` came; the polling requests in flight must end before `5` is sent.
    Pausing {
        deadline: Instant,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ws {
    None,
    Connecting,
    Open,
}

#[derive(Debug)]
pub(super) struct Engine {
    id: ConnectionId,
    protocol: Protocol,
    state: State,
    transport: Transport,
    /// Transports not yet tried.
    remaining: VecDeque<Transport>,
    probe: Probe,
    upgrade: bool,
    upgrade_timeout: Duration,
    /// Whether bytes travel as text over WebSocket too.
    force_base64: bool,
    get: bool,
    post: bool,
    ws: Ws,
    writing: bool,
    sid: Option<Arc<str>>,
    heartbeat: Heartbeat,
    open_deadline: Instant,
    /// Deadline of the current transport while another one remains to be tried.
    transport_deadline: Option<Instant>,
    max_payload: usize,
    buffer: VecDeque<Queued>,
    buffered: usize,
    in_flight: usize,
    max_message: usize,
    /// Rest of a payload that is processed packet by packet.
    backlog: Option<Bytes>,
    /// Namespaces whose DISCONNECT was written, with the deadline for the answer to the ping sent after it.
    fences: VecDeque<(Arc<str>, Instant)>,
}

/// Entry of the write buffer.
#[derive(Debug)]
enum Queued {
    Packet(Packet),
    /// DISCONNECT of a namespace. A Node server that reads it together with earlier events drops those events, so it is
    /// sent separately, after the server has handled the packets written before.
    Leave(Packet),
    /// Barrier: the server must read everything before it until it gets another CONNECT of this namespace. A Node
    /// server that reads both at once closes the connection.
    Fence(Arc<str>),
}

impl Queued {
    fn packet(&self) -> Option<&Packet> {
        match self {
            Self::Packet(packet) | Self::Leave(packet) => Some(packet),
            Self::Fence(_) => None,
        }
    }
}

/// Returns the maximum length of a polling response, in bytes: several messages of at most `max_message` bytes, as
/// base64.
#[must_use]
pub fn max_payload(max_message: usize) -> usize {
    max_message.saturating_mul(2).max(MIN_PAYLOAD_BYTES)
}

/// Destination of an engine's actions and notifications.
pub(super) struct Sink<'a> {
    pub(super) actions: &'a mut VecDeque<Action>,
    pub(super) outputs: &'a mut VecDeque<Output>,
    pub(super) connections: &'a mut Serials,
}

impl Sink<'_> {
    fn connection(&mut self) -> ConnectionId {
        ConnectionId(self.connections.next())
    }
}

impl Engine {
    /// Starts opening with the first of the transports; the others are tried next.
    pub(super) fn open(
        config: &Config,
        mut remaining: VecDeque<Transport>,
        now: Instant,
        sink: &mut Sink<'_>,
    ) -> Self {
        let transport = remaining.pop_front().unwrap_or(Transport::WebSocket);
        if !config.try_all_transports {
            remaining.clear();
        }
        let mut engine = Self {
            id: sink.connection(),
            protocol: config.protocol,
            state: State::Opening,
            transport,
            remaining,
            probe: Probe::None,
            upgrade: config.upgrade && config.transports.contains(&Transport::WebSocket),
            upgrade_timeout: config.upgrade_timeout,
            force_base64: config.force_base64,
            get: false,
            post: false,
            ws: Ws::None,
            writing: false,
            sid: None,
            heartbeat: Heartbeat::default(),
            open_deadline: after(now, config.timeout),
            transport_deadline: None,
            max_payload: usize::MAX,
            buffer: VecDeque::new(),
            buffered: 0,
            in_flight: 0,
            max_message: config.limits.max_payload,
            backlog: None,
            fences: VecDeque::new(),
        };
        engine.begin(now, sink);
        engine
    }

    /// Starts opening with the current transport, as a separate connection.
    fn start(&mut self, now: Instant, sink: &mut Sink<'_>) {
        self.id = sink.connection();
        self.begin(now, sink);
    }

    fn begin(&mut self, now: Instant, sink: &mut Sink<'_>) {
        let left = self.open_deadline.saturating_duration_since(now);
        self.transport_deadline = (!self.remaining.is_empty()).then(|| after(now, left / 2));
        match self.transport {
            Transport::Polling => {
                self.get = true;
                sink.actions.push_back(Action::Get {
                    connection: self.id,
                    sid: None,
                });
            }
            Transport::WebSocket => {
                self.ws = Ws::Connecting;
                sink.actions.push_back(Action::OpenWebSocket {
                    connection: self.id,
                    sid: None,
                });
            }
        }
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.id
    }

    pub(super) fn sid(&self) -> Option<&Arc<str>> {
        self.sid.as_ref()
    }

    pub(super) fn transport(&self) -> Transport {
        self.transport
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// Number of bytes accepted and not yet known to be written.
    pub(super) fn pending_bytes(&self) -> usize {
        self.buffered + self.in_flight
    }

    /// Whether a packet sent now would be written at once, which decides about `volatile` events.
    pub(super) fn is_writable(&self) -> bool {
        self.state == State::Open && self.buffer.is_empty() && self.can_write()
    }

    fn can_write(&self) -> bool {
        if matches!(self.probe, Probe::Pausing { .. }) {
            return false;
        }
        match self.transport {
            Transport::Polling => !self.post && self.sid.is_some(),
            Transport::WebSocket => !self.writing && self.ws == Ws::Open && self.sid.is_some(),
        }
    }

    /// Whether the heartbeat is overdue, e.g. after the machine was suspended.
    pub(super) fn heartbeat_expired(&self, now: Instant) -> bool {
        self.state == State::Open && self.heartbeat.is_expired(now)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let state = match self.state {
            State::Opening => Some(
                self.transport_deadline
                    .unwrap_or(self.open_deadline)
                    .min(self.open_deadline),
            ),
            State::Open => self.heartbeat.next_timeout(),
            State::Closing { deadline } | State::Goodbye { deadline } => Some(deadline),
            State::Closed => None,
        };
        let probe = match self.probe {
            Probe::None => None,
            Probe::Connecting { deadline }
            | Probe::Sent { deadline }
            | Probe::Pausing { deadline } => Some(deadline),
        };
        let fence = self.fences.front().map(|(_, deadline)| *deadline);
        [state, probe, fence].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, sink: &mut Sink<'_>) {
        while self.fences.front().is_some_and(|(_, at)| *at <= now) {
            self.fence_passed(sink);
        }
        match self.state {
            State::Opening if self.open_deadline <= now => {
                self.remaining.clear();
                self.fail(
                    now,
                    DisconnectReason::TransportError,
                    Some(TransportError::new("timeout")),
                    sink,
                );
            }
            State::Opening
                if self
                    .transport_deadline
                    .is_some_and(|deadline| deadline <= now) =>
            {
                self.fail(
                    now,
                    DisconnectReason::TransportError,
                    Some(TransportError::new("timeout")),
                    sink,
                );
            }
            State::Open if self.heartbeat_expired(now) => {
                self.fail(now, DisconnectReason::PingTimeout, None, sink);
            }
            State::Open if self.heartbeat.take_ping(now) => self.write_heartbeat(b"2", now, sink),
            State::Closing { deadline } | State::Goodbye { deadline } if deadline <= now => {
                self.abort(sink);
            }
            _ => {}
        }
        match self.probe {
            Probe::Connecting { deadline } | Probe::Sent { deadline } if deadline <= now => {
                self.abandon_probe(now, TransportError::new("timeout"), sink);
            }
            // The server answered the probe, but a polling request never ended: neither side can continue.
            Probe::Pausing { deadline } if deadline <= now => {
                self.fail(
                    now,
                    DisconnectReason::TransportError,
                    Some(TransportError::new("timeout")),
                    sink,
                );
            }
            _ => {}
        }
    }

    /// Closes after writing the queue.
    pub(super) fn close(&mut self, now: Instant, timeout: Duration, sink: &mut Sink<'_>) {
        match self.state {
            State::Opening => self.abort(sink),
            State::Open => {
                self.backlog = None;
                self.state = State::Closing {
                    deadline: after(now, timeout),
                };
                if matches!(self.probe, Probe::Connecting { .. } | Probe::Sent { .. }) {
                    self.probe = Probe::None;
                    self.ws = Ws::None;
                    sink.actions.push_back(Action::CloseWebSocket {
                        connection: self.id,
                    });
                }
                self.flush(now, sink);
            }
            State::Closing { .. } | State::Goodbye { .. } | State::Closed => {}
        }
    }

    /// Drops everything without notifying the server.
    pub(super) fn abort(&mut self, sink: &mut Sink<'_>) {
        if self.state != State::Closed {
            self.state = State::Closed;
            self.probe = Probe::None;
            self.buffer.clear();
            self.fences.clear();
            self.backlog = None;
            (self.buffered, self.in_flight) = (0, 0);
            sink.actions.push_back(Action::Abort {
                connection: self.id,
            });
        }
    }

    pub(super) fn handle(&mut self, now: Instant, input: Input, sink: &mut Sink<'_>) {
        if self.state == State::Closed {
            return;
        }
        match input {
            Input::Get(result) => {
                if !std::mem::take(&mut self.get) {
                    return;
                }
                match result {
                    Ok(body) => self.payload(now, body, sink),
                    Err(_) if matches!(self.state, State::Goodbye { .. }) => {}
                    Err(error) => {
                        self.fail(now, DisconnectReason::TransportError, Some(error), sink);
                    }
                }
            }
            Input::Post(result) => {
                if !std::mem::take(&mut self.post) {
                    return;
                }
                self.in_flight = 0;
                match (self.state, result) {
                    (State::Goodbye { .. }, _) => self.abort(sink),
                    (_, Ok(())) => {
                        self.finish_pause(now, sink);
                        self.flush(now, sink);
                    }
                    (_, Err(error)) => {
                        self.fail(now, DisconnectReason::TransportError, Some(error), sink);
                    }
                }
            }
            Input::Open => self.websocket_open(sink),
            Input::Written => {
                if std::mem::take(&mut self.writing) {
                    if self.probe == Probe::None {
                        self.in_flight = 0;
                        self.flush(now, sink);
                    } else {
                        self.finish_pause(now, sink);
                    }
                }
            }
            Input::Text(text) => {
                if self.probe != Probe::None {
                    self.probe_answer(now, &text, sink);
                } else if self.transport == Transport::WebSocket {
                    self.packet(now, text, sink);
                }
            }
            Input::Binary(data) => {
                if self.probe == Probe::None && self.transport == Transport::WebSocket {
                    self.binary(now, data, sink);
                }
            }
            Input::Pong => self.fence_passed(sink),
            Input::Closed(result) => self.websocket_closed(now, result, sink),
        }
    }

    /// Delivers a message, unless the connection is closing.
    fn deliver(&self, output: Output, sink: &mut Sink<'_>) {
        if self.state == State::Open {
            sink.outputs.push_back(output);
        }
    }

    fn fail(
        &mut self,
        now: Instant,
        reason: DisconnectReason,
        details: Option<TransportError>,
        sink: &mut Sink<'_>,
    ) {
        match self.state {
            State::Closed => {}
            State::Closing { .. } | State::Goodbye { .. } => self.abort(sink),
            State::Opening => {
                let unreachable = details.as_ref().is_some_and(|error| error.unreachable);
                sink.actions.push_back(Action::Abort {
                    connection: self.id,
                });
                (self.get, self.post, self.ws, self.writing) = (false, false, Ws::None, false);
                self.backlog = None;
                match self.remaining.pop_front() {
                    Some(next) if !unreachable => {
                        self.transport = next;
                        self.start(now, sink);
                    }
                    _ => {
                        self.state = State::Closed;
                        sink.outputs.push_back(Output::Closed { reason, details });
                    }
                }
            }
            State::Open => {
                self.abort(sink);
                sink.outputs.push_back(Output::Closed { reason, details });
            }
        }
    }
}
