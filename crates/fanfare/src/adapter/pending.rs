//! A pending request to the other nodes, and the answers received so far.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fanfare_protocol::EncodedValue;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{ClusterAnswer, MissingNodes, Peers, SocketData};
use crate::ack::{AnswerBudget, Kept};

#[derive(Debug)]
pub(crate) struct Pending {
    state: Mutex<State>,
    changed: Notify,
    budget: Arc<AnswerBudget>,
}

#[derive(Debug, Default)]
struct State {
    expected: Option<Peers>,
    /// Nodes that have answered, with the number of their clients and the number of acknowledgements received from
    /// these.
    answered: HashMap<String, (usize, usize)>,
    left: HashSet<String>,
    sockets: Vec<SocketData>,
    values: Vec<(EncodedValue, Kept)>,
    /// Number of answers that were discarded because the limit was reached.
    not_kept: usize,
}

impl State {
    /// Whether a node has answered, and all its clients that were asked.
    fn is_done(&self, node: &str) -> bool {
        let answered = self.answered.get(node);
        self.left.contains(node) || answered.is_some_and(|(clients, acks)| clients <= acks)
    }

    fn missing_nodes(&self) -> usize {
        match &self.expected {
            None => 1,
            Some(Peers::Count(count)) => count.saturating_sub(self.answered.len()),
            Some(Peers::Nodes(nodes)) => nodes
                .iter()
                .map(|node| &node.id)
                .filter(|id| !self.answered.contains_key(*id) && !self.left.contains(*id))
                .count(),
        }
    }

    fn missing_acks(&self) -> usize {
        let remaining = self
            .answered
            .iter()
            .filter(|(node, _)| !self.left.contains(*node))
            .map(|(_, (clients, acks))| clients.saturating_sub(*acks));
        remaining.fold(0, usize::saturating_add)
    }
}

impl Pending {
    pub(crate) fn new(budget: &Arc<AnswerBudget>) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            budget: budget.clone(),
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

    pub(crate) fn receive(&self, from: &str, answer: ClusterAnswer) {
        let mut state = self.state.lock();
        match answer {
            ClusterAnswer::Sockets(sockets) => {
                let first = state.answered.insert(from.to_owned(), (0, 0)).is_none();
                if first {
                    state.sockets.extend(sockets);
                }
            }
            ClusterAnswer::ServerSideEmit(value) => {
                let first = state.answered.insert(from.to_owned(), (0, 0)).is_none();
                if first {
                    self.keep(&mut state, value);
                }
            }
            ClusterAnswer::ClientCount(clients) => {
                state.answered.entry(from.to_owned()).or_default().0 = clients;
            }
            ClusterAnswer::Ack(value) => {
                self.keep(&mut state, value);
                if let Some((_, acks)) = state.answered.get_mut(from) {
                    *acks += 1;
                } else {
                    // The acknowledgement arrived before the count of its node: the node is counted when the count
                    // arrives.
                    state.answered.insert(from.to_owned(), (usize::MAX, 1));
                }
            }
            // Of a kind that this version does not know, and so did not ask for.
            _ => {}
        }
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn node_left(&self, node: &str) {
        self.state.lock().left.insert(node.to_owned());
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
        missing.ids.sort_unstable();
        missing
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
        std::mem::take(&mut self.state.lock().sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(n: usize) -> ClusterAnswer {
        ClusterAnswer::ClientCount(n)
    }

    fn ack() -> ClusterAnswer {
        ClusterAnswer::Ack(EncodedValue::new(&()).unwrap())
    }

    #[test]
    fn counts_nodes_and_their_clients() {
        let pending = Pending::new(&AnswerBudget::new(1 << 20));
        pending.receive("a", count(2));
        assert_eq!(pending.missing(), 3, "how many nodes there are is unknown");
        pending.expect(Peers::Count(2));
        assert_eq!(pending.missing(), 3);
        pending.receive("b", count(0));
        pending.receive("a", ack());
        assert_eq!(pending.missing(), 1);
        pending.receive("a", ack());
        assert_eq!((pending.missing(), pending.take_values().len()), (0, 2));
    }

    #[test]
    fn an_acknowledgement_may_come_before_the_count() {
        let pending = Pending::new(&AnswerBudget::new(1 << 20));
        pending.expect(Peers::Count(1));
        pending.receive("a", ack());
        assert!(pending.missing() > 0);
        pending.receive("a", count(1));
        assert_eq!(pending.missing(), 0);
    }

    /// An answer that is discarded still counts as received.
    #[test]
    fn answers_are_bounded_in_bytes() {
        let budget = AnswerBudget::new(100_000);
        let pending = Pending::new(&budget);
        pending.expect(Peers::Count(1));
        pending.receive("a", count(10));
        for _ in 0..10 {
            let value = EncodedValue::new(&vec![(); 6_000]).unwrap();
            pending.receive("a", ClusterAnswer::Ack(value));
        }
        let kept = pending.take_values().len();
        assert_eq!((pending.missing(), kept + pending.not_kept()), (0, 10));
        let size = 6_000 * "null,".len();
        assert!((1..=100_000 / size).contains(&kept), "{kept}");
        let again = Pending::new(&budget);
        again.receive("a", ack());
        assert_eq!(again.not_kept(), 0, "what was taken makes room");
    }

    #[test]
    fn nodes_that_leave_are_struck_off() {
        let pending = Pending::new(&AnswerBudget::new(1 << 20));
        pending.expect(Peers::ids(["a", "b", "c"]));
        pending.receive("a", count(5));
        pending.receive("a", ack());
        pending.receive("c", count(0));
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
        let pending = Pending::new(&AnswerBudget::new(1 << 20));
        pending.expect(Peers::Count(3));
        pending.receive("a", count(1));
        pending.receive("b", count(0));
        let missing = pending.missing_peers();
        assert_eq!((&*missing.ids, missing.unnamed), (&["a".to_owned()][..], 1));
        assert_eq!(missing.to_string(), "2 servers (a)");
    }
}
