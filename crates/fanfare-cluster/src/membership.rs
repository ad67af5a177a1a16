//! Nodes of a cluster, known by their heartbeats.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use fanfare_protocol::deadline;

use crate::dialect::AdapterMessage;
use crate::{EMITTER_ID, NodeAnnouncement, NodeInfo, Peers};

/// Interval between checks for silent nodes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Minimum interval between the answers to nodes that start.
const ANSWER_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum number of heartbeats of one type that the broker may still send back.
const MAX_EXPECTED_ECHOES: u32 = 4;

/// Configuration of a [`Membership`]. The defaults are those of Node's adapters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MembershipOptions {
    /// Maximum time without a message of this node, after which it publishes a heartbeat; `None`: no heartbeats, nodes
    /// are known by what they send. Default: 5 s.
    pub heartbeat_interval: Option<Duration>,
    /// Time without a message of a node after which it counts as gone. Default: 10 s.
    pub heartbeat_timeout: Duration,
    /// Maximum number of other nodes; more are ignored. Default: 4096.
    pub max_nodes: usize,
    /// Whether the broker sends a node its own messages as well. Default: true.
    pub echo: bool,
}

impl Default for MembershipOptions {
    fn default() -> Self {
        Self {
            heartbeat_interval: Some(Duration::from_secs(5)),
            heartbeat_timeout: Duration::from_secs(10),
            max_nodes: 4096,
            echo: true,
        }
    }
}

impl MembershipOptions {
    /// Sets the maximum time without a message of this node.
    #[must_use]
    pub fn heartbeat_interval(mut self, interval: Option<Duration>) -> Self {
        self.heartbeat_interval = interval;
        self
    }

    /// Sets the time after which a silent node counts as gone.
    #[must_use]
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.heartbeat_timeout = timeout;
        self
    }

    /// Sets the maximum number of other nodes.
    #[must_use]
    pub fn max_nodes(mut self, nodes: usize) -> Self {
        self.max_nodes = nodes;
        self
    }

    /// Sets whether the broker sends a node its own messages as well.
    #[must_use]
    pub fn echo(mut self, echo: bool) -> Self {
        self.echo = echo;
        self
    }
}

/// Event of a [`Membership`], for the adapter.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MembershipEvent {
    /// The adapter must publish this message to all nodes.
    Publish(AdapterMessage),
    /// A node joined the cluster.
    Joined(String),
    /// A node left the cluster: it announced that, or was silent for too long.
    Left(String),
    /// Another node has the id of this one: both ignore each other's messages until one is restarted.
    IdCollision,
    /// There are more nodes than [`MembershipOptions::max_nodes`]; further nodes are ignored.
    TooManyNodes,
}

/// State machine of the nodes of a cluster, for brokers that do not know their subscribers, such as PostgreSQL: each
/// node publishes a message at least every few seconds. The caller passes the time.
///
/// Memory is bounded by [`MembershipOptions::max_nodes`]. An adapter whose broker counts its subscribers needs no
/// membership, see [`Peers::of_subscribers`].
///
/// ```
/// use std::time::{Duration, Instant};
/// use fanfare_cluster::dialect::AdapterMessage;
/// use fanfare_cluster::{Membership, MembershipEvent, MembershipOptions};
///
/// let (mut nodes, now) = (Membership::new("a", MembershipOptions::default()), Instant::now());
/// nodes.connected(now);
/// assert_eq!(nodes.poll(), Some(MembershipEvent::Publish(AdapterMessage::InitialHeartbeat)));
/// nodes.received("b", &AdapterMessage::Heartbeat, now);
/// assert_eq!(nodes.poll(), Some(MembershipEvent::Joined("b".to_owned())));
/// assert_eq!(nodes.peers().len(), 1);
///
/// nodes.handle_timeout(now + Duration::from_secs(5));
/// assert_eq!(nodes.poll(), Some(MembershipEvent::Publish(AdapterMessage::Heartbeat)));
/// ```
#[derive(Debug)]
pub struct Membership {
    id: String,
    options: MembershipOptions,
    nodes: HashMap<String, Record>,
    events: VecDeque<MembershipEvent>,
    /// Time of the last message to all; `None` while there is no connection.
    published: Option<Instant>,
    /// Time at which a node that has started is answered.
    answer_at: Option<Instant>,
    answered: Option<Instant>,
    /// Time of the next check of the nodes.
    check_at: Option<Instant>,
    /// Heartbeats of this node that the broker has not sent back yet.
    echoes: Echoes,
    collided: bool,
    /// Whether a node was ignored since the last check.
    overflowed: bool,
}

#[derive(Debug)]
struct Record {
    seen: Instant,
    info: NodeInfo,
}

#[derive(Debug, Default)]
struct Echoes {
    initial: u32,
    heartbeats: u32,
}

impl Echoes {
    fn of(&mut self, message: &AdapterMessage) -> Option<&mut u32> {
        match message {
            AdapterMessage::InitialHeartbeat => Some(&mut self.initial),
            AdapterMessage::Heartbeat => Some(&mut self.heartbeats),
            _ => None,
        }
    }
}

impl Membership {
    /// Creates the state machine of the node with this id, without peers and not connected.
    pub fn new(id: impl Into<String>, options: MembershipOptions) -> Self {
        Self {
            id: id.into(),
            options,
            nodes: HashMap::new(),
            events: VecDeque::new(),
            published: None,
            answer_at: None,
            answered: None,
            check_at: None,
            echoes: Echoes::default(),
            collided: false,
            overflowed: false,
        }
    }

    /// Returns the other nodes, in the order of their ids.
    #[must_use]
    pub fn peers(&self) -> Peers {
        let nodes = self.nodes.values();
        let mut nodes: Vec<_> = nodes.map(|node| node.info.clone()).collect();
        nodes.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Peers::Nodes(nodes)
    }

    /// Whether a node is known.
    #[must_use]
    pub fn contains(&self, node: &str) -> bool {
        self.nodes.contains_key(node)
    }

    /// Records that the connection is open, for the first time or again: this node introduces itself.
    pub fn connected(&mut self, now: Instant) {
        self.collided = false;
        self.publish(AdapterMessage::InitialHeartbeat, now);
    }

    /// Records that the connection is lost. Nodes that then stay silent count as gone, as before.
    pub fn disconnected(&mut self) {
        self.published = None;
        self.answer_at = None;
    }

    fn publish(&mut self, message: AdapterMessage, now: Instant) {
        if self.options.heartbeat_interval.is_none() {
            return;
        }
        if let Some(expected) = self.echoes.of(&message) {
            // Without the maximum, echoes that never arrive would hide a collision.
            *expected = (*expected + 1).min(MAX_EXPECTED_ECHOES);
        }
        self.published = Some(now);
        self.events.push_back(MembershipEvent::Publish(message));
    }

    /// Records that a message was published to all, which makes a heartbeat unnecessary for a while.
    pub fn published(&mut self, now: Instant) {
        if self.published.is_some() {
            self.published = Some(now);
        }
    }

    /// Records a message of any type. To be called before the adapter handles it. Returns whether it comes from another
    /// node; the adapter ignores its own.
    pub fn received(&mut self, from: &str, message: &AdapterMessage, now: Instant) -> bool {
        if from == self.id {
            self.own(message);
            return false;
        }
        if from == EMITTER_ID || from.is_empty() {
            return true;
        }
        if matches!(message, AdapterMessage::Close) {
            if self.nodes.remove(from).is_some() {
                self.events
                    .push_back(MembershipEvent::Left(from.to_owned()));
            }
            return true;
        }
        self.seen(from, now);
        if matches!(message, AdapterMessage::InitialHeartbeat) && self.answer_at.is_none() {
            // One answer serves all nodes that start at the same time, even if a peer keeps asking.
            let earliest = self.answered.map(|answered| answered + ANSWER_INTERVAL);
            match earliest.filter(|earliest| *earliest > now) {
                Some(earliest) => self.answer_at = Some(earliest),
                None => self.answer(now),
            }
        }
        true
    }

    fn answer(&mut self, now: Instant) {
        self.answer_at = None;
        self.answered = Some(now);
        self.publish(AdapterMessage::Heartbeat, now);
    }

    /// Handles a message with the id of this node: its own, or one of another node with the same id.
    fn own(&mut self, message: &AdapterMessage) {
        let echo = self.options.echo;
        let expected = self.echoes.of(message);
        let is_echo = match expected {
            Some(expected) if echo => {
                let is_echo = *expected > 0;
                *expected = expected.saturating_sub(1);
                is_echo
            }
            _ => echo,
        };
        if !is_echo && !std::mem::replace(&mut self.collided, true) {
            self.events.push_back(MembershipEvent::IdCollision);
        }
    }

    fn seen(&mut self, node: &str, now: Instant) {
        if let Some(record) = self.nodes.get_mut(node) {
            record.seen = record.seen.max(now);
            return;
        }
        if self.nodes.len() >= self.options.max_nodes {
            if !std::mem::replace(&mut self.overflowed, true) {
                self.events.push_back(MembershipEvent::TooManyNodes);
            }
            return;
        }
        let info = NodeInfo::new(node);
        self.nodes
            .insert(node.to_owned(), Record { seen: now, info });
        self.events
            .push_back(MembershipEvent::Joined(node.to_owned()));
        self.check_at.get_or_insert(deadline(now, CHECK_INTERVAL));
    }

    /// Records the announcement of a node. To be called in place of [`received`](Self::received), for brokers whose nodes
    /// send announcements as heartbeats. Returns whether it comes from another node.
    pub fn announced(&mut self, from: &str, announcement: NodeAnnouncement, now: Instant) -> bool {
        let sign = match (announcement.leaves, announcement.hello) {
            (true, _) => AdapterMessage::Close,
            (false, true) => AdapterMessage::InitialHeartbeat,
            (false, false) => AdapterMessage::Heartbeat,
        };
        let is_other = self.received(from, &sign, now);
        if is_other {
            let mut info = NodeInfo::from(announcement);
            // The sender is known by its envelope.
            from.clone_into(&mut info.id);
            self.described(info);
        }
        is_other
    }

    /// Stores the description of a known node.
    pub fn described(&mut self, info: NodeInfo) {
        if let Some(record) = self.nodes.get_mut(&info.id) {
            record.info = info;
        }
    }

    /// Announces that this node leaves, so that the other nodes no longer wait for it.
    pub fn close(&mut self, now: Instant) {
        self.publish(AdapterMessage::Close, now);
        self.published = None;
        self.check_at = None;
        self.answer_at = None;
    }

    /// Returns the next event; `None` if there is none.
    pub fn poll(&mut self) -> Option<MembershipEvent> {
        self.events.pop_front()
    }

    fn heartbeat_at(&self) -> Option<Instant> {
        Some(self.published? + self.options.heartbeat_interval?)
    }

    /// Returns the time at which [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let times = [self.heartbeat_at(), self.answer_at, self.check_at];
        times.into_iter().flatten().min()
    }

    /// Publishes a heartbeat if it is time, and drops nodes that were silent for too long.
    pub fn handle_timeout(&mut self, now: Instant) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if is_due(self.answer_at) {
            self.answer(now);
        }
        if is_due(self.heartbeat_at()) {
            self.publish(AdapterMessage::Heartbeat, now);
        }
        if let Some(check_at) = self.check_at.filter(|at| *at <= now) {
            self.check(now, now - check_at);
        }
    }

    fn check(&mut self, now: Instant, late: Duration) {
        self.overflowed = false;
        // If this process was suspended, messages still wait to be read: that time does not count as silence.
        if late > CHECK_INTERVAL {
            for node in self.nodes.values_mut() {
                node.seen = (node.seen + late).min(now);
            }
        }
        let (timeout, events) = (self.options.heartbeat_timeout, &mut self.events);
        self.nodes.retain(|id, node| {
            let alive = now.saturating_duration_since(node.seen) < timeout;
            if !alive {
                events.push_back(MembershipEvent::Left(id.clone()));
            }
            alive
        });
        self.check_at = (!self.nodes.is_empty()).then_some(deadline(now, CHECK_INTERVAL));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(options: MembershipOptions) -> (Membership, Instant) {
        let now = Instant::now();
        let mut nodes = Membership::new("self", options);
        nodes.connected(now);
        events(&mut nodes);
        (nodes, now)
    }

    fn events(nodes: &mut Membership) -> Vec<MembershipEvent> {
        std::iter::from_fn(|| nodes.poll()).collect()
    }

    fn heartbeat() -> MembershipEvent {
        MembershipEvent::Publish(AdapterMessage::Heartbeat)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_node_is_never_silent_for_longer_than_the_interval() {
        let (mut nodes, start) = start(MembershipOptions::default());
        assert_eq!(nodes.poll_timeout(), Some(start + seconds(5)));
        nodes.published(start + seconds(3));
        nodes.handle_timeout(start + seconds(5));
        assert_eq!(events(&mut nodes), []);
        assert_eq!(nodes.poll_timeout(), Some(start + seconds(8)));
        nodes.handle_timeout(start + seconds(8));
        assert_eq!(events(&mut nodes), [heartbeat()]);
        nodes.disconnected();
        assert_eq!(nodes.poll_timeout(), None);
        nodes.published(start + seconds(9));
        assert_eq!(nodes.poll_timeout(), None, "not without a connection");
    }

    #[test]
    fn silent_nodes_are_dropped_and_those_that_say_so_at_once() {
        let (mut nodes, start) = start(MembershipOptions::default());
        for node in ["a", "b", EMITTER_ID, ""] {
            assert!(nodes.received(node, &AdapterMessage::Heartbeat, start));
        }
        assert_eq!(nodes.peers().len(), 2);
        events(&mut nodes);
        nodes.received("a", &AdapterMessage::Close, start);
        let left = |id: &str| MembershipEvent::Left(id.to_owned());
        assert_eq!(events(&mut nodes), [left("a")]);
        let mut left_at = None;
        for second in 1..20 {
            nodes.handle_timeout(start + seconds(second));
            if events(&mut nodes).contains(&left("b")) {
                left_at = Some(second);
            }
        }
        assert_eq!((left_at, nodes.peers().len()), (Some(10), 0));
    }

    #[test]
    fn nodes_that_start_are_answered_once_for_all() {
        let (mut nodes, start) = start(MembershipOptions::default());
        for number in 0..1000 {
            let from = format!("{}", number % 10);
            nodes.received(&from, &AdapterMessage::InitialHeartbeat, start);
        }
        let published = |nodes: &mut Membership| {
            let events = events(nodes);
            events.iter().filter(|event| **event == heartbeat()).count()
        };
        assert_eq!(published(&mut nodes), 1);
        let later = nodes.poll_timeout().unwrap();
        assert_eq!(later, start + ANSWER_INTERVAL);
        nodes.handle_timeout(later);
        assert_eq!(published(&mut nodes), 1, "those that came after the first");
        nodes.handle_timeout(start + seconds(1));
        assert_eq!(published(&mut nodes), 0);
    }

    #[test]
    fn two_nodes_with_one_id_are_noticed() {
        let (mut nodes, start) = start(MembershipOptions::default());
        assert!(!nodes.received("self", &AdapterMessage::InitialHeartbeat, start));
        nodes.handle_timeout(start + seconds(5));
        assert_eq!(events(&mut nodes), [heartbeat()]);
        nodes.received("self", &AdapterMessage::Heartbeat, start);
        assert_eq!(events(&mut nodes), [], "its own");
        nodes.received("self", &AdapterMessage::InitialHeartbeat, start);
        nodes.received("self", &AdapterMessage::Heartbeat, start);
        assert_eq!(events(&mut nodes), [MembershipEvent::IdCollision]);

        nodes.connected(start);
        for _ in 0..3 {
            nodes.received("self", &AdapterMessage::InitialHeartbeat, start);
        }
        let told = events(&mut nodes);
        assert!(told.contains(&MembershipEvent::IdCollision), "again");

        let options = MembershipOptions::default().echo(false);
        let (mut nodes, start) = super::tests::start(options);
        nodes.received("self", &AdapterMessage::Unknown(99), start);
        assert_eq!(events(&mut nodes), [MembershipEvent::IdCollision]);
    }

    #[test]
    fn nodes_are_bounded() {
        let (mut nodes, start) = start(MembershipOptions::default().max_nodes(10));
        for number in 0..1000 {
            nodes.received(&number.to_string(), &AdapterMessage::Heartbeat, start);
        }
        assert_eq!(nodes.peers().len(), 10);
        let told = events(&mut nodes);
        assert_eq!(told.len(), 11);
        assert_eq!(told.last(), Some(&MembershipEvent::TooManyNodes));
    }

    /// Messages wait while a process is suspended: the other nodes do not count as gone because of that.
    #[test]
    fn a_pause_of_this_node_does_not_count() {
        let (mut nodes, start) = start(MembershipOptions::default());
        nodes.received("a", &AdapterMessage::Heartbeat, start);
        nodes.handle_timeout(start + seconds(1));
        events(&mut nodes);
        nodes.handle_timeout(start + seconds(60));
        assert_eq!(events(&mut nodes), [heartbeat()]);
        for second in 61..75 {
            nodes.handle_timeout(start + seconds(second));
        }
        assert!(!nodes.contains("a"), "it is silent afterwards");
    }

    #[test]
    fn nodes_describe_themselves() {
        let (mut nodes, start) = start(MembershipOptions::default().echo(false));
        let described = |id: &str| NodeAnnouncement::new(NodeInfo::new(id).name("web").clients(3));
        assert!(nodes.announced("b", described("forged").hello(), start));
        assert!(nodes.announced("a", described("a"), start));
        let joined = |id: &str| MembershipEvent::Joined(id.to_owned());
        assert_eq!(events(&mut nodes), [joined("b"), heartbeat(), joined("a")]);
        let expected = ["a", "b"].map(|id| NodeInfo::new(id).name("web").clients(3));
        assert_eq!(nodes.peers(), Peers::Nodes(expected.to_vec()));
        assert!(nodes.announced("b", described("b").leaves(), start));
        assert_eq!(nodes.peers().len(), 1);
        assert!(!nodes.announced("self", described("self"), start));
    }

    #[test]
    fn without_heartbeats_nothing_is_published() {
        let options = MembershipOptions::default().heartbeat_interval(None);
        let (mut nodes, start) = start(options);
        nodes.received("a", &AdapterMessage::InitialHeartbeat, start);
        assert_eq!(
            events(&mut nodes),
            [MembershipEvent::Joined("a".to_owned())]
        );
        nodes.close(start);
        assert_eq!((nodes.poll(), nodes.poll_timeout()), (None, None));
    }
}
