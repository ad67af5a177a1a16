//! Connection state recovery: clients that lost their connection come back as who they were.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fanfare_engine::{CloseMode, Prepared};
use fanfare_protocol::recovery::{Log, LogLimits, Memberships, Offset, Position, Sessions};
use fanfare_protocol::socket::{ArgWriter, EncodeError, IntoArgs};
use fanfare_protocol::{CloseReason, Limits};
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::Value;

use crate::codec::Codec;
use crate::encode;
use crate::id::SocketId;
use crate::namespace::NamespaceInner;
use crate::reason::DisconnectReason;
use crate::socket::{Extensions, Socket};

/// Lets clients that lost their connection come back as who they were: with their id, rooms and data, and with the
/// events that they missed, each once and in order. Node's `connectionStateRecovery`; off unless it is given to
/// [`connection_state_recovery`](crate::SocketIoBuilder::connection_state_recovery).
///
/// Official JavaScript clients (4.6 and later) take part by themselves: the server adds an offset, a string, as last
/// argument to each event without acknowledgement that is not volatile, and the client says at its return what it got
/// last. A client that got nothing yet is recovered by its private session id alone.
///
/// What was sent is kept in memory, [`Limits::recovery_bytes`] for each namespace, for the time of
/// `max_disconnection_duration` and what heartbeats need to notice a loss. While it is on, events of one namespace are
/// put into order under a lock.
///
/// ```
/// use std::time::Duration;
/// use fanfare::{ConnectionStateRecovery, Namespace, Socket, SocketIo};
///
/// let io = SocketIo::builder()
///     .connection_state_recovery(ConnectionStateRecovery {
///         max_disconnection_duration: Duration::from_secs(60),
///         ..ConnectionStateRecovery::default()
///     })
///     .namespace(Namespace::new("/").on_connect(async |socket: Socket| {
///         if !socket.recovered() {
///             socket.join("lobby"); // a recovered socket is there already
///         }
///     }))
///     .build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionStateRecovery {
    /// How long a client may be away. Default: 2 minutes, as in Node.
    pub max_disconnection_duration: Duration,
    /// Whether the middlewares of the namespace are left out for recovered clients. Default: **no**, unlike Node: a
    /// client whose access was revoked meanwhile gets nothing of what it missed.
    pub skip_middlewares: bool,
}

impl Default for ConnectionStateRecovery {
    fn default() -> Self {
        Self {
            max_disconnection_duration: Duration::from_secs(120),
            skip_middlewares: false,
        }
    }
}

/// What became of the recovery of a connection, see [`Socket::recovery`](crate::Socket::recovery).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecoveryOutcome {
    /// A new connection: the client did not ask for anything, or recovery is off.
    NotAttempted,
    /// The client is back.
    #[non_exhaustive]
    Recovered {
        /// How many events it had missed. In middlewares 0: they are looked up afterwards.
        missed: usize,
    },
    /// The client wanted to come back, but it is a new connection now.
    Failed(RecoveryFailure),
}

/// Why a connection was not recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryFailure {
    /// The session is of another server, or of this one before it was restarted.
    #[error("the session is of another server, or of this one before it was restarted")]
    OtherServer,
    /// The session is not there: its time is over, it had to make room for others
    /// ([`Limits::recovery_bytes`](crate::Limits)), or it ended with a disconnection from the namespace.
    #[error("the session has expired, had to make room, or was ended")]
    SessionGone,
    /// The offset of the client is unknown, and something was sent to it: it cannot be told how much it got. This
    /// happens if the last event a client got was volatile and ended with a string.
    #[error("the offset of the client is unknown")]
    UnknownOffset,
    /// Some of what the client missed had to make room for later events
    /// ([`Limits::recovery_bytes`](crate::Limits)).
    #[error("some of what the client missed is no longer kept")]
    EventsGone,
}

impl RecoveryFailure {
    /// A short name, for metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::OtherServer => "other_server",
            Self::SessionGone => "session_gone",
            Self::UnknownOffset => "unknown_offset",
            Self::EventsGone => "events_gone",
        }
    }
}

/// What a client says when it wants to come back.
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
}

/// What is kept of somebody who left.
pub(crate) struct Session {
    pub(crate) id: SocketId,
    pid: Box<str>,
    start: Position,
    memberships: Memberships,
    pub(crate) data: Value,
    /// The same that the socket had, so that its `disconnect` handlers still see them.
    pub(crate) extensions: Option<Arc<Extensions>>,
    left: Position,
    left_at: Instant,
}

impl Session {
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &str> {
        let own = self.id;
        self.memberships.rooms().filter(move |room| *room != &*own)
    }
}

/// A session that was taken out of the store, for one connection.
pub(crate) struct Claim {
    pub(crate) session: Session,
    expires: Instant,
    offset: Option<String>,
}

/// The part of a socket in this.
pub(crate) struct Part {
    outcome: RecoveryOutcome,
    /// Until the socket is connected.
    claim: Option<Claim>,
    /// From then on.
    member: Option<Member>,
    /// Set while the `disconnecting` handlers run.
    leaving: Option<DisconnectReason>,
}

struct Member {
    pid: Box<str>,
    start: Position,
    memberships: Memberships,
}

impl Part {
    pub(crate) fn new(claim: Option<Result<Claim, RecoveryFailure>>) -> Self {
        let (outcome, claim) = match claim {
            None => (RecoveryOutcome::NotAttempted, None),
            Some(Err(failure)) => (RecoveryOutcome::Failed(failure), None),
            Some(Ok(claim)) => (RecoveryOutcome::Recovered { missed: 0 }, Some(claim)),
        };
        Self {
            outcome,
            claim,
            member: None,
            leaving: None,
        }
    }

    /// A session waits for the socket to be let in.
    pub(crate) fn is_claimed(&self) -> bool {
        self.claim.is_some()
    }

    pub(crate) fn claimed(&self) -> Option<&Session> {
        self.claim.as_ref().map(|claim| &claim.session)
    }

    pub(crate) fn outcome(&self) -> RecoveryOutcome {
        self.outcome
    }
}

/// The log and the sessions of one namespace.
pub(crate) struct Recovery {
    settings: ConnectionStateRecovery,
    /// In this time heartbeats notice that a client is gone.
    heartbeat: Duration,
    epoch: String,
    state: Mutex<State>,
    sweeping: AtomicBool,
}

/// Its lock comes before that of the rooms: what is sent, who is in which room, and the log agree.
pub(crate) struct State {
    log: Log<Prepared>,
    sessions: Sessions<Session>,
    live: HashMap<Box<str>, Socket>,
}

impl Recovery {
    pub(crate) fn new(
        settings: ConnectionStateRecovery,
        heartbeat: Duration,
        limits: &Limits,
    ) -> Self {
        let log = LogLimits {
            bytes: limits.recovery_bytes,
            age: settings.max_disconnection_duration + heartbeat,
        };
        Self {
            settings,
            heartbeat,
            epoch: SocketId::random()[..8].to_owned(),
            state: Mutex::new(State {
                log: Log::new(log),
                sessions: Sessions::new(limits.recovery_bytes),
                live: HashMap::new(),
            }),
            sweeping: AtomicBool::new(false),
        }
    }

    pub(crate) fn skips_middlewares(&self) -> bool {
        self.settings.skip_middlewares
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Somebody may come back.
    pub(crate) fn has_sessions(&self) -> bool {
        !self.state.lock().sessions.is_empty()
    }

    /// Sends an event by `send` and keeps it for those who miss it.
    pub(crate) fn emit<A: IntoArgs, S: AsRef<str>, R>(
        &self,
        (codec, namespace): (&Codec, &str),
        (event, args): (&str, &A),
        rooms: &[S],
        except: &[S],
        send: impl FnOnce(&Prepared) -> R,
    ) -> Result<R, EncodeError> {
        let json = match codec {
            Codec::Json => Some(encode::event_text(namespace, event, args)?),
            _ => None,
        };
        let mut state = self.state.lock();
        let offset = Offset::text(&self.epoch, state.log.position() + 1);
        let message = match json {
            Some((mut text, attachments)) => Prepared::build(|buf| {
                text.pop();
                buf.text(|out| {
                    out.extend_from_slice(&text);
                    let _ = write!(out, ",\"{offset}\"]"); // a Vec takes everything
                });
                for attachment in &attachments {
                    buf.binary(attachment);
                }
            }),
            None => {
                let args = WithOffset(args, offset);
                encode::encode_event(codec, namespace, None, event, &args)?
            }
        };
        let now = Instant::now();
        state
            .log
            .push(now, rooms, except, message.len(), message.clone());
        let sent = send(&message);
        Ok(sent)
    }

    /// Takes out the session that a client asks for; whoever holds it now is disconnected.
    pub(crate) fn claim(&self, attempt: &Attempt) -> Result<Claim, RecoveryFailure> {
        let pid = attempt.pid.as_str().unwrap_or_default();
        if pid
            .split_once('.')
            .is_none_or(|(epoch, _)| epoch != self.epoch)
        {
            return Err(RecoveryFailure::OtherServer);
        }
        let mut state = self.state.lock();
        while let Some(live) = state.live.get(pid).cloned() {
            drop(state);
            match live.leaving() {
                None => {
                    tracing::debug!(socket = %live.id(), "superseded: the client is back before its loss was noticed");
                    let connection = live.connection();
                    connection.state().remove(&live);
                    live.farewell(DisconnectReason::TransportClose);
                    connection.close(CloseMode::Discard, CloseReason::TransportClose);
                }
                // Its loss is being noticed at this very moment; its handlers may take their time.
                Some(reason) => {
                    live.retire(Some(reason));
                }
            }
            state = self.state.lock();
        }
        let (session, expires) = state
            .sessions
            .take(Instant::now(), pid)
            .ok_or(RecoveryFailure::SessionGone)?;
        Ok(Claim {
            session,
            expires,
            offset: attempt.offset.as_str().map(str::to_owned),
        })
    }

    /// Lets a socket in that is about to be told so: gives its private id and what it missed. `rooms` are those that it
    /// has joined, those of its session included unless a middleware made it leave them.
    pub(crate) fn admit(
        &self,
        state: &mut State,
        socket: &Socket,
        part: &mut Part,
        rooms: &mut Vec<String>,
    ) -> (Box<str>, Vec<Prepared>) {
        let now = state.log.position();
        let mut resumed = None;
        if let Some(mut claim) = part.claim.take() {
            let session = &mut claim.session;
            let taken: Vec<String> = session
                .rooms()
                .filter(|room| !rooms.iter().any(|name| name == room))
                .map(str::to_owned)
                .collect();
            taken
                .iter()
                .for_each(|room| session.memberships.revoke(room));
            match self.missed(&state.log, &claim) {
                Ok(missed) => {
                    let count = missed.len();
                    part.outcome = RecoveryOutcome::Recovered { missed: count };
                    tracing::debug!(socket = %socket.id(), missed = count, "connection recovered");
                    resumed = Some((claim.session, missed));
                }
                Err(failure) => {
                    rooms.retain(|room| !claim.session.memberships.has(room));
                    part.outcome = RecoveryOutcome::Failed(failure);
                }
            }
        }
        crate::stats::recovery(part.outcome);
        if let RecoveryOutcome::Failed(failure) = part.outcome {
            tracing::info!(socket = %socket.id(), namespace = socket.namespace(), %failure, "connection not recovered");
        }
        let (mut member, missed) = match resumed {
            Some((session, missed)) => {
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
        member.memberships.join(&socket.id(), now);
        rooms
            .iter()
            .for_each(|room| member.memberships.join(room, now));
        let pid = member.pid.clone();
        state.live.insert(pid.clone(), socket.clone());
        part.member = Some(member);
        (pid, missed)
    }

    fn missed(&self, log: &Log<Prepared>, claim: &Claim) -> Result<Vec<Prepared>, RecoveryFailure> {
        let session = &claim.session;
        let settled = session.left_at.checked_sub(self.heartbeat);
        let since = |after| {
            log.missed(&session.memberships, after, settled)
                .map_err(|error| {
                    tracing::debug!(socket = %session.id, %error, "cannot recover");
                    RecoveryFailure::EventsGone
                })
        };
        let offset = claim
            .offset
            .as_deref()
            .map(|text| Offset::parse(&self.epoch, text));
        let missed = match offset {
            Some(Offset::Own(position)) if position <= log.position() => {
                since(position.max(session.start))?
            }
            // Had the client got anything in this session, it would know an offset of ours.
            None | Some(Offset::Foreign) => since(session.start)?,
            Some(_) => {
                let missed = since(session.start)?;
                if missed.iter().any(|(position, _)| *position <= session.left) {
                    return Err(RecoveryFailure::UnknownOffset);
                }
                missed
            }
        };
        Ok(missed
            .into_iter()
            .map(|(_, message)| message.clone())
            .collect())
    }

    /// A socket is gone; `reason` is `None` if it never came in.
    pub(crate) fn depart(
        &self,
        state: &mut State,
        socket: &Socket,
        part: &mut Part,
        reason: Option<DisconnectReason>,
    ) {
        if let Some(Claim {
            session, expires, ..
        }) = part.claim.take()
        {
            // Refused, or gone before it was let in: it may try again.
            let pid = session.pid.clone();
            return state.sessions.put(&pid, session.size(), expires, session);
        }
        let Some(member) = part.member.take() else {
            return;
        };
        state.live.remove(&member.pid);
        if !reason.is_some_and(is_recoverable) {
            return;
        }
        let (data, extensions) = socket.state();
        let session = Session {
            id: socket.id(),
            pid: member.pid.clone(),
            start: member.start,
            memberships: member.memberships,
            data,
            extensions,
            left: state.log.position(),
            left_at: Instant::now(),
        };
        let expires = session.left_at + self.settings.max_disconnection_duration;
        state
            .sessions
            .put(&member.pid, session.size(), expires, session);
    }

    /// Starts what frees memory by and by when nothing happens any more.
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
        let now = Instant::now();
        state.log.expire(now);
        state.sessions.expire(now);
        let done = state.log.is_empty() && state.sessions.is_empty() && state.live.is_empty();
        if done {
            recovery.sweeping.store(false, Ordering::Release);
        }
        drop(state);
        namespace.remove_if_unused();
        if done {
            return;
        }
    }
}

impl Part {
    pub(crate) fn leaves(&mut self, reason: DisconnectReason) {
        self.leaving = Some(reason);
    }

    pub(crate) fn leaving(&self) -> Option<DisconnectReason> {
        self.leaving
    }

    pub(crate) fn joined(&mut self, state: &State, room: &str) {
        if let Some(member) = &mut self.member {
            member.memberships.join(room, state.log.position());
        }
    }

    pub(crate) fn left(&mut self, state: &State, room: &str) {
        if let Some(member) = &mut self.member {
            member.memberships.leave(room, state.log.position());
        }
    }
}

impl Session {
    fn size(&self) -> usize {
        let data = if self.data.is_null() {
            0
        } else {
            self.data.to_string().len()
        };
        512 + self.memberships.size() + 2 * data
    }
}

/// The client did not want to go, or a server that goes away closed the connection.
const fn is_recoverable(reason: DisconnectReason) -> bool {
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

/// Arguments and one more.
struct WithOffset<'a, A>(&'a A, String);

impl<A: IntoArgs> IntoArgs for WithOffset<'_, A> {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        self.0.write(writer)?;
        writer.arg(&self.1)
    }
}
