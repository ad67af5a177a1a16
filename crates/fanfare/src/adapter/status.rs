//! State of a cluster as one of its servers sees it.

use std::fmt;
use std::sync::Arc;

use super::{AdapterError, ClusterInner, Health, NodeInfo, Peers};
use crate::server::SocketIo;

/// The cluster of a server, for its operators, see [`SocketIo::cluster`].
///
/// ```
/// # async fn f(io: fanfare::SocketIo) -> Result<(), fanfare::adapter::AdapterError> {
/// if let Some(cluster) = io.cluster() {
///     println!("broker: {}, other servers: {}", cluster.health(), cluster.peers().await?.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cluster(Arc<ClusterInner>);

impl Cluster {
    /// Returns the state of the connection to the broker, as the adapter reports it.
    pub fn health(&self) -> Health {
        self.0.adapter.health()
    }

    /// Whether messages go to and come from the other servers: a load balancer may send clients here.
    pub fn is_ready(&self) -> bool {
        self.health().is_ready()
    }

    /// Returns the numbers of messages sent to and received from the other servers since the server was built.
    pub fn messages(&self) -> (u64, u64) {
        self.0.traffic().sums()
    }

    /// Returns the other servers that are in the main namespace, or their number, where the adapter knows no more.
    ///
    /// # Errors
    /// If the adapter cannot determine them.
    pub async fn peers(&self) -> Result<Peers, AdapterError> {
        self.0.adapter.peers("/").await
    }

    /// Returns the other servers that the adapter knows one by one, with their names, addresses, versions and numbers of
    /// clients. Servers of Node.js do not describe themselves: over Redis they are missing here, over PostgreSQL only
    /// their ids are known.
    ///
    /// # Errors
    /// As [`peers`](Self::peers).
    pub async fn nodes(&self) -> Result<Vec<NodeInfo>, AdapterError> {
        self.0.adapter.nodes().await
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl SocketIo {
    /// Returns the cluster of this server; `None` without an [adapter](super::Adapter).
    pub fn cluster(&self) -> Option<Cluster> {
        self.0.settings.cluster.clone().map(Cluster)
    }
}
