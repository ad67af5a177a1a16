//! The server to which a client has come back.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engine::EncodedMessage;
use fanfare_protocol::EncodedEvent;
use fanfare_protocol::recovery::{Memberships, Offset, Position};

use super::ahead::MAX_LAG;
use super::wire::{Answer, Event, Request, decode, encode};
use crate::adapter::{PeerRequest, REQUEST_TIMEOUT, SessionData};
use crate::clock;
use crate::encode;
use crate::id::SocketId;
use crate::log_target;
use crate::namespace::{NamespaceInner, RoomHold};
use crate::recovery::logged::{Identity, LoggedPacket, Numbers};
use crate::recovery::state::{Member, RecoveryState, Restored};
use crate::recovery::store::{Attempt, Lost, Recovery, State};
use crate::recovery::{RecoveryFailure, RecoveryOutcome};
use crate::socket::{EarlyRooms, Socket};

/// Maximum length of a private id, in bytes.
const MAX_PRIVATE_ID_BYTES: usize = 64;
/// Time within which the server that has a session answers. A server of Node.js never does.
const FIND_TIMEOUT: Duration = Duration::from_secs(1);

/// A session of another server, for one connection.
pub(crate) struct PeerClaim {
    private_id: Box<str>,
    id: SocketId,
    data: serde_json::Value,
    rooms: Vec<String>,
    loan: String,
    /// Position of the lender up to which the client has received everything.
    after: u64,
    /// Missed events in their order, once they have been looked up.
    missed: Option<Missed>,
    hold: Option<RoomHold>,
}

struct Missed {
    events: Vec<(EncodedEvent, Identity, Duration)>,
    /// Position of this server from which it received the events of the client's rooms.
    from: Position,
    /// Earlier events of this server that were not published when the lender was asked, by their numbers.
    unpublished: HashMap<u64, Position>,
}

impl PeerClaim {
    pub(crate) fn awaits_replay(&self) -> bool {
        self.missed.is_none()
    }

    pub(crate) fn restored(&self) -> Restored {
        Restored {
            id: self.id.clone(),
            data: self.data.clone(),
            extensions: None,
            rooms: self.rooms.clone(),
        }
    }

    pub(crate) fn take_hold(&mut self) -> Option<RoomHold> {
        self.hold.take()
    }

    /// Asks the other servers for the session of a client.
    pub(crate) async fn find(
        namespace: &Arc<NamespaceInner>,
        attempt: &Attempt,
    ) -> Result<Self, RecoveryFailure> {
        let pid = attempt.pid().to_owned();
        if pid.is_empty() || pid.len() > MAX_PRIVATE_ID_BYTES {
            return Err(RecoveryFailure::OtherServer);
        }
        let request = Request::Session {
            pid: pid.clone(),
            offset: attempt.offset().map(str::to_owned),
        };
        let answer = ask(namespace, &request, FIND_TIMEOUT).await?;
        match answer {
            None => Err(RecoveryFailure::OtherServer),
            Some(Answer::Session(loan)) => Ok(Self {
                private_id: pid.into(),
                id: SocketId::of_session(&loan.id).ok_or(RecoveryFailure::SessionGone)?,
                data: loan.data,
                rooms: loan.rooms,
                loan: loan.loan,
                after: loan.after,
                missed: None,
                hold: None,
            }),
            Some(Answer::Failed(label)) => Err(RecoveryFailure::of_label(&label)),
            Some(_) => Err(RecoveryFailure::Unreachable),
        }
    }

    /// Asks for the events that the client of a socket missed, once its middlewares have passed. `rooms` are those that
    /// it has joined.
    pub(crate) async fn look_up(
        socket: &Socket,
        rooms: Vec<String>,
    ) -> Result<(), RecoveryFailure> {
        let namespace = &socket.0.namespace;
        let (Some(part), Some(recovery)) = (socket.part(), namespace.recovery.as_deref()) else {
            return Ok(());
        };
        let (pid, loan, mut after, kept) = {
            let mut part = part.lock();
            let Some(claim) = &mut part.peer_claim else {
                return Ok(());
            };
            claim.rooms.retain(|room| rooms.contains(room));
            let (pid, loan) = (claim.private_id.to_string(), claim.loan.clone());
            (pid, loan, claim.after, claim.rooms.clone())
        };
        let hold = {
            let index = namespace.rooms.read();
            let kept = kept.iter().map(String::as_str);
            namespace.hold(&index, socket.0.id.as_str(), kept)
        };
        // What is published from now on reaches the others after the subscriptions to these rooms.
        namespace.interest_flushed().await;
        let from = recovery.lock().log.position();
        let numbers = recovery.numbers.as_ref();
        let unpublished = numbers.map(Numbers::unpublished).unwrap_or_default();
        let (mut events, mut bytes) = (Vec::new(), 0usize);
        loop {
            let request = Request::Events {
                pid: pid.clone(),
                loan: loan.clone(),
                after,
                rooms: kept.clone(),
            };
            let page = match ask(namespace, &request, REQUEST_TIMEOUT).await? {
                Some(Answer::Events(page)) => page,
                Some(Answer::Failed(label)) => return Err(RecoveryFailure::of_label(&label)),
                _ => return Err(RecoveryFailure::SessionGone),
            };
            for event in &page.events {
                bytes = bytes.saturating_add(event.len());
                if bytes > recovery.max_replay {
                    return Err(RecoveryFailure::TooMuchMissed);
                }
                events.push(read(event)?);
            }
            if !page.more {
                break;
            }
            if page.after <= after {
                return Err(RecoveryFailure::Unreachable); // it would never end
            }
            after = page.after;
        }
        let mut part = part.lock();
        if let Some(claim) = &mut part.peer_claim {
            claim.missed = Some(Missed {
                events,
                from,
                unpublished,
            });
            claim.hold = Some(hold);
        }
        Ok(())
    }
}

fn read(event: &Event) -> Result<(EncodedEvent, Identity, Duration), RecoveryFailure> {
    let read = event.event().ok_or(RecoveryFailure::EventsGone)?;
    Ok((read, event.identity(), event.age()))
}

/// Asks the other servers for a session that is not in the adapter's store: the one that has the client stores it first.
pub(in crate::recovery) async fn release(
    namespace: &Arc<NamespaceInner>,
    pid: &str,
) -> Option<SessionData> {
    if pid.is_empty() || pid.len() > MAX_PRIVATE_ID_BYTES {
        return None;
    }
    let request = Request::Session {
        pid: pid.to_owned(),
        offset: None,
    };
    match ask(namespace, &request, FIND_TIMEOUT).await {
        Ok(Some(Answer::Stored(stored))) => Some(stored.into_session(pid)),
        _ => None,
    }
}

/// Sends a request to all other servers, and returns the first answer of one that has the session; `None` if all have
/// answered that they do not.
async fn ask(
    namespace: &Arc<NamespaceInner>,
    request: &Request,
    timeout: Duration,
) -> Result<Option<Answer>, RecoveryFailure> {
    let unreachable = |error: &dyn std::fmt::Display| {
        tracing::debug!(target: log_target::RECOVERY, error = %fanfare_protocol::Escaped(error), "no answer of the other servers");
        RecoveryFailure::Unreachable
    };
    let cluster = namespace.cluster.as_ref();
    let cluster = cluster.ok_or(RecoveryFailure::OtherServer)?;
    let body = encode(request).map_err(|error| unreachable(&error))?;
    let asked = cluster.request(namespace, |id| PeerRequest::new(body, id));
    let asked = asked.map_err(|error| unreachable(&error))?;
    let positive = |value: &_| match decode(value) {
        Some(Answer::Unknown) | None => None,
        answer => answer,
    };
    match tokio::time::timeout(timeout, asked.first(positive)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(unreachable(&error)),
        Err(elapsed) => Err(unreachable(&elapsed)),
    }
}

/// Events that both servers received, by their encoding, of a server that does not number them.
#[derive(Default)]
struct Unnumbered(HashMap<Bytes, (usize, usize)>);

impl Unnumbered {
    fn key(event: &EncodedEvent) -> Bytes {
        event.data().msgpack().clone()
    }

    fn lent(&mut self, event: &EncodedEvent) {
        self.0.entry(Self::key(event)).or_default().0 += 1;
    }

    fn own(&mut self, event: &EncodedEvent) {
        self.0.entry(Self::key(event)).or_default().1 += 1;
    }

    /// Whether the client has received an event of this server from the other.
    fn is_had(&self, event: &EncodedEvent) -> Result<bool, RecoveryFailure> {
        match self.0.get(&Self::key(event)) {
            None | Some((0, _)) => Ok(false),
            Some((1, 1)) => Ok(true),
            Some(_) => Err(RecoveryFailure::Ambiguous),
        }
    }
}

impl Recovery {
    /// Connects a socket with the session of another server: the events that it missed are recorded as if they had been
    /// sent to this socket alone, so that they have positions in the log of this server.
    pub(in crate::recovery) fn admit_from_peer(
        &self,
        state: &mut State,
        socket: &Socket,
        part: &mut RecoveryState,
        rooms: &EarlyRooms,
        mut claim: PeerClaim,
    ) -> Result<(Box<str>, Vec<EncodedMessage>), Lost> {
        part.put_hold(claim.take_hold());
        let events = self.merge(state, &claim);
        let (events, ahead) = match events {
            Ok(merged) => merged,
            Err(failure) => {
                part.fail(failure);
                return Err(failure.into());
            }
        };
        let NamespaceInner { name, codec, .. } = &*socket.0.namespace;
        let (start, now) = (state.log.position(), clock::now());
        let mut missed = Vec::with_capacity(events.len());
        let mut packets = Vec::with_capacity(events.len());
        for (i, (event, identity)) in events.into_iter().enumerate() {
            let offset = Offset::text(&self.epoch, start + 1 + i as u64);
            let Ok(message) = encode::packet(codec, name, None, &event, Some(&offset)) else {
                part.fail(RecoveryFailure::EventsGone);
                return Err(RecoveryFailure::EventsGone.into());
            };
            missed.push(message.clone());
            packets.push(LoggedPacket {
                message,
                event: Some(event),
                identity,
            });
        }
        let own = [socket.0.id.as_str()];
        for packet in packets {
            state.log.push(now, &own, &[], packet.size(), packet);
        }
        if let Some(numbers) = &self.numbers {
            numbers.logged(state.log.position());
        }
        state.settle();
        state.ahead.insert(socket.id(), ahead, now);
        let count = missed.len();
        part.outcome = RecoveryOutcome::Recovered { missed: count };
        tracing::debug!(target: log_target::RECOVERY, socket = %socket.id(), missed = count, "connection of another server recovered");
        let mut memberships = Memberships::default();
        memberships.join(&socket.id(), start);
        let mut member = Member {
            pid: claim.private_id,
            start,
            memberships,
        };
        let pid = Self::enter(state, socket, part, rooms, &mut member);
        part.member = Some(member);
        Ok((pid, missed))
    }

    /// Returns the events of both servers, those of the other first, each once; and the numbers of events that this
    /// server may still receive.
    #[allow(clippy::type_complexity, reason = "a pair that one caller takes apart")]
    fn merge(
        &self,
        state: &State,
        claim: &PeerClaim,
    ) -> Result<(Vec<(EncodedEvent, Identity)>, HashSet<u64>), RecoveryFailure> {
        let Some(Missed {
            events,
            from,
            unpublished,
        }) = &claim.missed
        else {
            return Err(RecoveryFailure::SessionGone);
        };
        let earliest = unpublished.values().min().unwrap_or(from).min(from);
        let mut memberships = Memberships::default();
        let rooms = claim.rooms.iter().map(String::as_str);
        let rooms = rooms.chain(std::iter::once(claim.id.as_str()));
        rooms.for_each(|room| memberships.join(room, *earliest));
        let own = state.log.missed(&memberships, *earliest, None);
        let own = own.map_err(|_| RecoveryFailure::EventsGone)?;
        let (mut numbers, mut unnumbered) = (HashSet::new(), Unnumbered::default());
        for (event, identity, age) in events {
            match identity {
                Identity::Numbered(number) => drop(numbers.insert(*number)),
                Identity::Unnumbered if *age <= MAX_LAG => unnumbered.lent(event),
                Identity::Unnumbered | Identity::Local => {}
            }
        }
        let own: Vec<(&EncodedEvent, Identity)> = own
            .iter()
            .filter(|(position, logged)| {
                let number = logged.identity.number();
                *position > *from || number.is_some_and(|n| unpublished.contains_key(&n))
            })
            .filter_map(|(_, logged)| Some((logged.event.as_ref()?, logged.identity)))
            .collect();
        for (event, _) in own.iter().filter(|(_, id)| *id == Identity::Unnumbered) {
            unnumbered.own(event);
        }
        let mut merged: Vec<_> = events
            .iter()
            .map(|(event, identity, _)| (event.clone(), *identity))
            .collect();
        for (event, identity) in own {
            let had = match identity {
                Identity::Numbered(number) => numbers.remove(&number),
                Identity::Unnumbered => unnumbered.is_had(event)?,
                Identity::Local => false,
            };
            if !had {
                merged.push((event.clone(), identity));
            }
        }
        Ok((merged, numbers))
    }
}
