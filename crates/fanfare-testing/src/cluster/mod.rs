//! Operations of the API across the nodes of a cluster, for tests of an adapter.

mod operations;

use std::time::Duration;

use fanfare::adapter::{Adapter, ServerEvent};
use fanfare::{Ack, Namespace, Socket, SocketIo};
use serde_json::{Value, json};

use crate::{Peer, TestServer, within};

/// Number of nodes.
const NODES: usize = 3;
/// Interval at which a probe is sent again until it arrives.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// Namespace for which all nodes have a pattern.
const DYNAMIC: &str = "/orders-7";

/// Runs every operation across three nodes: broadcasts with rooms, exceptions, flags and binary values, acknowledgements,
/// `fetch_sockets`, rooms and disconnections of remote sockets, events between servers, dynamic namespaces, the order of
/// events, and a node that leaves.
///
/// `connect` returns the adapter of one node, and is called three times. The nodes must find each other, and no others:
/// they need their own prefix or channel. It needs real time, in a runtime with at least two threads.
///
/// ```no_run
/// # async fn test(broker: &str) {
/// # struct MyAdapter;
/// # impl MyAdapter { fn new(_: &str, _: &str) -> Self { Self } }
/// # impl fanfare::adapter::Adapter for MyAdapter {
/// #     fn start(&self, _: fanfare::adapter::ClusterHandle) {}
/// #     fn publish(&self, _: &str, _: fanfare::adapter::ClusterMessage) -> fanfare::adapter::PublishOutcome { unimplemented!() }
/// #     fn respond(&self, _: &str, _: &str, _: fanfare::adapter::ClusterResponse) -> fanfare::adapter::PublishOutcome { unimplemented!() }
/// #     fn peers<'a>(&'a self, _: &'a str) -> fanfare::adapter::BoxFuture<'a, Result<fanfare::adapter::Peers, fanfare::adapter::AdapterError>> { unimplemented!() }
/// # }
/// let prefix = format!("test-{}", std::process::id());
/// fanfare_testing::cluster::exercise(async || MyAdapter::new(broker, &prefix)).await;
/// # }
/// ```
///
/// # Panics
/// If an operation does not have its effect, or not within [`DEADLINE`](crate::DEADLINE). The message names the operation.
pub async fn exercise<A: Adapter>(mut connect: impl AsyncFnMut() -> A) {
    let mut cluster = Cluster::start(&mut connect).await;
    operations::broadcasts(&mut cluster).await;
    operations::values(&mut cluster).await;
    operations::order(&mut cluster).await;
    operations::acknowledgements(&mut cluster).await;
    operations::sockets(&mut cluster).await;
    operations::large_answers(&mut cluster).await;
    operations::rooms(&mut cluster).await;
    operations::server_events(&mut cluster).await;
    operations::dynamic_namespaces(&mut cluster).await;
    operations::disconnections(&mut cluster).await;
    operations::a_node_that_leaves(cluster).await;
}

/// Three nodes with a client each. Client `i` is in the rooms `room-i` and `all`.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<TestServer>,
    pub(crate) peers: Vec<Peer>,
    probes: u64,
}

fn namespace(name: &str, node: usize) -> Namespace {
    Namespace::new(name)
        .on("echo", async || Ack(()))
        .on_server_event("ask", move |event: ServerEvent| async move {
            let number: Option<usize> = event.data().ok();
            let _ = event.ack(number.unwrap_or_default() + node);
        })
        .on_server_event("tell", async |event: ServerEvent| {
            let values = event.args();
            let _ = event
                .namespace()
                .local()
                .emit("told", fanfare::AllArgs(values));
        })
}

impl Cluster {
    async fn start<A: Adapter>(connect: &mut impl AsyncFnMut() -> A) -> Self {
        let mut cluster = Self {
            nodes: Vec::new(),
            peers: Vec::new(),
            probes: 0,
        };
        for node in 0..NODES {
            let dynamic = Namespace::pattern("/orders-{id}").on("echo", async || Ack(()));
            let builder = SocketIo::builder()
                .namespace(namespace("/", node))
                .namespace(dynamic)
                .adapter(connect().await);
            let io = builder.build().expect("the server is built");
            cluster.nodes.push(TestServer::start(io));
        }
        cluster.meet("/", NODES).await;
        for node in 0..NODES {
            let mut peer = cluster.nodes[node].peer().await;
            peer.join("/").await;
            let socket = cluster.socket(node, peer.sid());
            let joined = socket.join([room(node), "all".to_owned()]);
            joined.expect("the rooms are few");
            let data = json!({"node": node, "text": "\u{1f3ba}"});
            socket.set_data(&data).expect("the data is JSON");
            cluster.peers.push(peer);
        }
        for node in 0..NODES {
            let id = cluster.peers[node].sid().to_owned();
            cluster.reachable(&id, &[node]).await;
            cluster.reachable(&room(node), &[node]).await;
        }
        cluster.reachable("all", &[0, 1, 2]).await;
        cluster
    }

    /// Waits until every node sees all others.
    pub(crate) async fn meet(&self, namespace: &str, count: usize) {
        for server in &self.nodes {
            within("the nodes find each other", async {
                while server.io().of(namespace).server_count().await.ok() != Some(count) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
            .await;
        }
    }

    pub(crate) fn io(&self, node: usize) -> &SocketIo {
        self.nodes[node].io()
    }

    pub(crate) fn socket(&self, node: usize, id: &str) -> Socket {
        let socket = self.io(node).of("/").socket(id);
        socket.expect("the client is connected")
    }

    pub(crate) fn id(&self, node: usize) -> String {
        self.peers[node].sid().to_owned()
    }

    /// Waits until events that any node sends to a room reach these clients. An adapter may take a moment to subscribe.
    pub(crate) async fn reachable(&mut self, room: &str, clients: &[usize]) {
        for from in 0..self.nodes.len() {
            for &client in clients {
                self.probe(from, room, client).await;
            }
        }
    }

    async fn probe(&mut self, from: usize, room: &str, client: usize) {
        let what = format!("a probe of node {from} to {room} reaches client {client}");
        let others = (0..NODES).filter(|other| *other != client);
        let others: Vec<String> = others.map(self::room).collect();
        let first = self.probes + 1;
        let text = loop {
            self.probes += 1;
            let to = self.io(from).to(room).except(others.as_slice());
            to.emit("probe", self.probes).expect("the probe is sent");
            let arrived = self.peers[client].text();
            if let Ok(text) = tokio::time::timeout(PROBE_INTERVAL, arrived).await {
                break text;
            }
            assert!(self.probes < first + 1_200, "{what}");
        };
        // Those before it were sent before the adapter had subscribed, or they are late.
        let mut number = probe_number(&text);
        while number < self.probes {
            number = probe_number(&self.peers[client].text().await);
        }
    }

    /// Sends an event to all clients from each node, and expects that it is the next one that each receives: all
    /// earlier events of these nodes have arrived, and no others.
    pub(crate) async fn settled(&mut self, what: &str) {
        for from in 0..self.nodes.len() {
            self.io(from)
                .emit("settled", (from, what))
                .expect("the event is sent");
            let expected = format!("2{}", json!(["settled", from, what]));
            for peer in &mut self.peers {
                peer.expect(&expected).await;
            }
        }
    }

    /// Expects an event with these arguments at some clients, and nothing at the others.
    pub(crate) async fn arrives(&mut self, clients: &[usize], event: Value) {
        let expected = format!("2{event}");
        for &client in clients {
            self.peers[client].expect(&expected).await;
        }
        self.settled(&expected).await;
    }
}

pub(crate) fn room(node: usize) -> String {
    format!("room-{node}")
}

fn probe_number(text: &str) -> u64 {
    let number = text.strip_prefix(r#"2["probe","#);
    let number = number.and_then(|text| text.strip_suffix(']')?.parse().ok());
    number.unwrap_or_else(|| panic!("expected a probe, not {text}"))
}
