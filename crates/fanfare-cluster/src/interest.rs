//! Subscriptions to the rooms that have members on this node.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_protocol::deadline;

/// Configuration of [`Subscriptions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionOptions {
    /// Time for which a room that has closed stays subscribed, so that sockets that leave and join again cost the broker
    /// nothing. Default: 2 s.
    pub linger: Duration,
    /// Maximum number of rooms that have closed and are still subscribed; beyond it the oldest is unsubscribed at once.
    /// Default: 16,384.
    pub max_lingering: usize,
    /// Maximum number of rooms in one command. Default: 512.
    pub max_batch: usize,
}

impl Default for SubscriptionOptions {
    fn default() -> Self {
        Self {
            linger: Duration::from_secs(2),
            max_lingering: 16_384,
            max_batch: 512,
        }
    }
}

impl SubscriptionOptions {
    /// Sets the time for which a room that has closed stays subscribed.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets the maximum number of rooms that have closed and are still subscribed.
    #[must_use]
    pub fn max_lingering(mut self, rooms: usize) -> Self {
        self.max_lingering = rooms;
        self
    }

    /// Sets the maximum number of rooms in one command, at least one.
    #[must_use]
    pub fn max_batch(mut self, rooms: usize) -> Self {
        self.max_batch = rooms.max(1);
        self
    }
}

/// Command for the broker. No room is in two commands of the same kind without one of the other kind between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubscriptionChange {
    /// Subscribe to these rooms.
    Subscribe(Vec<Arc<str>>),
    /// Unsubscribe from these rooms.
    Unsubscribe(Vec<Arc<str>>),
}

/// State machine of the subscriptions of a node, for brokers that have a channel or subject per room.
///
/// The caller reports rooms that [open](Self::open) and [close](Self::close), and sends the commands that
/// [`poll`](Self::poll) returns to the broker. Changes of a room that cancel each other before they are sent produce no
/// command, and a room that closes stays subscribed for a while. The caller passes the time. Memory is bounded by the
/// number of open rooms and [`SubscriptionOptions::max_lingering`].
///
/// ```
/// use std::time::{Duration, Instant};
/// use fanfare_cluster::{SubscriptionChange, SubscriptionOptions, Subscriptions};
///
/// let (mut rooms, now) = (Subscriptions::new(SubscriptionOptions::default()), Instant::now());
/// rooms.connected();
/// rooms.open("lobby");
/// assert_eq!(rooms.poll(), Some(SubscriptionChange::Subscribe(vec!["lobby".into()])));
/// rooms.close("lobby", now);
/// assert_eq!(rooms.poll(), None, "it may open again soon");
///
/// let later = rooms.poll_timeout().expect("it stays for two seconds");
/// assert_eq!(later, now + Duration::from_secs(2));
/// rooms.handle_timeout(later);
/// assert_eq!(rooms.poll(), Some(SubscriptionChange::Unsubscribe(vec!["lobby".into()])));
/// ```
#[derive(Debug)]
pub struct Subscriptions {
    options: SubscriptionOptions,
    online: bool,
    rooms: HashMap<Arc<str>, Room>,
    /// Rooms whose state may differ from that of the broker, each once.
    changed: VecDeque<Arc<str>>,
    /// Rooms that have closed, with the time until which they stay, the oldest first. Those that opened again meanwhile
    /// are skipped.
    lingering: VecDeque<(Instant, Arc<str>)>,
    /// Number of rooms that linger.
    lingering_rooms: usize,
    /// Unsubscriptions that follow the last subscriptions.
    next: Option<SubscriptionChange>,
}

#[derive(Debug, Default)]
struct Room {
    open: bool,
    /// Whether the broker has been told to subscribe.
    subscribed: bool,
    /// Whether the room is in `changed`.
    queued: bool,
    lingers_until: Option<Instant>,
}

impl Subscriptions {
    /// Creates a state machine without a connection and without rooms.
    #[must_use]
    pub fn new(options: SubscriptionOptions) -> Self {
        Self {
            options,
            online: false,
            rooms: HashMap::new(),
            changed: VecDeque::new(),
            lingering: VecDeque::new(),
            lingering_rooms: 0,
            next: None,
        }
    }

    /// Whether a message for this room concerns this node.
    #[must_use]
    pub fn is_open(&self, room: &str) -> bool {
        self.rooms.get(room).is_some_and(|room| room.open)
    }

    /// Returns the number of rooms that are open.
    #[must_use]
    pub fn open_rooms(&self) -> usize {
        self.rooms.values().filter(|room| room.open).count()
    }

    /// Records that a room has members on this node.
    pub fn open(&mut self, room: &str) {
        let key = match self.rooms.get_key_value(room) {
            Some((key, _)) => key.clone(),
            None => Arc::from(room),
        };
        let room = self.rooms.entry(key.clone()).or_default();
        room.open = true;
        self.lingering_rooms -= usize::from(room.lingers_until.take().is_some());
        if !room.subscribed {
            enqueue(&mut self.changed, room, key);
        }
    }

    /// Records that a room has no members on this node.
    pub fn close(&mut self, room: &str, now: Instant) {
        let Some((key, _)) = self.rooms.get_key_value(room) else {
            return;
        };
        let key = key.clone();
        let Some(room) = self.rooms.get_mut(&key) else {
            return;
        };
        if !std::mem::take(&mut room.open) {
            return;
        }
        if !room.subscribed {
            // A queued room stays: `poll` will see that it is closed.
            if !room.queued {
                self.rooms.remove(&key);
            }
            return;
        }
        let until = deadline(now, self.options.linger);
        room.lingers_until = Some(until);
        self.lingering_rooms += 1;
        self.lingering.push_back((until, key));
        while self.lingering_rooms > self.options.max_lingering {
            self.end_oldest();
        }
        if self.lingering.len() > 2 * self.lingering_rooms + 64 {
            let rooms = &self.rooms;
            self.lingering.retain(|(until, key)| {
                rooms.get(key).and_then(|room| room.lingers_until) == Some(*until)
            });
        }
    }

    /// Unsubscribes the room that has lingered longest. Returns `false` if there is none.
    fn end_oldest(&mut self) -> bool {
        let Some((until, key)) = self.lingering.pop_front() else {
            return false;
        };
        if let Some(room) = self.rooms.get_mut(&key)
            && room.lingers_until == Some(until)
        {
            room.lingers_until = None;
            self.lingering_rooms -= 1;
            enqueue(&mut self.changed, room, key);
        }
        true
    }

    /// Records a new connection to the broker, which has no subscriptions: all open rooms are subscribed again.
    pub fn connected(&mut self) {
        self.disconnected();
        self.online = true;
    }

    /// Records that the connection is lost. There are no commands until [`connected`](Self::connected).
    pub fn disconnected(&mut self) {
        self.online = false;
        self.next = None;
        self.lingering.clear();
        self.lingering_rooms = 0;
        self.changed.clear();
        self.rooms.retain(|_, room| room.open);
        for (key, room) in &mut self.rooms {
            *room = Room {
                open: true,
                ..Room::default()
            };
            enqueue(&mut self.changed, room, key.clone());
        }
    }

    /// Records that the broker has dropped or rejected a subscription: it is repeated if the room is open.
    pub fn lost(&mut self, room: &str) {
        let Some((key, _)) = self.rooms.get_key_value(room) else {
            return;
        };
        let key = key.clone();
        if let Some(room) = self.rooms.get_mut(&key) {
            room.subscribed = false;
            self.lingering_rooms -= usize::from(room.lingers_until.take().is_some());
            enqueue(&mut self.changed, room, key);
        }
    }

    /// Returns the next command; `None` if the broker is up to date or there is no connection.
    pub fn poll(&mut self) -> Option<SubscriptionChange> {
        if !self.online {
            return None;
        }
        loop {
            if let Some(next) = self.next.take() {
                return Some(next);
            }
            let (mut subscribe, mut unsubscribe) = (Vec::new(), Vec::new());
            while subscribe.len().max(unsubscribe.len()) < self.options.max_batch
                && let Some(key) = self.changed.pop_front()
            {
                let Some(room) = self.rooms.get_mut(&key) else {
                    continue;
                };
                room.queued = false;
                match (room.open, room.subscribed) {
                    (true, false) => {
                        room.subscribed = true;
                        subscribe.push(key);
                    }
                    (false, true) if room.lingers_until.is_none() => {
                        self.rooms.remove(&key);
                        unsubscribe.push(key);
                    }
                    (false, false) => {
                        self.rooms.remove(&key);
                    }
                    _ => {}
                }
            }
            self.shrink();
            if !unsubscribe.is_empty() {
                self.next = Some(SubscriptionChange::Unsubscribe(unsubscribe));
            }
            if !subscribe.is_empty() {
                return Some(SubscriptionChange::Subscribe(subscribe));
            }
            if self.next.is_none() && self.changed.is_empty() {
                return None;
            }
        }
    }

    /// Frees memory after many rooms have been removed.
    fn shrink(&mut self) {
        if self.rooms.capacity() > 1024 && self.rooms.len() < self.rooms.capacity() / 8 {
            self.rooms.shrink_to_fit();
            self.changed.shrink_to_fit();
            self.lingering.shrink_to_fit();
        }
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.lingering.front().map(|(until, _)| *until)
    }

    /// Unsubscribes closed rooms whose linger time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.poll_timeout().is_some_and(|until| until <= now) && self.end_oldest() {}
    }
}

fn enqueue(changed: &mut VecDeque<Arc<str>>, room: &mut Room, key: Arc<str>) {
    if !std::mem::replace(&mut room.queued, true) {
        changed.push_back(key);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn names(rooms: &[&str]) -> Vec<Arc<str>> {
        rooms.iter().map(|room| Arc::from(*room)).collect()
    }

    fn start(options: SubscriptionOptions) -> (Subscriptions, Instant) {
        let mut rooms = Subscriptions::new(options);
        rooms.connected();
        (rooms, Instant::now())
    }

    #[test]
    fn changes_go_out_in_batches_and_opposite_ones_cancel() {
        let (mut rooms, now) = start(SubscriptionOptions::default().max_batch(2));
        for room in ["a", "b", "c"] {
            rooms.open(room);
        }
        rooms.close("b", now);
        rooms.open("a");
        let subscribe = SubscriptionChange::Subscribe;
        assert_eq!(rooms.poll(), Some(subscribe(names(&["a", "c"]))));
        assert_eq!((rooms.poll(), rooms.open_rooms()), (None, 2));
        rooms.open("b");
        rooms.close("b", now);
        rooms.open("b");
        assert_eq!(rooms.poll(), Some(subscribe(names(&["b"]))));
    }

    #[test]
    fn joins_and_leaves_are_no_storm() {
        let (mut rooms, start) = start(SubscriptionOptions::default());
        let mut commands = 0;
        for step in 0..1000 {
            rooms.open("a");
            commands += usize::from(rooms.poll().is_some());
            let now = start + Duration::from_millis(step);
            rooms.close("a", now);
            rooms.handle_timeout(now);
            commands += usize::from(rooms.poll().is_some());
        }
        assert_eq!(commands, 1);
        assert!(rooms.lingering.len() <= 66, "{}", rooms.lingering.len());
        rooms.handle_timeout(start + Duration::from_secs(9));
        assert_eq!(
            rooms.poll(),
            Some(SubscriptionChange::Unsubscribe(names(&["a"])))
        );
        assert!(rooms.rooms.is_empty() && rooms.poll_timeout().is_none());
    }

    #[test]
    fn rooms_that_linger_are_bounded() {
        let (mut rooms, now) = start(SubscriptionOptions::default().max_lingering(10));
        for room in 0..100 {
            rooms.open(&room.to_string());
        }
        while rooms.poll().is_some() {}
        for room in 0..100 {
            rooms.close(&room.to_string(), now);
        }
        let Some(SubscriptionChange::Unsubscribe(gone)) = rooms.poll() else {
            panic!("nothing is unsubscribed");
        };
        assert_eq!((gone.len(), &*gone[0], rooms.rooms.len()), (90, "0", 10));
    }

    #[test]
    fn after_a_reconnect_all_open_rooms_are_subscribed_again() {
        let (mut rooms, now) = start(SubscriptionOptions::default());
        for room in ["a", "b", "c"] {
            rooms.open(room);
        }
        rooms.poll();
        rooms.close("b", now);
        rooms.disconnected();
        rooms.close("c", now);
        rooms.open("d");
        assert_eq!(rooms.poll(), None, "not without a connection");
        rooms.connected();
        let Some(SubscriptionChange::Subscribe(mut again)) = rooms.poll() else {
            panic!("nothing is subscribed");
        };
        again.sort();
        assert_eq!(again, names(&["a", "d"]));
        rooms.lost("a");
        let subscribe = SubscriptionChange::Subscribe(names(&["a"]));
        assert_eq!((rooms.poll(), rooms.poll()), (Some(subscribe), None));
    }

    proptest! {
        /// A broker that carries out the commands is subscribed to all open rooms and, after a while, to no others.
        #[test]
        fn the_broker_is_brought_up_to_date(steps in proptest::collection::vec((0..8u8, 0..6u8), 0..200)) {
            let (mut rooms, start) = start(SubscriptionOptions::default().max_batch(2).max_lingering(3));
            let (mut open, mut broker) = (HashSet::new(), HashSet::new());
            let mut now = start;
            let apply = |rooms: &mut Subscriptions, broker: &mut HashSet<Arc<str>>| {
                while let Some(change) = rooms.poll() {
                    match change {
                        SubscriptionChange::Subscribe(names) => {
                            assert!(names.len() <= 2);
                            for name in names {
                                assert!(broker.insert(name), "subscribed twice");
                            }
                        }
                        SubscriptionChange::Unsubscribe(names) => {
                            for name in names {
                                assert!(broker.remove(&name), "not subscribed");
                            }
                        }
                    }
                }
            };
            for (what, room) in steps {
                let name = room.to_string();
                match what {
                    0..=2 => { rooms.open(&name); open.insert(Arc::<str>::from(name)); }
                    3..=4 => { rooms.close(&name, now); open.remove(&*name); }
                    5 => apply(&mut rooms, &mut broker),
                    6 => { now += Duration::from_millis(700); rooms.handle_timeout(now); }
                    _ if room == 0 => { broker.clear(); rooms.connected(); }
                    _ => if broker.remove(&*name) { rooms.lost(&name); },
                }
            }
            apply(&mut rooms, &mut broker);
            prop_assert!(open.is_subset(&broker));
            rooms.handle_timeout(now + Duration::from_secs(9));
            apply(&mut rooms, &mut broker);
            prop_assert_eq!(&broker, &open);
            prop_assert_eq!(rooms.rooms.len(), open.len());
            prop_assert!(rooms.lingering.is_empty() && rooms.lingering_rooms == 0);
        }
    }
}
