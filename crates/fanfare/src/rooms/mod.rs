//! Membership of rooms: the local index of one namespace.
//!
//! Members live at dense indices and a room is a list of indices, so joining, leaving and emitting to one room cost the
//! same however many rooms there are. A room caches its audience, the list of targets a broadcast walks without any
//! lock; it is rebuilt by the next broadcast after a membership change.

mod links;
mod shared;

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use slab::Slab;

use links::Links;
pub(crate) use shared::SharedRooms;

/// Number of names up to which duplicates are not looked for.
const MAX_INLINE_MEMBERS: usize = 8;

/// Member of the index.
pub(crate) trait Member {
    /// Target of a broadcast.
    type Target;

    /// Returns the member's id, which is also the name of a room that only it is in.
    fn id(&self) -> &str;

    fn target(&self) -> Arc<Self::Target>;
}

/// Targets of a broadcast.
pub(crate) type Audience<T> = Arc<[Arc<T>]>;

#[derive(Debug)]
struct MemberSlot<M> {
    member: M,
    rooms: Links,
}

struct Room<T> {
    name: Arc<str>,
    members: Vec<u32>,
    audience: Option<Audience<T>>,
}

/// A room that a member left with the namespace, and whether the member was the last in it.
pub(crate) type Left = (Arc<str>, bool);

/// Effect of a join or a leave on the set of rooms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whether the membership changed (it did not if the socket was already in or out).
    pub(crate) moved: bool,
    /// Whether the room was created by the join, or deleted by the leave.
    pub(crate) room: bool,
}

pub(crate) struct Rooms<M: Member> {
    seats: Slab<MemberSlot<M>>,
    by_id: HashTable<u32>,
    rooms: Slab<Room<M::Target>>,
    by_name: HashTable<u32>,
    everyone: Option<Audience<M::Target>>,
    hasher: foldhash::fast::RandomState,
}

impl<M: Member> Rooms<M> {
    pub(crate) fn new() -> Self {
        Self {
            seats: Slab::new(),
            by_id: HashTable::new(),
            rooms: Slab::new(),
            by_name: HashTable::new(),
            everyone: None,
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &M> {
        self.seats.iter().map(|(_, seat)| &seat.member)
    }

    /// Adds a member and returns its index.
    pub(crate) fn insert(&mut self, member: M) -> u32 {
        let hash = self.hasher.hash_one(member.id());
        let index = self.seats.insert(MemberSlot {
            member,
            rooms: Links::default(),
        }) as u32;
        let Self {
            by_id,
            seats,
            hasher,
            ..
        } = self;
        by_id.insert_unique(hash, index, |&i| {
            hasher.hash_one(seats[i as usize].member.id())
        });
        self.everyone = None;
        index
    }

    /// Removes a member from the namespace and all its rooms; returns it with the rooms it left.
    pub(crate) fn remove(&mut self, index: u32) -> Option<(M, Vec<Left>)> {
        let rooms: Vec<u32> = self.seats.get(index as usize)?.rooms.rooms().collect();
        let mut left = Vec::with_capacity(rooms.len());
        // From the last to the first, so that each is found at once.
        for room in rooms.into_iter().rev() {
            let name = self.rooms[room as usize].name.clone();
            let change = self.leave_room(index, room);
            left.push((name, change.room));
        }
        left.reverse();
        let seat = self.seats.remove(index as usize);
        let hash = self.hasher.hash_one(seat.member.id());
        if let Ok(entry) = self.by_id.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
        self.everyone = None;
        Some((seat.member, left))
    }

    pub(crate) fn get(&self, id: &str) -> Option<&M> {
        self.index_of(id).map(|i| &self.seats[i as usize].member)
    }

    fn index_of(&self, id: &str) -> Option<u32> {
        self.by_id
            .find(self.hasher.hash_one(id), |&i| {
                self.seats[i as usize].member.id() == id
            })
            .copied()
    }

    /// Whether a message to this room has a recipient.
    pub(crate) fn has_recipients(&self, name: &str) -> bool {
        self.room_of(name).is_some() || self.index_of(name).is_some()
    }

    fn room_of(&self, name: &str) -> Option<u32> {
        self.by_name
            .find(self.hasher.hash_one(name), |&r| {
                &*self.rooms[r as usize].name == name
            })
            .copied()
    }

    pub(crate) fn join(&mut self, index: u32, name: &str) -> Change {
        let Some(seat) = self.seats.get(index as usize) else {
            return Change::default();
        };
        if seat.member.id() == name {
            return Change::default(); // each member stays in the room of its id
        }
        let (room, created) = match self.room_of(name) {
            Some(room) => (room, false),
            None => (self.create(name), true),
        };
        let seat = &mut self.seats[index as usize];
        if seat.rooms.has(room) {
            return Change::default();
        }
        let members = &mut self.rooms[room as usize].members;
        seat.rooms.push(room, members.len() as u32);
        members.push(index);
        self.rooms[room as usize].audience = None;
        Change {
            moved: true,
            room: created,
        }
    }

    fn create(&mut self, name: &str) -> u32 {
        let room = self.rooms.insert(Room {
            name: name.into(),
            members: Vec::new(),
            audience: None,
        }) as u32;
        let hash = self.hasher.hash_one(name);
        let Self {
            by_name,
            rooms,
            hasher,
            ..
        } = self;
        by_name.insert_unique(hash, room, |&r| hasher.hash_one(&*rooms[r as usize].name));
        room
    }

    /// Returns the number of rooms that the member would be in additionally, if it joined these.
    pub(crate) fn missing<'a>(&self, index: u32, names: impl Iterator<Item = &'a str>) -> usize {
        let Some(seat) = self.seats.get(index as usize) else {
            return 0;
        };
        let names: HashSet<&str> = names.collect();
        let is_in = |name: &str| self.room_of(name).is_some_and(|room| seat.rooms.has(room));
        names.into_iter().filter(|name| !is_in(name)).count()
    }

    pub(crate) fn leave(&mut self, index: u32, name: &str) -> Change {
        match self.room_of(name) {
            Some(room) => self.leave_room(index, room),
            None => Change::default(),
        }
    }

    fn leave_room(&mut self, index: u32, room: u32) -> Change {
        let Some(seat) = self.seats.get_mut(index as usize) else {
            return Change::default();
        };
        let Some(position) = seat.rooms.remove(room) else {
            return Change::default();
        };
        let entry = &mut self.rooms[room as usize];
        entry.audience = None;
        entry.members.swap_remove(position as usize);
        if let Some(&moved) = entry.members.get(position as usize) {
            self.seats[moved as usize].rooms.moved(room, position);
        } else if entry.members.is_empty() {
            let hash = self.hasher.hash_one(&*entry.name);
            if let Ok(found) = self.by_name.find_entry(hash, |&r| r == room) {
                found.remove();
            }
            self.rooms.remove(room as usize);
            return Change {
                moved: true,
                room: true,
            };
        }
        Change {
            moved: true,
            room: false,
        }
    }

    /// Returns the rooms that a member joined, without that of its id.
    pub(crate) fn rooms_of(&self, index: u32) -> Vec<Arc<str>> {
        let Some(seat) = self.seats.get(index as usize) else {
            return Vec::new();
        };
        let name = |room: u32| self.rooms[room as usize].name.clone();
        seat.rooms.rooms().map(name).collect()
    }

    pub(crate) fn room_count_of(&self, index: u32) -> usize {
        self.seats
            .get(index as usize)
            .map_or(0, |seat| seat.rooms.len())
    }

    /// Returns all rooms with the number of their members, without those of the members' ids.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.rooms
            .iter()
            .map(|(_, room)| (&room.name, room.members.len()))
    }

    /// Returns the cached audience for everyone (`room: None`) or for one room, if no membership changed since it was
    /// computed.
    pub(crate) fn cached(&self, room: Option<&str>) -> Option<Audience<M::Target>> {
        match room {
            None => self.everyone.clone(),
            Some(name) => self.rooms[self.room_of(name)? as usize].audience.clone(),
        }
    }

    /// Returns the audience for everyone or for one room.
    pub(crate) fn audience(&mut self, room: Option<&str>) -> Audience<M::Target> {
        let Some(name) = room else {
            let Self {
                everyone, seats, ..
            } = self;
            return everyone
                .get_or_insert_with(|| seats.iter().map(|(_, seat)| seat.member.target()).collect())
                .clone();
        };
        let own = self.index_of(name);
        let Some(room) = self.room_of(name) else {
            return own
                .map(|i| self.seats[i as usize].member.target())
                .into_iter()
                .collect();
        };
        let Self { rooms, seats, .. } = self;
        let Room {
            members, audience, ..
        } = &mut rooms[room as usize];
        audience
            .get_or_insert_with(|| {
                // Joining a room named by another member's id is allowed; that member remains in it.
                let owner = own.filter(|i| !members.contains(i));
                members
                    .iter()
                    .copied()
                    .chain(owner)
                    .map(|i| seats[i as usize].member.target())
                    .collect()
            })
            .clone()
    }

    /// Returns the members that are in at least one of `rooms` (all, if empty) and in none of `except`, each once.
    pub(crate) fn select<S: AsRef<str>>(&self, rooms: &[S], except: &[S]) -> Vec<&M> {
        let mut taken = vec![false; self.seats.capacity().max(self.seats.len())];
        self.each_in(except, |i| taken[i as usize] = true);
        let mut chosen = Vec::new();
        let mut choose = |i: u32| {
            if !std::mem::replace(&mut taken[i as usize], true) {
                chosen.push(&self.seats[i as usize].member);
            }
        };
        if rooms.is_empty() {
            self.seats.iter().for_each(|(i, _)| choose(i as u32));
        } else {
            self.each_in(rooms, choose);
        }
        chosen
    }

    /// Calls `f` with the members of these rooms. Of many names duplicates are skipped: a room may have many members.
    fn each_in<S: AsRef<str>>(&self, names: &[S], mut f: impl FnMut(u32)) {
        let mut seen = HashSet::with_hasher(foldhash::fast::RandomState::default());
        for name in names {
            let name = name.as_ref();
            if let Some(room) = self.room_of(name)
                && (names.len() <= MAX_INLINE_MEMBERS || seen.insert(room))
            {
                let members = &self.rooms[room as usize].members;
                members.iter().copied().for_each(&mut f);
            }
            self.index_of(name).into_iter().for_each(&mut f);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    impl Member for Arc<String> {
        type Target = String;

        fn id(&self) -> &str {
            self
        }

        fn target(&self) -> Arc<String> {
            self.clone()
        }
    }

    fn names(audience: &Audience<String>) -> BTreeSet<String> {
        let set: BTreeSet<_> = audience.iter().map(|t| t.to_string()).collect();
        assert_eq!(set.len(), audience.len(), "nobody is in an audience twice");
        set
    }

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|n| n.to_string()).collect()
    }

    fn member(name: &str) -> Arc<String> {
        Arc::new(name.to_string())
    }

    #[test]
    fn own_id_is_a_room_without_joining() {
        let mut rooms = Rooms::new();
        let a = rooms.insert(member("a"));
        let b = rooms.insert(member("b"));
        assert_eq!(names(&rooms.audience(Some("a"))), set(&["a"]));
        assert_eq!(rooms.join(a, "a"), Change::default());
        assert_eq!(
            rooms.join(b, "a"),
            Change {
                moved: true,
                room: true
            }
        );
        assert_eq!(names(&rooms.audience(Some("a"))), set(&["a", "b"]));
        assert_eq!(rooms.rooms_of(a).len(), 0);
    }

    #[test]
    fn an_audience_is_shared_until_the_membership_changes() {
        let mut rooms = Rooms::new();
        let a = rooms.insert(member("a"));
        rooms.join(a, "r");
        let first = rooms.audience(Some("r"));
        assert!(Arc::ptr_eq(&first, &rooms.cached(Some("r")).unwrap()));
        let b = rooms.insert(member("b"));
        assert!(
            rooms.cached(Some("r")).is_some(),
            "other members do not matter to the room"
        );
        rooms.join(b, "r");
        assert!(rooms.cached(Some("r")).is_none());
        assert_eq!(names(&rooms.audience(Some("r"))), set(&["a", "b"]));
    }

    /// With many rooms each is still found at once; the order in which they were joined is kept.
    #[test]
    fn a_member_may_be_in_many_rooms() {
        let mut rooms = Rooms::new();
        let (a, b) = (rooms.insert(member("a")), rooms.insert(member("b")));
        let all: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        for name in &all {
            assert!(rooms.join(a, name).moved && rooms.join(b, name).moved);
            assert!(!rooms.join(a, name).moved);
        }
        assert_eq!(rooms.missing(a, ["5", "x", "x", "99"].into_iter()), 1);
        let of = |rooms: &Rooms<Arc<String>>, index| -> Vec<String> {
            let names = rooms.rooms_of(index).into_iter();
            names.map(|name| name.to_string()).collect()
        };
        assert_eq!(of(&rooms, a), all);
        for name in all.iter().skip(3) {
            assert_eq!(
                rooms.leave(a, name),
                Change {
                    moved: true,
                    room: false
                }
            );
            assert_eq!(rooms.leave(a, name), Change::default());
        }
        assert_eq!(of(&rooms, a), ["0", "1", "2"]);
        assert_eq!(names(&rooms.audience(Some("2"))), set(&["a", "b"]));
        assert_eq!(names(&rooms.audience(Some("50"))), set(&["b"]));
        let (_, left) = rooms.remove(b).unwrap();
        assert_eq!(left.len(), 100);
        assert_eq!(left.iter().filter(|(_, ended)| *ended).count(), 97);
        assert_eq!(rooms.rooms().count(), 3);
    }

    #[test]
    fn names_that_come_again_choose_nobody_twice() {
        let mut rooms = Rooms::new();
        let a = rooms.insert(member("a"));
        rooms.join(a, "r");
        let again = ["r"; 20];
        assert_eq!(rooms.select(&again, &[]).len(), 1);
        assert_eq!(rooms.select::<&str>(&[], &again).len(), 0);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert,
        Remove(usize),
        Join(usize, u8),
        Leave(usize, u8),
        Audience(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            2 => Just(Step::Insert),
            1 => any::<usize>().prop_map(Step::Remove),
            5 => (any::<usize>(), 0..40u8).prop_map(|(s, r)| Step::Join(s, r % 24)),
            3 => (any::<usize>(), 0..24u8).prop_map(|(s, r)| Step::Leave(s, r)),
            2 => (0..24u8).prop_map(Step::Audience),
        ]
    }

    proptest! {
        /// The index agrees with a plain map of sets after every step.
        #[test]
        fn agrees_with_a_model(steps in prop::collection::vec(step(), 1..200)) {
            let mut rooms = Rooms::new();
            let mut model: BTreeMap<u32, (String, BTreeSet<String>)> = BTreeMap::new();
            let mut next = 0;
            for step in steps {
                let pick = |n: usize| model.keys().copied().nth(n % model.len().max(1));
                match step {
                    Step::Insert => {
                        let name = format!("s{next}");
                        next += 1;
                        let index = rooms.insert(member(&name));
                        model.insert(index, (name, BTreeSet::new()));
                    }
                    Step::Remove(n) => if let Some(i) = pick(n) {
                        let (_, left) = rooms.remove(i).unwrap();
                        let (_, expected) = model.remove(&i).unwrap();
                        let left: BTreeMap<String, bool> = left.into_iter().map(|(n, ended)| (n.to_string(), ended)).collect();
                        prop_assert_eq!(left.keys().cloned().collect::<BTreeSet<_>>(), expected);
                        for (name, ended) in left {
                            prop_assert_eq!(ended, !model.values().any(|(_, r)| r.contains(&name)));
                        }
                    }
                    Step::Join(n, r) => if let Some(i) = pick(n) {
                        let room = format!("r{r}");
                        let existed = model.values().any(|(_, rooms)| rooms.contains(&room));
                        let moved = model.get_mut(&i).unwrap().1.insert(room.clone());
                        prop_assert_eq!(rooms.join(i, &room), Change { moved, room: !existed });
                    }
                    Step::Leave(n, r) => if let Some(i) = pick(n) {
                        let room = format!("r{r}");
                        let moved = model.get_mut(&i).unwrap().1.remove(&room);
                        let exists = model.values().any(|(_, rooms)| rooms.contains(&room));
                        prop_assert_eq!(rooms.leave(i, &room), Change { moved, room: moved && !exists });
                    }
                    Step::Audience(r) => {
                        let room = format!("r{r}");
                        let expected: BTreeSet<_> = model.values().filter(|(_, rooms)| rooms.contains(&room)).map(|(n, _)| n.clone()).collect();
                        prop_assert_eq!(names(&rooms.audience(Some(&room))), expected);
                    }
                }
                prop_assert_eq!(rooms.len(), model.len());
            }
            let expected: BTreeSet<_> = model.values().map(|(n, _)| n.clone()).collect();
            prop_assert_eq!(names(&rooms.audience(None)), expected);
            let selected: BTreeSet<_> = rooms.select(&["r0", "r1"], &["r2"]).into_iter().map(|m| m.to_string()).collect();
            let expected: BTreeSet<_> = model.values()
                .filter(|(_, r)| (r.contains("r0") || r.contains("r1")) && !r.contains("r2"))
                .map(|(n, _)| n.clone()).collect();
            prop_assert_eq!(selected, expected);
            let existing: BTreeSet<_> = model.values().flat_map(|(_, r)| r.iter().cloned()).collect();
            prop_assert_eq!(rooms.rooms().map(|(n, _)| n.to_string()).collect::<BTreeSet<_>>(), existing);
        }
    }
}
