//! Log of the events of a cluster, in a stream.
//!
//! A node appends an event by publishing it under `log.…`. The server stores it, acknowledges it, and forwards it
//! (`republish`) under the subject of its recipients with its sequence in a header: each node receives, in the order of
//! the stream, the events that have recipients there, including its own. No consumer is needed.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare::adapter::{
    BoxFuture, Broadcast, ClusterHandle, ClusterMessage, EventLog, LogPosition, LoggedEvent,
    MissedEventsError, MissedEventsRequest, PendingDelivery, PublishOutcome,
};
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use fanfare_cluster::{Health, HealthState};
use parking_lot::Mutex;

use super::JetStream;
use super::api::{self, Api, ApiError, Stored, StreamConfig, StreamInfo};
use super::pending::{Entry, Pending};
use super::replay;
use crate::connection::Connection;
use crate::log_target;
use crate::protocol::{self, Incoming};
use crate::subject::{Subjects, stream_name};

/// Header by which JetStream recognises a repeated message.
const MESSAGE_ID: &str = "Nats-Msg-Id";
/// Header with the sequence of a message of the log.
const SEQUENCE: &str = "Nats-Sequence";
/// Number of bytes of a message that are reserved for headers.
const HEADER_BYTES: usize = 512;
/// First letter of the last token of the reply subjects of appended events.
const REPLY: char = 'l';
/// Time after which a stored event is delivered even if the log has not sent it back.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(1);
/// Time between two attempts to prepare the stream.
const RETRY: Duration = Duration::from_millis(500);
/// Maximum number of bytes of the messages that wait while older ones are read.
const MAX_BUFFERED_BYTES: usize = 64 << 20;
/// Maximum number of messages that are read after a connection was lost; beyond it, the oldest are skipped.
const MAX_CAUGHT_UP: u64 = 100_000;

/// Log of a cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log(Arc<Inner>);

pub(super) struct Inner {
    pub(super) api: Api,
    pub(super) connection: Connection,
    pub(super) subjects: Subjects,
    pub(super) config: StreamConfig,
    node: String,
    cluster: OnceLock<ClusterHandle>,
    state: Mutex<State>,
    /// Whether events can be appended.
    ready: HealthState,
}

#[derive(Default)]
struct State {
    /// Identity of the stream: a new stream, as after a loss, starts with new positions.
    epoch: u64,
    /// Sequence of the last event that was delivered.
    last: u64,
    pending: Pending,
    /// Number of the connection on which events are appended.
    appends_on: Option<u64>,
    /// Messages that arrived while older ones are read.
    buffer: Option<Vec<Received>>,
    buffered_bytes: usize,
    /// Whether there has been no connection, or no stream, for longer than events are queued.
    gave_up: bool,
    failure: Option<String>,
}

/// Message of the log.
pub(super) struct Received {
    pub(super) sequence: u64,
    /// Id of the message, by which a node recognises its own messages.
    pub(super) id: Option<String>,
    pub(super) payload: Bytes,
}

impl Received {
    pub(super) fn of(message: &Incoming) -> Option<Self> {
        Some(Self {
            sequence: message.header(SEQUENCE)?.parse().ok()?,
            id: message.header(MESSAGE_ID).map(str::to_owned),
            payload: message.payload.clone(),
        })
    }
}

/// Returns the identity of a stream: its time of creation, in milliseconds, as a number that grows.
pub(super) fn epoch(created: &str) -> u64 {
    let digits = created.chars().filter(char::is_ascii_digit).take(17);
    let text: String = digits.collect();
    text.parse().unwrap_or_default()
}

pub(super) fn position(epoch: u64, sequence: u64) -> LogPosition {
    let order = (u128::from(epoch) << 64) | u128::from(sequence);
    LogPosition::new(order, format!("{epoch:x}-{sequence}"))
}

/// Parses a position.
pub(super) fn read_position(text: &str) -> Option<(u64, u64)> {
    let (epoch, sequence) = text.split_once('-')?;
    let epoch = u64::from_str_radix(epoch, 16).ok()?;
    Some((epoch, sequence.parse().ok()?))
}

impl Log {
    pub(crate) fn new(
        options: JetStream,
        prefix: &str,
        node: &str,
        connection: Connection,
        subjects: Subjects,
    ) -> Self {
        let logged = subjects.under("log");
        let name = stream_name("LOG", prefix);
        let config = StreamConfig::new(&options, name, logged.clone())
            .republish(logged, subjects.under("ns"));
        Self(Arc::new(Inner {
            api: Api::new(connection.clone()),
            connection,
            subjects,
            config,
            node: node.to_owned(),
            cluster: OnceLock::new(),
            state: Mutex::default(),
            ready: HealthState::new(),
        }))
    }

    pub(crate) fn start(&self, cluster: ClusterHandle) {
        let _ = self.0.cluster.set(cluster);
    }

    pub(crate) async fn ready(&self) {
        self.0.ready.ready().await;
    }

    /// Returns the human-readable reason for which events are not appended.
    pub(crate) fn failure(&self) -> Option<String> {
        self.0.state.lock().failure.clone()
    }

    pub(crate) fn namespace_opened(&self, namespace: &str) {
        let state = self.0.state.lock();
        let position = (state.epoch > 0).then(|| position(state.epoch, state.last));
        drop(state);
        if let (Some(position), Some(cluster)) = (position, self.0.cluster.get()) {
            cluster.reads_from(namespace, &position);
        }
    }

    /// Prepares the stream, reads missed events, and appends waiting ones.
    pub(crate) fn connected(&self) {
        let mut state = self.0.state.lock();
        state.buffer = Some(Vec::new());
        state.buffered_bytes = 0;
        drop(state);
        let (log, number) = (self.clone(), self.0.connection.number());
        tokio::spawn(async move { log.0.prepare(number).await });
    }

    pub(crate) fn disconnected(&self) {
        let mut state = self.0.state.lock();
        state.appends_on = None;
        state.buffer = None;
        drop(state);
        self.0.ready.down(Instant::now(), "no connection");
    }

    /// Delivers waiting events without positions, because there has been no connection for too long.
    pub(crate) fn give_up(&self) {
        let mut state = self.0.state.lock();
        state.gave_up = true;
        let pending = state.pending.take_all();
        drop(state);
        drop(pending);
    }

    pub(crate) fn tick(&self, now: Instant) {
        let mut state = self.0.state.lock();
        if state.buffer.is_some() {
            return;
        }
        let late = |_, at| now.saturating_duration_since(at) >= COMES_BACK_WITHIN;
        let (stored, epoch) = (state.pending.take_stored(late), state.epoch);
        drop(state);
        deliver(stored, epoch);
    }

    pub(crate) async fn close(&self) {
        self.give_up();
    }

    /// Handles the acknowledgement of an event that this node appended.
    pub(crate) fn acknowledged(&self, message: &Incoming) {
        let token = message.subject.rsplit('.').next().unwrap_or_default();
        let number = token.get(1..).and_then(|token| token.strip_prefix(REPLY));
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            return;
        };
        let stored: Result<Stored, ApiError> = match message.status() {
            Some(_) => Err(crate::connection::RequestError::NoResponders.into()),
            None => api::read(&message.payload),
        };
        let mut state = self.0.state.lock();
        let error = match stored {
            Ok(Stored { seq }) => {
                state.failure = None;
                let Some(entry) = state.pending.get_mut(number) else {
                    return;
                };
                entry.stored = Some((seq, Instant::now()));
                // The log sends it back if its subject is subscribed here. Otherwise it has no recipients here: earlier
                // events in the log may still be in flight, so its position must not be used.
                if !self.0.connection.is_subscribed(&entry.subject) {
                    let entry = state.pending.remove(number);
                    drop(state);
                    entry.into_iter().for_each(|entry| entry.delivery.discard());
                }
                return;
            }
            Err(error) => error,
        };
        let failure = error.to_string();
        if state.failure.as_ref() != Some(&failure) {
            tracing::warn!(target: log_target::CLUSTER, %error, "an event is not in the log");
            state.failure = Some(failure);
        }
        let entry = state.pending.remove(number);
        drop(state);
        drop(entry);
    }

    /// Handles a message if it is one of the log; returns whether it is.
    pub(crate) fn receives(&self, message: &Incoming, payload: &Bytes) -> bool {
        let Some(mut received) = Received::of(message) else {
            return false;
        };
        received.payload = payload.clone();
        let mut state = self.0.state.lock();
        if state.buffer.is_none() {
            drop(state);
            self.0.receive(received);
            return true;
        }
        state.buffered_bytes += received.payload.len();
        if state.buffered_bytes > MAX_BUFFERED_BYTES {
            state.failure = Some("too many events while older ones are read".to_owned());
        } else if let Some(buffer) = &mut state.buffer {
            buffer.push(received);
        }
        true
    }
}

impl Inner {
    /// Delivers an event of the log, after those of this node that precede it and were not sent back.
    fn receive(&self, received: Received) {
        let Received {
            sequence,
            id,
            payload,
        } = received;
        let mut state = self.state.lock();
        let own = id.and_then(|id| {
            let number = id.strip_prefix(&self.node)?.strip_prefix('-')?;
            state.pending.remove(number.parse().ok()?)
        });
        let stored = state.pending.take_stored(|before, _| before < sequence);
        let (is_new, epoch) = (sequence > state.last, state.epoch);
        state.last = state.last.max(sequence);
        let position = position(epoch, sequence);
        drop(state);
        deliver(stored, epoch);
        if let Some(own) = own {
            return own.delivery.deliver(&position);
        }
        match self.read(&payload) {
            Some((from, namespace, broadcast)) if is_new && from != self.node => {
                if let Some(cluster) = self.cluster.get() {
                    cluster.receive_logged(&namespace, broadcast, &position);
                }
            }
            _ => {}
        }
    }

    /// Reads the sender, the namespace and the broadcast of a message.
    pub(super) fn read(&self, payload: &Bytes) -> Option<(String, String, Broadcast)> {
        let envelope = Envelope::read(payload).ok()?;
        let namespace = envelope.namespace()?.to_owned();
        match envelope.decode() {
            Ok(AdapterMessage::Message(ClusterMessage::Broadcast(broadcast))) => {
                Some((envelope.uid().to_owned(), namespace, broadcast))
            }
            _ => {
                tracing::debug!(target: log_target::CLUSTER, "a message of the log is no broadcast");
                None
            }
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.connection.is_up() && self.connection.number() == number
    }

    /// Prepares the stream, reads missed events, and appends waiting ones, on one connection.
    async fn prepare(&self, number: u64) {
        while self.is_current(number) {
            match self.catch_up(number).await {
                Ok(()) => return,
                Err(error) => {
                    let failure = error.to_string();
                    let mut state = self.state.lock();
                    if state.failure.as_ref() != Some(&failure) {
                        tracing::warn!(target: log_target::CLUSTER, %error, "the log cannot be used, trying again");
                        state.failure = Some(failure);
                    }
                    // Without a log, events are delivered without positions.
                    state.gave_up = true;
                    let pending = state.pending.take_all();
                    drop(state);
                    drop(pending);
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn catch_up(&self, number: u64) -> Result<(), ApiError> {
        let StreamInfo {
            created,
            state: stream,
        } = self.api.ensure(&self.config).await?;
        let epoch = epoch(&created);
        let first = {
            let mut state = self.state.lock();
            let known = state.epoch;
            if known != epoch {
                if known > 0 {
                    tracing::warn!(target: log_target::CLUSTER, "the log is a new one: what the old one had is lost");
                }
                (state.epoch, state.last) = (epoch, stream.last_seq);
            }
            state.last + 1
        };
        let oldest = stream
            .last_seq
            .saturating_sub(MAX_CAUGHT_UP)
            .max(stream.first_seq);
        if first < oldest {
            let events = oldest - first;
            tracing::warn!(target: log_target::CLUSTER, events, "events are no longer in the log");
        }
        let subject = self.subjects.under("log");
        let mut next = first.max(oldest);
        while next <= stream.last_seq {
            let Some((sequence, message)) =
                self.api.next(&self.config.name, &subject, next).await?
            else {
                break;
            };
            if !self.is_current(number) {
                return Ok(());
            }
            if let Some(received) = Received::of(&message) {
                self.receive(received);
            }
            next = sequence + 1;
        }
        if let Some(cluster) = self.cluster.get() {
            let position = position(epoch, self.state.lock().last);
            for namespace in cluster.namespaces() {
                cluster.reads_from(&namespace, &position);
            }
        }
        loop {
            let mut state = self.state.lock();
            if !self.is_current(number) {
                return Ok(());
            }
            let buffered = state
                .buffer
                .as_mut()
                .map(std::mem::take)
                .unwrap_or_default();
            if !buffered.is_empty() {
                state.buffered_bytes = 0;
                drop(state);
                buffered
                    .into_iter()
                    .for_each(|received| self.receive(received));
                continue;
            }
            state.buffer = None;
            state.appends_on = Some(number);
            state.gave_up = false;
            state.failure = None;
            for frame in state.pending.unstored() {
                // Messages that do not fit into the queue are sent on the next connection, or given up.
                self.connection.publish_on(number, frame.clone());
            }
            drop(state);
            self.ready.set(Health::Up);
            return Ok(());
        }
    }

    fn append(
        &self,
        namespace: &str,
        broadcast: Broadcast,
        delivery: PendingDelivery,
    ) -> PublishOutcome {
        let subject = self
            .subjects
            .recipients(namespace, &broadcast.options.rooms);
        let message = AdapterMessage::from(broadcast).encode(&self.node, Some(namespace));
        let payload = message.as_bytes();
        if payload.len() + HEADER_BYTES > self.connection.max_payload() {
            let (bytes, limit) = (payload.len(), self.connection.max_payload());
            tracing::error!(target: log_target::CLUSTER, bytes, limit, "an event is too long for the log");
            delivery.discard();
            return PublishOutcome::Full;
        }
        let mut state = self.state.lock();
        if state.gave_up || !self.connection.accepts() {
            let pending = state.pending.take_all();
            drop(state);
            drop((pending, delivery));
            return PublishOutcome::Down;
        }
        let number = state.pending.next_number();
        let reply = self.connection.handler_inbox(&format!("{REPLY}{number}"));
        let id = format!("{}-{number}", self.node);
        let logged = self.subjects.logged(&subject);
        let frame = protocol::publish(&logged, Some(&reply), &[(MESSAGE_ID, &id)], payload);
        if let Some(connection) = state.appends_on {
            let outcome = self.connection.publish_on(connection, frame.clone());
            if outcome == PublishOutcome::Full {
                drop(state);
                delivery.discard();
                return outcome;
            }
        }
        let stored = None;
        state.pending.insert(
            number,
            Entry {
                delivery,
                frame,
                subject,
                stored,
            },
        );
        PublishOutcome::Queued
    }
}

impl EventLog for Log {
    fn append(
        &self,
        namespace: &str,
        broadcast: Broadcast,
        delivery: PendingDelivery,
    ) -> PublishOutcome {
        self.0.append(namespace, broadcast, delivery)
    }

    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        request: MissedEventsRequest,
    ) -> BoxFuture<'a, Result<Vec<LoggedEvent>, MissedEventsError>> {
        Box::pin(replay::missed(&self.0, namespace, request))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("stream", &self.0.config.name)
            .finish_non_exhaustive()
    }
}

/// Delivers events of this node with their positions.
fn deliver(stored: Vec<(u64, PendingDelivery)>, epoch: u64) {
    for (sequence, delivery) in stored {
        delivery.deliver(&position(epoch, sequence));
    }
}
