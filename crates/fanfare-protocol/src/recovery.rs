//! Connection state recovery: the log of what was sent, and the sessions that may come back for it.
//!
//! A [`Log`] belongs to one namespace. It numbers the events that are sent there and keeps them within bounds of bytes
//! and time; the number of an event travels to the client as its [`Offset`], the last argument. [`Sessions`] keeps, for
//! a time, who left unwillingly. When one of them comes back, [`Log::missed`] finds what it has not got, by the rooms it
//! was in ([`Memberships`]), without a look at what went elsewhere.
//!
//! Nothing here has a clock: callers pass [`Instant`]s.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The number of an event in its log: 1, 2, 3, … 0 stands for the time before the first.
pub type Position = u64;

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
    rooms: HashMap<Arc<str>, VecDeque<Position>>,
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

/// So many rooms that a session has left are remembered.
const LEFT: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Membership {
    room: Arc<str>,
    after: Position,
    until: Option<Position>,
}

/// In which rooms a session is and was, and from which position to which: what was sent to a room before somebody
/// joined it is not missed by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memberships {
    list: Vec<Membership>,
}

impl Memberships {
    /// The session joins a room when the log is at `position`. Does nothing if it is in.
    pub fn join(&mut self, room: &str, position: Position) {
        if !self.has(room) {
            self.list.push(Membership {
                room: room.into(),
                after: position,
                until: None,
            });
        }
    }

    /// The session leaves a room. What was sent there before is still its own.
    pub fn leave(&mut self, room: &str, position: Position) {
        let open = |m: &&mut Membership| m.until.is_none() && *m.room == *room;
        if let Some(member) = self.list.iter_mut().find(open) {
            member.until = Some(position);
            if self.list.iter().filter(|m| m.until.is_some()).count() > LEFT
                && let Some(oldest) = self.list.iter().position(|m| m.until.is_some())
            {
                self.list.remove(oldest);
            }
        }
    }

    /// The session loses the right to what was sent to a room, past and future.
    pub fn revoke(&mut self, room: &str) {
        self.list.retain(|member| *member.room != *room);
    }

    /// Whether the session is in the room.
    #[must_use]
    pub fn has(&self, room: &str) -> bool {
        self.rooms().any(|name| name == room)
    }

    /// The rooms it is in.
    pub fn rooms(&self) -> impl Iterator<Item = &str> {
        let current = self.list.iter().filter(|member| member.until.is_none());
        current.map(|member| &*member.room)
    }

    /// Whether it was in the room when this position was sent.
    fn had(&self, room: &str, position: Position) -> bool {
        self.list.iter().any(|member| {
            *member.room == *room
                && position > member.after
                && member.until.is_none_or(|until| position <= until)
        })
    }

    /// About how many bytes it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.list.iter().map(|member| member.room.len() + 64).sum()
    }
}

/// How a position travels: `epoch.position`, where the epoch names the log, eight characters of `[A-Za-z0-9_-]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offset {
    /// Of this log.
    Own(Position),
    /// Of another log: that of a server that has ended since, or of another node.
    Foreign,
    /// Not one of ours: the client took the last argument of some other event for one.
    Unknown,
}

impl Offset {
    /// The text of a position.
    #[must_use]
    pub fn text(epoch: &str, position: Position) -> String {
        format!("{epoch}.{position}")
    }

    /// Reads what a client sent.
    #[must_use]
    pub fn parse(epoch: &str, text: &str) -> Self {
        let Some((named, position)) = text.split_once('.') else {
            return Self::Unknown;
        };
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let position = match position.parse::<Position>() {
            Ok(n) if position.bytes().all(|b| b.is_ascii_digit()) => n,
            _ => return Self::Unknown,
        };
        if named == epoch {
            Self::Own(position)
        } else if named.len() == 8 && named.bytes().all(is_word) {
            Self::Foreign
        } else {
            Self::Unknown
        }
    }
}

struct Stored<S> {
    session: S,
    expires: Instant,
    size: usize,
    turn: u64,
}

/// Those who left and may come back, by a key only they know. `S` is what is restored.
pub struct Sessions<S> {
    stored: HashMap<Box<str>, Stored<S>>,
    /// Oldest first; those that were taken are still named here, with a turn that no longer fits.
    order: VecDeque<(u64, Box<str>)>,
    next_turn: u64,
    bytes: usize,
    max_bytes: usize,
}

impl<S> Sessions<S> {
    /// None yet; together they may have so many bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            stored: HashMap::new(),
            order: VecDeque::new(),
            next_turn: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Keeps a session of about `size` bytes until `expires`. If there is no room, the oldest go.
    pub fn put(&mut self, key: &str, size: usize, expires: Instant, session: S) {
        self.remove(key);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.bytes += size;
        self.order.push_back((turn, key.into()));
        let stored = Stored {
            session,
            expires,
            size,
            turn,
        };
        self.stored.insert(key.into(), stored);
        while self.bytes > self.max_bytes && self.drop_oldest() {}
        if self.order.len() > 2 * self.stored.len() + 32 {
            let stored = &self.stored;
            self.order
                .retain(|(turn, key)| stored.get(key).is_some_and(|s| s.turn == *turn));
        }
    }

    /// Takes a session out, if it is there and its time is not over; with the time until which it was kept.
    pub fn take(&mut self, now: Instant, key: &str) -> Option<(S, Instant)> {
        let stored = self.remove(key)?;
        (stored.expires > now).then_some((stored.session, stored.expires))
    }

    fn remove(&mut self, key: &str) -> Option<Stored<S>> {
        let stored = self.stored.remove(key)?;
        self.bytes -= stored.size;
        Some(stored)
    }

    fn drop_oldest(&mut self) -> bool {
        while let Some((turn, key)) = self.order.pop_front() {
            if self.stored.get(&key).is_some_and(|s| s.turn == turn) {
                self.remove(&key);
                return true;
            }
        }
        false
    }

    /// Drops those whose time is over.
    pub fn expire(&mut self, now: Instant) {
        let mut gone = 0;
        self.stored.retain(|_, stored| {
            let keep = stored.expires > now;
            gone += if keep { 0 } else { stored.size };
            keep
        });
        self.bytes -= gone;
        if self.stored.is_empty() {
            self.order.clear();
        }
    }
}

impl<S> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("len", &self.stored.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn log(bytes: usize) -> (Log<&'static str>, Instant) {
        let limits = LogLimits {
            bytes,
            age: 10 * SECOND,
        };
        (Log::new(limits), Instant::now())
    }

    fn rooms(list: &[(&str, Position)]) -> Memberships {
        let mut memberships = Memberships::default();
        list.iter()
            .for_each(|(room, at)| memberships.join(room, *at));
        memberships
    }

    fn packets(missed: Result<Vec<(Position, &&'static str)>, Truncated>) -> Vec<&'static str> {
        missed.unwrap().into_iter().map(|(_, p)| *p).collect()
    }

    #[test]
    fn replays_by_room_in_order_and_once() {
        let (mut log, now) = log(1 << 20);
        log.push::<&str>(now, &[], &[], 1, "all");
        log.push(now, &["a"], &[], 1, "a");
        log.push(now, &["b"], &[], 1, "b");
        log.push(now, &["b", "a", "a"], &[], 1, "ab");
        log.push(now, &["a"], &["c"], 1, "a not c");
        log.push(now, &[], &["b"], 1, "all not b");
        assert_eq!(log.position(), 6);
        let a = rooms(&[("a", 0)]);
        let replay = |m: &Memberships, after| packets(log.missed(m, after, None));
        assert_eq!(replay(&a, 0), ["all", "a", "ab", "a not c", "all not b"]);
        assert_eq!(replay(&a, 3), ["ab", "a not c", "all not b"]);
        assert_eq!(
            replay(&rooms(&[("a", 0), ("c", 0)]), 3),
            ["ab", "all not b"]
        );
        assert_eq!(replay(&rooms(&[("b", 0)]), 0), ["all", "b", "ab"]);
        assert_eq!(replay(&rooms(&[]), 1), ["all not b"]);
        assert_eq!(replay(&a, 6), [""; 0]);
    }

    #[test]
    fn what_was_sent_before_a_room_was_joined_is_not_missed() {
        let (mut log, now) = log(1 << 20);
        for packet in ["1", "2", "3", "4"] {
            log.push(now, &["a"], &[], 1, packet);
        }
        let mut member = rooms(&[("a", 1)]);
        assert_eq!(packets(log.missed(&member, 0, None)), ["2", "3", "4"]);
        member.leave("a", 2);
        assert!(!member.has("a"));
        assert_eq!(packets(log.missed(&member, 0, None)), ["2"]);
        member.join("a", 3);
        assert_eq!(packets(log.missed(&member, 0, None)), ["2", "4"]);
        member.revoke("a");
        assert_eq!(packets(log.missed(&member, 0, None)), [""; 0]);
    }

    #[test]
    fn remembers_a_bounded_number_of_rooms_that_were_left() {
        let mut member = Memberships::default();
        for i in 0..1000 {
            member.join(&format!("r{i}"), i);
            member.leave(&format!("r{i}"), i);
        }
        assert_eq!(member.list.len(), LEFT);
        assert_eq!(&*member.list[0].room, "r936");
    }

    #[test]
    fn time_passes() {
        let (mut log, t0) = log(1 << 20);
        log.push(t0, &["a"], &[], 1, "old");
        log.push(t0 + 9 * SECOND, &["b"], &[], 1, "new");
        log.expire(t0 + 10 * SECOND);
        assert_eq!(log.len(), 2);
        log.expire(t0 + 11 * SECOND);
        assert_eq!((log.len(), log.position()), (1, 2));
        assert!(!log.rooms.contains_key("a"));
        let error = log.missed(&rooms(&[]), 0, None).unwrap_err();
        assert_eq!(
            error,
            Truncated {
                after: 0,
                dropped: 1
            }
        );
        // Somebody who was connected long after the dropped event was sent has got it.
        assert!(log.missed(&rooms(&[]), 0, Some(t0 + SECOND)).is_ok());
        assert!(log.missed(&rooms(&[]), 0, Some(t0)).is_err());
        assert!(log.missed(&rooms(&[]), 1, None).is_ok());
        log.expire(t0 + 100 * SECOND);
        assert!(log.is_empty());
        assert_eq!((log.bytes(), log.position()), (0, 2));
        assert_eq!(log.push(t0 + 100 * SECOND, &["a"], &[], 1, "x"), 3);
    }

    #[test]
    fn bytes_are_bounded_whatever_the_packets() {
        let (mut log, now) = log(1000);
        for _ in 0..100 {
            log.push(now, &["room"], &["other"], 10, "x");
            assert!(log.bytes() <= 1000);
        }
        assert!(log.len() >= 4, "{}", log.len());
        assert_eq!(log.rooms["room"].len(), log.len());
        log.push(now, &["room"], &[], 5000, "larger than the bound");
        assert_eq!((log.len(), log.bytes(), log.rooms.len()), (0, 0, 0));
        assert!(log.missed(&rooms(&[]), 100, None).is_err());
    }

    #[test]
    fn offsets() {
        let text = Offset::text("abcdefgh", 17);
        assert_eq!(Offset::parse("abcdefgh", &text), Offset::Own(17));
        assert_eq!(Offset::parse("abcdefgX", &text), Offset::Foreign);
        for text in [
            "",
            "hello",
            "hello.",
            "a.b",
            "a.17",
            "abcdefgh.+1",
            "abcdefg!.1",
        ] {
            assert_eq!(Offset::parse("abcdefgh", text), Offset::Unknown, "{text}");
        }
    }

    #[test]
    fn sessions_are_taken_once_and_in_time() {
        let (mut sessions, now) = (Sessions::new(100), Instant::now());
        sessions.put("a", 10, now + SECOND, 1);
        sessions.put("b", 10, now + 2 * SECOND, 2);
        assert_eq!(sessions.take(now, "a"), Some((1, now + SECOND)));
        assert_eq!(sessions.take(now, "a"), None);
        assert_eq!(sessions.take(now + 2 * SECOND, "b"), None);
        assert_eq!(sessions.bytes, 0);
        sessions.put("c", 10, now + SECOND, 3);
        sessions.expire(now + SECOND);
        assert!(sessions.is_empty());
        assert_eq!((sessions.bytes, sessions.order.len()), (0, 0));
    }

    #[test]
    fn too_many_sessions_drop_the_oldest() {
        let (mut sessions, now) = (Sessions::new(100), Instant::now());
        for i in 0..1000 {
            sessions.put(&format!("s{i}"), 10, now + SECOND, i);
            assert!(sessions.len() <= 10 && sessions.order.len() <= 52);
        }
        assert_eq!(sessions.take(now, "s989"), None);
        assert!(sessions.take(now, "s990").is_some());
        for i in 0..1000 {
            sessions.put("same", 10, now + SECOND, i);
        }
        assert!(sessions.order.len() <= 64, "{}", sessions.order.len());
    }

    /// Sends to random rooms, joins and leaves at random, loses what is in flight at random: what arrives is what was
    /// sent to it, in order, once.
    #[test]
    fn nothing_is_lost_or_doubled() {
        let mut seed = 7u64;
        let mut random = |n: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % n
        };
        let names = ["a", "b", "c", "d"];
        for _ in 0..200 {
            let (mut log, mut now) = log(1 << 20);
            let mut member = Memberships::default();
            let (mut expected, mut got) = (Vec::new(), Vec::new());
            let mut connected = true;
            let mut lossy = false;
            for _ in 0..200 {
                now += Duration::from_millis(random(20));
                match random(10) {
                    0 if connected => member.join(names[random(4) as usize], log.position()),
                    1 if connected => member.leave(names[random(4) as usize], log.position()),
                    2 if connected => lossy = true,
                    3 => {
                        connected = false;
                    }
                    4 if !connected => {
                        let after = got.last().copied().unwrap_or(0);
                        let missed = log.missed(&member, after, None).unwrap();
                        got.extend(missed.iter().map(|(position, _)| *position));
                        (connected, lossy) = (true, false);
                    }
                    _ => {
                        let to = [names[random(4) as usize]];
                        let except = [names[random(4) as usize]];
                        let (to, except) = match random(3) {
                            0 => (&[][..], &[][..]),
                            1 => (&to[..], &[][..]),
                            _ => (&to[..], &except[..]),
                        };
                        let position = log.push(now, to, except, 1, "");
                        let reached = (to.is_empty() || member.has(to[0]))
                            && !except.iter().any(|room| member.has(room));
                        if reached {
                            expected.push(position);
                            if connected && !lossy {
                                got.push(position);
                            }
                        }
                    }
                }
            }
            let after = got.last().copied().unwrap_or(0);
            let missed = log.missed(&member, after, None).unwrap();
            got.extend(missed.iter().map(|(position, _)| *position));
            assert_eq!(got, expected);
        }
    }
}
