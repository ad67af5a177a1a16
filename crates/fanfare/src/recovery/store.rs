//! Log and sessions of a namespace.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fanfare_engine::{CloseMode, EncodedMessage};
use fanfare_protocol::engine::CloseReason;
use fanfare_protocol::recovery::{Log, LogLimits, Memberships, Offset};
use fanfare_protocol::socket::EncodeError;
use fanfare_protocol::{EncodedEvent, Limits, deadline};
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::Value;

use super::budget::{Budget, Charge};
use super::logged::{Keep, LoggedPacket, Numbers, Unpublished};
use super::peers::Ahead;
use super::state::{Claim, Kept, Member, RecoveryState, Session};
use super::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
use crate::clock;
use crate::codec::Codec;
use crate::disconnect_reason::DisconnectReason;
use crate::encode;
use crate::id::SocketId;
use crate::limits::Owner;
use crate::log_target;
use crate::namespace::{NamespaceInner, RoomHold};
use crate::socket::{EarlyRooms, Socket};

/// Request of a client to resume its session.
#[derive(Deserialize)]
pub(crate) struct Attempt {
    pid: Value,
    #[serde(default)]
    offset: Value,
}

impl Attempt {
    pub(crate) fn parse(payload: Option<&str>) -> Option<Self> {
        let payload = payload.filter(|payload| payload.contains("\"pid\""))?;
        let attempt: Self = serde_json::from_str(payload).ok()?;
        attempt.pid.is_string().then_some(attempt)
    }

    pub(super) fn pid(&self) -> &str {
        self.pid.as_str().unwrap_or_default()
    }

    /// Returns the position of the last event that the client received, if it knows one.
    pub(super) fn offset(&self) -> Option<&str> {
        self.offset.as_str()
    }
}

/// Log of one namespace, and its part of the sessions of the server.
pub(crate) struct Recovery {
    settings: ConnectionStateRecovery,
    pub(super) budget: Arc<Budget>,
    /// Number of sessions of this namespace.
    sessions: Arc<AtomicUsize>,
    pub(super) max_replay: usize,
    /// Time within which heartbeats detect that a client is gone.
    pub(super) heartbeat: Duration,
    pub(super) epoch: Arc<str>,
    /// Number of the next event for other servers, if there are any.
    pub(super) numbers: Option<Numbers>,
    state: Arc<Mutex<State>>,
    sweeping: AtomicBool,
}

/// State under one lock, which is acquired before that of the rooms, so that sent events, memberships and the log
/// agree. No code of the application runs under it, except that of a custom parser, which must not emit.
pub(crate) struct State {
    pub(super) log: Log<LoggedPacket>,
    charge: Charge,
    this: Weak<Mutex<State>>,
    pub(super) live: HashMap<Box<str>, Socket>,
    pub(super) ahead: Ahead,
}

impl State {
    /// Updates the budget after the log has changed. Returns `true` if the budget is exceeded.
    pub(super) fn settle(&mut self) -> bool {
        self.charge.set(self.log.bytes(), &self.this)
    }

    /// Drops the oldest packets, about this many bytes; returns `false` if there are none.
    pub(super) fn give_up(&mut self, bytes: usize) -> bool {
        let before = self.log.bytes();
        self.log.shrink_to(before.saturating_sub(bytes.max(1)));
        self.settle();
        self.log.bytes() < before
    }
}

/// Reason for which a socket cannot resume the session that it claimed. Holds values of the application.
pub(crate) struct Lost {
    pub(crate) failure: RecoveryFailure,
    _claim: Option<Box<Claim>>,
}

impl From<RecoveryFailure> for Lost {
    fn from(failure: RecoveryFailure) -> Self {
        Self {
            failure,
            _claim: None,
        }
    }
}

impl Recovery {
    /// Creates the log of a namespace; `client` is the owner that created the namespace, if it was a client. `has_peers`:
    /// whether other servers may ask for sessions.
    pub(crate) fn new(
        settings: ConnectionStateRecovery,
        heartbeat: Duration,
        limits: &Limits,
        budget: &Arc<Budget>,
        client: Option<Owner>,
        has_peers: bool,
    ) -> Self {
        let log = LogLimits {
            bytes: limits.recovery_bytes,
            age: settings
                .max_disconnection_duration
                .saturating_add(heartbeat),
        };
        let charge = budget.open(client);
        Self {
            settings,
            budget: budget.clone(),
            sessions: Arc::default(),
            max_replay: limits.recovery_replay_bytes,
            heartbeat,
            epoch: SocketId::random()[..8].into(),
            numbers: has_peers.then(Numbers::new),
            state: Arc::new_cyclic(|this| {
                Mutex::new(State {
                    log: Log::new(log),
                    charge,
                    this: this.clone(),
                    live: HashMap::new(),
                    ahead: Ahead::default(),
                })
            }),
            sweeping: AtomicBool::new(false),
        }
    }

    /// Whether sessions are exchanged with other servers.
    pub(crate) fn has_peers(&self) -> bool {
        self.numbers.is_some()
    }

    /// Numbers an event that other servers receive as well; it counts as unpublished until the value is dropped.
    pub(crate) fn number(&self) -> Option<Unpublished<'_>> {
        self.numbers.as_ref().map(Numbers::next)
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.settings.skip_middlewares
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Counts the packets of a namespace that a client created for another owner.
    pub(crate) fn hand_over(&self, owner: Owner) {
        let State { charge, this, .. } = &mut *self.state.lock();
        charge.hand_over(owner, this);
    }

    /// Whether there are sessions that may be resumed.
    pub(crate) fn has_sessions(&self) -> bool {
        self.sessions.load(Ordering::Acquire) > 0
    }

    /// Sends an event by `send`, with its offset, and keeps it for clients that miss it. An event that is not kept has
    /// the offset of the last one that was: a client that gets it has got all that were sent before.
    ///
    /// The arguments are serialized already, so that no `Serialize` of the application runs under the lock. `send` gets
    /// the ids of sockets that have received the event before, from another server.
    pub(crate) fn emit<R>(
        &self,
        (codec, namespace): (&Codec, &str),
        event: &EncodedEvent,
        keep: Keep<'_>,
        send: impl FnOnce(&EncodedMessage, &[SocketId]) -> R,
    ) -> Result<R, EncodeError> {
        let packet = |position| {
            let offset = Offset::text(&self.epoch, position);
            encode::packet(codec, namespace, None, event, Some(&offset))
        };
        let mut state = self.state.lock();
        let last = state.log.position();
        let mut exceeded = false;
        let sent = match keep {
            Keep::No => send(&packet(last)?, &[]),
            Keep::For(rooms, except, identity) => {
                let message = packet(last + 1)?;
                let now = clock::now();
                let had = state.ahead.take(identity, now);
                let logged = LoggedPacket {
                    message: message.clone(),
                    event: self.has_peers().then(|| event.clone()),
                    identity,
                };
                let size = logged.size();
                if had.is_empty() {
                    state.log.push(now, rooms, except, size, logged);
                } else {
                    let except = except.iter().copied();
                    let except: Vec<&str> =
                        except.chain(had.iter().map(SocketId::as_str)).collect();
                    state.log.push(now, rooms, &except, size, logged);
                }
                if let Some(numbers) = &self.numbers {
                    numbers.logged(last + 1);
                }
                exceeded = state.settle();
                send(&message, &had)
            }
        };
        drop(state);
        if exceeded {
            self.budget.reclaim();
        }
        Ok(sent)
    }

    /// Takes out the session that a client asks for; a socket that still uses it is disconnected.
    pub(crate) fn claim(&self, attempt: &Attempt) -> Result<Claim, RecoveryFailure> {
        let pid = attempt.pid();
        let state = self.lock_after(pid);
        let taken = self.take(pid);
        let (session, expires) = taken.ok_or_else(|| {
            let epoch = pid.split_once('.').map(|(epoch, _)| epoch);
            match epoch == Some(&*self.epoch) {
                true => RecoveryFailure::SessionGone,
                false => RecoveryFailure::OtherServer,
            }
        })?;
        let claim = Claim {
            session,
            expires,
            offset: attempt.offset().map(str::to_owned),
        };
        // Checked here already, so that no socket adopts any state of a session that cannot be recovered.
        let found = match claim.expires > clock::now() {
            true => self.missed(&state.log, &claim).map(drop),
            false => Err(RecoveryFailure::SessionGone),
        };
        drop(state); // before the claim, which holds values of the application
        found.map(|()| claim)
    }

    /// Locks the state once no socket uses a session any longer: one that does is disconnected.
    pub(super) fn lock_after(&self, pid: &str) -> MutexGuard<'_, State> {
        let mut state = self.state.lock();
        while let Some(live) = state.live.get(pid).cloned() {
            drop(state);
            supersede(&live);
            state = self.state.lock();
        }
        state
    }

    /// Removes a session of this namespace.
    pub(super) fn take(&self, pid: &str) -> Option<(Session, Instant)> {
        let mut sessions = self.budget.sessions.lock();
        let (session, _) = sessions.get_mut(pid)?;
        let own = session.epoch == self.epoch;
        if own { sessions.take(pid) } else { None }
    }

    /// Connects a socket before the client is told: returns its private id and the events that it missed. `rooms` are
    /// those that it has joined, including those of its session unless a middleware made it leave them.
    ///
    /// # Errors
    /// If events that it missed have been evicted meanwhile: then nothing has changed.
    pub(crate) fn admit(
        &self,
        state: &mut State,
        socket: &Socket,
        part: &mut RecoveryState,
        rooms: &EarlyRooms,
    ) -> Result<(Box<str>, Vec<EncodedMessage>), Lost> {
        if let Some(claim) = part.peer_claim.take() {
            return self.admit_from_peer(state, socket, part, rooms, claim);
        }
        let now = state.log.position();
        let mut resumed = None;
        if let Some(claim) = &mut part.claim {
            claim.session.keep_rooms(rooms);
            match self.missed(&state.log, claim) {
                Ok(missed) => resumed = Some(missed),
                Err(failure) => {
                    let _claim = part.lost(failure).map(Box::new);
                    return Err(Lost { failure, _claim });
                }
            }
        }
        let resumed = part.claim.take().zip(resumed);
        let (mut member, missed) = match resumed {
            Some((Claim { mut session, .. }, missed)) => {
                part.put_hold(session.hold.take());
                let count = missed.len();
                part.outcome = RecoveryOutcome::Recovered { missed: count };
                tracing::debug!(target: log_target::RECOVERY, socket = %socket.id(), missed = count, "connection recovered");
                let member = Member {
                    pid: session.pid,
                    start: session.start,
                    memberships: session.memberships,
                };
                (member, missed)
            }
            None => {
                let member = Member {
                    pid: format!("{}.{}", self.epoch, SocketId::random()).into(),
                    start: now,
                    memberships: Memberships::default(),
                };
                (member, Vec::new())
            }
        };
        let pid = Self::enter(state, socket, part, rooms, &mut member);
        part.member = Some(member);
        Ok((pid, missed))
    }

    /// Adds a socket to those that are connected, with the rooms that it has joined.
    pub(super) fn enter(
        state: &mut State,
        socket: &Socket,
        part: &RecoveryState,
        rooms: &EarlyRooms,
        member: &mut Member,
    ) -> Box<str> {
        super::report(socket, part.outcome);
        let now = state.log.position();
        member.memberships.join(&socket.id(), now);
        rooms
            .iter()
            .for_each(|room| member.memberships.join(room, now));
        let pid = member.pid.clone();
        state.live.insert(pid.clone(), socket.clone());
        pid
    }

    /// Removes a socket; `reason` is `None` if it was never connected. `hold`: the rooms of a client that may come back.
    /// Returns the evicted sessions, to be dropped while no lock is held.
    pub(crate) fn depart(
        &self,
        state: &mut State,
        socket: &Socket,
        part: &mut RecoveryState,
        reason: Option<DisconnectReason>,
        hold: &mut Option<RoomHold>,
    ) -> Vec<Session> {
        if let Some(Claim {
            session, expires, ..
        }) = part.claim.take()
        {
            // Rejected, or disconnected before it was admitted: it may try again.
            return self.store(session, expires);
        }
        let Some(member) = part.member.take() else {
            return Vec::new();
        };
        state.live.remove(&member.pid);
        if !reason.is_some_and(is_recoverable) {
            return Vec::new();
        }
        let (data, extensions) = socket.state();
        let session = Session {
            id: socket.id(),
            pid: member.pid,
            start: member.start,
            memberships: member.memberships,
            data,
            extensions,
            left: state.log.position(),
            left_at: clock::now(),
            owner: socket.owner(),
            epoch: self.epoch.clone(),
            lent: None,
            hold: hold.take(),
            _kept: Kept::new(&self.sessions),
        };
        let expires = deadline(session.left_at, self.settings.max_disconnection_duration);
        self.store(session, expires)
    }

    fn store(&self, session: Session, expires: Instant) -> Vec<Session> {
        let (pid, owner, size) = (session.pid.clone(), session.owner, session.size());
        let mut sessions = self.budget.sessions.lock();
        sessions.put(&pid, owner, size, expires, session)
    }

    /// Starts the task that frees memory gradually when no more events are sent.
    pub(crate) fn sweep(&self, namespace: &Arc<NamespaceInner>) {
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.sweeping.store(false, Ordering::Release);
            return;
        };
        let pause = (self.settings.max_disconnection_duration / 4)
            .clamp(Duration::from_millis(50), Duration::from_secs(10));
        runtime.spawn(sweeper(Arc::downgrade(namespace), pause));
    }
}

/// Disconnects a socket whose client is back before its loss was detected.
pub(super) fn supersede(live: &Socket) {
    match live.leaving() {
        None => {
            tracing::debug!(target: log_target::RECOVERY, socket = %live.id(), "superseded: the client is back before its loss was noticed");
            let connection = live.connection();
            connection.state().remove(live);
            live.disconnect_with(DisconnectReason::TransportClose);
            connection.close(CloseMode::Discard, CloseReason::TransportClose);
        }
        // The disconnection is just being handled; its handlers may take their time.
        Some(reason) => {
            live.remove(Some(reason));
        }
    }
}

async fn sweeper(namespace: Weak<NamespaceInner>, pause: Duration) {
    loop {
        tokio::time::sleep(pause).await;
        let Some(namespace) = namespace.upgrade() else {
            return;
        };
        let Some(recovery) = &namespace.recovery else {
            return;
        };
        let mut state = recovery.state.lock();
        let now = clock::now();
        state.log.expire(now);
        state.settle();
        let gone = recovery.budget.sessions.lock().expire(now);
        let done = state.log.is_empty() && !recovery.has_sessions() && state.live.is_empty();
        if done {
            recovery.sweeping.store(false, Ordering::Release);
        }
        drop(state);
        drop(gone);
        namespace.remove_if_unused();
        if done {
            return;
        }
    }
}

/// Whether a disconnection is recoverable: the client did not intend it, or a server that shuts down closed the
/// connection.
pub(crate) const fn is_recoverable(reason: DisconnectReason) -> bool {
    use DisconnectReason as R;
    matches!(
        reason,
        R::TransportError
            | R::TransportClose
            | R::ForcedClose
            | R::PingTimeout
            | R::ServerShuttingDown
            | R::ForcedServerClose
    )
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
