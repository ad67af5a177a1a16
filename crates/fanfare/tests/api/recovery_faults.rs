//! Failures during connection state recovery: no data of one client reaches another, and no client exhausts shared
//! resources.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fanfare::parser::{Messages, MsgpackParser, Parser, ParserDecoder, ParserError, RawPacket};
use fanfare::proxy::{Networks, TrustedProxies};
use fanfare::recovery::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
use fanfare::{ConnectError, Limits, Namespace, Socket, SocketIo, SocketIoBuilder};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::recovery::{Client, Gone, main_namespace, recovering};
use crate::support::{Peer, Server, until};

fn small(bytes: usize) -> Limits {
    let mut limits = Limits::default();
    limits.recovery_bytes = bytes;
    limits.recovery_session_bytes = bytes;
    limits
}

/// Returns the state that a socket has from an earlier session.
fn seen(socket: &Socket) -> Value {
    json!({
        "id": socket.id(),
        "recovered": socket.is_recovered(),
        "data": socket.data::<Value>().unwrap(),
        "extension": socket.extensions().get::<&str>(),
        "rooms": socket.rooms().len() - 1,
    })
}

/// Events that a client missed can be evicted while its middlewares run. Then they run again, for a new socket.
#[tokio::test]
async fn a_recovery_that_fails_late_leaves_nothing_of_the_old_session() {
    let (tx, mut events) = mpsc::unbounded_channel();
    let (connects, io) = (tx.clone(), Arc::new(OnceLock::<SocketIo>::new()));
    let flood = io.clone();
    let namespace = main_namespace()
        .middleware(move |socket: Socket| {
            tx.send(("middleware", seen(&socket))).unwrap();
            if socket.is_recovered() {
                for _ in 0..100 {
                    flood.get().unwrap().emit("e", "x".repeat(100)).unwrap();
                }
            }
            async { Ok::<_, ConnectError>(()) }
        })
        .on_connect(move |socket: Socket| {
            let failed = RecoveryOutcome::Failed(RecoveryFailure::EventsGone);
            assert!(
                socket.recovery() == RecoveryOutcome::NotAttempted || socket.recovery() == failed
            );
            connects.send(("connected", seen(&socket))).unwrap();
            async {}
        });
    let server = Server::start(recovering(namespace).limits(small(4096))).await;
    io.set(server.io.clone()).ok().unwrap();
    let client = Client::join(&server).await;
    let socket = client.socket(&server);
    socket.set_data(&json!({"name": "Ann"})).unwrap();
    socket.extensions().insert("of Ann");
    socket.join("hers").unwrap();
    let old = client.sid.clone();
    let gone = client.vanish(&server).await;
    let back = gone.back(&server).await;
    let fresh = |id: &str| json!({"id": id, "recovered": false, "data": null, "extension": null, "rooms": 0});
    let kept = json!({"id": old, "recovered": true, "data": {"name": "Ann"}, "extension": "of Ann", "rooms": 1});
    assert_ne!(back.sid, old);
    assert_ne!(back.pid, gone.auth["pid"]);
    for expected in [
        ("middleware", fresh(&old)),
        ("connected", fresh(&old)),
        ("middleware", kept),
        ("middleware", fresh(&back.sid)),
        ("connected", fresh(&back.sid)),
    ] {
        assert_eq!(events.recv().await.unwrap(), expected);
    }
    assert_eq!(server.io.of("/").len(), 1);
    assert!(server.io.of("/").rooms().is_empty());
}

/// A private id without a usable offset does not bypass the middlewares.
#[tokio::test]
async fn whoever_cannot_be_recovered_passes_the_middlewares() {
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let namespace = main_namespace().middleware(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, ConnectError>(()) }
    });
    let builder = SocketIo::builder()
        .connection_state_recovery(ConnectionStateRecovery::new().skip_middlewares(true))
        .namespace(namespace);
    let server = Server::start(builder).await;
    let client = Client::join(&server).await;
    assert_eq!(ran.load(Ordering::Relaxed), 1);
    client.socket(&server).emit("e", ()).unwrap();
    let (old, mut gone) = (client.sid.clone(), client.vanish(&server).await);
    gone.auth["offset"] = json!("some text");
    let back = Client::connect(&server, gone.auth, None).await.unwrap();
    assert_ne!(back.sid, old);
    assert!(!back.socket(&server).is_recovered());
    assert_eq!(ran.load(Ordering::Relaxed), 2);
}

/// Clients treat the last argument of each event as the offset if it is a string. In Node a volatile event with a
/// string at its end leaves them with an invalid offset.
#[tokio::test]
async fn volatile_events_carry_the_offset_of_what_was_sent_before() {
    let server = Server::start(recovering(main_namespace())).await;
    let mut client = Client::join(&server).await;
    let socket = client.socket(&server);
    socket.volatile().emit("v", "nothing before").unwrap();
    assert_eq!(client.event().await, [json!("v"), json!("nothing before")]);
    socket.emit("n", 1).unwrap();
    assert_eq!(client.event().await, [json!("n"), json!(1)]);
    server.io.volatile().emit("v", "text").unwrap();
    assert_eq!(client.event().await, [json!("v"), json!("text")]);
    socket.volatile().emit("v", "more text").unwrap();
    assert_eq!(client.event().await, [json!("v"), json!("more text")]);
    let pid = client.pid.clone();
    let gone = client.vanish(&server).await;
    server.io.emit("n", 2).unwrap();
    let mut client = gone.back(&server).await;
    assert_eq!(client.pid, pid, "recovered");
    assert_eq!(client.event().await, [json!("n"), json!(2)]);
    client.quiet().await;
}

/// A value of the application that emits while it is serialized, once.
struct Emits(SocketIo, AtomicBool);

impl Serialize for Emits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.1.swap(true, Ordering::Relaxed) {
            self.0.emit("inner", ()).unwrap();
        }
        serializer.serialize_str("outer")
    }
}

/// A parser of the application with the same encoding as the server's.
struct Own;

impl Parser for Own {
    fn encode(&self, packet: &RawPacket, out: &mut Messages) -> Result<(), ParserError> {
        MsgpackParser.encode(packet, out)
    }

    fn decoder(&self) -> Box<dyn ParserDecoder> {
        MsgpackParser.decoder()
    }
}

#[tokio::test]
async fn a_value_that_emits_while_it_is_serialized_does_no_harm() {
    let builders: [fn() -> SocketIoBuilder; 3] = [
        SocketIo::builder,
        || SocketIo::builder().parser(MsgpackParser),
        || SocketIo::builder().parser(Own),
    ];
    for (form, builder) in builders.into_iter().enumerate() {
        let io = builder()
            .connection_state_recovery(ConnectionStateRecovery::default())
            .build()
            .unwrap();
        for volatile in [false, true] {
            let (tell, told) = std::sync::mpsc::channel();
            let io = io.clone();
            std::thread::spawn(move || {
                let value = Emits(io.clone(), AtomicBool::new(false));
                let sent = match volatile {
                    false => io.emit("e", &value),
                    true => io.volatile().emit("e", &value),
                };
                tell.send(sent.is_ok()).unwrap();
            });
            let sent = told.recv_timeout(Duration::from_secs(5));
            assert_eq!(sent, Ok(true), "form {form}, volatile {volatile}");
        }
    }
}

/// Returns a server behind a proxy that provides the addresses.
fn proxied(namespace: Namespace, limits: Limits) -> SocketIoBuilder {
    let proxies: Networks = "127.0.0.0/8".parse().unwrap();
    recovering(namespace)
        .limits(limits)
        .trusted_proxies(TrustedProxies::new(proxies))
}

/// Connects a client from this address, and disconnects it.
async fn passer_by(server: &Server, address: &str) -> Value {
    let peer = Peer::from_address(server.addr, address).await;
    let client = Client::connect_over(peer, json!({}), None).await.unwrap();
    let (socket, auth) = (client.socket(server), client.auth());
    client.peer.vanish();
    until("its end", || !socket.is_connected()).await;
    auth
}

#[tokio::test]
async fn one_address_does_not_throw_out_the_sessions_of_others() {
    let server = Server::start(proxied(main_namespace(), small(16 * 1024))).await;
    let quiet = passer_by(&server, "192.0.2.1").await;
    let mut last = Value::Null;
    for n in 0..100 {
        // All in one /64 network.
        last = passer_by(&server, &format!("2001:db8::{n}")).await;
    }
    for auth in [quiet, last] {
        let back = Client::connect(&server, auth.clone(), None).await.unwrap();
        assert_eq!(back.pid, auth["pid"].as_str().unwrap(), "recovered");
    }
}

const BUDGET: usize = 64 * 1024;

/// Emits events that take about this many bytes of a log.
fn fill(server: &Server, namespace: &str, bytes: usize) {
    for _ in 0..bytes / 1024 {
        let event = "x".repeat(1024 - 160);
        server.io.of(namespace).emit("e", event).unwrap();
    }
}

async fn assert_outcome(gone: &Gone, server: &Server, failure: Option<RecoveryFailure>) {
    let back = gone.back(server).await;
    match (back.socket(server).recovery(), failure) {
        (RecoveryOutcome::Recovered { .. }, None) => {}
        (RecoveryOutcome::Failed(why), Some(expected)) if why == expected => {}
        (outcome, expected) => panic!("{outcome:?}, expected {expected:?}"),
    }
}

/// Clients can create namespaces: a limit for each would be no limit.
#[tokio::test]
async fn all_namespaces_have_one_budget_together() {
    let mut builder = recovering(main_namespace()).limits(small(BUDGET));
    for n in 0..4 {
        builder = builder.namespace(Namespace::new(format!("/n-{n}")));
    }
    let server = Server::start(builder).await;
    let gone = Client::join(&server).await.vanish(&server).await;
    fill(&server, "/", 55 * 1024);
    for n in 0..4 {
        fill(&server, &format!("/n-{n}"), 55 * 1024);
    }
    assert_outcome(&gone, &server, Some(RecoveryFailure::EventsGone)).await;
}

/// A client does not get a larger share by creating more namespaces.
#[tokio::test]
async fn namespaces_that_one_client_made_have_one_share_of_the_budget() {
    let builder = recovering(main_namespace())
        .namespace(Namespace::pattern("/n-{n}"))
        .limits(small(BUDGET));
    let server = Server::start(builder).await;
    let mut maker = server.peer().await;
    for n in 0..10 {
        maker.join(&format!("/n-{n}")).await;
    }
    let gone = Client::join(&server).await.vanish(&server).await;
    fill(&server, "/", 28 * 1024);
    for n in 0..10 {
        fill(&server, &format!("/n-{n}"), 20 * 1024);
    }
    assert_outcome(&gone, &server, None).await;
}

#[tokio::test]
async fn what_was_kept_for_a_namespace_goes_with_it() {
    let builder = recovering(main_namespace())
        .namespace(Namespace::pattern("/n-{n}"))
        .limits(small(BUDGET));
    let server = Server::start(builder).await;
    let mut maker = server.peer().await;
    for n in 0..10 {
        let name = format!("/n-{n}");
        maker.join(&name).await;
        fill(&server, &name, 60 * 1024);
        for _ in 0..60 {
            maker.text().await;
        }
        maker.send(&format!("1{name},")).await;
        until("its end", || server.io.namespace(&name).is_none()).await;
    }
    let gone = Client::join(&server).await.vanish(&server).await;
    fill(&server, "/", 60 * 1024);
    assert_outcome(&gone, &server, None).await;
}

/// The missed events are sent as one message, which an outbox accepts regardless of its length.
#[tokio::test]
async fn a_client_that_missed_too_much_is_a_new_one() {
    let mut limits = Limits::default();
    limits.recovery_replay_bytes = 2500;
    let server = Server::start(recovering(main_namespace()).limits(limits)).await;
    for (bytes, failure) in [(2048, None), (3072, Some(RecoveryFailure::TooMuchMissed))] {
        let gone = Client::join(&server).await.vanish(&server).await;
        fill(&server, "/", bytes);
        assert_outcome(&gone, &server, failure).await;
    }
}
