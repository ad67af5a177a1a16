//! Rooms joined in a middleware, before the socket has a slot in the room index.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// A set of rooms in the order in which they were joined.
#[derive(Debug, Default)]
pub(crate) struct EarlyRooms {
    turns: HashMap<Arc<str>, u64>,
    names: BTreeMap<u64, Arc<str>>,
    next: u64,
}

impl EarlyRooms {
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.turns.contains_key(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.names.values()
    }

    /// Returns the number of rooms that these names would add.
    pub(crate) fn missing<'a>(&self, names: impl Iterator<Item = &'a str>) -> usize {
        let new: HashSet<&str> = names.filter(|name| !self.has(name)).collect();
        new.len()
    }

    pub(crate) fn join(&mut self, name: &str) {
        if self.has(name) {
            return;
        }
        let name: Arc<str> = name.into();
        self.turns.insert(name.clone(), self.next);
        self.names.insert(self.next, name);
        self.next += 1;
    }

    pub(crate) fn leave(&mut self, name: &str) {
        if let Some(turn) = self.turns.remove(name) {
            self.names.remove(&turn);
        }
    }
}
