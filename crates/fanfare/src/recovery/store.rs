//! The log and the sessions of a namespace.

use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use fanfare_engine::{CloseMode, Prepared};
use fanfare_protocol::recovery::{Log, LogLimits, Memberships, Offset, Sessions};
use fanfare_protocol::socket::{ArgWriter, EncodeError, IntoArgs};
use fanfare_protocol::{CloseReason, Limits};
use parking_lot::{Mutex, MutexGuard};
use serde::Deserialize;
use serde_json::Value;

use super::part::{Claim, Member, Part, Session};
use super::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
use crate::codec::Codec;
use crate::encode;
use crate::id::SocketId;
use crate::namespace::NamespaceInner;
use crate::reason::DisconnectReason;
use crate::socket::Socket;

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
    pub(super) log: Log<Prepared>,
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
