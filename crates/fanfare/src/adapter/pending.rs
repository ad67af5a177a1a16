//! A request to the other nodes, and what has come back of it.

use std::collections::{HashMap, HashSet};

use fanfare_protocol::Value;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{ClusterResponse, Peers, SocketData};

#[derive(Debug, Default)]
pub(crate) struct Pending {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    expected: Option<Peers>,
    /// Nodes that have answered, with the clients they have and the acknowledgements of these that came.
    answered: HashMap<String, (usize, usize)>,
    left: HashSet<String>,
    sockets: Vec<SocketData>,
    values: Vec<Value>,
}

impl State {
    fn missing_nodes(&self) -> usize {
        match &self.expected {
            None => 1,
            Some(Peers::Count(count)) => count.saturating_sub(self.answered.len()),
            Some(Peers::Nodes(nodes)) => nodes
                .iter()
                .filter(|node| !self.answered.contains_key(*node) && !self.left.contains(*node))
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
    pub(crate) fn expect(&self, peers: Peers) {
        self.state.lock().expected = Some(peers);
        self.changed.notify_one();
    }

    pub(crate) fn receive(&self, from: &str, response: ClusterResponse) {
        let mut state = self.state.lock();
        match response {
            ClusterResponse::FetchSockets { sockets, .. } => {
                if state.answered.insert(from.to_owned(), (0, 0)).is_none() {
                    state.sockets.extend(sockets);
                }
            }
            ClusterResponse::ServerSideEmit { packet, .. } => {
                if state.answered.insert(from.to_owned(), (0, 0)).is_none() {
                    state.values.push(packet);
                }
            }
            ClusterResponse::BroadcastClientCount { client_count, .. } => {
                state.answered.entry(from.to_owned()).or_default().0 = client_count;
            }
            ClusterResponse::BroadcastAck { packet, .. } => {
                state.values.push(packet);
                if let Some((_, acks)) = state.answered.get_mut(from) {
                    *acks += 1;
                } else {
                    // Before its count: the node has not been heard of otherwise, so it is counted when that comes.
                    state.answered.insert(from.to_owned(), (usize::MAX, 1));
                }
            }
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

    /// How many nodes, or clients of nodes that said how many they have, have not answered.
    pub(crate) fn missing(&self) -> usize {
        let state = self.state.lock();
        state.missing_nodes().saturating_add(state.missing_acks())
    }

    pub(crate) fn take_values(&self) -> Vec<Value> {
        std::mem::take(&mut self.state.lock().values)
    }

    pub(crate) fn take_sockets(&self) -> Vec<SocketData> {
        std::mem::take(&mut self.state.lock().sockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(n: usize) -> ClusterResponse {
        ClusterResponse::BroadcastClientCount {
            request_id: String::new(),
            client_count: n,
        }
    }

    fn ack() -> ClusterResponse {
        ClusterResponse::BroadcastAck {
            request_id: String::new(),
            packet: Value::Null,
        }
    }

    #[test]
    fn counts_nodes_and_their_clients() {
        let pending = Pending::default();
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
        let pending = Pending::default();
        pending.expect(Peers::Count(1));
        pending.receive("a", ack());
        assert!(pending.missing() > 0);
        pending.receive("a", count(1));
        assert_eq!(pending.missing(), 0);
    }

    #[test]
    fn nodes_that_leave_are_struck_off() {
        let pending = Pending::default();
        pending.expect(Peers::Nodes(vec!["a".into(), "b".into()]));
        pending.receive("a", count(5));
        pending.receive("a", ack());
        assert_eq!(pending.missing(), 5);
        pending.node_left("a");
        assert_eq!(pending.missing(), 1);
        pending.node_left("b");
        assert_eq!(pending.missing(), 0);
    }
}
