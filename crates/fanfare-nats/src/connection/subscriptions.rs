//! Subscriptions that a connection should have.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use fanfare_cluster::{SubscriptionChange, SubscriptionOptions, Subscriptions as Subjects};

use crate::protocol;

/// Subscriptions by subject, and the changes that the server does not know. A subscription whose last user has gone stays
/// for a while, so that rooms that open and close quickly cost nothing.
///
/// The number of changes is bounded by the existing subscriptions and those that the server knows.
#[derive(Debug)]
pub(super) struct Subscriptions {
    subjects: Subjects,
    /// Further users of subjects that have more than one.
    others: HashMap<Arc<str>, u32>,
    /// Ids of the subscriptions that the server knows.
    ids: HashMap<Arc<str>, u64>,
    last_id: u64,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            subjects: Subjects::new(SubscriptionOptions::default()),
            others: HashMap::new(),
            ids: HashMap::new(),
            last_id: 0,
        }
    }
}

impl Subscriptions {
    /// Adds a user; returns whether there may be a change to send.
    pub(super) fn subscribe(&mut self, subject: &str) -> bool {
        if self.contains(subject) {
            match self.others.get_mut(subject) {
                Some(others) => *others = others.saturating_add(1),
                None => drop(self.others.insert(subject.into(), 1)),
            }
            return false;
        }
        self.subjects.open(subject);
        !self.ids.contains_key(subject)
    }

    /// Removes a user; returns whether [`poll_timeout`](Self::poll_timeout) may have changed.
    pub(super) fn unsubscribe(&mut self, subject: &str, now: Instant) -> bool {
        if let Some(others) = self.others.get_mut(subject) {
            *others -= 1;
            if *others == 0 {
                self.others.remove(subject);
            }
            return false;
        }
        self.subjects.close(subject, now);
        true
    }

    /// Whether a subject has users.
    pub(super) fn contains(&self, subject: &str) -> bool {
        self.subjects.is_open(subject)
    }

    /// Appends the operations of the changes, in their order.
    pub(super) fn write_changes(&mut self, out: &mut Vec<u8>) {
        while let Some(change) = self.subjects.poll() {
            match change {
                SubscriptionChange::Subscribe(subjects) => {
                    for subject in subjects {
                        self.last_id += 1;
                        protocol::subscribe(out, &subject, self.last_id);
                        self.ids.insert(subject, self.last_id);
                    }
                }
                SubscriptionChange::Unsubscribe(subjects) => {
                    for subject in subjects {
                        if let Some(id) = self.ids.remove(&subject) {
                            protocol::unsubscribe(out, id);
                        }
                    }
                }
            }
        }
    }

    /// Appends the operations for a server that knows none of the subscriptions.
    pub(super) fn write_all(&mut self, out: &mut Vec<u8>) {
        self.ids.clear();
        self.subjects.connected();
        self.write_changes(out);
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) must be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.subjects.poll_timeout()
    }

    /// Ends subscriptions whose last user has been gone for a while, with the next changes.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.subjects.handle_timeout(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(subscriptions: &mut Subscriptions) -> String {
        let mut out = Vec::new();
        subscriptions.write_changes(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// Returns the operations at the time at which the next subscription ends.
    fn told_later(subscriptions: &mut Subscriptions) -> String {
        let later = subscriptions.poll_timeout().unwrap();
        subscriptions.handle_timeout(later);
        told(subscriptions)
    }

    #[test]
    fn the_server_is_told_each_change_once() {
        let (mut subscriptions, now) = (Subscriptions::default(), Instant::now());
        let mut out = Vec::new();
        subscriptions.write_all(&mut out);
        assert!(out.is_empty());
        assert!(subscriptions.subscribe("a"));
        assert!(!subscriptions.subscribe("a"));
        assert!(subscriptions.subscribe("b"));
        subscriptions.unsubscribe("b", now);
        assert_eq!(told(&mut subscriptions), "SUB a 1\r\n", "b has gone before");
        assert!(!subscriptions.unsubscribe("a", now), "it has one more user");
        assert!(subscriptions.contains("a"));
        assert!(subscriptions.unsubscribe("a", now));
        subscriptions.unsubscribe("a", now);
        assert!(!subscriptions.contains("a"));
        assert_eq!(told(&mut subscriptions), "", "it stays for a while");
        assert_eq!(told_later(&mut subscriptions), "UNSUB 1\r\n");
        assert!(subscriptions.subscribe("a"));
        assert_eq!(told(&mut subscriptions), "SUB a 2\r\n");
        subscriptions.unsubscribe("a", now);
        subscriptions.subscribe("c");
        subscriptions.write_all(&mut out);
        assert_eq!(out, b"SUB c 3\r\n");
        assert_eq!(told(&mut subscriptions), "");
        assert_eq!(subscriptions.ids.len(), 1);
    }

    #[test]
    fn rooms_that_open_and_close_quickly_cost_nothing() {
        let (mut subscriptions, now) = (Subscriptions::default(), Instant::now());
        subscriptions.write_all(&mut Vec::new());
        let mut operations = String::new();
        for _ in 0..1000 {
            subscriptions.subscribe("room");
            operations.push_str(&told(&mut subscriptions));
            subscriptions.unsubscribe("room", now);
            operations.push_str(&told(&mut subscriptions));
        }
        assert_eq!(operations, "SUB room 1\r\n");
        assert_eq!(told_later(&mut subscriptions), "UNSUB 1\r\n");
    }
}
