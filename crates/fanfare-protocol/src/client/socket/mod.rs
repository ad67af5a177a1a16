//! One socket: the state of one namespace.

mod acks;
mod buffer;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codec::{args_len, last_string};
use super::{AckError, AckKey, Backoff, Config, Event, IncomingEvent, Payload, SocketConfig};

/// Maximum length of an id or offset taken from a server, in bytes. Those of Node have 20.
pub(super) const MAX_ID: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not requested: never connected, disconnected by either side, or rejected.
    Inactive,
    /// Requested, but there is no connection.
    Waiting,
    /// The auth payload is being fetched.
    Authenticating {
        attempt: u64,
    },
    /// The auth callback failed.
    AuthRetry {
        at: Instant,
    },
    /// The auth payload has arrived, but the server must answer an earlier CONNECT, or read a DISCONNECT, before it may
    /// get the next CONNECT.
    Deferred {
        deadline: Instant,
    },
    /// CONNECT was sent.
    Connecting {
        deadline: Instant,
    },
    Connected,
}

#[derive(Debug)]
struct Buffered {
    payload: Payload,
    ack: Option<u64>,
    expires: Option<Instant>,
}

#[derive(Debug)]
struct PendingAck {
    key: AckKey,
    deadline: Option<Instant>,
    /// Whether it is still in the offline buffer.
    buffered: bool,
    /// Whether it belongs to the head of the `retries` queue.
    queued: bool,
}

#[derive(Debug)]
struct Queued {
    key: AckKey,
    /// Whether the application waits for the answer.
    asked: bool,
    payload: Payload,
    timeout: Option<Duration>,
    expires: Option<Instant>,
    tries: u32,
    /// Wire id of the attempt in flight.
    in_flight: Option<u64>,
}

/// Packet to be sent now.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) payload: Payload,
    pub(super) ack: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) namespace: Arc<str>,
    pub(super) config: SocketConfig,
    pub(super) phase: Phase,
    pub(super) sid: Option<Arc<str>>,
    pub(super) recovered: bool,
    /// Number of connections so far, so that an acknowledgement cannot reach a later one.
    pub(super) epoch: u64,
    pub(super) attempts: u64,
    /// Payload of the CONNECT to be sent, in phase [`Phase::Deferred`].
    deferred: Option<String>,
    /// Backoff for failures of this socket alone, since it was connected or `connect` was called: of its `auth`
    /// callback, and missing answers to CONNECT.
    pub(super) backoff: Option<Backoff>,
    pid: Option<String>,
    offset: Option<String>,
    buffer: VecDeque<Buffered>,
    buffered_bytes: usize,
    received: Vec<IncomingEvent>,
    received_bytes: usize,
    acks: HashMap<u64, PendingAck>,
    keys: HashMap<AckKey, u64>,
    deadlines: BTreeSet<(Instant, u64)>,
    next_ack: u64,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// Whether to report events that are sent to the application.
    pub(super) report_outgoing: bool,
}

impl Socket {
    /// Creates a socket; `next_ack` is the wire id of its first acknowledgement.
    pub(super) fn new(namespace: Arc<str>, config: SocketConfig, next_ack: u64) -> Self {
        Self {
            namespace,
            config,
            phase: Phase::Inactive,
            sid: None,
            recovered: false,
            epoch: 0,
            attempts: 0,
            deferred: None,
            backoff: None,
            pid: None,
            offset: None,
            buffer: VecDeque::new(),
            buffered_bytes: 0,
            received: Vec::new(),
            received_bytes: 0,
            acks: HashMap::new(),
            keys: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_ack,
            queue: VecDeque::new(),
            queued_bytes: 0,
            report_outgoing: false,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.phase != Phase::Inactive
    }

    pub(super) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Whether CONNECT was sent and its answer is for this socket.
    pub(super) fn is_joining(&self) -> bool {
        matches!(self.phase, Phase::Connecting { .. })
    }

    /// Wire id of the next acknowledgement.
    pub(super) fn next_ack(&self) -> u64 {
        self.next_ack
    }

    /// Stores the payload of the CONNECT that cannot be sent yet.
    pub(super) fn defer(&mut self, payload: Option<String>, deadline: Instant) {
        self.deferred = payload;
        self.phase = Phase::Deferred { deadline };
    }

    /// Takes the stored payload, if there is a CONNECT to send.
    pub(super) fn take_deferred(&mut self) -> Option<Option<String>> {
        matches!(self.phase, Phase::Deferred { .. }).then(|| self.deferred.take())
    }

    pub(super) fn await_answer_until(&mut self, at: Instant) {
        match &mut self.phase {
            Phase::Deferred { deadline } | Phase::Connecting { deadline } => *deadline = at,
            _ => {}
        }
    }

    /// Records one more failure of this socket; returns the delay until the next attempt, `None` after the last one.
    pub(super) fn retry(&mut self, config: &Config) -> Option<Duration> {
        let backoff = self.backoff.get_or_insert_with(|| config.backoff());
        let exhausted = config
            .reconnection_attempts
            .is_some_and(|max| backoff.attempts() >= max);
        (config.reconnection && !exhausted).then(|| backoff.next_delay())
    }

    /// Stops all attempts of this socket.
    pub(super) fn give_up(&mut self) {
        self.phase = Phase::Inactive;
        self.deferred = None;
    }

    /// Number of events in the offline buffer and the `retries` queue, and of their bytes.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (
            self.buffer.len() + self.queue.len(),
            self.buffered_bytes + self.queued_bytes,
        )
    }

    pub(super) fn pending_acks(&self) -> usize {
        self.acks.len()
    }

    /// Builds the CONNECT payload: `auth` (a JSON object), and the members that recovery needs.
    pub(super) fn connect_payload(&self, auth: Option<String>) -> Result<Option<String>, String> {
        if let Some(auth) = &auth {
            let valid = serde_json::from_str::<serde::de::IgnoredAny>(auth);
            valid.map_err(|error| error.to_string())?;
            if !auth.trim_start().starts_with('{') {
                return Err("auth must be a JSON object".into());
            }
        }
        let Some(pid) = &self.pid else {
            return Ok(auth);
        };
        let mut json = format!("{{\"pid\":{}", serde_json::Value::from(pid.as_str()));
        if let Some(offset) = &self.offset {
            json.push_str(&format!(
                ",\"offset\":{}",
                serde_json::Value::from(offset.as_str())
            ));
        }
        // The application's own members come last and so override `pid` and `offset`, as with `Object.assign`.
        let members = auth
            .as_deref()
            .and_then(|auth| auth.trim().strip_prefix('{'))
            .map_or("}", str::trim_start);
        if members != "}" {
            json.push(',');
        }
        json.push_str(members);
        Ok(Some(json))
    }

    /// Records that the namespace was joined. Returns whether the session was recovered.
    pub(super) fn joined(&mut self, sid: Arc<str>, pid: Option<String>) -> bool {
        self.recovered = pid.is_some() && pid == self.pid;
        if !self.recovered {
            self.offset = None;
        }
        self.pid = pid;
        self.sid = Some(sid);
        self.epoch += 1;
        self.backoff = None;
        self.phase = Phase::Connected;
        self.recovered
    }

    /// Handles an event. `Some`: deliver it now; otherwise it is kept until the CONNECT answer.
    pub(super) fn received(
        &mut self,
        event: IncomingEvent,
    ) -> Result<Option<IncomingEvent>, &'static str> {
        if self.is_connected() {
            self.note_offset(&event);
            return Ok(Some(event));
        }
        if self.pid.is_none() {
            // Not replayed by a recovery, but sent for a session of this namespace that has ended.
            return Ok(None);
        }
        let (count, bytes) = self.config.receive_buffer;
        self.received_bytes += args_len(&event.args);
        if self.received.len() >= count || self.received_bytes > bytes {
            return Err("too many events before the namespace was joined");
        }
        self.received.push(event);
        Ok(None)
    }

    /// Takes the events received before the CONNECT answer.
    pub(super) fn take_received(&mut self) -> Vec<IncomingEvent> {
        self.received_bytes = 0;
        let mut events = std::mem::take(&mut self.received);
        for event in &mut events {
            event.epoch = self.epoch;
            self.note_offset(event);
        }
        events
    }

    fn note_offset(&mut self, event: &IncomingEvent) {
        if self.pid.is_some()
            && event.ack.is_none()
            && let Some(offset) = last_string(&event.args)
            && offset.len() <= MAX_ID
        {
            self.offset = Some(offset);
        }
    }

    /// Handles the end of the connection or namespace. Acknowledgements of sent events fail; buffered events stay.
    pub(super) fn lost(&mut self, events: &mut VecDeque<Event>) {
        self.sid = None;
        self.deferred = None;
        // An interrupted recovery starts over from the same offset, so its events must not be delivered twice.
        self.received = Vec::new();
        self.received_bytes = 0;
        let mut sent: Vec<u64> = self
            .acks
            .iter()
            .filter(|(_, ack)| !ack.buffered)
            .map(|(id, _)| *id)
            .collect();
        sent.sort_unstable();
        for id in sent {
            self.settle(id, Err(AckError::Disconnected), events);
        }
    }

    /// Handles the removal of the socket: every pending acknowledgement fails.
    pub(super) fn remove(&mut self, events: &mut VecDeque<Event>) {
        for queued in self.queue.drain(..).filter(|queued| queued.asked) {
            events.push_back(Event::Ack(queued.key, Err(AckError::Closed)));
        }
        let mut ids: Vec<u64> = self.acks.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            if let Some(ack) = self.forget(id)
                && !ack.queued
            {
                events.push_back(Event::Ack(ack.key, Err(AckError::Closed)));
            }
        }
        self.buffer.clear();
        (self.buffered_bytes, self.queued_bytes) = (0, 0);
        self.received = Vec::new();
        self.give_up();
    }

    /// Forgets the session after either side left the namespace, because the server keeps nothing to recover.
    pub(super) fn forget_session(&mut self) {
        self.pid = None;
        self.offset = None;
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let ack = self.deadlines.first().map(|(deadline, _)| *deadline);
        let retry = match self.phase {
            Phase::AuthRetry { at: deadline }
            | Phase::Deferred { deadline }
            | Phase::Connecting { deadline } => Some(deadline),
            _ => None,
        };
        [ack, retry, self.next_expiry()].into_iter().flatten().min()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while let Some((deadline, id)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            self.settle(id, Err(AckError::Timeout), events);
        }
        self.expire(now, events);
    }
}
