//! One socket: the state of one namespace.

mod acks;
mod buffer;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codec::{args_len, last_string};
use super::{AckError, AckKey, Event, IncomingEvent, Payload, SocketConfig};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not wanted: never connected, disconnected by either side, or refused.
    Inactive,
    /// Wanted, but there is no connection.
    Waiting,
    /// The auth payload is being fetched.
    Authenticating {
        attempt: u64,
    },
    /// The auth callback failed.
    AuthRetry {
        at: Instant,
    },
    /// CONNECT was sent.
    Connecting,
    /// CONNECT was sent, then the application disconnected. A DISCONNECT before the answer would make the server
    /// close the whole connection, so it follows the answer.
    Abandoned,
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
    /// Still in the offline buffer.
    buffered: bool,
    /// Belongs to the head of the `retries` queue.
    queued: bool,
}

#[derive(Debug)]
struct Queued {
    key: AckKey,
    /// The application waits for the answer.
    asked: bool,
    payload: Payload,
    timeout: Option<Duration>,
    expires: Option<Instant>,
    tries: u32,
    /// Wire id of the attempt in flight.
    in_flight: Option<u64>,
}

/// A packet that is to be sent now.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) payload: Payload,
    pub(super) ack: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub(super) nsp: Arc<str>,
    pub(super) config: SocketConfig,
    pub(super) phase: Phase,
    pub(super) sid: Option<Arc<str>>,
    pub(super) recovered: bool,
    /// Counts connections, so that an acknowledgement cannot reach a later one.
    pub(super) epoch: u64,
    pub(super) attempts: u64,
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
    /// The application wants to know what is sent.
    pub(super) report_outgoing: bool,
}

impl Socket {
    pub(super) fn new(nsp: Arc<str>, config: SocketConfig) -> Self {
        Self {
            nsp,
            config,
            phase: Phase::Inactive,
            sid: None,
            recovered: false,
            epoch: 0,
            attempts: 0,
            pid: None,
            offset: None,
            buffer: VecDeque::new(),
            buffered_bytes: 0,
            received: Vec::new(),
            received_bytes: 0,
            acks: HashMap::new(),
            keys: HashMap::new(),
            deadlines: BTreeSet::new(),
            next_ack: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            report_outgoing: false,
        }
    }

    pub(super) fn is_active(&self) -> bool {
        !matches!(self.phase, Phase::Inactive | Phase::Abandoned)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Events waiting in the offline buffer and the `retries` queue.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (
            self.buffer.len() + self.queue.len(),
            self.buffered_bytes + self.queued_bytes,
        )
    }

    pub(super) fn pending_acks(&self) -> usize {
        self.acks.len()
    }

    /// The CONNECT payload: `auth` (a JSON object), and what recovery needs.
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
        // The application's own members come last and so win over `pid` and `offset`, as with `Object.assign`.
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

    /// The namespace was joined. Returns whether the session was recovered.
    pub(super) fn joined(&mut self, sid: Arc<str>, pid: Option<String>) -> bool {
        self.recovered = pid.is_some() && pid == self.pid;
        if !self.recovered {
            self.offset = None;
        }
        self.pid = pid;
        self.sid = Some(sid);
        self.epoch += 1;
        self.phase = Phase::Connected;
        self.recovered
    }

    /// An event came. `Some`: to be handed on now; otherwise it waits for the CONNECT answer.
    pub(super) fn received(
        &mut self,
        event: IncomingEvent,
    ) -> Result<Option<IncomingEvent>, &'static str> {
        if self.is_connected() {
            self.note_offset(&event);
            return Ok(Some(event));
        }
        if self.pid.is_none() {
            // Not replayed by a recovery, but meant for a session of this namespace that has ended.
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

    /// What was received before the CONNECT answer.
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
        {
            self.offset = Some(offset);
        }
    }

    /// The connection or the namespace ended. Acknowledgements of what was sent fail; what is buffered stays.
    pub(super) fn lost(&mut self, events: &mut VecDeque<Event>) {
        self.sid = None;
        // A recovery that was cut short starts over from the same offset: what came of it must not come twice.
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

    /// The socket goes away for good: nothing will be answered any more.
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
        self.phase = Phase::Inactive;
    }

    /// Either side left the namespace: the server keeps nothing to recover.
    pub(super) fn forget_session(&mut self) {
        self.pid = None;
        self.offset = None;
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let ack = self.deadlines.first().map(|(deadline, _)| *deadline);
        let retry = match self.phase {
            Phase::AuthRetry { at } => Some(at),
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
