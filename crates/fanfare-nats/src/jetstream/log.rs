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
    BoxFuture, Broadcast, ClusterHandle, ClusterMessage, EventLog, LoggedEvent, MissedEventsError,
    MissedEventsRequest, PendingDelivery, PublishOutcome,
};
use fanfare_cluster::HealthState;
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use parking_lot::Mutex;

use super::JetStream;
use super::api::{self, Api, ApiError, Stored, StreamConfig};
use super::pending::{Entry, Pending};
use super::position::{MESSAGE_ID, Received, position};
use super::replay;
use crate::connection::Connection;
use crate::log_target;
use crate::protocol::{self, Incoming};
use crate::subject::{Subjects, stream_name};

/// Number of bytes of a message that are reserved for headers.
const HEADER_BYTES: usize = 512;
/// First letter of the last token of the reply subjects of appended events.
const REPLY: char = 'l';
/// Time after which a stored event is delivered even if the log has not sent it back.
const COMES_BACK_WITHIN: Duration = Duration::from_secs(1);
/// Time after which an event is appended again if it was not acknowledged, as when the leader of the stream has died.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(2);
/// Maximum number of bytes of the messages that wait while older ones are read.
const MAX_BUFFERED_BYTES: usize = 64 << 20;
/// Log of a cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Log(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) api: Api,
    pub(super) connection: Connection,
    pub(super) subjects: Subjects,
    pub(super) config: StreamConfig,
    node: String,
    pub(super) cluster: OnceLock<ClusterHandle>,
    pub(super) state: Mutex<State>,
    /// Whether events can be appended.
    pub(super) ready: HealthState,
}

/// Progress of the log.
#[derive(Default)]
pub(super) struct State {
    /// Identity of the stream: a new stream, as after a loss, starts with new positions.
    pub(super) epoch: u64,
    /// Sequence of the last event that was delivered.
    pub(super) last: u64,
    pub(super) pending: Pending,
    /// Number of the connection on which events are appended.
    pub(super) appends_on: Option<u64>,
    /// Messages that arrived while older ones are read.
    pub(super) buffer: Option<Vec<Received>>,
    pub(super) buffered_bytes: usize,
    /// Whether there has been no connection, or no stream, for longer than events are queued.
    pub(super) gave_up: bool,
    pub(super) failure: Option<String>,
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
        self.prepare();
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
        let outage = self.0.connection.max_outage();
        let expired = state
            .pending
            .take_expired(now, outage.max(ACKNOWLEDGED_WITHIN));
        if !expired.is_empty() {
            state.failure = Some("JetStream does not acknowledge events".to_owned());
        }
        let overdue = state.pending.is_overdue(now, ACKNOWLEDGED_WITHIN);
        drop(state);
        deliver(stored, epoch);
        drop(expired);
        if overdue {
            self.restart();
        }
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
        if error.is_temporary() && state.pending.get_mut(number).is_some() {
            drop(state);
            return self.restart();
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
    pub(super) fn receive(&self, received: Received) {
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
        let (stored, now) = (None, Instant::now());
        state.pending.insert(
            number,
            Entry {
                delivery,
                frame,
                subject,
                appended: now,
                sent: now,
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
