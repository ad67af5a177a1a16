//! Connection state recovery through the log and the session store of an adapter.

use std::sync::atomic::Ordering;

use fanfare::SocketIo;
use fanfare::adapter::LogLimits;
use fanfare::recovery::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::bus::{Bus, State};
use crate::recovery::{Client, Gone, guarded_namespace, main_namespace, recovering};
use crate::support::{DEADLINE, Server, until};

async fn two() -> (Bus, Server, Server) {
    let bus = Bus::default();
    let one = bus.logging("one", recovering(main_namespace())).await;
    let two = bus.logging("two", recovering(main_namespace())).await;
    (bus, one, two)
}

/// Drops the connection of a client, and waits until its session is stored.
async fn vanish(client: Client, bus: &Bus, server: &Server) -> Gone {
    let stored = bus.sessions() + 1;
    let gone = client.vanish(server).await;
    until("the session", || bus.sessions() == stored).await;
    gone
}

#[tokio::test]
async fn a_client_comes_back_to_another_server() {
    let (bus, one, two) = two().await;
    let mut client = Client::join(&one).await;
    let socket = client.socket(&one);
    socket.join(["room", "left"]).unwrap();
    socket.set_data(&json!({"name": "Ada"})).unwrap();
    one.io.to("room").emit("e", 1).unwrap();
    bus.deliver();
    assert_eq!(client.event().await, [json!("e"), json!(1)]);
    socket.leave("left");
    let (sid, pid) = (client.sid.clone(), client.pid.clone());
    let gone = vanish(client, &bus, &one).await;
    two.io.emit("all", 2).unwrap();
    two.io.to("left").emit("left", 3).unwrap();
    two.io.to("room").except(&sid).emit("except", 4).unwrap();
    one.io.to(&sid).emit("own", 5).unwrap();
    bus.deliver();

    let mut back = gone.back(&two).await;
    assert_eq!((&back.sid, &back.pid), (&sid, &pid));
    assert_eq!(back.event().await, [json!("all"), json!(2)]);
    assert_eq!(back.event().await, [json!("own"), json!(5)]);
    let socket = back.socket(&two);
    assert!(matches!(
        socket.recovery(),
        RecoveryOutcome::Recovered { missed: 2, .. }
    ));
    assert_eq!(socket.rooms(), [sid.clone(), "room".to_owned()]);
    assert_eq!(socket.data::<Value>().unwrap(), json!({"name": "Ada"}));
    one.io.to("room").emit("more", 6).unwrap();
    bus.deliver();
    assert_eq!(back.event().await, [json!("more"), json!(6)]);
    back.quiet().await;

    // Once more, back to the first.
    let gone = vanish(back, &bus, &two).await;
    let mut back = gone.back(&one).await;
    assert_eq!(back.sid, sid);
    back.quiet().await;
}

/// A client that received no event is brought up to date from the position at which it joined.
#[tokio::test]
async fn a_client_without_a_position_is_recovered() {
    let (bus, one, two) = two().await;
    one.io.emit("before", 1).unwrap();
    bus.deliver();
    let client = Client::join(&one).await;
    let gone = vanish(client, &bus, &one).await;
    one.io.emit("after", 2).unwrap();
    bus.deliver();
    let mut back = gone.back(&two).await;
    assert_eq!(back.event().await, [json!("after"), json!(2)]);
    back.quiet().await;
}

#[tokio::test]
async fn a_session_is_taken_once() {
    let (bus, one, two) = two().await;
    let client = Client::join(&one).await;
    let sid = client.sid.clone();
    let gone = vanish(client, &bus, &one).await;
    let (a, b) = tokio::join!(gone.back(&one), gone.back(&two));
    let has = |server: &Server| server.io.of("/").socket(&sid).is_some();
    assert!(has(&one) != has(&two), "one has it");
    // If the other was first, its connection has been taken over.
    let (client, server) = match has(&one) {
        true => (&b, &two),
        false => (&a, &one),
    };
    if client.sid != sid {
        let failed = RecoveryOutcome::Failed(RecoveryFailure::SessionGone);
        assert_eq!(client.socket(server).recovery(), failed);
        assert_ne!(a.pid, b.pid);
    }

    // The client comes back before its loss was noticed: its old socket makes way.
    let (kept, server) = match has(&one) {
        true => (a, &one),
        false => (b, &two),
    };
    let old = kept.socket(server);
    let again = Client::connect(server, kept.auth(), None).await.unwrap();
    assert_eq!((&again.sid, old.is_connected()), (&sid, false));
}

/// Middlewares run before anything is sent again. A client that they reject may try again.
#[tokio::test]
async fn middlewares_run_before_the_replay() {
    let (guarded, open, mut seen) = guarded_namespace();
    let bus = Bus::default();
    let one = bus.logging("one", recovering(guarded())).await;
    let two = bus.logging("two", recovering(guarded())).await;
    let client = Client::join(&one).await;
    assert_eq!(seen.recv().await.unwrap(), (false, 1));
    client.socket(&one).join(["public", "private"]).unwrap();
    let gone = vanish(client, &bus, &one).await;
    one.io.to("private").emit("secret", 1).unwrap();
    one.io.to("public").emit("open", 2).unwrap();
    bus.deliver();
    open.store(false, Ordering::Relaxed);
    let refused = Client::connect(&two, gone.auth.clone(), None).await;
    assert_eq!(refused.err().unwrap()["message"], "closed");
    assert_eq!(seen.recv().await.unwrap(), (true, 3));
    until("the session", || bus.sessions() == 1).await;
    open.store(true, Ordering::Relaxed);
    let mut back = gone.back(&two).await;
    assert_eq!(seen.recv().await.unwrap(), (true, 3));
    assert_eq!(back.event().await, [json!("open"), json!(2)]);
    back.quiet().await;

    let skipping = SocketIo::builder()
        .connection_state_recovery(ConnectionStateRecovery::new().skip_middlewares(true))
        .namespace(guarded());
    let three = bus.logging("three", skipping).await;
    let gone = vanish(back, &bus, &two).await;
    let back = gone.back(&three).await;
    assert!(back.socket(&three).is_recovered());
    assert!(seen.try_recv().is_err());
}

/// Each event is received once, wherever it is when the missed ones are looked up: delivered here while they are, or
/// looked up before it is delivered here.
#[tokio::test]
async fn nothing_is_lost_or_sent_twice_meanwhile() {
    let bus = Bus::default();
    let one = bus.logging("one", recovering(main_namespace())).await;
    let logging = || State {
        log: Some(LogLimits::default()),
        lookups: tokio::sync::Semaphore::new(0),
        ..State::default()
    };
    let (two, state) = bus
        .start("two", recovering(main_namespace()), logging())
        .await;
    let mut other = two.joined().await;
    let client = Client::join(&one).await;
    client.socket(&one).join("room").unwrap();
    let gone = vanish(client, &bus, &one).await;
    one.io.emit("missed", 1).unwrap();
    bus.deliver();
    other.expect(r#"2["missed",1,"1-0"]"#).await;
    let auth = gone.auth.clone();
    let mut peer = two.peer().await;
    peer.send(&format!("0{auth}")).await;
    until("the lookup", || {
        state.looked_up.load(Ordering::Relaxed) == 1
    })
    .await;
    one.io.to("room").emit("delivered", 2).unwrap();
    one.io.to("elsewhere").emit("elsewhere", 3).unwrap();
    bus.deliver();
    one.io.emit("read ahead", 4).unwrap();
    state.lookups.add_permits(1);
    assert!(peer.text().await.starts_with("0{"));
    peer.expect(r#"2["missed",1,"1-0"]"#).await;
    peer.expect(r#"2["delivered",2,"2-0"]"#).await;
    peer.expect(r#"2["read ahead",4,"4-0"]"#).await;
    one.io.emit("last", 5).unwrap();
    bus.deliver();
    peer.expect(r#"2["last",5,"5-0"]"#).await;
    other.expect(r#"2["read ahead",4,"4-0"]"#).await;
    other.expect(r#"2["last",5,"5-0"]"#).await;
    peer.quiet().await;
}

#[tokio::test]
async fn failures_have_reasons() {
    let (bus, one, two) = two().await;
    let failure = |client: &Client, server: &Server| client.socket(server).recovery();
    let unknown = json!({"pid": "AAAAAAAAAAAAAAAAAAAA", "offset": "1-0"});
    let client = Client::connect(&two, unknown, None).await.unwrap();
    assert_eq!(
        failure(&client, &two),
        RecoveryOutcome::Failed(RecoveryFailure::SessionGone)
    );
    let pid = client.pid.clone();
    vanish(client, &bus, &two).await;
    let forged = json!({"pid": pid, "offset": "no position"});
    let client = Client::connect(&one, forged, None).await.unwrap();
    assert_eq!(
        failure(&client, &one),
        RecoveryOutcome::Failed(RecoveryFailure::UnknownOffset)
    );
    assert_ne!(client.pid, pid, "a new session");
}

/// The clients of a server whose adapter is out of reach get new sessions.
#[tokio::test]
async fn without_the_adapter_nothing_is_recovered() {
    let bus = Bus::default();
    let state = State {
        log: Some(LogLimits::default()),
        ..State::default()
    };
    let (one, state) = bus.start("one", recovering(main_namespace()), state).await;
    let client = Client::join(&one).await;
    let gone = vanish(client, &bus, &one).await;
    state.broken.store(true, Ordering::Relaxed);
    let back = gone.back(&one).await;
    assert_eq!(
        back.socket(&one).recovery(),
        RecoveryOutcome::Failed(RecoveryFailure::Unreachable)
    );
}

/// A client that goes while its missed events are looked up may try again.
#[tokio::test]
async fn a_session_is_stored_again_if_the_client_goes_meanwhile() {
    let (bus, one, _two) = two().await;
    let state = State {
        log: Some(LogLimits::default()),
        lookups: tokio::sync::Semaphore::new(0),
        ..State::default()
    };
    let builder = recovering(main_namespace());
    let (three, state) = bus.start("three", builder, state).await;
    let client = Client::join(&one).await;
    let sid = client.sid.clone();
    let gone = vanish(client, &bus, &one).await;
    let mut peer = three.peer().await;
    peer.send(&format!("0{}", gone.auth)).await;
    let looked_up = || state.looked_up.load(Ordering::Relaxed) == 1;
    until("the lookup", looked_up).await;
    peer.vanish();
    until("the session", || bus.sessions() == 1).await;
    state.lookups.add_permits(1);
    assert_eq!(gone.back(&three).await.sid, sid);
}

/// Argument that emits while it is serialized: on another thread, so that the test fails in place of hanging.
struct Emitting(SocketIo);

impl Serialize for Emitting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (io, runtime) = (self.0.clone(), tokio::runtime::Handle::current());
        let (tx, emitted) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let _entered = runtime.enter();
            io.emit("inner", ()).unwrap();
            let _ = tx.send(());
        });
        match emitted.recv_timeout(DEADLINE) {
            Ok(()) => serializer.serialize_str("outer"),
            Err(_) => Err(serde::ser::Error::custom("a lock is held")),
        }
    }
}

/// No code of the application runs under the locks of recovery.
#[tokio::test(flavor = "multi_thread")]
async fn an_argument_may_emit_while_it_is_serialized() {
    let bus = Bus::default();
    let alone = Server::start(recovering(main_namespace())).await;
    let logging = bus.logging("one", recovering(main_namespace())).await;
    for server in [&alone, &logging] {
        let mut client = Client::join(server).await;
        let socket = client.socket(server);
        let argument = Emitting(server.io.clone());
        tokio::task::block_in_place(|| {
            server.io.emit("outer", &argument).unwrap();
            socket.emit("own", &argument).unwrap();
        });
        bus.deliver();
        let mut names = Vec::new();
        for _ in 0..4 {
            names.push(client.event().await[0].clone());
        }
        assert_eq!(names, ["inner", "outer", "inner", "own"]);
    }
}

/// The server that has the client has not noticed that the connection is lost, so that the session is not in the store.
#[tokio::test]
async fn a_client_that_is_back_elsewhere_before_its_loss_is_noticed() {
    let (bus, one, two) = two().await;
    let mut client = Client::join(&one).await;
    let old = client.socket(&one);
    old.join("room").unwrap();
    two.io.to("room").emit("e", 1).unwrap();
    bus.deliver();
    assert_eq!(client.event().await, [json!("e"), json!(1)]);
    two.io.to("room").emit("unread", 2).unwrap();
    bus.deliver();
    let mut back = Client::connect(&two, client.auth(), None).await.unwrap();
    assert_eq!((&back.sid, old.is_connected()), (&client.sid, false));
    assert_eq!(back.event().await, [json!("unread"), json!(2)]);
    back.quiet().await;
    assert_eq!(bus.sessions(), 0);
}
