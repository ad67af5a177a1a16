//! A pending request to the other nodes, and the answers received so far.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use fanfare_protocol::EncodedValue;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{ClusterAnswer, MissingNodes, Peers, SocketData};
use crate::ack::{AnswerBudget, Kept};

/// Maximum number of nodes whose answers to one request are told apart. It bounds what a peer that makes up ids can
/// fill.
const MAX_NODES: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Pending {
    state: Mutex<State>,
    changed: Notify,
    /// Whether one answer was enough.
    satisfied: AtomicBool,
    budget: Arc<AnswerBudget>,
    socket_budget: Arc<SocketBudget>,
}

#[derive(Debug, Default)]
struct State {
    expected: Option<Peers>,
    /// Nodes that have answered, by their ids.
    answered: HashMap<String, Clients>,
    /// Number of nodes that have answered without an id, as over classic Redis.
    unnamed: usize,
    /// Clients of these nodes.
    unnamed_clients: Clients,
    left: HashSet<String>,
    sockets: Vec<SocketData>,
    /// Bytes of the sockets.
    permits: Vec<SocketPermit>,
    values: Vec<(EncodedValue, Kept)>,
    /// Number of answers that were discarded because the limit was reached.
    not_kept: usize,
    /// Nodes whose lists of sockets were discarded because the limit was reached.
    dropped: MissingNodes,
}

/// Clients of a node that receive an event.
#[derive(Debug, Default, Clone, Copy)]
struct Clients {
    /// Number of clients; `None` until the node reports it: an acknowledgement may arrive before.
    reported: Option<usize>,
    /// Number of acknowledgements received from them.
    acks: usize,
}

impl Clients {
    fn missing_acks(self) -> usize {
        self.reported.unwrap_or(0).saturating_sub(self.acks)
    }
}

impl State {
    /// Whether a node has answered, and all its clients that were asked.
    fn is_done(&self, node: &str) -> bool {
        let answered = self.answered.get(node);
        self.left.contains(node)
            || answered
                .is_some_and(|clients| clients.reported.is_some() && clients.missing_acks() == 0)
    }

    fn has_answered(&self, node: &str) -> bool {
        let answered = self.answered.get(node);
        answered.is_some_and(|clients| clients.reported.is_some())
    }

    fn missing_nodes(&self) -> usize {
        let missing = match &self.expected {
            None => return 1,
            Some(Peers::Count(count)) => {
                let reported = |clients: &&Clients| clients.reported.is_some();
                count.saturating_sub(self.answered.values().filter(reported).count())
            }
            Some(Peers::Nodes(nodes)) => nodes
                .iter()
                .map(|node| &node.id)
                .filter(|id| !self.has_answered(id) && !self.left.contains(*id))
                .count(),
        };
        missing.saturating_sub(self.unnamed)
    }

    fn missing_acks(&self) -> usize {
        let remaining = self
            .answered
            .iter()
            .filter(|(node, _)| !self.left.contains(*node))
            .map(|(_, clients)| clients.missing_acks());
        let unnamed = self.unnamed_clients.missing_acks();
        remaining.fold(unnamed, usize::saturating_add)
    }

    /// Counts the only answer of a node; `false` if it has answered before.
    fn answer(&mut self, from: Option<&str>) -> bool {
        let Some(from) = from else {
            self.unnamed = self.unnamed.saturating_add(1);
            return true;
        };
        let node = self.node(from);
        node.is_some_and(|clients| clients.reported.replace(0).is_none())
    }

    /// Returns the clients of a node.
    fn node(&mut self, id: &str) -> Option<&mut Clients> {
        if !self.answered.contains_key(id) {
            if self.answered.len() >= MAX_NODES {
                return None;
            }
            self.answered.insert(id.to_owned(), Clients::default());
        }
        self.answered.get_mut(id)
    }
}

impl Pending {
    pub(crate) fn new(budget: &Arc<AnswerBudget>, socket_budget: &Arc<SocketBudget>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            satisfied: AtomicBool::new(false),
            budget: budget.clone(),
            socket_budget: socket_budget.clone(),
        }
    }

    fn keep(&self, state: &mut State, value: EncodedValue) {
        match self.budget.value(value) {
            Ok(kept) => state.values.push(kept),
            Err(_) => state.not_kept += 1,
        }
    }

    pub(crate) fn expect(&self, peers: Peers) {
        self.state.lock().expected = Some(peers);
        self.changed.notify_one();
    }

    /// Takes an answer of a node, whose id is known or not.
    pub(crate) fn receive(&self, from: Option<&str>, answer: ClusterAnswer) {
        let mut state = self.state.lock();
        match answer {
            ClusterAnswer::Sockets(sockets) if state.answer(from) => {
                self.keep_sockets(&mut state, from, sockets);
            }
            ClusterAnswer::ServerSideEmit(value) | ClusterAnswer::Peer(value)
                if state.answer(from) =>
            {
                self.keep(&mut state, value);
            }
            ClusterAnswer::ClientCount(count) => match from {
                None => {
                    state.unnamed = state.unnamed.saturating_add(1);
                    let clients = &mut state.unnamed_clients;
                    let sum = clients.reported.unwrap_or(0).saturating_add(count);
                    clients.reported = Some(sum);
                }
                Some(from) => {
                    if let Some(clients) = state.node(from) {
                        clients.reported = Some(count);
                    }
                }
            },
            ClusterAnswer::Ack(value) => {
                let clients = match from {
                    None => Some(&mut state.unnamed_clients),
                    Some(from) => state.node(from),
                };
                if let Some(clients) = clients {
                    clients.acks = clients.acks.saturating_add(1);
                    self.keep(&mut state, value);
                }
            }
            // The second answer of a node, or one of a kind that this version does not know, and so did not ask for.
            _ => {}
        }
        drop(state);
        self.changed.notify_one();
    }

    fn keep_sockets(&self, state: &mut State, from: Option<&str>, sockets: Vec<SocketData>) {
        let bytes = sockets.iter().map(SocketData::byte_len);
        let bytes = bytes.fold(0, usize::saturating_add);
        match SocketBudget::take(&self.socket_budget, bytes) {
            Some(permit) => {
                state.permits.push(permit);
                state.sockets.extend(sockets);
            }
            None => match from {
                Some(from) => state.dropped.ids.push(from.to_owned()),
                None => state.dropped.unnamed += 1,
            },
        }
    }

    pub(crate) fn node_left(&self, node: &str) {
        let mut state = self.state.lock();
        if state.left.len() < MAX_NODES {
            state.left.insert(node.to_owned());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Waits for the answers of all nodes, and the acknowledgements of all their clients.
    pub(crate) async fn finished(&self) {
        loop {
            {
                let state = self.state.lock();
                if state.missing_nodes() == 0 && state.missing_acks() == 0 {
                    return;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Waits for the first answer that `choose` accepts; `None` if all nodes have answered, and none is.
    pub(crate) async fn first<T>(
        &self,
        choose: &mut impl FnMut(&EncodedValue) -> Option<T>,
    ) -> Option<T> {
        loop {
            let (values, done) = {
                let mut state = self.state.lock();
                let values = std::mem::take(&mut state.values);
                (values, state.missing_nodes() == 0)
            };
            if let Some(found) = values.iter().find_map(|(value, _)| choose(value)) {
                self.satisfied.store(true, Ordering::Relaxed);
                return Some(found);
            }
            if done {
                return None;
            }
            self.changed.notified().await;
        }
    }

    /// Whether no more answers are waited for.
    pub(super) fn is_satisfied(&self) -> bool {
        self.satisfied.load(Ordering::Relaxed) || self.missing() == 0
    }

    /// Returns the nodes that have not answered, or not all of whose clients have.
    pub(crate) fn missing_peers(&self) -> MissingNodes {
        let state = self.state.lock();
        let mut missing = MissingNodes::default();
        match &state.expected {
            Some(Peers::Nodes(nodes)) => {
                let ids = nodes.iter().map(|node| &node.id);
                missing
                    .ids
                    .extend(ids.filter(|id| !state.is_done(id)).cloned());
            }
            _ => {
                missing.unnamed = state.missing_nodes();
                let answered = state.answered.keys();
                missing
                    .ids
                    .extend(answered.filter(|id| !state.is_done(id)).cloned());
            }
        }
        // Of the nodes without a name at least one has clients that have not answered.
        missing.unnamed += usize::from(state.unnamed_clients.missing_acks() > 0);
        missing.ids.extend(state.dropped.ids.iter().cloned());
        missing.unnamed = missing.unnamed.saturating_add(state.dropped.unnamed);
        missing.ids.sort_unstable();
        missing
    }

    /// Returns the limit of the bytes of sockets, if a list was discarded because of it.
    pub(crate) fn sockets_limit(&self) -> Option<usize> {
        let dropped = !self.state.lock().dropped.is_empty();
        dropped.then_some(self.socket_budget.limit)
    }

    /// Returns the number of nodes, or of clients of nodes that reported their number, that have not answered.
    pub(crate) fn missing(&self) -> usize {
        let state = self.state.lock();
        state.missing_nodes().saturating_add(state.missing_acks())
    }

    /// Returns the number of answers that were discarded because the limit was reached.
    pub(crate) fn not_kept(&self) -> usize {
        self.state.lock().not_kept
    }

    pub(crate) fn take_values(&self) -> Vec<(EncodedValue, Kept)> {
        std::mem::take(&mut self.state.lock().values)
    }

    pub(crate) fn take_sockets(&self) -> Vec<SocketData> {
        let mut state = self.state.lock();
        state.permits.clear();
        std::mem::take(&mut state.sockets)
    }
}

/// Budget for the bytes of the sockets that other nodes have listed and the application has not taken.
#[derive(Debug)]
pub(crate) struct SocketBudget {
    limit: usize,
    used: AtomicUsize,
}

impl SocketBudget {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    fn take(self: &Arc<Self>, bytes: usize) -> Option<SocketPermit> {
        let fits = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        let taken = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits);
        taken.is_ok().then(|| SocketPermit {
            budget: self.clone(),
            bytes,
        })
    }
}

/// Permit for the bytes of sockets; released on drop.
#[derive(Debug)]
struct SocketPermit {
    budget: Arc<SocketBudget>,
    bytes: usize,
}

impl Drop for SocketPermit {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pending(limit: usize) -> Pending {
        Pending::new(&AnswerBudget::new(limit), &SocketBudget::new(limit))
    }

    fn count(n: usize) -> ClusterAnswer {
        ClusterAnswer::ClientCount(n)
    }

    fn ack() -> ClusterAnswer {
        ClusterAnswer::Ack(EncodedValue::new(&()).unwrap())
    }

    #[test]
    fn counts_nodes_and_their_clients() {
        let pending = pending(1 << 20);
        pending.receive(Some("a"), count(2));
        assert_eq!(pending.missing(), 3, "how many nodes there are is unknown");
        pending.expect(Peers::Count(2));
        assert_eq!(pending.missing(), 3);
        pending.receive(Some("b"), count(0));
        pending.receive(Some("a"), ack());
        assert_eq!(pending.missing(), 1);
        pending.receive(Some("a"), ack());
        assert_eq!((pending.missing(), pending.take_values().len()), (0, 2));
    }

    #[test]
    fn an_acknowledgement_may_come_before_the_count() {
        let pending = pending(1 << 20);
        pending.expect(Peers::Count(1));
        pending.receive(Some("a"), ack());
        assert!(pending.missing() > 0);
        pending.receive(Some("a"), count(1));
        assert_eq!(pending.missing(), 0);
    }

    /// An answer that is discarded still counts as received.
    #[test]
    fn answers_are_bounded_in_bytes() {
        let budget = AnswerBudget::new(100_000);
        let pending = Pending::new(&budget, &SocketBudget::new(1 << 20));
        pending.expect(Peers::Count(1));
        pending.receive(Some("a"), count(10));
        for _ in 0..10 {
            let value = EncodedValue::new(&vec![(); 6_000]).unwrap();
            pending.receive(Some("a"), ClusterAnswer::Ack(value));
        }
        let kept = pending.take_values().len();
        assert_eq!((pending.missing(), kept + pending.not_kept()), (0, 10));
        let size = 6_000 * "null,".len();
        assert!((1..=100_000 / size).contains(&kept), "{kept}");
        let again = Pending::new(&budget, &SocketBudget::new(1 << 20));
        again.receive(Some("a"), ack());
        assert_eq!(again.not_kept(), 0, "what was taken makes room");
    }

    #[test]
    fn nodes_that_leave_are_struck_off() {
        let pending = pending(1 << 20);
        pending.expect(Peers::ids(["a", "b", "c"]));
        pending.receive(Some("a"), count(5));
        pending.receive(Some("a"), ack());
        pending.receive(Some("c"), count(0));
        assert_eq!(pending.missing(), 5);
        assert_eq!(pending.missing_peers().ids, ["a", "b"]);
        pending.node_left("a");
        assert_eq!(pending.missing(), 1);
        pending.node_left("b");
        assert_eq!(pending.missing(), 0);
        assert!(pending.missing_peers().is_empty());
    }

    #[test]
    fn nodes_that_are_only_counted_are_named_once_they_answered() {
        let pending = pending(1 << 20);
        pending.expect(Peers::Count(3));
        pending.receive(Some("a"), count(1));
        pending.receive(Some("b"), count(0));
        let missing = pending.missing_peers();
        assert_eq!((&*missing.ids, missing.unnamed), (&["a".to_owned()][..], 1));
        assert_eq!(missing.to_string(), "2 servers (a)");
    }

    /// Over classic Redis answers do not say whose they are.
    #[test]
    fn nodes_without_a_name_are_counted() {
        let pending = pending(1 << 20);
        pending.expect(Peers::Count(2));
        pending.receive(None, ack());
        pending.receive(None, count(2));
        assert_eq!(pending.missing(), 2, "a node, and an acknowledgement");
        pending.receive(None, count(1));
        pending.receive(None, ack());
        assert_eq!((pending.missing(), pending.missing_peers().len()), (1, 1));
        pending.receive(None, ack());
        assert_eq!((pending.missing(), pending.missing_peers().len()), (0, 0));
        let other = super::tests::pending(1 << 20);
        other.expect(Peers::Count(2));
        other.receive(None, ClusterAnswer::Sockets(Vec::new()));
        assert_eq!(other.missing(), 1);
        other.receive(None, ClusterAnswer::Sockets(Vec::new()));
        assert_eq!(other.missing(), 0);
    }

    #[test]
    fn a_node_that_answers_twice_counts_once() {
        let pending = pending(1 << 20);
        pending.expect(Peers::ids(["a", "b"]));
        let value = || ClusterAnswer::ServerSideEmit(EncodedValue::new(&1).unwrap());
        pending.receive(Some("a"), value());
        pending.receive(Some("a"), value());
        assert_eq!((pending.missing(), pending.take_values().len()), (1, 1));
    }

    #[test]
    fn sockets_of_other_nodes_are_bounded_in_bytes() {
        let budget = SocketBudget::new(10_000);
        let pending = Pending::new(&AnswerBudget::new(1 << 20), &budget);
        pending.expect(Peers::Count(3));
        let list = |len: usize| {
            let socket = SocketData::new("x".repeat(len), Default::default());
            ClusterAnswer::Sockets(vec![socket])
        };
        pending.receive(Some("a"), list(1000));
        pending.receive(Some("b"), list(10_000));
        pending.receive(None, list(10_000));
        assert_eq!(pending.missing(), 0, "nothing is waited for");
        let missing = pending.missing_peers();
        assert_eq!((&*missing.ids, missing.unnamed), (&["b".to_owned()][..], 1));
        assert_eq!(pending.sockets_limit(), Some(10_000));
        assert_eq!(pending.take_sockets().len(), 1);
        assert_eq!(budget.used.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn ids_that_a_peer_makes_up_are_bounded() {
        let pending = pending(1 << 30);
        for number in 0..MAX_NODES + 10 {
            pending.receive(Some(&number.to_string()), count(0));
            pending.node_left(&number.to_string());
        }
        let state = pending.state.lock();
        assert_eq!(
            (state.answered.len(), state.left.len()),
            (MAX_NODES, MAX_NODES)
        );
    }
}
