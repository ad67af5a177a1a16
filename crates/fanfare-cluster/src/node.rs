//! Nodes of a cluster.

/// A server of a cluster. Which details other than the id are known depends on the adapter and on the other node:
/// Node.js sends only its id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeInfo {
    /// Id, unique in the cluster and new after each start.
    pub id: String,
    /// Human-readable name.
    pub name: Option<String>,
    /// Address at which the other nodes reach it.
    pub address: Option<String>,
    /// Program and its version.
    pub version: Option<String>,
    /// Number of its connections.
    pub clients: Option<usize>,
}

impl NodeInfo {
    /// Creates a node of which only the id is known.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            ..Self::default()
        }
    }

    /// Sets the name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the address.
    #[must_use]
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// Sets the program and its version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets the number of connections.
    #[must_use]
    pub fn clients(mut self, clients: usize) -> Self {
        self.clients = Some(clients);
        self
    }
}

/// The other nodes of a cluster, without this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Only their number is known: this many nodes must answer a request.
    Count(usize),
    /// The nodes; one that leaves (`ClusterHandle::node_left` of the server) is no longer waited
    /// for.
    Nodes(Vec<NodeInfo>),
}

impl Peers {
    /// Returns the peers with these ids.
    pub fn ids<I: Into<String>>(ids: impl IntoIterator<Item = I>) -> Self {
        Self::Nodes(ids.into_iter().map(NodeInfo::new).collect())
    }

    /// Returns the peers of a node that is itself one of this many subscribers, as Redis counts them.
    #[must_use]
    pub fn of_subscribers(subscribers: u64) -> Self {
        let others = subscribers.saturating_sub(1);
        Self::Count(usize::try_from(others).unwrap_or(usize::MAX))
    }

    /// Returns the number of other nodes.
    pub fn len(&self) -> usize {
        match self {
            Self::Count(count) => *count,
            Self::Nodes(nodes) => nodes.len(),
        }
    }

    /// Whether this node is the only one.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
