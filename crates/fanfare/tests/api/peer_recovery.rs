//! Connection state recovery on another server, through an adapter without a log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare::SocketIo;
use fanfare::adapter::{Broadcast, ClusterOptions, Interest, RoomChange};
use fanfare::recovery::{RecoveryFailure, RecoveryOutcome};
use fanfare_protocol::EncodedEvent;
use fanfare_testing::Received;
use serde_json::{Value, json};

use crate::bus::{Bus, State};
use crate::recovery::{Client, guarded_namespace, main_namespace, recovering};
use crate::support::{DEADLINE, Server, until, within};

async fn node(bus: &Bus, uid: &str) -> Server {
    let builder = recovering(main_namespace());
    bus.start(uid, builder, State::default()).await.0
}

async fn three() -> (Bus, [Server; 3]) {
    let bus = Bus::default();
    let nodes = [
        node(&bus, "one").await,
        node(&bus, "two").await,
        node(&bus, "three").await,
    ];
    (bus, nodes)
}

fn recovered(client: &Client, server: &Server) -> Option<usize> {
    match client.socket(server).recovery() {
        RecoveryOutcome::Recovered { missed, .. } => Some(missed),
        _ => None,
    }
}

#[tokio::test]
async fn a_client_comes_back_to_another_server() {
    let (_bus, [one, two, three]) = three().await;
    let mut client = Client::join(&one).await;
    let socket = client.socket(&one);
    socket.join(["room", "left"]).unwrap();
    socket.set_data(&json!({"name": "Ada"})).unwrap();
    three.io.to("room").emit("e", 1).unwrap();
    assert_eq!(client.event().await, [json!("e"), json!(1)]);
    socket.leave("left");
    let (sid, pid) = (client.sid.clone(), client.pid.clone());
    let gone = client.vanish(&one).await;
    two.io.emit("all", 2).unwrap();
    three.io.to("left").emit("left", 3).unwrap();
    three.io.to("room").except(&sid).emit("except", 4).unwrap();
    one.io.to(&sid).emit("own", 5).unwrap();
    three.io.to(&sid).emit("far", 6).unwrap();
    one.io.to("room").volatile().emit("volatile", 7).unwrap();

    let mut back = gone.back(&two).await;
    assert_eq!((&back.sid, &back.pid), (&sid, &pid));
    assert_eq!(recovered(&back, &two), Some(3));
    assert_eq!(back.event().await, [json!("all"), json!(2)]);
    assert_eq!(back.event().await, [json!("own"), json!(5)]);
    let socket = back.socket(&two);
    assert_eq!(socket.rooms(), [sid.clone(), "room".to_owned()]);
    assert_eq!(socket.data::<Value>().unwrap(), json!({"name": "Ada"}));

    // Lost again before the third event arrived, and back to a third server.
    let gone = back.vanish(&two).await;
    one.io.to("room").emit("more", 8).unwrap();
    let mut back = gone.back(&three).await;
    assert_eq!(back.sid, sid);
    assert_eq!(back.event().await, [json!("far"), json!(6)]);
    assert_eq!(back.event().await, [json!("more"), json!(8)]);
    back.quiet().await;

    // Back to the first, with nothing missed.
    let mut back = back.vanish(&three).await.back(&one).await;
    assert_eq!((&back.sid, recovered(&back, &one)), (&sid, Some(0)));
    two.io.to("room").emit("last", 9).unwrap();
    assert_eq!(back.event().await, [json!("last"), json!(9)]);
    back.quiet().await;
}

#[tokio::test]
async fn many_events_are_handed_over_in_pages() {
    let (_bus, [one, two, three]) = three().await;
    let mut client = Client::join(&one).await;
    one.io.emit("first", ()).unwrap();
    assert_eq!(client.event().await, [json!("first")]);
    let gone = client.vanish(&one).await;
    for i in 0..700 {
        three.io.emit("e", (i, "x".repeat(500))).unwrap();
    }
    let mut back = gone.back(&two).await;
    assert_eq!(recovered(&back, &two), Some(700));
    for i in 0..700 {
        assert_eq!(back.event().await[1], json!(i));
    }
    back.quiet().await;
}

#[tokio::test]
async fn binary_is_handed_over() {
    let (_bus, [one, two, three]) = three().await;
    let client = Client::join(&one).await;
    let gone = client.vanish(&one).await;
    let bytes = fanfare::Value::Binary(bytes::Bytes::from_static(&[1, 2, 3]));
    three.io.emit("b", bytes).unwrap();
    let mut back = gone.back(&two).await;
    let header = back.peer.text().await;
    assert!(header.starts_with("51-"), "{header}");
    let Received::Binary(bytes) = back.peer.next().await else {
        panic!("no attachment");
    };
    assert_eq!(&bytes[..], [1, 2, 3]);
}

/// The first server has not noticed that the connection is lost.
#[tokio::test]
async fn a_client_that_is_back_before_its_loss_is_noticed() {
    let (_bus, [one, two, three]) = three().await;
    let mut client = Client::join(&one).await;
    three.io.emit("e", 1).unwrap();
    client.event().await;
    let old = client.socket(&one);
    three.io.emit("unread", 2).unwrap();
    let auth = client.auth();
    let mut back = Client::connect(&two, auth, None).await.unwrap();
    assert_eq!((&back.sid, recovered(&back, &two)), (&client.sid, Some(1)));
    assert!(!old.is_connected());
    assert_eq!(back.event().await, [json!("unread"), json!(2)]);
    three.io.emit("more", 3).unwrap();
    assert_eq!(back.event().await, [json!("more"), json!(3)]);
    back.quiet().await;
}

#[tokio::test]
async fn a_session_is_taken_once() {
    let (_bus, [one, two, three]) = three().await;
    let client = Client::join(&one).await;
    let sid = client.sid.clone();
    let gone = client.vanish(&one).await;
    let (a, b) = tokio::join!(gone.back(&two), gone.back(&three));
    let has = |server: &Server| server.io.of("/").socket(&sid).is_some();
    // If one was restored before the other asked, that one has it now.
    assert!([&two, &three].iter().filter(|server| has(server)).count() <= 1);
    assert!(a.sid == sid || b.sid == sid || a.pid != b.pid);
    let restored = has(&two) || has(&three);
    let again = gone.back(&one).await;
    assert_eq!(
        (again.sid == sid, has(&two), has(&three)),
        (restored, false, false)
    );
}

/// The sessions of a killed server are lost; their clients are told at once, and are new ones.
#[tokio::test]
async fn a_server_that_is_gone_takes_its_sessions_along() {
    let (bus, [one, two, _three]) = three().await;
    let client = Client::join(&one).await;
    let sid = client.sid.clone();
    let gone = client.vanish(&one).await;
    bus.kill("one");
    let back = gone.back(&two).await;
    assert_ne!(back.sid, sid);
    let failed = RecoveryOutcome::Failed(RecoveryFailure::OtherServer);
    assert_eq!(back.socket(&two).recovery(), failed);
}

#[tokio::test]
async fn a_private_id_that_no_server_knows() {
    let (_bus, [_, two, _]) = three().await;
    for pid in ["", "x", &"x".repeat(1000)] {
        let client = Client::connect(&two, json!({"pid": pid}), None).await;
        let failed = RecoveryOutcome::Failed(RecoveryFailure::OtherServer);
        assert_eq!(client.unwrap().socket(&two).recovery(), failed);
    }
}

/// Middlewares run before anything is sent again. A client that they reject may try again.
#[tokio::test]
async fn middlewares_run_before_the_replay() {
    let (guarded, open, mut seen) = guarded_namespace();
    let bus = Bus::default();
    let start = async |uid| {
        let builder = recovering(guarded());
        bus.start(uid, builder, State::default()).await.0
    };
    let (one, two) = (start("one").await, start("two").await);
    let client = Client::join(&one).await;
    assert_eq!(seen.recv().await.unwrap(), (false, 1));
    client.socket(&one).join(["public", "private"]).unwrap();
    let gone = client.vanish(&one).await;
    two.io.to("private").emit("secret", 1).unwrap();
    two.io.to("public").emit("open", 2).unwrap();
    open.store(false, Ordering::Relaxed);
    let refused = Client::connect(&two, gone.auth.clone(), None).await;
    assert_eq!(refused.err().unwrap()["message"], "closed");
    assert_eq!(seen.recv().await.unwrap(), (true, 3));
    open.store(true, Ordering::Relaxed);
    let mut back = gone.back(&two).await;
    assert_eq!(seen.recv().await.unwrap(), (true, 3));
    assert_eq!(back.event().await, [json!("open"), json!(2)]);
    back.quiet().await;
}

/// The rooms of an absent client stay open, until it is back or given up.
#[tokio::test]
async fn rooms_of_absent_clients_stay_open() {
    let bus = Bus::default();
    let start = async |uid| {
        let state = State {
            interest: Interest::RoomsAndSockets,
            ..State::default()
        };
        bus.start(uid, recovering(main_namespace()), state).await
    };
    let ((one, at_one), (two, at_two)) = (start("one").await, start("two").await);
    let client = Client::join(&one).await;
    let sid = client.sid.clone();
    client.socket(&one).join("room").unwrap();
    let taken = |state: &State| {
        let changes = std::mem::take(&mut *state.changes.lock().unwrap());
        let changes = changes.into_iter();
        let mut changes: Vec<_> = changes.map(|(_, change)| change).collect();
        changes.sort_by_key(|change| change.is_socket);
        changes
    };
    let both = |opened| {
        [
            RoomChange::new("room", opened, false),
            RoomChange::new(sid.as_str(), opened, true),
        ]
    };
    assert_eq!(taken(&at_one), both(true));
    let gone = client.vanish(&one).await;
    assert_eq!(taken(&at_one), []);
    let handle = bus.handle("one");
    assert!(handle.has_room("/", "room") && handle.has_room("/", &sid));
    let back = gone.back(&two).await;
    assert_eq!(back.sid, sid);
    assert_eq!(taken(&at_one), both(false));
    assert_eq!(taken(&at_two), both(true));
    assert!(!handle.has_room("/", "room") && !handle.has_room("/", &sid));
}

/// The restoring server receives late what the other one had already, and sends it only once.
#[tokio::test]
async fn events_that_arrive_late_are_not_sent_twice() {
    let (bus, [one, two, three]) = three().await;
    let mut client = Client::join(&one).await;
    three.io.emit("e", 0).unwrap();
    client.event().await;
    let gone = client.vanish(&one).await;
    bus.delay("two");
    for i in 1..=5 {
        three.io.emit("e", i).unwrap();
    }
    let mut back = gone.back(&two).await;
    for i in 1..=2 {
        assert_eq!(back.event().await, [json!("e"), json!(i)]);
    }
    three.io.emit("e", 6).unwrap();
    let gone = back.vanish(&two).await;
    bus.catch_up("two");
    let mut back = gone.back(&two).await;
    for i in 3..=6 {
        assert_eq!(back.event().await, [json!("e"), json!(i)]);
    }
    back.quiet().await;
}

/// Servers of Node.js do not number their events: those that reach both servers meanwhile are known by their content,
/// and if that is not enough, the client is not recovered.
#[tokio::test]
async fn events_without_numbers() {
    for twice in [false, true] {
        let bus = Bus::default();
        let (one, two) = (node(&bus, "one").await, node(&bus, "two").await);
        let from_node = bus.clone();
        let send = move |uid: &str, name: &str| {
            let event = EncodedEvent::new(name, &1).unwrap();
            let broadcast = Broadcast::new(event, ClusterOptions::default());
            from_node.handle(uid).receive("/", "node", broadcast);
        };
        let client = Client::join(&one).await;
        let sid = client.sid.clone();
        let gone = client.vanish(&one).await;
        send("one", "before");
        if twice {
            send("one", "both");
        }
        // An event reaches both when the client is just being restored.
        bus.before_second_request(move || {
            send("two", "both");
            send("one", "both");
        });
        let mut back = gone.back(&two).await;
        match twice {
            false => {
                assert_eq!(back.sid, sid);
                assert_eq!(back.event().await[0], "before");
                assert_eq!(back.event().await[0], "both");
            }
            true => {
                let failed = RecoveryOutcome::Failed(RecoveryFailure::Ambiguous);
                assert_eq!(back.socket(&two).recovery(), failed);
            }
        }
        back.quiet().await;
    }
}

/// Servers emit without a pause while a client changes from one to the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_lost_or_sent_twice_under_load() {
    const MOVES: usize = 200;
    let (_bus, nodes) = three().await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut client = Client::join(&nodes[0]).await;
    client.socket(&nodes[0]).join("room").unwrap();
    let sid = client.sid.clone();
    let emit = |server: &Server, from: usize| {
        let (io, stop, sid): (SocketIo, _, _) = (server.io.clone(), stop.clone(), sid.clone());
        tokio::spawn(async move {
            let mut sent = 0u64;
            while !stop.load(Ordering::Relaxed) {
                let to = match sent % 3 {
                    0 => io.to("room"),
                    1 => io.to(&sid),
                    _ => io.to(["room", "other"]),
                };
                to.emit("e", (from, sent)).unwrap();
                sent += 1;
                tokio::time::sleep(std::time::Duration::from_micros(300)).await;
            }
            sent
        })
    };
    let emitters: Vec<_> = nodes.iter().enumerate().map(|(i, n)| emit(n, i)).collect();
    let mut next = [0u64; 3];
    let mut check = |event: Vec<Value>| {
        if event[0] == "e" {
            let from = event[1].as_u64().unwrap() as usize;
            assert_eq!(event[2].as_u64().unwrap(), next[from], "of server {from}");
            next[from] += 1;
        }
        event[0] == "end"
    };
    for step in 1..=MOVES {
        for _ in 0..step % 7 {
            check(client.event().await);
        }
        let to = &nodes[(step * 2) % 3];
        client = match step % 2 {
            0 => {
                client
                    .vanish(&nodes[((step - 1) * 2) % 3])
                    .await
                    .back(to)
                    .await
            }
            _ => {
                let (auth, offset) = (client.auth(), client.offset());
                Client::connect(to, auth, offset).await.unwrap()
            }
        };
        assert_eq!(client.sid, sid, "move {step}");
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for emitter in emitters {
        sent.push(emitter.await.unwrap());
    }
    nodes[1].io.to(&sid).emit("end", ()).unwrap();
    within("the last event", async {
        while !check(client.event().await) {}
    })
    .await;
    assert_eq!(next.to_vec(), sent);
}

/// A server that drains hands the sessions of its clients over before it ends.
#[tokio::test]
async fn a_server_that_drains_waits_for_the_returns_of_its_clients() {
    let (bus, [one, two, three]) = three().await;
    let mut client = Client::join(&one).await;
    three.io.emit("e", 1).unwrap();
    client.event().await;
    let io = one.io.clone();
    let drained = tokio::spawn(async move { io.drain(DEADLINE).await });
    let socket = client.socket(&one);
    until("the end of the socket", || !socket.is_connected()).await;
    three.io.emit("e", 2).unwrap();
    let (auth, offset, sid) = (client.auth(), client.offset(), client.sid.clone());
    let mut back = Client::connect(&two, auth, offset).await.unwrap();
    assert_eq!((&back.sid, recovered(&back, &two)), (&sid, Some(1)));
    assert_eq!(back.event().await, [json!("e"), json!(2)]);
    assert!(drained.await.unwrap().is_complete());
    assert_eq!(bus.others("one").len(), 2);
}
