//! Nodes of the cluster, known by their heartbeats.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use fanfare_cluster::NodeInfo;
use serde::{Deserialize, Serialize};

/// Maximum number of nodes; further ones are ignored.
pub(crate) const MAX_NODES: usize = 1024;
/// Longest heartbeat, in bytes; longer ones are ignored.
const MAX_HEARTBEAT_BYTES: usize = 4096;

/// Heartbeat of a node. Absent members are unknown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    pub(crate) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) clients: Option<usize>,
    /// Whether the node has just connected, so that the others should send heartbeats at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) hello: bool,
    /// Whether the node leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) leaves: bool,
}

impl Heartbeat {
    pub(crate) fn new(node: NodeInfo) -> Self {
        Self {
            id: node.id,
            name: node.name,
            address: node.address,
            version: node.version,
            clients: node.clients,
            ..Self::default()
        }
    }

    /// Reads a heartbeat; `None` if it is invalid.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let short = payload.len() <= MAX_HEARTBEAT_BYTES;
        let heartbeat: Self = serde_json::from_slice(payload).ok().filter(|_| short)?;
        (!heartbeat.id.is_empty()).then_some(heartbeat)
    }

    fn into_node(self) -> NodeInfo {
        let mut node = NodeInfo::new(self.id);
        node.name = self.name;
        node.address = self.address;
        node.version = self.version;
        node.clients = self.clients;
        node
    }
}

/// Effect of a heartbeat.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The node was known.
    Known,
    /// The node is new.
    Joined,
    /// The node has left.
    Left,
    /// Ignored: there are too many nodes, or an unknown one left.
    Ignored,
}

/// The other nodes.
#[derive(Debug, Default)]
pub(crate) struct Members {
    nodes: HashMap<String, (NodeInfo, Instant)>,
}

impl Members {
    /// Handles the heartbeat of another node.
    pub(crate) fn hear(&mut self, heartbeat: Heartbeat, now: Instant) -> Heard {
        if heartbeat.leaves {
            return match self.nodes.remove(&heartbeat.id) {
                Some(_) => Heard::Left,
                None => Heard::Ignored,
            };
        }
        let known = self.nodes.contains_key(&heartbeat.id);
        if !known && self.nodes.len() >= MAX_NODES {
            return Heard::Ignored;
        }
        let id = heartbeat.id.clone();
        self.nodes.insert(id, (heartbeat.into_node(), now));
        if known { Heard::Known } else { Heard::Joined }
    }

    /// Counts all nodes as heard now, after a time without a connection.
    pub(crate) fn refresh(&mut self, now: Instant) {
        self.nodes.values_mut().for_each(|(_, heard)| *heard = now);
    }

    /// Removes the nodes that have not been heard for this time, and returns their ids.
    pub(crate) fn expire(&mut self, now: Instant, timeout: Duration) -> Vec<String> {
        let silent = |heard: &Instant| now.saturating_duration_since(*heard) > timeout;
        let gone = self.nodes.extract_if(|_, (_, heard)| silent(heard));
        gone.map(|(id, _)| id).collect()
    }

    /// Returns the nodes in the order of their ids.
    pub(crate) fn list(&self) -> Vec<NodeInfo> {
        let nodes = self.nodes.values().map(|(node, _)| node.clone());
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(id: &str) -> Heartbeat {
        Heartbeat::new(NodeInfo::new(id))
    }

    #[test]
    fn nodes_join_leave_and_expire() {
        let (mut members, start) = (Members::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(members.hear(heartbeat("a"), at(0)), Heard::Joined);
        assert_eq!(members.hear(heartbeat("b"), at(1)), Heard::Joined);
        assert_eq!(members.hear(heartbeat("a"), at(4)), Heard::Known);
        let timeout = Duration::from_secs(6);
        assert_eq!(members.expire(at(7), timeout), [""; 0]);
        assert_eq!(members.expire(at(8), timeout), ["b"]);
        members.refresh(at(20));
        assert_eq!(members.expire(at(26), timeout), [""; 0]);
        let mut bye = heartbeat("a");
        bye.leaves = true;
        assert_eq!(members.hear(bye.clone(), at(26)), Heard::Left);
        assert_eq!(members.hear(bye, at(26)), Heard::Ignored);
        for number in 0..MAX_NODES + 1 {
            members.hear(heartbeat(&number.to_string()), at(27));
        }
        assert_eq!(members.list().len(), MAX_NODES);
    }

    #[test]
    fn heartbeats_are_documented() {
        let node = NodeInfo::new("0f").name("web 1").clients(3);
        let mut sent = Heartbeat::new(node);
        sent.hello = true;
        let json = r#"{"id":"0f","name":"web 1","clients":3,"hello":true}"#;
        assert_eq!(serde_json::to_string(&sent).unwrap(), json);
        assert_eq!(Heartbeat::read(json.as_bytes()), Some(sent));
        assert_eq!(Heartbeat::read(br#"{"id":""}"#), None);
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(MAX_HEARTBEAT_BYTES));
        assert_eq!(Heartbeat::read(long.as_bytes()), None);
    }
}
