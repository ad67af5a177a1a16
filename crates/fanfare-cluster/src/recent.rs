//! Rooms that nodes have been told to join a short time ago.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use fanfare_protocol::deadline;

/// Time in which a node subscribes to a room that its clients have joined, even if the broker is slow.
const SETTLED_AFTER: Duration = Duration::from_secs(2);
/// Maximum number of rooms; beyond it the oldest is forgotten.
const MAX_ROOMS: usize = 4096;

/// Rooms that sockets of other nodes have been made to join a short time ago, for brokers that have a channel or subject
/// per room.
///
/// Such a node subscribes to the room's channel only after it has processed the request to join, so an event behind
/// that request would miss it on this channel. For two seconds such events are sent on the channel of all nodes, on
/// which the request was sent: they follow it, and arrive once. Nodes record requests that they send and that they
/// receive.
///
/// The caller passes the time. At most 4096 rooms are remembered.
///
/// ```
/// use std::time::{Duration, Instant};
/// use fanfare_cluster::RecentJoins;
///
/// let (mut joins, now) = (RecentJoins::default(), Instant::now());
/// joins.record("chat#lobby", now);
/// assert!(joins.contains("chat#lobby", now));
/// assert!(!joins.contains("chat#lobby", now + Duration::from_secs(2)));
/// ```
#[derive(Debug, Default)]
pub struct RecentJoins {
    /// Times until which the rooms count as recent.
    rooms: HashMap<String, Instant>,
    /// The same, the oldest first. A room that was recorded again is there more than once.
    by_age: VecDeque<(Instant, String)>,
}

impl RecentJoins {
    /// Records that sockets of any node are made to join the room of this channel.
    pub fn record(&mut self, channel: &str, now: Instant) {
        self.expire(now);
        if self.by_age.len() >= MAX_ROOMS {
            self.forget_oldest();
        }
        let until = deadline(now, SETTLED_AFTER);
        self.rooms.insert(channel.to_owned(), until);
        self.by_age.push_back((until, channel.to_owned()));
    }

    /// Whether a node may not have subscribed to this channel yet.
    pub fn contains(&mut self, channel: &str, now: Instant) -> bool {
        if self.rooms.is_empty() {
            return false;
        }
        self.expire(now);
        self.rooms.contains_key(channel)
    }

    fn expire(&mut self, now: Instant) {
        while self.by_age.front().is_some_and(|(until, _)| *until <= now) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((until, channel)) = self.by_age.pop_front()
            && self.rooms.get(&channel) == Some(&until)
        {
            self.rooms.remove(&channel);
        }
        if self.by_age.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_that_is_joined_again_stays_longer() {
        let (mut joins, start) = (RecentJoins::default(), Instant::now());
        let second = start + Duration::from_secs(1);
        joins.record("a", start);
        joins.record("b", start);
        joins.record("a", second);
        let later = start + SETTLED_AFTER;
        assert!(joins.contains("a", later) && !joins.contains("b", later));
        assert!(!joins.contains("a", second + SETTLED_AFTER));
        assert!(joins.rooms.is_empty() && joins.by_age.capacity() == 0);
    }

    #[test]
    fn the_number_of_rooms_is_bounded() {
        let (mut joins, now) = (RecentJoins::default(), Instant::now());
        for room in 0..3 * MAX_ROOMS {
            joins.record(&room.to_string(), now);
            joins.record("again", now);
        }
        assert_eq!(
            (joins.by_age.len(), joins.rooms.len()),
            (MAX_ROOMS, MAX_ROOMS / 2 + 1)
        );
        assert!(joins.contains("again", now) && !joins.contains("0", now));
    }
}
