//! One socket: the state of one namespace.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::codec::{args_len, last_string};
use super::engine::after;
use super::{
    AckError, AckKey, BufferPolicy, EmitError, Event, IncomingEvent, Payload, SocketConfig,
};
use crate::socket::ArgsBuf;

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

    // --- connection -----------------------------------------------------------------------------------------

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

    // --- acknowledgements -----------------------------------------------------------------------------------

    /// Makes room in the table of acknowledgements; returns the wire id.
    pub(super) fn expect_ack(
        &mut self,
        now: Instant,
        key: AckKey,
        timeout: Option<Duration>,
        queued: bool,
    ) -> Result<u64, EmitError> {
        if self.acks.len() >= self.config.max_pending_acks {
            return Err(EmitError::TooManyAcks {
                limit: self.config.max_pending_acks,
            });
        }
        let id = self.next_ack;
        // Ids are JSON numbers: stay in the range every peer can represent.
        self.next_ack = (self.next_ack + 1) & ((1 << 52) - 1);
        let deadline = timeout
            .or(self.config.ack_timeout)
            .map(|timeout| after(now, timeout));
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id));
        }
        self.acks.insert(
            id,
            PendingAck {
                key,
                deadline,
                buffered: false,
                queued,
            },
        );
        self.keys.insert(key, id);
        Ok(id)
    }

    pub(super) fn forget_ack(&mut self, id: u64) {
        self.forget(id);
    }

    fn forget(&mut self, id: u64) -> Option<PendingAck> {
        let ack = self.acks.remove(&id)?;
        self.keys.remove(&ack.key);
        if let Some(deadline) = ack.deadline {
            self.deadlines.remove(&(deadline, id));
        }
        Some(ack)
    }

    /// An answer came, or none will. Unknown ids are ignored: late, or answered twice.
    pub(super) fn settle(
        &mut self,
        id: u64,
        result: Result<ArgsBuf, AckError>,
        events: &mut VecDeque<Event>,
    ) {
        let Some(ack) = self.forget(id) else { return };
        if ack.buffered {
            self.withdraw(id);
        }
        if !ack.queued {
            events.push_back(Event::Ack(ack.key, result));
            return;
        }
        let retries = self.config.retries.unwrap_or(0);
        let Some(head) = self
            .queue
            .front_mut()
            .filter(|head| head.in_flight == Some(id))
        else {
            return;
        };
        head.in_flight = None;
        if (result.is_ok() || head.tries > retries)
            && let Some(head) = self.queue.pop_front()
        {
            self.queued_bytes -= head.payload.byte_len();
            if head.asked {
                events.push_back(Event::Ack(head.key, result));
            }
        }
    }

    /// Nobody waits for this answer any more. A packet still buffered is withdrawn.
    pub(super) fn cancel(&mut self, key: AckKey) {
        if let Some(id) = self.keys.get(&key).copied()
            && let Some(ack) = self.forget(id)
            && ack.buffered
        {
            self.withdraw(id);
        }
        if let Some(at) = self.queue.iter().position(|queued| queued.key == key)
            && let Some(queued) = self.queue.remove(at)
        {
            self.queued_bytes -= queued.payload.byte_len();
        }
    }

    fn withdraw(&mut self, id: u64) {
        if let Some(at) = self
            .buffer
            .iter()
            .position(|buffered| buffered.ack == Some(id))
            && let Some(buffered) = self.buffer.remove(at)
        {
            self.buffered_bytes -= buffered.payload.byte_len();
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let ack = self.deadlines.first().map(|(deadline, _)| *deadline);
        let retry = match self.phase {
            Phase::AuthRetry { at } => Some(at),
            _ => None,
        };
        let age = self.buffer.front().and_then(|buffered| buffered.expires);
        [ack, retry, age].into_iter().flatten().min()
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

    // --- offline buffer -------------------------------------------------------------------------------------

    /// Drops what grew too old. Entries are in order of age.
    fn expire(&mut self, now: Instant, events: &mut VecDeque<Event>) {
        while self
            .buffer
            .front()
            .and_then(|buffered| buffered.expires)
            .is_some_and(|expires| expires <= now)
        {
            self.evict(events);
        }
    }

    fn evict(&mut self, events: &mut VecDeque<Event>) {
        if let Some(oldest) = self.buffer.pop_front() {
            self.buffered_bytes -= oldest.payload.byte_len();
            if let Some(ack) = oldest.ack.and_then(|id| self.forget(id)) {
                events.push_back(Event::Ack(ack.key, Err(AckError::Evicted)));
            }
        }
    }

    /// Whether there is room for a payload, after making some if the policy says so. `Ok(false)`: drop it.
    pub(super) fn reserve(
        &mut self,
        now: Instant,
        payload: &Payload,
        events: &mut VecDeque<Event>,
    ) -> Result<bool, EmitError> {
        self.expire(now, events);
        let bytes = payload.byte_len();
        let limits = self.config.buffer.clone();
        loop {
            let (count, held) = self.waiting();
            let full = if count >= limits.count {
                Some((count, limits.count))
            } else if count > 0 && held.saturating_add(bytes) > limits.bytes {
                Some((held, limits.bytes))
            } else {
                None
            };
            match (full, limits.policy) {
                (None, _) => return Ok(true),
                (Some(_), BufferPolicy::DropNewest) => return Ok(false),
                (Some(_), BufferPolicy::DropOldest) if !self.buffer.is_empty() => {
                    self.evict(events);
                }
                (Some((pending, limit)), _) => return Err(EmitError::Full { pending, limit }),
            }
        }
    }

    pub(super) fn keep(&mut self, now: Instant, payload: Payload, ack: Option<u64>) {
        if let Some(pending) = ack.and_then(|id| self.acks.get_mut(&id)) {
            pending.buffered = true;
        }
        self.buffered_bytes += payload.byte_len();
        let expires = self.config.buffer.age.map(|age| after(now, age));
        self.buffer.push_back(Buffered {
            payload,
            ack,
            expires,
        });
    }

    /// Everything that waited for the connection, in order.
    pub(super) fn take_buffered(
        &mut self,
        now: Instant,
        events: &mut VecDeque<Event>,
    ) -> Vec<Outgoing> {
        self.expire(now, events);
        self.buffered_bytes = 0;
        std::mem::take(&mut self.buffer)
            .into_iter()
            .map(|buffered| {
                if let Some(pending) = buffered.ack.and_then(|id| self.acks.get_mut(&id)) {
                    pending.buffered = false;
                }
                Outgoing {
                    payload: buffered.payload,
                    ack: buffered.ack,
                }
            })
            .collect()
    }

    // --- retries queue --------------------------------------------------------------------------------------

    pub(super) fn enqueue(
        &mut self,
        key: AckKey,
        asked: bool,
        payload: Payload,
        timeout: Option<Duration>,
    ) {
        self.queued_bytes += payload.byte_len();
        self.queue.push_back(Queued {
            key,
            asked,
            payload,
            timeout,
            tries: 0,
            in_flight: None,
        });
    }

    /// The head of the queue, if it is its turn now.
    pub(super) fn drain_queue(&mut self, now: Instant) -> Option<Outgoing> {
        if !self.is_connected() {
            return None;
        }
        let head = self.queue.front().filter(|head| head.in_flight.is_none())?;
        let (key, timeout) = (head.key, head.timeout);
        // No room for one more acknowledgement: the next one that comes in makes some.
        let id = self.expect_ack(now, key, timeout, true).ok()?;
        let head = self.queue.front_mut()?;
        head.tries += 1;
        head.in_flight = Some(id);
        Some(Outgoing {
            payload: head.payload.clone(),
            ack: Some(id),
        })
    }
}
