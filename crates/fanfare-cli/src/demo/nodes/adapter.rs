//! Adapter of the demo's nodes without a broker: the demo passes the messages on.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, Peers,
    PublishOutcome,
};
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::wire::{Frame, Kind};

/// Connection of a node to the demo. Cheap to clone.
#[derive(Clone)]
pub(super) struct Hub(Arc<Inner>);

struct Inner {
    /// Id of this node, whose first part is its number.
    id: String,
    out: mpsc::Sender<Frame>,
    cluster: OnceLock<ClusterHandle>,
    /// Ids of the other nodes.
    peers: Mutex<Vec<String>>,
}

impl Hub {
    pub(super) fn new(id: String, out: mpsc::Sender<Frame>) -> Self {
        Self(Arc::new(Inner {
            id,
            out,
            cluster: OnceLock::new(),
            peers: Mutex::default(),
        }))
    }

    /// Replaces the list of the other nodes, and stops to wait for those that have gone.
    pub(super) fn set_peers(&self, ids: Vec<String>) {
        let before = std::mem::replace(&mut *self.0.peers.lock(), ids.clone());
        if let Some(cluster) = self.0.cluster.get() {
            let gone = before.iter().filter(|id| !ids.contains(id));
            gone.for_each(|id| cluster.node_left(id));
        }
    }

    /// Handles a message or an answer of another node.
    pub(super) fn receive(&self, content: &Bytes) {
        let Some(cluster) = self.0.cluster.get() else {
            return;
        };
        let Ok(envelope) = Envelope::read(content) else {
            return;
        };
        let (from, namespace) = (envelope.uid(), envelope.namespace().unwrap_or("/"));
        match envelope.decode() {
            Ok(AdapterMessage::Message(message)) => cluster.receive(namespace, from, message),
            Ok(AdapterMessage::Response(response)) => {
                cluster.receive_response(Some(from), response);
            }
            // Other versions of the demo do not take part.
            _ => {}
        }
    }

    fn send(
        &self,
        kind: Kind,
        node: u8,
        namespace: &str,
        message: AdapterMessage,
    ) -> PublishOutcome {
        let content = message.encode(&self.0.id, Some(namespace)).into_bytes();
        let frame = Frame {
            kind,
            node,
            content: content.into(),
        };
        if !frame.fits() {
            return PublishOutcome::Full;
        }
        match self.0.out.try_send(frame) {
            Ok(()) => PublishOutcome::Queued,
            Err(TrySendError::Full(_)) => PublishOutcome::Full,
            Err(TrySendError::Closed(_)) => PublishOutcome::Down,
        }
    }
}

/// Returns the number in the id of a node.
fn number(id: &str) -> Option<u8> {
    id.split('-').next()?.parse().ok()
}

impl Adapter for Hub {
    fn start(&self, cluster: ClusterHandle) {
        // A hub is for one server.
        let _ = self.0.cluster.set(cluster);
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        self.send(Kind::Message, 0, namespace, message.into())
    }

    fn respond(&self, namespace: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        match number(to) {
            Some(node) => self.send(Kind::Answer, node, namespace, response.into()),
            None => PublishOutcome::Down,
        }
    }

    fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        let peers = Peers::ids(self.0.peers.lock().clone());
        Box::pin(async { Ok(peers) })
    }
}
