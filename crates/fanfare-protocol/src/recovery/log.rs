//! Log of sent events.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Memberships, Position};

/// Limits of a [`Log`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Maximum number of bytes of packets.
    pub bytes: usize,
    /// Maximum age of a packet.
    pub age: Duration,
}

/// Bytes of an entry in addition to its packet, so that the limit also holds for very small packets.
const OVERHEAD_BYTES: usize = 128;
/// Bytes of a room name in addition to its text: a room without other entries needs a separate list.
const NAME_OVERHEAD_BYTES: usize = 64;

struct Entry<P> {
    at: Instant,
    size: usize,
    packet: P,
    /// Rooms of the recipients; empty for all sockets.
    rooms: Box<[Arc<str>]>,
    except: Box<[Arc<str>]>,
}

/// Log of the events of a namespace, newest last. `P` is an encoded packet.
pub struct Log<P> {
    entries: VecDeque<Entry<P>>,
    /// Position of `entries[0]`.
    first: Position,
    bytes: usize,
    limits: LogLimits,
    everyone: VecDeque<Position>,
    pub(super) rooms: HashMap<Arc<str>, VecDeque<Position>>,
    /// Newest entry that was dropped.
    dropped: Option<(Position, Instant)>,
}

/// Error of a session whose missed events are no longer in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log no longer has everything after {after}: it has dropped what came up to {dropped}")]
pub struct Truncated {
    /// Position up to which the session has received events.
    pub after: Position,
    /// Newest position that the log has dropped.
    pub dropped: Position,
}

impl<P> Log<P> {
    /// Creates an empty log.
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

    /// Position of the newest event, 0 before the first.
    #[must_use]
    pub fn position(&self) -> Position {
        self.first + self.entries.len() as u64 - 1
    }

    /// Returns the time at which an event was added, if it is kept.
    #[must_use]
    pub fn sent_at(&self, position: Position) -> Option<Instant> {
        let index = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.entries.get(index).map(|entry| entry.at)
    }

    /// Number of events kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no event is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of bytes kept, an allowance for each entry included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an event for the sockets in `rooms` (all, if empty) but not in `except`; `size` is that of the packet, in
    /// bytes. Its position is [`position`](Self::position) afterwards. Entries over the limits are dropped; an event
    /// larger than the limit is dropped at once. Each distinct name costs time once, even if it occurs often.
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
            let (name, list) = match self.rooms.get_key_value(room) {
                Some((name, _)) => (name.clone(), self.rooms.get_mut(room)),
                None => {
                    let name: Arc<str> = Arc::from(room);
                    (name.clone(), Some(self.rooms.entry(name).or_default()))
                }
            };
            // A repeated name is in the list already.
            if let Some(list) = list
                && list.back() != Some(&position)
            {
                list.push_back(position);
                names.push(name);
            }
        }
        if names.is_empty() {
            self.everyone.push_back(position);
        }
        let except: Box<[Arc<str>]> = except.iter().map(|room| room.as_ref().into()).collect();
        let labels = names.iter().chain(&except);
        let labels = labels.map(|name| name.len() + NAME_OVERHEAD_BYTES);
        let size = size + labels.sum::<usize>() + OVERHEAD_BYTES;
        self.bytes += size;
        self.entries.push_back(Entry {
            at: now,
            size,
            packet,
            rooms: names.into(),
            except,
        });
        self.expire(now);
        self.shrink_to(self.limits.bytes);
        position
    }

    /// Drops the oldest events until no more than `bytes` are kept.
    pub fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes {
            self.drop_oldest();
        }
    }

    /// Drops events over the maximum age.
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

    /// Returns the events that a session has missed, in order: those after `after` that were for all sockets or for a
    /// room while the session was in that room.
    ///
    /// `settled` is a time up to which everything sent to the session has surely arrived: the time it left, minus the
    /// time in which heartbeats notice a loss. Earlier events may be gone from the log, so a session whose rooms were
    /// quiet for hours has missed nothing.
    ///
    /// # Errors
    /// [`Truncated`] if an event that the session may have missed is gone.
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
        for (room, joined, left) in memberships.spans() {
            if let Some(list) = self.rooms.get(room) {
                let from = since(list, after.max(joined));
                let to = left.map_or(list.len(), |left| since(list, left));
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
