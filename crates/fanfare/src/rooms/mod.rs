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
const MAX_NAMES_WITHOUT_DEDUP: usize = 8;

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
    slots: Slab<MemberSlot<M>>,
    by_id: HashTable<u32>,
    rooms: Slab<Room<M::Target>>,
    by_name: HashTable<u32>,
    everyone: Option<Audience<M::Target>>,
    hasher: foldhash::fast::RandomState,
}

impl<M: Member> Rooms<M> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Slab::new(),
            by_id: HashTable::new(),
            rooms: Slab::new(),
            by_name: HashTable::new(),
            everyone: None,
            hasher: foldhash::fast::RandomState::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &M> {
        self.slots.iter().map(|(_, slot)| &slot.member)
    }

    /// Adds a member and returns its index.
    pub(crate) fn insert(&mut self, member: M) -> u32 {
        let hash = self.hasher.hash_one(member.id());
        let index = self.slots.insert(MemberSlot {
            member,
            rooms: Links::default(),
        }) as u32;
        let Self {
            by_id,
            slots,
            hasher,
            ..
        } = self;
        by_id.insert_unique(hash, index, |&i| {
            hasher.hash_one(slots[i as usize].member.id())
        });
        self.everyone = None;
        index
    }

    /// Removes a member from the namespace and all its rooms; returns it with the rooms it left.
    pub(crate) fn remove(&mut self, index: u32) -> Option<(M, Vec<Left>)> {
        let rooms: Vec<u32> = self.slots.get(index as usize)?.rooms.rooms().collect();
        let mut left = Vec::with_capacity(rooms.len());
        // From the last to the first, so that each is found at once.
        for room in rooms.into_iter().rev() {
            let name = self.rooms[room as usize].name.clone();
            let change = self.leave_room(index, room);
            left.push((name, change.room));
        }
        left.reverse();
        let slot = self.slots.remove(index as usize);
        let hash = self.hasher.hash_one(slot.member.id());
        if let Ok(entry) = self.by_id.find_entry(hash, |&i| i == index) {
            entry.remove();
        }
        self.everyone = None;
        Some((slot.member, left))
    }

    pub(crate) fn get(&self, id: &str) -> Option<&M> {
        self.index_of(id).map(|i| &self.slots[i as usize].member)
    }

    fn index_of(&self, id: &str) -> Option<u32> {
        self.by_id
            .find(self.hasher.hash_one(id), |&i| {
                self.slots[i as usize].member.id() == id
            })
            .copied()
    }

    /// Whether a message to this room has a recipient.
    pub(crate) fn has_recipients(&self, name: &str) -> bool {
        self.room_of(name).is_some() || self.index_of(name).is_some()
    }

    /// Whether a member has joined this room.
    pub(crate) fn has_room(&self, name: &str) -> bool {
        self.room_of(name).is_some()
    }

    fn room_of(&self, name: &str) -> Option<u32> {
        self.by_name
            .find(self.hasher.hash_one(name), |&r| {
                &*self.rooms[r as usize].name == name
            })
            .copied()
    }

    pub(crate) fn join(&mut self, index: u32, name: &str) -> Change {
        let Some(slot) = self.slots.get(index as usize) else {
            return Change::default();
        };
        if slot.member.id() == name {
            return Change::default(); // each member stays in the room of its id
        }
        let (room, created) = match self.room_of(name) {
            Some(room) => (room, false),
            None => (self.create(name), true),
        };
        let slot = &mut self.slots[index as usize];
        if slot.rooms.has(room) {
            return Change::default();
        }
        let members = &mut self.rooms[room as usize].members;
        slot.rooms.push(room, members.len() as u32);
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
        let Some(slot) = self.slots.get(index as usize) else {
            return 0;
        };
        let names: HashSet<&str> = names.collect();
        let is_in = |name: &str| self.room_of(name).is_some_and(|room| slot.rooms.has(room));
        names.into_iter().filter(|name| !is_in(name)).count()
    }

    pub(crate) fn leave(&mut self, index: u32, name: &str) -> Change {
        match self.room_of(name) {
            Some(room) => self.leave_room(index, room),
            None => Change::default(),
        }
    }

    fn leave_room(&mut self, index: u32, room: u32) -> Change {
        let Some(slot) = self.slots.get_mut(index as usize) else {
            return Change::default();
        };
        let Some(position) = slot.rooms.remove(room) else {
            return Change::default();
        };
        let entry = &mut self.rooms[room as usize];
        entry.audience = None;
        entry.members.swap_remove(position as usize);
        if let Some(&moved) = entry.members.get(position as usize) {
            self.slots[moved as usize].rooms.moved(room, position);
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
        let Some(slot) = self.slots.get(index as usize) else {
            return Vec::new();
        };
        let name = |room: u32| self.rooms[room as usize].name.clone();
        slot.rooms.rooms().map(name).collect()
    }

    pub(crate) fn room_count_of(&self, index: u32) -> usize {
        self.slots
            .get(index as usize)
            .map_or(0, |slot| slot.rooms.len())
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
                everyone, slots, ..
            } = self;
            return everyone
                .get_or_insert_with(|| slots.iter().map(|(_, slot)| slot.member.target()).collect())
                .clone();
        };
        let own = self.index_of(name);
        let Some(room) = self.room_of(name) else {
            return own
                .map(|i| self.slots[i as usize].member.target())
                .into_iter()
                .collect();
        };
        let Self { rooms, slots, .. } = self;
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
                    .map(|i| slots[i as usize].member.target())
                    .collect()
            })
            .clone()
    }

    /// Returns the members that are in at least one of `rooms` (all, if empty) and in none of `except`, each once.
    pub(crate) fn select<S: AsRef<str>>(&self, rooms: &[S], except: &[S]) -> Vec<&M> {
        let mut taken = vec![false; self.slots.capacity().max(self.slots.len())];
        self.each_in(except, |i| taken[i as usize] = true);
        let mut chosen = Vec::new();
        let mut choose = |i: u32| {
            if !std::mem::replace(&mut taken[i as usize], true) {
                chosen.push(&self.slots[i as usize].member);
            }
        };
        if rooms.is_empty() {
            self.slots.iter().for_each(|(i, _)| choose(i as u32));
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
                && (names.len() <= MAX_NAMES_WITHOUT_DEDUP || seen.insert(room))
            {
                let members = &self.rooms[room as usize].members;
                members.iter().copied().for_each(&mut f);
            }
            self.index_of(name).into_iter().for_each(&mut f);
        }
    }
}

#[cfg(test)]
mod tests;
