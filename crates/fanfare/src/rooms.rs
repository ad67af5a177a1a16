//! Who is in which room: the local index of one namespace.
//!
//! Members live at dense indices and a room is a list of indices, so joining, leaving and emitting to one room cost the
//! same however many rooms there are. A room caches its audience, the list of targets a broadcast walks without any
//! lock; it is rebuilt by the next broadcast after a membership change.

mod shared;

use std::collections::HashSet;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use slab::Slab;
use smallvec::SmallVec;

pub(crate) use shared::SharedRooms;

/// What the index holds for a member.
pub(crate) trait Member {
    /// What a broadcast is sent to.
    type Target;

    /// The member's id, which is also the name of a room that only it is in.
    fn id(&self) -> &str;

    fn target(&self) -> Arc<Self::Target>;
}

/// The targets of a broadcast.
pub(crate) type Audience<T> = Arc<[Arc<T>]>;

#[derive(Debug)]
struct Seat<M> {
    member: M,
    /// The rooms it is in, and where in the member list of each.
    rooms: SmallVec<[(u32, u32); 2]>,
}

struct Room<T> {
    name: Arc<str>,
    members: Vec<u32>,
    audience: Option<Audience<T>>,
}

/// A room that a member left with the namespace, and whether it was the last in it.
pub(crate) type Left = (Arc<str>, bool);

/// What a join or a leave did to the set of rooms.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// The membership changed (it did not if the socket was already in or out).
    pub(crate) moved: bool,
    /// The room was created by the join, or deleted by the leave.
    pub(crate) room: bool,
}

pub(crate) struct Rooms<M: Member> {
    seats: Slab<Seat<M>>,
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
        let index = self.seats.insert(Seat {
            member,
            rooms: SmallVec::new(),
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
        let rooms: SmallVec<[u32; 8]> = self
            .seats
            .get(index as usize)?
            .rooms
            .iter()
            .map(|&(room, _)| room)
            .collect();
        let mut left = Vec::with_capacity(rooms.len());
        // The last one first: each is found at once then, however many there are.
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
            return Change::default(); // everyone is in the room of its own id
        }
        let (room, created) = match self.room_of(name) {
            Some(room) => (room, false),
            None => (self.create(name), true),
        };
        let seat = &mut self.seats[index as usize];
        if seat.rooms.iter().any(|&(r, _)| r == room) {
            return Change::default();
        }
        let members = &mut self.rooms[room as usize].members;
        seat.rooms.push((room, members.len() as u32));
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

    /// How many rooms the member would be in more, if it joined these.
    pub(crate) fn missing(&self, index: u32, names: &[String]) -> usize {
        let Some(seat) = self.seats.get(index as usize) else {
            return 0;
        };
        let names: HashSet<&str> = names.iter().map(String::as_str).collect();
        let is_in = |name: &str| {
            let room = self.room_of(name);
            seat.rooms.iter().any(|&(r, _)| Some(r) == room)
        };
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
        let Some(at) = seat.rooms.iter().rposition(|&(r, _)| r == room) else {
            return Change::default();
        };
        let (_, position) = seat.rooms.swap_remove(at);
        let entry = &mut self.rooms[room as usize];
        entry.audience = None;
        entry.members.swap_remove(position as usize);
        if let Some(&moved) = entry.members.get(position as usize) {
            let rooms = &mut self.seats[moved as usize].rooms;
            if let Some(link) = rooms.iter_mut().find(|(r, _)| *r == room) {
                link.1 = position;
            }
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

    /// The rooms a member joined, without the one of its own id.
    pub(crate) fn rooms_of(&self, index: u32) -> Vec<Arc<str>> {
        let Some(seat) = self.seats.get(index as usize) else {
            return Vec::new();
        };
        seat.rooms
            .iter()
            .map(|&(room, _)| self.rooms[room as usize].name.clone())
            .collect()
    }

    pub(crate) fn room_count_of(&self, index: u32) -> usize {
        self.seats
            .get(index as usize)
            .map_or(0, |seat| seat.rooms.len())
    }

    /// All rooms with the number of their members, without those of the members' own ids.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.rooms
            .iter()
            .map(|(_, room)| (&room.name, room.members.len()))
    }

    /// The cached audience for everyone (`room: None`) or for one room, if no membership changed since it was made.
    pub(crate) fn cached(&self, room: Option<&str>) -> Option<Audience<M::Target>> {
        match room {
            None => self.everyone.clone(),
            Some(name) => self.rooms[self.room_of(name)? as usize].audience.clone(),
        }
    }

    /// The audience for everyone or for one room.
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
                // Joining a room that bears somebody else's id is allowed; its owner is in it all the same.
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

    /// The members that are in at least one of `rooms` (all, if empty) and in none of `except`, each once.
    pub(crate) fn select<S: AsRef<str>>(&self, rooms: &[S], except: &[S]) -> Vec<&M> {
        let mut taken = vec![false; self.seats.capacity().max(self.seats.len())];
        for name in except {
            self.each_in(name.as_ref(), |i| taken[i as usize] = true);
        }
        let mut chosen = Vec::new();
        let mut choose = |i: u32| {
            if !std::mem::replace(&mut taken[i as usize], true) {
                chosen.push(&self.seats[i as usize].member);
            }
        };
        if rooms.is_empty() {
            self.seats.iter().for_each(|(i, _)| choose(i as u32));
        } else {
            rooms
                .iter()
                .for_each(|name| self.each_in(name.as_ref(), &mut choose));
        }
        chosen
    }

    fn each_in(&self, name: &str, mut f: impl FnMut(u32)) {
        if let Some(room) = self.room_of(name) {
            self.rooms[room as usize]
                .members
                .iter()
                .copied()
                .for_each(&mut f);
        }
        self.index_of(name).into_iter().for_each(f);
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
            5 => (any::<usize>(), 0..6u8).prop_map(|(s, r)| Step::Join(s, r)),
            3 => (any::<usize>(), 0..6u8).prop_map(|(s, r)| Step::Leave(s, r)),
            2 => (0..6u8).prop_map(Step::Audience),
        ]
    }

    proptest! {
        /// The index agrees with a plain map of sets, whatever happens.
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
