//! Events of this node that wait for their position in the log.

use std::collections::BTreeMap;
use std::time::Instant;

use bytes::Bytes;
use fanfare::adapter::PendingDelivery;

/// An event that has been appended, or is appended when there is a connection.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) delivery: PendingDelivery,
    /// Message in the form of the protocol, which can be sent again on another connection.
    pub(super) frame: Bytes,
    /// Subject under which the log sends it back.
    pub(super) subject: String,
    /// Sequence, and the time at which this node learned it.
    pub(super) stored: Option<(u64, Instant)>,
}

/// Waiting events, by the numbers under which they were appended. The server bounds their number.
#[derive(Debug, Default)]
pub(super) struct Pending {
    entries: BTreeMap<u64, Entry>,
    last: u64,
}

impl Pending {
    /// Returns the number of the next event.
    pub(super) fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn insert(&mut self, number: u64, entry: Entry) {
        self.entries.insert(number, entry);
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Entry> {
        self.entries.get_mut(&number)
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Entry> {
        self.entries.remove(&number)
    }

    /// Takes the events whose sequence is known and fulfils a condition, in the order of the log.
    pub(super) fn take_stored(
        &mut self,
        mut condition: impl FnMut(u64, Instant) -> bool,
    ) -> Vec<(u64, PendingDelivery)> {
        let entries = self.entries.iter();
        let numbers: Vec<u64> = entries
            .filter(|(_, entry)| {
                let stored = entry.stored;
                stored.is_some_and(|(sequence, at)| condition(sequence, at))
            })
            .map(|(number, _)| *number)
            .collect();
        let taken = numbers.iter().filter_map(|number| {
            let entry = self.entries.remove(number)?;
            Some((entry.stored?.0, entry.delivery))
        });
        let mut taken: Vec<_> = taken.collect();
        taken.sort_unstable_by_key(|(sequence, _)| *sequence);
        taken
    }

    /// Returns the messages that are not known to be stored, in their order.
    pub(super) fn unstored(&self) -> impl Iterator<Item = &Bytes> {
        let entries = self.entries.values();
        entries
            .filter(|entry| entry.stored.is_none())
            .map(|entry| &entry.frame)
    }

    /// Takes all events, in their order.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries).into_values().collect()
    }
}
