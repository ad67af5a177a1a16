//! Channels that a connection is subscribed to, and those it should be.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use fanfare_cluster::{SubscriptionChange, SubscriptionOptions, Subscriptions as RoomChannels};

/// Kind of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ChannelKind {
    /// One channel.
    Exact,
    /// All channels whose names match a glob.
    Pattern,
    /// One channel of sharded publish and subscribe.
    Sharded,
}

impl ChannelKind {
    pub(super) const fn command(self, on: bool) -> &'static str {
        match (self, on) {
            (Self::Exact, true) => "SUBSCRIBE",
            (Self::Exact, false) => "UNSUBSCRIBE",
            (Self::Pattern, true) => "PSUBSCRIBE",
            (Self::Pattern, false) => "PUNSUBSCRIBE",
            (Self::Sharded, true) => "SSUBSCRIBE",
            (Self::Sharded, false) => "SUNSUBSCRIBE",
        }
    }
}

/// A channel or pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Channel {
    pub(crate) kind: ChannelKind,
    pub(crate) name: Arc<str>,
}

impl Channel {
    pub(crate) fn new(kind: ChannelKind, name: impl Into<Arc<str>>) -> Self {
        Self {
            kind,
            name: name.into(),
        }
    }
}

/// Channels that are wanted, and those whose subscription may differ from it. A channel is in `dirty` once, so that it
/// is bounded by the number of channels.
#[derive(Debug)]
pub(super) struct Subscriptions {
    wanted: HashSet<Channel>,
    dirty: HashSet<Channel>,
    /// Sharded channels of rooms, which stay subscribed for a while after the room has closed.
    rooms: RoomChannels,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            wanted: HashSet::new(),
            dirty: HashSet::new(),
            rooms: RoomChannels::new(SubscriptionOptions::default()),
        }
    }
}

impl Subscriptions {
    /// Sets whether a channel is wanted.
    pub(super) fn set(&mut self, channel: Channel, wanted: bool) {
        let changed = match wanted {
            true => self.wanted.insert(channel.clone()),
            false => self.wanted.remove(&channel),
        };
        // A change that is reverted before it is sent needs no command.
        if changed && !self.dirty.remove(&channel) {
            self.dirty.insert(channel);
        }
    }

    /// Sets whether the sharded channel of a room is wanted.
    pub(super) fn set_room(&mut self, channel: &str, wanted: bool, now: Instant) {
        match wanted {
            true => self.rooms.open(channel),
            false => self.rooms.close(channel, now),
        }
    }

    /// Returns the changes that have not been made yet: channels, and whether each is wanted.
    pub(super) fn take_changes(&mut self) -> Vec<(Channel, bool)> {
        let wanted = &self.wanted;
        let mut changes: Vec<_> = self
            .dirty
            .drain()
            .map(|channel| {
                let on = wanted.contains(&channel);
                (channel, on)
            })
            .collect();
        self.take_rooms(&mut changes);
        changes
    }

    fn take_rooms(&mut self, changes: &mut Vec<(Channel, bool)>) {
        while let Some(change) = self.rooms.poll() {
            let (names, on) = match change {
                SubscriptionChange::Subscribe(names) => (names, true),
                SubscriptionChange::Unsubscribe(names) => (names, false),
            };
            let channels = names.into_iter();
            changes.extend(channels.map(|name| (Channel::new(ChannelKind::Sharded, name), on)));
        }
    }

    /// Returns all channels, for a new connection.
    pub(super) fn all(&mut self) -> Vec<(Channel, bool)> {
        self.dirty.clear();
        let mut all: Vec<_> = self
            .wanted
            .iter()
            .map(|channel| (channel.clone(), true))
            .collect();
        self.rooms.connected();
        self.take_rooms(&mut all);
        all
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) must be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.rooms.poll_timeout()
    }

    /// Ends the subscriptions of rooms that closed a while ago, with the next changes.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.rooms.handle_timeout(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> Channel {
        Channel::new(ChannelKind::Exact, name)
    }

    #[test]
    fn changes_are_told_once_and_opposite_ones_cancel() {
        let mut all = Subscriptions::default();
        all.set(channel("a"), true);
        all.set(channel("a"), true);
        all.set(channel("b"), true);
        all.set(channel("b"), false);
        assert_eq!(all.take_changes(), [(channel("a"), true)]);
        assert_eq!(all.take_changes(), []);
        all.set(channel("a"), false);
        all.set(channel("a"), true);
        assert_eq!(all.take_changes(), []);
        all.set(channel("a"), false);
        assert_eq!(all.take_changes(), [(channel("a"), false)]);
        all.set(channel("c"), true);
        assert_eq!(all.all(), [(channel("c"), true)]);
        assert_eq!(all.take_changes(), [], "a new connection has them all");
    }

    #[test]
    fn rooms_that_close_stay_for_a_while() {
        let (mut all, now) = (Subscriptions::default(), Instant::now());
        let room = || Channel::new(ChannelKind::Sharded, "r");
        all.set_room("r", true, now);
        assert_eq!(all.all(), [(room(), true)]);
        for _ in 0..100 {
            all.set_room("r", false, now);
            all.set_room("r", true, now);
            assert_eq!(all.take_changes(), []);
        }
        all.set_room("r", false, now);
        let later = all.poll_timeout().unwrap();
        assert!(later > now);
        all.handle_timeout(later);
        assert_eq!(all.take_changes(), [(room(), false)]);
        assert_eq!(all.poll_timeout(), None);
    }
}
