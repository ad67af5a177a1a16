//! Descriptions of the nodes of a cluster, which they send each other.

use serde::{Deserialize, Serialize};

use crate::NodeInfo;

/// Longest announcement, in bytes; longer ones are ignored.
pub const MAX_ANNOUNCEMENT_BYTES: usize = 4096;

/// Description of the node that sends it (type 101). Only nodes of Fanfare send it: Node.js ignores messages of a type
/// that it does not know.
///
/// ```
/// use fanfare_cluster::{NodeAnnouncement, NodeInfo};
///
/// let node = NodeInfo::new("0f").name("web 1").clients(3);
/// let announcement = NodeAnnouncement::new(node.clone()).hello();
/// let json = serde_json::to_string(&announcement)?;
/// assert_eq!(json, r#"{"id":"0f","name":"web 1","clients":3,"hello":true}"#);
/// assert_eq!(NodeAnnouncement::read(json.as_bytes()).map(NodeInfo::from), Some(node));
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NodeAnnouncement {
    /// Id of the node.
    pub id: String,
    /// Human-readable name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Address at which the other nodes reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Program and its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Number of its connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<usize>,
    /// Whether the node has just connected, so that the others should announce themselves at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hello: bool,
    /// Whether the node leaves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub leaves: bool,
}

impl NodeAnnouncement {
    /// Creates the announcement of a node that has been in the cluster for a while.
    #[must_use]
    pub fn new(node: NodeInfo) -> Self {
        Self {
            id: node.id,
            name: node.name,
            address: node.address,
            version: node.version,
            clients: node.clients,
            ..Self::default()
        }
    }

    /// Says that the node has just connected.
    #[must_use]
    pub fn hello(mut self) -> Self {
        self.hello = true;
        self
    }

    /// Says that the node leaves.
    #[must_use]
    pub fn leaves(mut self) -> Self {
        self.leaves = true;
        self
    }

    /// Reads an announcement in JSON; `None` if it is invalid, or longer than [`MAX_ANNOUNCEMENT_BYTES`].
    #[must_use]
    pub fn read(json: &[u8]) -> Option<Self> {
        let short = json.len() <= MAX_ANNOUNCEMENT_BYTES;
        let announcement: Self = short.then(|| serde_json::from_slice(json).ok())??;
        (!announcement.id.is_empty()).then_some(announcement)
    }
}

impl From<NodeAnnouncement> for NodeInfo {
    fn from(announcement: NodeAnnouncement) -> Self {
        Self {
            id: announcement.id,
            name: announcement.name,
            address: announcement.address,
            version: announcement.version,
            clients: announcement.clients,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_invalid_or_long_is_ignored() {
        assert_eq!(NodeAnnouncement::read(br#"{"id":""}"#), None);
        assert_eq!(NodeAnnouncement::read(b"{}"), None);
        let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(MAX_ANNOUNCEMENT_BYTES));
        assert_eq!(NodeAnnouncement::read(long.as_bytes()), None);
        let more = br#"{"id":"a","later":[1]}"#;
        assert!(
            NodeAnnouncement::read(more).is_some(),
            "members of later versions are ignored"
        );
    }
}
