//! Fifty servers over a simulated network in virtual time: messages are lost, duplicated, delayed and reordered, and the
//! network is partitioned, as a seed decides.
//!
//! One seed: `SEED=7 cargo test -p fanfare-testing --test simulation`.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod network;
mod node;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use fanfare::ack::BroadcastAckError;
use fanfare::adapter::FetchSocketsError;
use fanfare::{Namespace, SocketIo};
use fanfare_client::{Ack, Data, Socket, Transport};
use fanfare_testing::{TestServer, until, within};
use network::{Conditions, Network};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};

const NODES: usize = 50;
const SEEDS: [u64; 3] = [1, 20, 300];
/// Time to wait after a change of the network: longer than the heartbeat timeout.
const SETTLE: Duration = Duration::from_secs(15);
/// Timeout of the requests.
const PATIENCE: Duration = Duration::from_secs(2);

/// Number of times that each client received each message.
type Received = Arc<Mutex<BTreeMap<(usize, u64), u32>>>;

struct Node {
    server: TestServer,
    _client: Socket,
}

struct Simulation {
    network: Network,
    nodes: Vec<Node>,
    received: Received,
    messages: u64,
}

/// Prints the seed if the test fails.
struct PrintSeed(u64);

impl Drop for PrintSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("to repeat it: SEED={}", self.0);
        }
    }
}

impl Simulation {
    async fn start(seed: u64, nodes: usize) -> Self {
        let mut simulation = Self {
            network: Network::new(seed),
            nodes: Vec::new(),
            received: Received::default(),
            messages: 0,
        };
        for number in 0..nodes {
            let adapter = node::Adapter::new(number, simulation.network.clone());
            let builder = SocketIo::builder().namespace(Namespace::new("/"));
            let server = TestServer::start(builder.adapter(adapter).build().unwrap());
            let received = simulation.received.clone();
            let client = server
                .client()
                .transports([Transport::WebSocket])
                .on("message", move |Data(message): Data<u64>| {
                    *received.lock().entry((number, message)).or_default() += 1;
                    std::future::ready(())
                })
                .on("number?", move || std::future::ready(Ack(number)))
                .await
                .unwrap();
            let rooms = [format!("room-{number}"), format!("half-{}", number % 2)];
            server.io().local().sockets_join(rooms);
            simulation.nodes.push(Node {
                server,
                _client: client,
            });
        }
        simulation
    }

    fn io(&self, node: usize) -> &SocketIo {
        self.nodes[node].server.io()
    }

    async fn peers(&self, node: usize) -> usize {
        let cluster = self.io(node).cluster().unwrap();
        cluster.peers().await.unwrap().len()
    }

    /// Waits until each of these nodes knows this many others.
    async fn know(&self, nodes: impl Iterator<Item = usize> + Clone, others: usize) {
        within("the nodes know each other", async {
            for node in nodes {
                while self.peers(node).await != others {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        })
        .await;
    }

    /// Emits the next message, to a room or to all. Returns its number.
    fn emit(&mut self, from: usize, room: Option<&str>) -> u64 {
        self.messages += 1;
        let sent = match room {
            Some(room) => self.io(from).to(room).emit("message", self.messages),
            None => self.io(from).emit("message", self.messages),
        };
        sent.unwrap();
        self.messages
    }

    /// Returns the clients that received a message, once each.
    fn recipients(&self, message: u64) -> Vec<usize> {
        let received = self.received.lock();
        let of_message = received.keys().filter(|(_, number)| *number == message);
        of_message.map(|(client, _)| *client).collect()
    }

    /// Checks that no client received a message twice.
    fn nothing_twice(&self) {
        let received = self.received.lock();
        let twice: Vec<_> = received.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "delivered twice: {twice:?}");
    }

    /// Waits until a message has reached these clients, and no others.
    async fn reaches(&self, message: u64, expected: &[usize]) {
        until("the message arrives", || {
            self.recipients(message).len() >= expected.len()
        })
        .await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(self.recipients(message), expected, "message {message}");
    }

    /// Fetches the sockets of all nodes. Returns how many there are, and how many nodes did not answer.
    async fn fetch(&self, from: usize) -> (usize, usize) {
        let begin = Instant::now();
        let fetched = self.io(from).timeout(PATIENCE).fetch_sockets().await;
        assert!(begin.elapsed() < PATIENCE * 2, "{:?}", begin.elapsed());
        let (sockets, missing) = match fetched {
            Ok(sockets) => (sockets, 0),
            Err(FetchSocketsError::Timeout {
                sockets, missing, ..
            }) => (sockets, missing.len()),
            Err(error) => panic!("{error}"),
        };
        let ids: HashSet<_> = sockets.iter().map(|socket| socket.id()).collect();
        assert_eq!(ids.len(), sockets.len(), "a socket is listed twice");
        (sockets.len(), missing)
    }

    /// Asks all clients for their numbers. Returns how many answered.
    async fn ask(&self, from: usize) -> usize {
        let begin = Instant::now();
        let asked = self.io(from).timeout(PATIENCE);
        let numbers = match asked.emit_with_ack::<usize>("number?", ()).await {
            Ok(numbers) => numbers,
            Err(BroadcastAckError::Timeout { responses, .. }) => responses,
            Err(error) => panic!("{error}"),
        };
        assert!(begin.elapsed() < PATIENCE * 2, "{:?}", begin.elapsed());
        let different: HashSet<_> = numbers.iter().collect();
        assert_eq!(different.len(), numbers.len(), "a client answered twice");
        numbers.len()
    }
}

async fn run(seed: u64) {
    let _print = PrintSeed(seed);
    let mut simulation = Simulation::start(seed, NODES).await;
    let network = simulation.network.clone();
    let all: Vec<_> = (0..NODES).collect();

    // Delay and reordering alone.
    simulation.know(0..NODES, NODES - 1).await;
    let message = simulation.emit(0, None);
    simulation.reaches(message, &all).await;
    let message = simulation.emit(1, Some("half-0"));
    let even: Vec<_> = (0..NODES).step_by(2).collect();
    simulation.reaches(message, &even).await;
    assert_eq!(simulation.fetch(2).await, (NODES, 0));
    assert_eq!(simulation.ask(3).await, NODES);

    // With losses and duplicates: nothing hangs, nothing is delivered or counted twice.
    network.set(Conditions {
        lost_percent: 10,
        doubled_percent: 10,
        max_delay: Duration::from_millis(400),
    });
    for _ in 0..25 {
        let node = network.random(NODES);
        simulation.emit(node, None);
        let room = format!("room-{}", network.random(NODES));
        simulation.emit(node, Some(&room));
        let (sockets, missing) = simulation.fetch(network.random(NODES)).await;
        assert!(sockets + missing <= NODES, "{sockets} and {missing}");
        simulation.ask(network.random(NODES)).await;
    }
    simulation.nothing_twice();

    // Two halves without a connection between them, each of which works.
    network.set(Conditions::GOOD);
    network.partition(|node| node % 2);
    sleep(SETTLE).await;
    simulation.know(0..NODES, NODES / 2 - 1).await;
    let message = simulation.emit(4, None);
    simulation.reaches(message, &even).await;
    assert_eq!(simulation.fetch(5).await, (NODES / 2, 0));
    assert_eq!(simulation.ask(6).await, NODES / 2);

    // Healed: counts are correct again, and earlier messages do not arrive late.
    network.partition(|_| 0);
    sleep(SETTLE).await;
    simulation.know(0..NODES, NODES - 1).await;
    assert_eq!(simulation.recipients(message), even);
    let message = simulation.emit(7, None);
    simulation.reaches(message, &all).await;
    assert_eq!(simulation.fetch(8).await, (NODES, 0));
    assert_eq!(simulation.ask(9).await, NODES);

    // A room that closes and opens again receives later events.
    simulation.io(10).local().sockets_leave("room-10");
    sleep(SETTLE).await;
    let message = simulation.emit(11, Some("room-10"));
    simulation.reaches(message, &[]).await;
    simulation.io(10).local().sockets_join("room-10");
    let message = simulation.emit(11, Some("room-10"));
    simulation.reaches(message, &[10]).await;
    simulation.nothing_twice();

    // A node that leaves is not waited for.
    within("a node leaves", simulation.io(0).close()).await;
    sleep(Duration::from_secs(1)).await;
    simulation.know(1..NODES, NODES - 2).await;
    assert_eq!(simulation.fetch(12).await, (NODES - 1, 0));
}

#[tokio::test(start_paused = true)]
async fn fifty_nodes_agree_again_after_loss_and_partitions() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => SEEDS.to_vec(),
    };
    for seed in seeds {
        run(seed).await;
    }
}

/// Rooms without members on a node cost it nothing, in a cluster of any size.
#[tokio::test(start_paused = true)]
async fn a_node_pays_only_for_its_own_rooms() {
    const EVENTS: u64 = 200;
    let mut received = Vec::new();
    for nodes in [5, NODES] {
        let mut simulation = Simulation::start(4, nodes).await;
        simulation.know(0..nodes, nodes - 1).await;
        let network = simulation.network.clone();
        let (before, here) = (network.received(2), network.received(1));
        for _ in 0..EVENTS {
            let message = simulation.emit(0, Some("room-1"));
            until("it arrives", || simulation.recipients(message) == [1]).await;
        }
        received.push((network.received(1) - here, network.received(2) - before));
        within("the nodes stop", async {
            for node in &simulation.nodes {
                node.server.io().close().await;
            }
        })
        .await;
    }
    // Only heartbeats remain, which both tests have for less than five seconds.
    for (number, nodes) in [5, NODES].into_iter().enumerate() {
        let (here, elsewhere) = received[number];
        assert_eq!((here.rooms, elsewhere.rooms), (EVENTS, 0), "{nodes} nodes");
        assert!(elsewhere.all - elsewhere.rooms <= nodes as u64 * 2);
    }
}
