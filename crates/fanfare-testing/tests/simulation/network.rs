//! A broker, and the network around it.

use std::collections::HashSet;
use std::ops::Sub;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

/// State of the network.
#[derive(Clone, Copy)]
pub(crate) struct Conditions {
    pub(crate) lost_percent: usize,
    pub(crate) doubled_percent: usize,
    /// Maximum delay of a message; delays are random, so that messages overtake each other.
    pub(crate) max_delay: Duration,
}

impl Conditions {
    pub(crate) const GOOD: Self = Self {
        lost_percent: 0,
        doubled_percent: 0,
        max_delay: Duration::from_millis(5),
    };
}

/// Number of messages that a node received.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Count {
    /// All messages, heartbeats included.
    pub(crate) all: u64,
    /// Messages on the topics of rooms.
    pub(crate) rooms: u64,
}

impl Sub for Count {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            all: self.all - before.all,
            rooms: self.rooms - before.rooms,
        }
    }
}

/// Topic of a message.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Topic {
    All,
    Room(Arc<str>),
    Node(String),
}

struct Port {
    id: String,
    messages: UnboundedSender<Bytes>,
    rooms: HashSet<Arc<str>>,
    group: usize,
    count: Count,
}

struct State {
    conditions: Conditions,
    random: u64,
    ports: Vec<Port>,
}

impl State {
    /// Returns a number below the limit (SplitMix64).
    fn random(&mut self, limit: usize) -> usize {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.random(100) < percent
    }
}

#[derive(Clone)]
pub(crate) struct Network(Arc<Mutex<State>>);

impl Network {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            conditions: Conditions::GOOD,
            random: seed,
            ports: Vec::new(),
        })))
    }

    pub(crate) fn random(&self, limit: usize) -> usize {
        self.0.lock().random(limit)
    }

    pub(crate) fn set(&self, conditions: Conditions) {
        self.0.lock().conditions = conditions;
    }

    /// Separates nodes of different groups.
    pub(crate) fn partition(&self, group: impl Fn(usize) -> usize) {
        for (number, port) in self.0.lock().ports.iter_mut().enumerate() {
            port.group = group(number);
        }
    }

    pub(crate) fn received(&self, node: usize) -> Count {
        self.0.lock().ports[node].count
    }

    /// Connects a node. Nodes are numbered in the order in which they connect.
    pub(crate) fn connect(&self, id: &str) -> UnboundedReceiver<Bytes> {
        let (messages, receiver) = unbounded_channel();
        self.0.lock().ports.push(Port {
            id: id.to_owned(),
            messages,
            rooms: HashSet::new(),
            group: 0,
            count: Count::default(),
        });
        receiver
    }

    fn with_rooms(&self, id: &str, change: impl FnOnce(&mut HashSet<Arc<str>>)) {
        let mut state = self.0.lock();
        let port = state.ports.iter_mut().find(|port| port.id == id);
        change(&mut port.unwrap().rooms);
    }

    pub(crate) fn subscribe(&self, id: &str, rooms: Vec<Arc<str>>) {
        self.with_rooms(id, |subscribed| {
            for room in rooms {
                assert!(subscribed.insert(room), "subscribed twice");
            }
        });
    }

    pub(crate) fn unsubscribe(&self, id: &str, rooms: &[Arc<str>]) {
        self.with_rooms(id, |subscribed| {
            for room in rooms {
                assert!(subscribed.remove(room), "not subscribed");
            }
        });
    }

    /// Sends a message to all subscribers of a topic, including the sender.
    pub(crate) fn send(&self, from: &str, topic: &Topic, message: &Bytes) {
        let state = &mut *self.0.lock();
        let sender = state.ports.iter().find(|port| port.id == from);
        let group = sender.map(|sender| sender.group);
        for index in 0..state.ports.len() {
            let port = &state.ports[index];
            let subscribed = match topic {
                Topic::All => true,
                Topic::Room(room) => port.rooms.contains(room),
                Topic::Node(id) => *id == port.id,
            };
            if !subscribed || Some(port.group) != group {
                continue;
            }
            let conditions = state.conditions;
            if state.chance(conditions.lost_percent) {
                continue;
            }
            let copies = 1 + usize::from(state.chance(conditions.doubled_percent));
            for _ in 0..copies {
                let delay = state.random(conditions.max_delay.as_micros() as usize);
                let port = &mut state.ports[index];
                port.count.all += 1;
                port.count.rooms += u64::from(matches!(topic, Topic::Room(_)));
                let (messages, message) = (port.messages.clone(), message.clone());
                tokio::spawn(async move {
                    sleep(Duration::from_micros(delay as u64)).await;
                    let _ = messages.send(message);
                });
            }
        }
    }
}
