//! Subscriptions that a connection should have.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::protocol;

/// Subscriptions by subject, and the changes that the server does not know.
///
/// A subscription that ends before the server knows it is forgotten. The number of changes is therefore bounded by the
/// existing subscriptions and those that the server knows.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    by_subject: HashMap<Arc<str>, Subscription>,
    /// Changes by the id of the subscription: the subject of a new one, `None` for one that ends.
    changes: BTreeMap<u64, Option<Arc<str>>>,
    last_id: u64,
}

#[derive(Debug)]
struct Subscription {
    id: u64,
    users: u32,
}

impl Subscriptions {
    /// Adds a user; returns whether there is a change to send.
    pub(super) fn subscribe(&mut self, subject: &str) -> bool {
        if let Some(found) = self.by_subject.get_mut(subject) {
            found.users = found.users.saturating_add(1);
            return false;
        }
        self.last_id += 1;
        let (id, subject) = (self.last_id, Arc::<str>::from(subject));
        self.by_subject
            .insert(subject.clone(), Subscription { id, users: 1 });
        self.changes.insert(id, Some(subject));
        true
    }

    /// Removes a user; returns whether there is a change to send.
    pub(super) fn unsubscribe(&mut self, subject: &str) -> bool {
        let Some(found) = self.by_subject.get_mut(subject) else {
            return false;
        };
        found.users -= 1;
        if found.users > 0 {
            return false;
        }
        let id = found.id;
        self.by_subject.remove(subject);
        if self.changes.remove(&id).is_some() {
            return false;
        }
        self.changes.insert(id, None);
        true
    }

    pub(super) fn contains(&self, subject: &str) -> bool {
        self.by_subject.contains_key(subject)
    }

    /// Appends the operations of the changes, in their order.
    pub(super) fn write_changes(&mut self, out: &mut Vec<u8>) {
        for (id, subject) in std::mem::take(&mut self.changes) {
            match subject {
                Some(subject) => protocol::subscribe(out, &subject, id),
                None => protocol::unsubscribe(out, id),
            }
        }
    }

    /// Appends the operations for a server that knows none of the subscriptions.
    pub(super) fn write_all(&mut self, out: &mut Vec<u8>) {
        self.changes.clear();
        for (subject, subscription) in &self.by_subject {
            protocol::subscribe(out, subject, subscription.id);
        }
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

    #[test]
    fn the_server_is_told_each_change_once() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.subscribe("a"));
        assert!(!subscriptions.subscribe("a"));
        assert!(subscriptions.subscribe("b"));
        assert!(
            !subscriptions.unsubscribe("b"),
            "the server does not know it"
        );
        assert_eq!(told(&mut subscriptions), "SUB a 1\r\n");
        assert!(!subscriptions.unsubscribe("a"), "it has one more user");
        assert!(subscriptions.contains("a"));
        assert!(subscriptions.unsubscribe("a"));
        assert!(!subscriptions.unsubscribe("a"));
        assert!(subscriptions.subscribe("a"));
        assert_eq!(told(&mut subscriptions), "UNSUB 1\r\nSUB a 3\r\n");
        let mut out = Vec::new();
        subscriptions.unsubscribe("a");
        subscriptions.subscribe("c");
        subscriptions.write_all(&mut out);
        assert_eq!(out, b"SUB c 4\r\n");
        assert_eq!(told(&mut subscriptions), "");
    }
}
