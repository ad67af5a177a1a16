//! The operations across nodes, with an adapter that connects the servers of this process.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, Peers,
    PublishOutcome,
};
use parking_lot::Mutex;
use tokio::sync::mpsc;

/// Message for one node: the namespace, the sender, the content.
enum Delivery {
    Message(String, String, ClusterMessage),
    Response(String, ClusterResponse),
}

type Nodes = Arc<Mutex<Vec<(String, mpsc::UnboundedSender<Delivery>)>>>;

/// Adapter that delivers in another task, in order.
struct Queued {
    id: String,
    nodes: Nodes,
    /// Whether it loses the broadcasts to single rooms.
    lossy: bool,
    cluster: Mutex<Option<ClusterHandle>>,
}

impl Queued {
    fn others(&self) -> Vec<(String, mpsc::UnboundedSender<Delivery>)> {
        let nodes = self.nodes.lock();
        nodes
            .iter()
            .filter(|(id, _)| *id != self.id)
            .cloned()
            .collect()
    }
}

impl Adapter for Queued {
    fn start(&self, cluster: ClusterHandle) {
        let (tx, mut rx) = mpsc::unbounded_channel();
        self.nodes.lock().push((self.id.clone(), tx));
        *self.cluster.lock() = Some(cluster.clone());
        tokio::spawn(async move {
            while let Some(delivery) = rx.recv().await {
                match delivery {
                    Delivery::Message(namespace, from, message) => {
                        cluster.receive(&namespace, &from, message);
                    }
                    Delivery::Response(from, response) => {
                        cluster.receive_response(Some(&from), response);
                    }
                }
            }
        });
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let lost = matches!(&message, ClusterMessage::Broadcast(b) if b.options.rooms.len() == 1);
        if self.lossy && lost {
            return PublishOutcome::Queued;
        }
        for (_, node) in self.others() {
            let (namespace, from) = (namespace.to_owned(), self.id.clone());
            let _ = node.send(Delivery::Message(namespace, from, message.clone()));
        }
        PublishOutcome::Queued
    }

    fn respond(&self, _: &str, to: &str, response: ClusterResponse) -> PublishOutcome {
        for (id, node) in self.others() {
            if id == to {
                let _ = node.send(Delivery::Response(self.id.clone(), response.clone()));
            }
        }
        PublishOutcome::Queued
    }

    fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        let ids = self.others().into_iter().map(|(id, _)| id);
        let peers = Peers::ids(ids);
        Box::pin(async { Ok(peers) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.nodes.lock().retain(|(id, _)| *id != self.id);
        Box::pin(async {})
    }
}

fn adapters(lossy: bool) -> impl FnMut() -> Queued {
    let (nodes, mut count) = (Nodes::default(), 0);
    move || {
        count += 1;
        Queued {
            id: format!("node-{count}"),
            nodes: nodes.clone(),
            lossy,
            cluster: Mutex::default(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_that_works_passes() {
    let mut adapter = adapters(false);
    fanfare_testing::cluster::exercise(async || adapter()).await;
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "a probe of node 1")]
async fn an_adapter_that_loses_messages_fails() {
    let mut adapter = adapters(true);
    fanfare_testing::cluster::exercise(async || adapter()).await;
}
