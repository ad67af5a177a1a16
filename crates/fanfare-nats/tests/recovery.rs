//! Clients that reconnect to another node.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use fanfare::adapter::{Adapter, SessionData};
use fanfare::recovery::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
use fanfare::{Socket, SocketIo};
use fanfare_nats::JetStream;
use fanfare_testing::{Peer, TestServer, within};
use serde_json::{Value, json};
use support::{Nats, Node};

/// Stream of the sessions.
const SESSIONS: &str = "FANFARE_SESSIONS_default";

async fn start(nats: &Nats) -> Node {
    let recovery = ConnectionStateRecovery::default();
    let builder = SocketIo::builder().connection_state_recovery(recovery);
    let node = Node::with(nats.builder().jetstream(JetStream::new()), builder).await;
    node.adapter.ready().await;
    node
}

/// A client that stores what the official one stores.
struct Client {
    peer: Peer,
    sid: String,
    pid: String,
    offset: Option<String>,
}

impl Client {
    async fn connect(server: &TestServer, auth: &Value) -> Self {
        let mut peer = server.peer().await;
        peer.send(&format!("0{auth}")).await;
        let reply: Value = serde_json::from_str(&peer.text().await[1..]).unwrap();
        let text = |name: &str| reply[name].as_str().unwrap().to_owned();
        Self {
            peer,
            sid: text("sid"),
            pid: text("pid"),
            offset: auth["offset"].as_str().map(str::to_owned),
        }
    }

    fn socket(&self, server: &TestServer) -> Socket {
        server.io().of("/").socket(&self.sid).unwrap()
    }

    async fn number(&mut self) -> u64 {
        let packet = self.peer.text().await;
        let data: Value = serde_json::from_str(&packet[1..]).unwrap();
        self.offset = data[2].as_str().map(str::to_owned);
        support::number(&packet)
    }

    /// Drops the connection, and waits until the session is stored.
    async fn vanish(self, nats: &Nats) -> Value {
        let before = nats.last_sequence(SESSIONS).await;
        drop(self.peer);
        within("the session is stored", async {
            while nats.last_sequence(SESSIONS).await == before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        match self.offset {
            Some(offset) => json!({"pid": self.pid, "offset": offset}),
            None => json!({"pid": self.pid}),
        }
    }
}

/// Each event arrives once and in order, whichever node sent it to whichever of the client's rooms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_gets_what_it_missed_at_any_node() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let nodes = [start(&nats).await, start(&nats).await, start(&nats).await];
    for node in &nodes {
        node.sees(3).await;
    }
    let mut client = Client::connect(&nodes[0].server, &json!({})).await;
    let (sid, mut at) = (client.sid.clone(), 0);
    client
        .socket(&nodes[0].server)
        .join(["mine", "a.b *"])
        .unwrap();
    client
        .socket(&nodes[0].server)
        .set_data(&json!({"name": "Ada"}))
        .unwrap();
    let (mut sent, mut received) = (0_u64, 0_u64);
    let mut send = || {
        sent += 1;
        let io = nodes[0].server.io();
        io.to("not mine").emit("number", 0).unwrap();
        io.to("mine").except("a.b *").emit("number", 0).unwrap();
        let emitted = match sent % 5 {
            0 => io.emit("number", sent),
            1 => io.to("mine").emit("number", sent),
            2 => io.to(sid.as_str()).emit("number", sent),
            3 => io
                .to(["mine", "a.b *", "other"].as_slice())
                .emit("number", sent),
            _ => io.to("a.b *").except("not mine").emit("number", sent),
        };
        assert!(emitted.unwrap().cluster.unwrap().is_queued());
        sent
    };
    for round in 0..30 {
        for _ in 0..round % 4 * 5 {
            send();
        }
        // At any point of the sequence of events.
        let last = send();
        let until = received + (last - received) * (round % 3) / 2;
        while received < until {
            received += 1;
            assert_eq!(client.number().await, received);
        }
        let auth = client.vanish(&nats).await;
        for _ in 0..round % 3 {
            send();
        }
        at = (at + 1 + usize::from(round % 2 == 0)) % nodes.len();
        client = Client::connect(&nodes[at].server, &auth).await;
        assert_eq!(client.sid, sid, "round {round}");
        let socket = client.socket(&nodes[at].server);
        assert!(socket.is_recovered());
        assert_eq!(socket.data::<Value>().unwrap(), json!({"name": "Ada"}));
    }
    let last = send();
    while received < last {
        received += 1;
        assert_eq!(client.number().await, received);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_taken_once_and_failures_have_reasons() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (one, two) = (start(&nats).await, start(&nats).await);
    let client = Client::connect(&one.server, &json!({})).await;
    let sid = client.sid.clone();
    let auth = client.vanish(&nats).await;
    let (a, b) = tokio::join!(
        Client::connect(&one.server, &auth),
        Client::connect(&two.server, &auth)
    );
    let has = |node: &Node| node.server.io().of("/").socket(&sid).is_some();
    assert!(has(&one) != has(&two), "one has it");
    // If the other was first, its connection has been taken over.
    let (client, server) = if has(&one) { (b, &two) } else { (a, &one) };
    if client.sid != sid {
        let outcome = client.socket(&server.server).recovery();
        assert_eq!(
            outcome,
            RecoveryOutcome::Failed(RecoveryFailure::SessionGone)
        );
    }

    for offset in ["x", "1-1", "ffffffffffffffff-18446744073709551615", "-"] {
        let client = Client::connect(&one.server, &json!({})).await;
        let mut auth = client.vanish(&nats).await;
        auth["offset"] = offset.into();
        let client = Client::connect(&two.server, &auth).await;
        let outcome = client.socket(&two.server).recovery();
        assert_eq!(
            outcome,
            RecoveryOutcome::Failed(RecoveryFailure::UnknownOffset),
            "{offset}"
        );
    }
    let forged = json!({"pid": "x".repeat(1000), "offset": "1-1"});
    let client = Client::connect(&two.server, &forged).await;
    let outcome = client.socket(&two.server).recovery();
    assert!(matches!(outcome, RecoveryOutcome::Failed(_)), "{outcome:?}");
}

/// The stream keeps sessions for its retention of five minutes; each one is used for its own lifetime only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_its_lifetime() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (one, two) = (start(&nats).await, start(&nats).await);
    let (stored, taken) = (
        one.adapter.sessions().unwrap(),
        two.adapter.sessions().unwrap(),
    );
    let (short, long) = (Duration::from_millis(20), Duration::from_secs(60));
    let before = nats.last_sequence(SESSIONS).await;
    for (id, lifetime) in [("short", short), ("long", long)] {
        let session = SessionData::new(id, "sid");
        assert!(stored.store("/", session, lifetime).is_queued());
    }
    within("both are stored", async {
        while nats.last_sequence(SESSIONS).await < before + 2 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    tokio::time::sleep(5 * short).await;
    assert_eq!(taken.take("/", "short").await.unwrap(), None);
    let found = taken.take("/", "long").await.unwrap().unwrap();
    assert_eq!((&*found.private_id, &*found.id), ("long", "sid"));
    assert_eq!(taken.take("/", "long").await.unwrap(), None, "only once");
}
