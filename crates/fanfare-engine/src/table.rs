//! Table of an engine's connections, by session id and by index.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use parking_lot::Mutex;
use slab::Slab;

use crate::connection::Connection;
use crate::sid::Sid;

const SHARDS: usize = 16;

struct Shard<S> {
    by_sid: HashTable<u32>,
    slots: Slab<Arc<Connection<S>>>,
}

pub(crate) struct Table<S> {
    hasher: RandomState,
    shards: [Mutex<Shard<S>>; SHARDS],
    len: AtomicUsize,
}

impl<S: Send + Sync + 'static> Table<S> {
    pub(crate) fn new() -> Table<S> {
        let shard = |_| {
            Mutex::new(Shard {
                by_sid: HashTable::new(),
                slots: Slab::new(),
            })
        };
        Table {
            hasher: RandomState::default(),
            shards: std::array::from_fn(shard),
            len: AtomicUsize::new(0),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    fn hash(&self, sid: &Sid) -> u64 {
        self.hasher.hash_one(sid)
    }

    fn shard(hash: u64) -> usize {
        (hash >> 48) as usize % SHARDS
    }

    /// Inserts the connection that `make` creates for the index it is given. `None`: the id is already in use.
    pub(crate) fn insert(
        &self,
        sid: &Sid,
        make: impl FnOnce(u32) -> Arc<Connection<S>>,
    ) -> Option<Arc<Connection<S>>> {
        let hash = self.hash(sid);
        let number = Self::shard(hash);
        let mut shard = self.shards[number].lock();
        let Shard { by_sid, slots } = &mut *shard;
        let is_it = |&key: &u32| slots.get(key as usize).is_some_and(|conn| conn.sid == *sid);
        if by_sid.find(hash, is_it).is_some() {
            return None;
        }
        let slot = slots.vacant_entry();
        let key = slot.key();
        let conn = make((key * SHARDS + number) as u32);
        slot.insert(conn.clone());
        by_sid.insert_unique(hash, key as u32, |&key| {
            slots
                .get(key as usize)
                .map_or(0, |conn| self.hasher.hash_one(&conn.sid))
        });
        self.len.fetch_add(1, Ordering::Relaxed);
        Some(conn)
    }

    pub(crate) fn get(&self, sid: &Sid) -> Option<Arc<Connection<S>>> {
        let hash = self.hash(sid);
        let shard = self.shards[Self::shard(hash)].lock();
        let is_it = |&key: &u32| {
            shard
                .slots
                .get(key as usize)
                .is_some_and(|conn| conn.sid == *sid)
        };
        let key = *shard.by_sid.find(hash, is_it)?;
        shard.slots.get(key as usize).cloned()
    }

    pub(crate) fn at(&self, index: u32) -> Option<Arc<Connection<S>>> {
        let index = index as usize;
        self.shards[index % SHARDS]
            .lock()
            .slots
            .get(index / SHARDS)
            .cloned()
    }

    pub(crate) fn remove(&self, sid: &Sid) -> Option<Arc<Connection<S>>> {
        let hash = self.hash(sid);
        let mut shard = self.shards[Self::shard(hash)].lock();
        let Shard { by_sid, slots } = &mut *shard;
        let is_it = |&key: &u32| slots.get(key as usize).is_some_and(|conn| conn.sid == *sid);
        let entry = by_sid.find_entry(hash, is_it).ok()?;
        let (key, _) = entry.remove();
        self.len.fetch_sub(1, Ordering::Relaxed);
        slots.try_remove(key as usize)
    }

    /// Returns all connections of a shard.
    pub(crate) fn snapshot(&self, shard: usize) -> Option<Vec<Arc<Connection<S>>>> {
        let shard = self.shards.get(shard)?.lock();
        Some(shard.slots.iter().map(|(_, conn)| conn.clone()).collect())
    }
}
