//! Parts of the connections that the servers of a cluster should have.

use serde::{Deserialize, Serialize};

use super::{NodeState, NodeStatus};

/// A server keeps up to this fraction more than its part.
const TOLERATED: f64 = 0.05;

/// Outcome of a [rebalancing](super::Operations::rebalance): what has begun.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RebalanceReport {
    /// Mean number of connections of the servers that are ready, rounded up.
    pub part: usize,
    /// The servers with more than that, and the connections that they close.
    pub moves: Vec<NodeMove>,
    /// Ids of servers that did not answer, and whose connections are not counted.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// Connections that a server closes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeMove {
    /// Id of the server.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Number of its connections.
    pub clients: usize,
    /// Number of connections that it closes.
    pub closing: usize,
}

impl RebalanceReport {
    pub(super) fn new(nodes: &[NodeStatus], share: f64) -> Self {
        let ready = || nodes.iter().filter(|node| node.state == NodeState::Ready);
        let sum: usize = ready().map(|node| node.clients).sum();
        let part = sum.div_ceil(ready().count().max(1));
        let tolerated = part as f64 * (1.0 + TOLERATED);
        let moves = ready()
            .filter(|node| node.clients > part && node.clients as f64 > tolerated)
            .map(|node| NodeMove {
                id: node.id.clone(),
                name: node.name.clone(),
                clients: node.clients,
                closing: ((node.clients - part) as f64 * share).ceil() as usize,
            });
        Self {
            part,
            moves: moves.collect(),
            missing: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(clients: &[usize]) -> Vec<NodeStatus> {
        let node = |(number, clients): (usize, &usize)| NodeStatus {
            id: number.to_string(),
            clients: *clients,
            ..NodeStatus::default()
        };
        clients.iter().enumerate().map(node).collect()
    }

    fn closing(nodes: &[NodeStatus], share: f64) -> Vec<(String, usize)> {
        let report = RebalanceReport::new(nodes, share);
        let moves = report.moves.into_iter();
        moves.map(|node| (node.id, node.closing)).collect()
    }

    #[test]
    fn what_is_above_the_part_moves() {
        let moved = |clients: &[usize], share| closing(&nodes(clients), share);
        assert_eq!(moved(&[90, 0, 0], 1.0), [("0".to_owned(), 60)]);
        assert_eq!(moved(&[90, 0, 0], 0.5), [("0".to_owned(), 30)]);
        let two = [("1".to_owned(), 50), ("2".to_owned(), 20)];
        assert_eq!(moved(&[10, 100, 70, 20], 1.0), two);
        assert_eq!(moved(&[105, 95], 1.0), [], "within the tolerance");
        assert_eq!(moved(&[7], 1.0), []);
        assert_eq!(moved(&[], 1.0), []);
        assert_eq!(moved(&[1, 0], 1.0), []);
    }

    #[test]
    fn servers_that_drain_do_not_count() {
        let mut nodes = nodes(&[90, 30, 0]);
        nodes[0].state = NodeState::Draining;
        assert_eq!(closing(&nodes, 1.0), [("1".to_owned(), 15)]);
    }
}
