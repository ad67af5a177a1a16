//! Recovery through the log and the session store of an adapter.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_engine::EncodedMessage;
use fanfare_protocol::socket::EncodeError;
use fanfare_protocol::{EncodedEvent, Escaped};
use parking_lot::{Mutex, MutexGuard};

use super::state::{RecoveryState, Restored};
use super::store::{Attempt, Lost, is_recoverable, supersede};
use super::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
use crate::adapter::{
    ClusterInner, LogPosition, MissedEventsError, MissedEventsRequest, REQUEST_TIMEOUT, SessionData,
};
use crate::broadcast::{BroadcastOperator, BroadcastReport};
use crate::clock;
use crate::disconnect_reason::DisconnectReason;
use crate::encode;
use crate::id::SocketId;
use crate::log_target;
use crate::namespace::NamespaceInner;
use crate::socket::Socket;

/// Time within which a session that was stored can be taken from the store.
const RECENT: Duration = Duration::from_secs(5);
/// Maximum number of sessions that were stored within that time and are remembered.
const MAX_RECENT: usize = 4096;

/// Recovery of the clients of one namespace.
pub(crate) struct ClusterRecovery {
    settings: ConnectionStateRecovery,
    cluster: Arc<ClusterInner>,
    max_replay_bytes: usize,
    state: Mutex<ClusterState>,
}

/// State under one lock, which is acquired before that of the rooms, so that what is delivered agrees with what is sent
/// again.
#[derive(Default)]
pub(crate) struct ClusterState {
    /// Position of the last event that was delivered on this node.
    last: Option<LogPosition>,
    live: HashMap<Box<str>, Socket>,
    /// Events that are delivered while the missed ones of a client are looked up.
    buffers: HashMap<SocketId, Buffer>,
    /// Sessions that were stored a moment ago, oldest first.
    recent: VecDeque<(Instant, Box<str>)>,
    /// Sockets that received, as missed events, some that are still to be delivered on this node: up to this position.
    ahead: HashMap<SocketId, LogPosition>,
}

impl ClusterState {
    /// Records a position, unless a later one is known.
    fn advance(&mut self, position: &LogPosition) {
        if self.last.as_ref().is_none_or(|last| last < position) {
            self.last = Some(position.clone());
        }
    }
}

/// Events for a socket that is not connected yet.
struct Buffer {
    rooms: HashSet<String>,
    events: Vec<(LogPosition, EncodedMessage)>,
    bytes: usize,
    max_bytes: usize,
}

impl Buffer {
    fn push(&mut self, position: &LogPosition, message: &EncodedMessage) {
        self.bytes = self.bytes.saturating_add(message.len());
        match self.bytes > self.max_bytes {
            true => self.events = Vec::new(), // the client has missed too much
            false => self.events.push((position.clone(), message.clone())),
        }
    }
}

/// A session that was taken from the adapter, for one connection.
pub(crate) struct ClusterClaim {
    id: SocketId,
    session: SessionData,
    /// Position of the last event that the client received, or at which its session began.
    after: String,
    /// Missed events in the order of the log, once they have been looked up.
    missed: Option<Vec<(LogPosition, EncodedMessage)>>,
}

impl ClusterClaim {
    pub(super) fn awaits_replay(&self) -> bool {
        self.missed.is_none()
    }

    pub(super) fn restored(&self) -> Restored {
        let rooms = self.session.rooms.iter();
        Restored {
            id: self.id.clone(),
            data: self.session.data.clone(),
            extensions: None,
            rooms: rooms
                .filter(|room| room.as_str() != &*self.id)
                .cloned()
                .collect(),
        }
    }
}

/// Part of the session of a connected socket.
pub(super) struct ClusterMember {
    private_id: Box<str>,
    position: Option<String>,
}

impl ClusterRecovery {
    pub(crate) fn new(
        settings: ConnectionStateRecovery,
        cluster: Arc<ClusterInner>,
        max_replay_bytes: usize,
    ) -> Self {
        Self {
            settings,
            cluster,
            max_replay_bytes,
            state: Mutex::default(),
        }
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.settings.skip_middlewares
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ClusterState> {
        self.state.lock()
    }

    /// Records the position from which the adapter reads.
    pub(crate) fn reads_from(&self, position: &LogPosition) {
        self.state.lock().advance(position);
    }

    /// Sends an event to the clients of this node. An event without a position gets that of the last one that had one:
    /// a client that receives it has received all that were sent before.
    pub(crate) fn deliver(
        &self,
        operator: &BroadcastOperator,
        event: &EncodedEvent,
        position: Option<&LogPosition>,
    ) -> Result<BroadcastReport, EncodeError> {
        let NamespaceInner { name, codec, .. } = operator.namespace();
        let state = &mut *self.state.lock();
        if let Some(position) = position {
            state.advance(position);
        }
        let last = state.last.as_ref().map(LogPosition::text);
        let message = encode::packet(codec, name, None, event, last)?;
        let Some(position) = position else {
            return Ok(operator.deliver(&message));
        };
        for (id, buffer) in &mut state.buffers {
            if operator.concerns(id, |room| buffer.rooms.contains(room)) {
                buffer.push(position, &message);
            }
        }
        if state.ahead.is_empty() {
            return Ok(operator.deliver(&message));
        }
        let has_it = |socket: &Socket| {
            let ahead = state.ahead.get(&socket.0.id);
            ahead.is_some_and(|ahead| position <= ahead)
        };
        let report = operator.deliver_except(&message, has_it);
        state.ahead.retain(|_, ahead| *ahead > *position);
        Ok(report)
    }

    /// Takes the session that a client asks for out of the adapter's store. A socket of this node that still uses it is
    /// disconnected first.
    pub(crate) async fn claim(
        &self,
        namespace: &Arc<NamespaceInner>,
        attempt: &Attempt,
    ) -> Result<ClusterClaim, RecoveryFailure> {
        loop {
            let live = self.state.lock().live.get(attempt.pid()).cloned();
            match live {
                Some(live) => supersede(&live),
                None => break,
            }
        }
        let taken = self.cluster.adapter.take(&namespace.name, attempt.pid());
        let session = match tokio::time::timeout(REQUEST_TIMEOUT, taken).await {
            Ok(Ok(Some(session))) => session,
            // The server that has the client may not have noticed that it is gone.
            Ok(Ok(None)) => super::peers::release(namespace, attempt.pid())
                .await
                .ok_or(RecoveryFailure::SessionGone)?,
            Ok(Err(error)) => {
                let namespace = Escaped(&namespace.name);
                tracing::debug!(target: log_target::RECOVERY, %namespace, error = %Escaped(&error), "session not taken");
                return Err(RecoveryFailure::Unreachable);
            }
            Err(_) => return Err(RecoveryFailure::Unreachable),
        };
        let id = SocketId::of_session(&session.id).ok_or(RecoveryFailure::SessionGone)?;
        let offset = attempt.offset().filter(|offset| !offset.is_empty());
        let after = offset
            .map(str::to_owned)
            .or_else(|| session.position.clone());
        Ok(ClusterClaim {
            id,
            after: after.ok_or(RecoveryFailure::UnknownOffset)?,
            session,
            missed: None,
        })
    }

    /// Takes the session of a client that has come back to another server: if a socket still uses it, that is
    /// disconnected, which stores the session. `None` if this server has not had it.
    pub(super) async fn release(&self, namespace: &str, pid: &str) -> Option<SessionData> {
        let mut had = false;
        loop {
            let live = {
                let state = self.state.lock();
                had |= state.recent.iter().any(|(_, recent)| **recent == *pid);
                state.live.get(pid).cloned()
            };
            let Some(live) = live else {
                break;
            };
            had = true;
            supersede(&live);
        }
        if !had {
            return None;
        }
        // Behind the message that stores it.
        let taken = self.cluster.adapter.take(namespace, pid);
        let taken = tokio::time::timeout(REQUEST_TIMEOUT, taken).await;
        taken.ok()?.ok()?
    }

    /// Looks up the events that the client of a socket missed, once its middlewares have passed. Events that are
    /// delivered on this node meanwhile are buffered. `rooms` are those that it has joined.
    pub(crate) async fn look_up(
        &self,
        socket: &Socket,
        rooms: Vec<String>,
    ) -> Result<(), RecoveryFailure> {
        let after = {
            let Some(part) = socket.part() else {
                return Ok(());
            };
            let mut part = part.lock();
            let Some(claim) = &mut part.cluster_claim else {
                return Ok(());
            };
            let left = |room: &String| !rooms.contains(room);
            claim.session.rooms.retain(|room| !left(room));
            claim.after.clone()
        };
        let id = socket.id();
        let buffer = Buffer {
            rooms: rooms.iter().cloned().collect(),
            events: Vec::new(),
            bytes: 0,
            max_bytes: self.max_replay_bytes,
        };
        self.state.lock().buffers.insert(id.clone(), buffer);
        let namespace = &*socket.0.namespace;
        let request = MissedEventsRequest::new(after, rooms, self.max_replay_bytes);
        let missed = self.cluster.adapter.missed(&namespace.name, request);
        let missed = match tokio::time::timeout(REQUEST_TIMEOUT, missed).await {
            Ok(missed) => missed.map_err(|error| failure(socket, &error))?,
            Err(_) => return Err(RecoveryFailure::Unreachable),
        };
        let mut bytes = 0;
        let mut packets = Vec::with_capacity(missed.len());
        for logged in missed {
            let text = Some(logged.position.text());
            let NamespaceInner { name, codec, .. } = namespace;
            let packet = encode::packet(codec, name, None, &logged.event, text);
            let packet = packet.map_err(|_| RecoveryFailure::EventsGone)?;
            bytes += packet.len();
            if bytes > self.max_replay_bytes {
                return Err(RecoveryFailure::TooMuchMissed);
            }
            packets.push((logged.position, packet));
        }
        if let Some(part) = socket.part()
            && let Some(claim) = &mut part.lock().cluster_claim
        {
            claim.missed = Some(packets);
        }
        Ok(())
    }

    /// Connects a socket before the client is told: returns its private id and the events that it missed.
    ///
    /// # Errors
    /// If the client missed too much while its events were looked up: then nothing has changed.
    pub(crate) fn admit(
        &self,
        state: &mut ClusterState,
        socket: &Socket,
        part: &mut RecoveryState,
    ) -> Result<(Box<str>, Vec<EncodedMessage>), Lost> {
        let id = socket.id();
        let buffer = state.buffers.remove(&id);
        let mut missed = Vec::new();
        let member = match part.cluster_claim.take() {
            None => ClusterMember {
                private_id: SocketId::random().as_str().into(),
                position: state.last.as_ref().map(|last| last.text().to_owned()),
            },
            Some(claim) => {
                let mut events = claim.missed.unwrap_or_default();
                let read_to = events.last().map(|(position, _)| position.clone());
                if let Some(buffer) = buffer {
                    if buffer.bytes > buffer.max_bytes {
                        part.fail(RecoveryFailure::TooMuchMissed);
                        return Err(RecoveryFailure::TooMuchMissed.into());
                    }
                    let newer = buffer.events.into_iter();
                    events
                        .extend(newer.filter(|(at, _)| read_to.as_ref().is_none_or(|to| at > to)));
                }
                if let Some(read_to) = read_to
                    && state.last.as_ref().is_none_or(|last| *last < read_to)
                {
                    state.ahead.insert(id.clone(), read_to);
                }
                missed.extend(events.into_iter().map(|(_, message)| message));
                let count = missed.len();
                part.outcome = RecoveryOutcome::Recovered { missed: count };
                tracing::debug!(target: log_target::RECOVERY, socket = %id, missed = count, "connection recovered");
                ClusterMember {
                    private_id: claim.session.private_id.into(),
                    position: claim.session.position,
                }
            }
        };
        super::report(socket, part.outcome);
        let private_id = member.private_id.clone();
        state.live.insert(private_id.clone(), socket.clone());
        part.cluster_member = Some(member);
        Ok((private_id, missed))
    }

    /// Removes a socket; `reason` is `None` if it was never connected, and `rooms` are those that it was in. Returns the
    /// session that is to be stored once no lock is held.
    pub(crate) fn depart(
        state: &mut ClusterState,
        socket: &Socket,
        part: &mut RecoveryState,
        reason: Option<DisconnectReason>,
        rooms: Vec<String>,
    ) -> Option<SessionData> {
        let id = socket.id();
        state.buffers.remove(&id);
        state.ahead.remove(&id);
        if let Some(claim) = part.cluster_claim.take() {
            // Rejected, or disconnected before it was admitted: it may try again.
            return Some(claim.session);
        }
        let member = part.cluster_member.take()?;
        state.live.remove(&member.private_id);
        if !reason.is_some_and(is_recoverable) {
            return None;
        }
        let (data, _) = socket.state();
        let now = clock::now();
        let is_old = |(at, _): &(Instant, Box<str>)| now.saturating_duration_since(*at) > RECENT;
        while state.recent.len() >= MAX_RECENT || state.recent.front().is_some_and(is_old) {
            state.recent.pop_front();
        }
        state.recent.push_back((now, member.private_id.clone()));
        let session = SessionData::new(member.private_id, id.as_str());
        Some(session.rooms(rooms).data(data).position(member.position))
    }

    /// Stores a session.
    pub(crate) fn store(&self, namespace: &str, session: SessionData) {
        let lifetime = self.settings.max_disconnection_duration;
        self.cluster.store(namespace, session, lifetime);
    }

    /// Forgets the session of a socket that cannot be recovered.
    pub(crate) fn give_up(&self, socket: &Socket, failure: RecoveryFailure) {
        self.state.lock().buffers.remove(&socket.id());
        if let Some(part) = socket.part() {
            let mut part = part.lock();
            part.cluster_claim = None;
            part.fail(failure);
        }
    }
}

fn failure(socket: &Socket, error: &MissedEventsError) -> RecoveryFailure {
    tracing::debug!(target: log_target::RECOVERY, socket = %socket.id(), error = %Escaped(error), "cannot recover");
    match error {
        MissedEventsError::UnknownPosition => RecoveryFailure::UnknownOffset,
        MissedEventsError::Truncated => RecoveryFailure::EventsGone,
        MissedEventsError::TooMany => RecoveryFailure::TooMuchMissed,
        MissedEventsError::Adapter(_) => RecoveryFailure::Unreachable,
    }
}

impl fmt::Debug for ClusterRecovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterRecovery")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
