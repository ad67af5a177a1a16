//! Channels that a connection is subscribed to, and those it should be.

use std::collections::HashSet;
use std::sync::Arc;

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
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: HashSet<Channel>,
    dirty: HashSet<Channel>,
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

    /// Returns the changes that have not been made yet: channels, and whether each is wanted.
    pub(super) fn take_changes(&mut self) -> Vec<(Channel, bool)> {
        let wanted = &self.wanted;
        self.dirty
            .drain()
            .map(|channel| {
                let on = wanted.contains(&channel);
                (channel, on)
            })
            .collect()
    }

    /// Returns all channels, for a new connection.
    pub(super) fn all(&mut self) -> Vec<(Channel, bool)> {
        self.dirty.clear();
        self.wanted
            .iter()
            .map(|channel| (channel.clone(), true))
            .collect()
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
}
