//! State of the servers of a cluster.

use std::sync::Weak;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::{Node, OperationsError};
use crate::adapter::MissingNodes;
use crate::server::SocketIo;

/// Answer of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Answer {
    pub(super) node: NodeStatus,
    /// Whether the request was for this server, and is carried out.
    #[serde(default)]
    pub(super) carried_out: bool,
}

/// Answers of the other servers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) nodes: Vec<Answer>,
    pub(super) missing: MissingNodes,
}

impl Answers {
    pub(super) fn names(&self) -> Vec<String> {
        let names = self.nodes.iter().map(|answer| &answer.node.name);
        names.cloned().collect()
    }
}

/// State of the cluster, as one of its servers sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClusterStatus {
    /// Id of the server that reports.
    pub node: String,
    /// The servers that answered, sorted by name. The one that reports is among them.
    #[serde(default)]
    pub nodes: Vec<NodeStatus>,
    /// Ids, in the adapter's terms, of the servers that did not answer: those of Node.js, those without operations or with
    /// another key, and those that hang.
    #[serde(default)]
    pub missing: Vec<String>,
    /// Number of further servers that did not answer, of which no id is known.
    #[serde(default)]
    pub missing_unnamed: usize,
    /// Reason for which other servers could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl ClusterStatus {
    pub(super) fn new(io: &SocketIo, node: &Node) -> Self {
        Self {
            node: node.id.clone(),
            nodes: vec![NodeStatus::of(node, io)],
            ..Self::default()
        }
    }

    pub(super) fn take(&mut self, answers: Answers) {
        let Answers { nodes, missing } = answers;
        for answer in nodes {
            // A server that repeats its answer counts once.
            if self.nodes.iter().all(|known| known.id != answer.node.id) {
                self.nodes.push(answer.node);
            }
        }
        self.nodes
            .sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        self.missing = missing.ids;
        self.missing_unnamed = missing.unnamed;
    }

    /// Returns the server with this id, or the only one with this name.
    ///
    /// # Errors
    /// If there is no such server, or more than one has the name.
    pub fn find(&self, node: &str) -> Result<&NodeStatus, OperationsError> {
        if let Some(found) = self.nodes.iter().find(|known| known.id == node) {
            return Ok(found);
        }
        let mut named = self.nodes.iter().filter(|known| known.name == node);
        match (named.next(), named.count()) {
            (Some(found), 0) => Ok(found),
            (Some(_), others) => Err(OperationsError::AmbiguousNode {
                node: node.to_owned(),
                count: others + 1,
            }),
            (None, _) => Err(OperationsError::UnknownNode {
                node: node.to_owned(),
                known: self.nodes.iter().map(|node| node.name.clone()).collect(),
            }),
        }
    }

    /// Returns the number of connections of all servers that answered.
    pub fn clients(&self) -> usize {
        self.nodes.iter().map(|node| node.clients).sum()
    }
}

/// Phase in the life of a server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum NodeState {
    /// The server accepts new connections.
    #[default]
    Ready,
    /// The server rejects new connections, and closes those that it has.
    Draining,
    /// A state that this version does not know.
    #[serde(other)]
    Other,
}

/// State of a server. Members that another version does not send are zero.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Random id, new after each start.
    pub id: String,
    /// Name under which people know it; the id, if it has none.
    pub name: String,
    /// Program and its version.
    pub version: String,
    /// Phase in its life.
    pub state: NodeState,
    /// State of its connection to the broker: `connecting`, `up`, `degraded`, `down`; `none` without an adapter.
    pub broker: String,
    /// Reason of that state, if it is not `up`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broker_reason: Option<String>,
    /// Number of its connections.
    pub clients: usize,
    /// Number of connections opened since its start.
    pub opened: u64,
    /// Number of events received from clients since its start.
    pub events_in: u64,
    /// Number of events sent to clients since its start, each recipient counted.
    pub events_out: u64,
    /// Number of messages sent to other servers since its start.
    pub messages_out: u64,
    /// Number of messages received from other servers since its start.
    pub messages_in: u64,
    /// Time since its start, in seconds.
    pub uptime: u64,
}

impl NodeStatus {
    pub(super) fn of(node: &Node, io: &SocketIo) -> Self {
        let stats = io.stats();
        let mut status = Self {
            id: node.id.clone(),
            name: node.name.clone().unwrap_or_else(|| node.id.clone()),
            version: concat!("fanfare ", env!("CARGO_PKG_VERSION")).to_owned(),
            state: match node.draining.load(Ordering::Acquire) || !io.is_ready() {
                true => NodeState::Draining,
                false => NodeState::Ready,
            },
            broker: "none".to_owned(),
            clients: io.clients_count(),
            opened: stats.opened,
            events_in: stats.events_in,
            events_out: stats.events_out,
            uptime: node.started.elapsed().as_secs(),
            ..Self::default()
        };
        if let Some(cluster) = io.cluster() {
            let health = cluster.health();
            status.broker = health.label().to_owned();
            status.broker_reason = (status.broker != "up").then(|| health.to_string());
            (status.messages_out, status.messages_in) = cluster.messages();
        }
        status
    }

    /// Returns the state of this server; `None` if it has been dropped.
    pub(super) fn here(node: &Node) -> Option<(SocketIo, Self)> {
        let io = SocketIo::from_inner(Weak::upgrade(&node.io)?);
        let status = Self::of(node, &io);
        Some((io, status))
    }
}
