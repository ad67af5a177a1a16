//! The log of what was sent.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Memberships, Position};

/// The bounds of a [`Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Most bytes of packets.
    pub bytes: usize,
    /// How long a packet is kept.
    pub age: Duration,
}

/// What an entry costs beside its packet, in bytes; so that the bound also holds for very small packets.
const OVERHEAD: usize = 128;

struct Entry<P> {
    at: Instant,
    size: usize,
    packet: P,
    /// Empty: everyone.
    rooms: Box<[Arc<str>]>,
    except: Box<[Arc<str>]>,
}

/// The events of a namespace, newest last. `P` is an encoded packet.
pub struct Log<P> {
    entries: VecDeque<Entry<P>>,
    /// The position of `entries[0]`.
    first: Position,
    bytes: usize,
    limits: LogLimits,
    everyone: VecDeque<Position>,
    pub(super) rooms: HashMap<Arc<str>, VecDeque<Position>>,
    /// The newest entry that is gone.
    dropped: Option<(Position, Instant)>,
}

/// What a session missed is no longer in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log no longer has everything after {after}: it has dropped what came up to {dropped}")]
pub struct Truncated {
    /// What the session has got.
    pub after: Position,
    /// The newest position that the log has dropped.
    pub dropped: Position,
}

impl<P> Log<P> {
    /// An empty log.
    #[must_use]
    pub fn new(limits: LogLimits) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 1,
            bytes: 0,
            limits,
            everyone: VecDeque::new(),
            rooms: HashMap::new(),
            dropped: None,
        }
    }

    /// The position of the newest event, 0 before the first.
    #[must_use]
    pub fn position(&self) -> Position {
        self.first + self.entries.len() as u64 - 1
    }

    /// How many events are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes that are kept, an allowance for each entry included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event for those in `rooms` (everyone, if empty) but not in `except`; `size` is that of the packet, in
    /// bytes. Its position is [`position`](Self::position) afterwards. What the bounds do not allow any longer goes; an
    /// event larger than the bound goes at once.
    pub fn push<S: AsRef<str>>(
        &mut self,
        now: Instant,
        rooms: &[S],
        except: &[S],
        size: usize,
        packet: P,
    ) -> Position {
        let position = self.position() + 1;
        let mut names: Vec<Arc<str>> = Vec::with_capacity(rooms.len());
        for room in rooms {
            let room = room.as_ref();
            if names.iter().any(|name| **name == *room) {
                continue;
            }
            let name = match self.rooms.get_key_value(room) {
                Some((name, _)) => name.clone(),
                None => Arc::from(room),
            };
            self.rooms
                .entry(name.clone())
                .or_default()
                .push_back(position);
            names.push(name);
        }
        if names.is_empty() {
            self.everyone.push_back(position);
        }
        let except: Box<[Arc<str>]> = except.iter().map(|room| room.as_ref().into()).collect();
        let labels = names.iter().chain(&except).map(|name| name.len());
        let size = size + labels.sum::<usize>() + OVERHEAD;
        self.bytes += size;
        self.entries.push_back(Entry {
            at: now,
            size,
            packet,
            rooms: names.into(),
            except,
        });
        self.expire(now);
        while self.bytes > self.limits.bytes {
            self.drop_oldest();
        }
        position
    }

    /// Drops what is too old.
    pub fn expire(&mut self, now: Instant) {
        while self
            .entries
            .front()
            .is_some_and(|entry| now.saturating_duration_since(entry.at) > self.limits.age)
        {
            self.drop_oldest();
        }
        if self.entries.is_empty() {
            self.entries.shrink_to_fit();
            self.everyone.shrink_to_fit();
            self.rooms.shrink_to_fit();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.dropped = Some((self.first, entry.at));
        self.first += 1;
        self.bytes -= entry.size;
        if entry.rooms.is_empty() {
            self.everyone.pop_front();
        }
        for room in &entry.rooms {
            if let Some(list) = self.rooms.get_mut(room) {
                list.pop_front();
                if list.is_empty() {
                    self.rooms.remove(room);
                }
            }
        }
    }

    /// What a session has missed, in order: the events after `after` that were for everyone or for a room while it was
    /// in that room.
    ///
    /// `settled` is a time up to which everything that was sent to the session has surely arrived: the moment it left,
    /// less the time in which heartbeats notice a loss. Events of before may be gone from the log; so a session whose
    /// rooms were quiet for hours has missed nothing.
    ///
    /// # Errors
    /// [`Truncated`] if something that the session may have missed is gone.
    pub fn missed(
        &self,
        memberships: &Memberships,
        after: Position,
        settled: Option<Instant>,
    ) -> Result<Vec<(Position, &P)>, Truncated> {
        if let Some((dropped, at)) = self.dropped
            && dropped > after
            && settled.is_none_or(|settled| at >= settled)
        {
            return Err(Truncated { after, dropped });
        }
        let mut found = Vec::new();
        let since = |list: &VecDeque<Position>, after| list.partition_point(|p| *p <= after);
        found.extend(self.everyone.range(since(&self.everyone, after)..));
        for member in &memberships.list {
            if let Some(list) = self.rooms.get(&member.room) {
                let from = since(list, after.max(member.after));
                let to = member.until.map_or(list.len(), |until| since(list, until));
                found.extend(list.range(from..to.max(from)));
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok(found
            .into_iter()
            .filter_map(|position| {
                let entry = self
                    .entries
                    .get(usize::try_from(position - self.first).ok()?)?;
                let excluded = entry
                    .except
                    .iter()
                    .any(|room| memberships.had(room, position));
                (!excluded).then_some((position, &entry.packet))
            })
            .collect())
    }
}

impl<P> fmt::Debug for Log<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("position", &self.position())
            .field("len", &self.entries.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
