//! Events of this node that wait for their position in the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

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
    /// Time at which it was appended.
    pub(super) appended: Instant,
    /// Time at which it was last sent.
    pub(super) sent: Instant,
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

    /// Passes on the messages that are not known to be stored, in their order, which are sent again.
    pub(super) fn resend(&mut self, now: Instant, mut send: impl FnMut(&Bytes)) {
        let entries = self.entries.values_mut();
        for entry in entries.filter(|entry| entry.stored.is_none()) {
            entry.sent = now;
            send(&entry.frame);
        }
    }

    /// Whether the acknowledgement of a message has not come for this time.
    pub(super) fn is_overdue(&self, now: Instant, timeout: Duration) -> bool {
        let mut unstored = self.entries.values().filter(|entry| entry.stored.is_none());
        unstored.any(|entry| now.saturating_duration_since(entry.sent) >= timeout)
    }

    /// Takes the events that were appended this time ago and are not known to be stored.
    pub(super) fn take_expired(&mut self, now: Instant, age: Duration) -> Vec<Entry> {
        let expired = |entry: &Entry| {
            entry.stored.is_none() && now.saturating_duration_since(entry.appended) >= age
        };
        let entries = self.entries.iter();
        let numbers: Vec<u64> = entries
            .filter(|(_, entry)| expired(entry))
            .map(|(number, _)| *number)
            .collect();
        let taken = numbers.iter();
        taken
            .filter_map(|number| self.entries.remove(number))
            .collect()
    }

    /// Takes all events, in their order.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries).into_values().collect()
    }
}
