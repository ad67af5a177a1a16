//! Events that clients received from another server before this one delivers them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use fanfare_protocol::deadline;

use crate::id::SocketId;
use crate::recovery::logged::Identity;

/// Time within which an event that one server has received reaches the others, or does not.
pub(super) const MAX_LAG: Duration = Duration::from_secs(10);

/// Numbers of events by the sockets that must not receive them again. A number is forgotten after [`MAX_LAG`], so that
/// the bound is that of what the sockets missed and received within that time.
#[derive(Debug, Default)]
pub(crate) struct Ahead(HashMap<SocketId, (HashSet<u64>, Instant)>);

impl Ahead {
    pub(super) fn insert(&mut self, socket: SocketId, numbers: HashSet<u64>, now: Instant) {
        self.0.retain(|_, (_, until)| *until > now);
        if !numbers.is_empty() {
            self.0.insert(socket, (numbers, deadline(now, MAX_LAG)));
        }
    }

    /// Returns the sockets that have received an event.
    #[inline]
    pub(crate) fn take(&mut self, identity: Identity, now: Instant) -> Vec<SocketId> {
        match (self.0.is_empty(), identity) {
            (false, Identity::Numbered(number)) => self.take_number(number, now),
            _ => Vec::new(),
        }
    }

    #[cold]
    fn take_number(&mut self, number: u64, now: Instant) -> Vec<SocketId> {
        self.0.retain(|_, (_, until)| *until > now);
        let mut had = Vec::new();
        self.0.retain(|socket, (numbers, _)| {
            if numbers.remove(&number) {
                had.push(socket.clone());
            }
            !numbers.is_empty()
        });
        had
    }
}
