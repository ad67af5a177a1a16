//! The server that has a session.

use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::Escaped;

use super::wire::{Answer, Event, Loan, Page, Request, decode, encode};
use crate::adapter::{ClusterAnswer, ClusterInner, PeerRequest};
use crate::clock;
use crate::id::SocketId;
use crate::log_target;
use crate::namespace::NamespaceInner;
use crate::recovery::RecoveryFailure;
use crate::recovery::store::Recovery;
use crate::server::run_or_spawn;

/// Maximum number of events of a page.
const MAX_PAGE_EVENTS: usize = 256;
/// Number of bytes of events after which a page ends.
const MAX_PAGE_BYTES: usize = 256 * 1024;

/// Answers the request of another server.
pub(crate) fn answer_peer(
    cluster: &Arc<ClusterInner>,
    found: Option<&Arc<NamespaceInner>>,
    namespace: &str,
    from: &str,
    request: PeerRequest,
) {
    if let Some(found) = found.filter(|found| found.cluster_recovery.is_some()) {
        return answer_from_store(cluster, found, from, request);
    }
    let recovery = found.and_then(|found| found.recovery.as_deref());
    let answer = match (decode(&request.body), recovery) {
        (Some(Request::Session { pid, offset }), Some(recovery)) => {
            recovery.lend(&pid, offset.as_deref())
        }
        (
            Some(Request::Events {
                pid,
                loan,
                after,
                rooms,
            }),
            Some(recovery),
        ) => recovery.page(&pid, &loan, after, &rooms),
        // Answered, so that the other server does not wait for its timeout.
        _ => Answer::Unknown,
    };
    send(cluster, namespace, from, request.request_id, &answer);
}

/// Answers with a session that the adapter stores when the client is gone.
fn answer_from_store(
    cluster: &Arc<ClusterInner>,
    namespace: &Arc<NamespaceInner>,
    from: &str,
    request: PeerRequest,
) {
    let Some(io) = namespace.io() else {
        return;
    };
    let (cluster, namespace, from) = (cluster.clone(), namespace.clone(), from.to_owned());
    run_or_spawn(&io.running, async move {
        let recovery = namespace.cluster_recovery.as_deref();
        let session = match (decode(&request.body), recovery) {
            (Some(Request::Session { pid, .. }), Some(recovery)) => {
                recovery.release(&namespace.name, &pid).await
            }
            _ => None,
        };
        let answer = session.map_or(Answer::Unknown, |session| Answer::Stored(session.into()));
        send(
            &cluster,
            &namespace.name,
            &from,
            request.request_id,
            &answer,
        );
    });
}

fn send(cluster: &ClusterInner, namespace: &str, to: &str, request_id: String, answer: &Answer) {
    match encode(answer) {
        Ok(value) => {
            cluster.answer(namespace, to, request_id, ClusterAnswer::Peer(value));
        }
        Err(error) => {
            let namespace = Escaped(namespace);
            tracing::debug!(target: log_target::RECOVERY, %namespace, %error, "a session cannot be sent");
        }
    }
}

fn failed(failure: RecoveryFailure) -> Answer {
    Answer::Failed(failure.label().to_owned())
}

impl Recovery {
    /// Lends the session of a client, unless this server does not have it. A socket that still uses it is disconnected.
    /// An earlier loan ends.
    fn lend(&self, pid: &str, offset: Option<&str>) -> Answer {
        let state = self.lock_after(pid);
        let mut sessions = self.budget.sessions.lock();
        let Some((session, expires)) = sessions.get_mut(pid) else {
            return Answer::Unknown;
        };
        if session.epoch != self.epoch {
            return Answer::Unknown; // of another namespace
        }
        if expires <= clock::now() {
            return failed(RecoveryFailure::SessionGone);
        }
        let after = self.position_after(&state.log, session, offset);
        let checked = after.and_then(|after| {
            let missed = self.since(&state.log, session, after)?;
            self.check_replay(session, &missed).map(|()| after)
        });
        let after = match checked {
            Ok(after) => after,
            Err(failure) => return failed(failure),
        };
        let loan = SocketId::random();
        session.lent = Some(loan.as_str().into());
        tracing::debug!(target: log_target::RECOVERY, socket = %session.id, "session lent to another server");
        Answer::Session(Loan {
            loan: loan.as_str().to_owned(),
            id: session.id.to_string(),
            rooms: session.rooms().map(str::to_owned).collect(),
            data: session.data.clone(),
            after,
        })
    }

    /// Returns the next events that the client of a lent session has missed.
    fn page(&self, pid: &str, loan: &str, after: u64, rooms: &[String]) -> Answer {
        let state = self.lock();
        let mut sessions = self.budget.sessions.lock();
        let Some((session, _)) = sessions.get_mut(pid) else {
            return Answer::Unknown;
        };
        if session.epoch != self.epoch {
            return Answer::Unknown;
        }
        if session.lent.as_deref() != Some(loan) {
            return failed(RecoveryFailure::SessionGone);
        }
        let own = &session.id;
        let is_kept = |room: &str| room == &**own || rooms.iter().any(|kept| kept == room);
        session.memberships.retain(is_kept);
        let missed = match self.since(&state.log, session, after) {
            Ok(missed) => missed,
            Err(failure) => return failed(failure),
        };
        let now = clock::now();
        let mut page = Page {
            events: Vec::new(),
            after,
            more: false,
        };
        let mut bytes = 0;
        for (position, logged) in missed {
            if page.events.len() >= MAX_PAGE_EVENTS || bytes >= MAX_PAGE_BYTES {
                page.more = true;
                break;
            }
            let sent = state.log.sent_at(position);
            let age = sent.map_or(Duration::ZERO, |sent| now.saturating_duration_since(sent));
            let Some(event) = Event::new(logged, age) else {
                return failed(RecoveryFailure::EventsGone);
            };
            bytes += event.len();
            page.events.push(event);
            page.after = position;
        }
        // Dropped once no lock is held, because it has values of the application.
        let gone = match page.more {
            true => None,
            false => sessions.take(pid),
        };
        drop(sessions);
        drop(state);
        drop(gone);
        Answer::Events(page)
    }
}
