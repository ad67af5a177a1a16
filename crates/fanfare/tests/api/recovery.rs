//! Connection state recovery.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fanfare::recovery::{ConnectionStateRecovery, RecoveryFailure, RecoveryOutcome};
use fanfare::{
    Ack, ConnectError, Data, DisconnectReason, Namespace, Socket, SocketIo, SocketIoBuilder,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::support::{Peer, Server, within};

pub(crate) fn recovering(namespace: Namespace) -> SocketIoBuilder {
    SocketIo::builder()
        .connection_state_recovery(ConnectionStateRecovery::default())
        .namespace(namespace)
}

/// A client that keeps the state that the official one keeps.
pub(crate) struct Client {
    pub(crate) peer: Peer,
    pub(crate) sid: String,
    pub(crate) pid: String,
    offset: Option<String>,
}

impl Client {
    pub(crate) async fn join(server: &Server) -> Self {
        Self::connect(server, json!({}), None).await.unwrap()
    }

    pub(crate) async fn connect(
        server: &Server,
        auth: Value,
        offset: Option<String>,
    ) -> Result<Self, Value> {
        Self::connect_over(server.peer().await, auth, offset).await
    }

    pub(crate) async fn connect_over(
        mut peer: Peer,
        auth: Value,
        offset: Option<String>,
    ) -> Result<Self, Value> {
        peer.send(&format!("0{auth}")).await;
        let reply = peer.text().await;
        if let Some(error) = reply.strip_prefix('4') {
            return Err(serde_json::from_str(error).unwrap());
        }
        let body: Value = serde_json::from_str(reply.strip_prefix('0').unwrap()).unwrap();
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Ok(Self {
            peer,
            sid: text("sid"),
            pid: text("pid"),
            offset,
        })
    }

    pub(crate) fn auth(&self) -> Value {
        match &self.offset {
            Some(offset) => json!({"pid": self.pid, "offset": offset}),
            None => json!({"pid": self.pid}),
        }
    }

    pub(crate) fn offset(&self) -> Option<String> {
        self.offset.clone()
    }

    /// Reconnects over a new connection; the old one stays open.
    async fn again(&self, server: &Server) -> Self {
        Self::connect(server, self.auth(), self.offset.clone())
            .await
            .unwrap()
    }

    pub(crate) fn socket(&self, server: &Server) -> Socket {
        server.io.of("/").socket(&self.sid).unwrap()
    }

    /// Drops the connection, and waits until the server has detected it.
    pub(crate) async fn vanish(self, server: &Server) -> Gone {
        let socket = self.socket(server);
        let gone = Gone {
            auth: self.auth(),
            sid: self.sid,
            pid: self.pid,
            offset: self.offset,
        };
        self.peer.vanish();
        until("the end of the socket", || !socket.is_connected()).await;
        gone
    }

    /// Returns the next event and remembers its offset.
    pub(crate) async fn event(&mut self) -> Vec<Value> {
        let text = self.peer.text().await;
        let mut data: Vec<Value> = serde_json::from_str(text.strip_prefix('2').unwrap()).unwrap();
        self.offset = Some(data.pop().unwrap().as_str().unwrap().to_owned());
        data
    }

    pub(crate) async fn quiet(&mut self) {
        self.peer.quiet().await;
    }
}

pub(crate) struct Gone {
    pub(crate) auth: Value,
    pub(crate) sid: String,
    pub(crate) pid: String,
    pub(crate) offset: Option<String>,
}

impl Gone {
    pub(crate) async fn back(&self, server: &Server) -> Client {
        Client::connect(server, self.auth.clone(), self.offset.clone())
            .await
            .unwrap()
    }
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    within(what, async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) fn main_namespace() -> Namespace {
    Namespace::new("/").on("echo", async || Ack(())).on(
        "join",
        async |socket: Socket, Data(room): Data<String>| {
            socket.join(room).unwrap();
            Ack(())
        },
    )
}

/// Returns a constructor of namespaces with a middleware, a switch that makes it reject, and for each of its calls
/// whether the socket was recovered and its number of rooms. It makes sockets leave the room `private`.
pub(crate) fn guarded_namespace() -> (
    impl Fn() -> Namespace,
    Arc<AtomicBool>,
    mpsc::UnboundedReceiver<(bool, usize)>,
) {
    let open = Arc::new(AtomicBool::new(true));
    let (tx, seen) = mpsc::unbounded_channel();
    let switch = open.clone();
    let guarded = move || {
        let (open, tx) = (open.clone(), tx.clone());
        main_namespace().middleware(move |socket: Socket| {
            let _ = tx.send((socket.is_recovered(), socket.rooms().len()));
            let open = open.load(Ordering::Relaxed);
            async move {
                socket.leave("private");
                match open {
                    true => Ok(()),
                    false => Err(ConnectError::new("closed")),
                }
            }
        })
    };
    (guarded, switch, seen)
}

#[tokio::test]
async fn a_client_comes_back_with_everything() {
    let (tx, mut seen) = mpsc::unbounded_channel();
    let server = Server::start(recovering(main_namespace().on_connect(
        move |socket: Socket| {
            let _ = tx.send((socket.is_recovered(), socket.recovery()));
            async {}
        },
    )))
    .await;
    let mut client = Client::join(&server).await;
    assert_eq!(
        seen.recv().await.unwrap(),
        (false, RecoveryOutcome::NotAttempted)
    );
    let socket = client.socket(&server);
    assert!(!socket.is_recovered());
    socket.join(["a", "b"]).unwrap();
    socket.set_data(&json!({"name": "Ann"})).unwrap();
    socket.extensions().insert("kept");
    socket.emit("one", 1).unwrap();
    assert_eq!(client.event().await, [json!("one"), json!(1)]);
    let gone = client.vanish(&server).await;

    server.io.to("a").emit("two", (2, "x")).unwrap();
    server.io.to("c").emit("not", ()).unwrap();
    server.io.to(gone.sid.as_str()).emit("three", ()).unwrap();
    server.io.except("b").emit("not", ()).unwrap();
    server.io.volatile().emit("not", ()).unwrap();
    server
        .io
        .emit("four", bytes::Bytes::from_static(b"\0\x01"))
        .unwrap();

    let mut client = gone.back(&server).await;
    assert_eq!((&client.sid, &client.pid), (&gone.sid, &gone.pid));
    assert_eq!(client.event().await, [json!("two"), json!(2), json!("x")]);
    assert_eq!(client.event().await, [json!("three")]);
    let binary = client.peer.text().await;
    assert!(
        binary.starts_with(r#"51-["four",{"_placeholder":true,"num":0},""#),
        "{binary}"
    );
    assert_eq!(
        client.peer.next().await,
        fanfare_testing::Received::Binary(bytes::Bytes::from_static(b"\0\x01"))
    );
    client.quiet().await;
    let (recovered, outcome) = seen.recv().await.unwrap();
    assert!(recovered);
    assert!(
        matches!(outcome, RecoveryOutcome::Recovered { missed: 3, .. }),
        "{outcome:?}"
    );
    let socket = client.socket(&server);
    let mut rooms = socket.rooms();
    rooms.sort();
    let mut expected = vec!["a".to_owned(), "b".to_owned(), client.sid.clone()];
    expected.sort();
    assert_eq!(rooms, expected);
    assert_eq!(socket.data::<Value>().unwrap(), json!({"name": "Ann"}));
    assert_eq!(socket.extensions().get(), Some("kept"));
    server.io.to("a").emit("live", ()).unwrap();
    assert_eq!(client.event().await, [json!("live")]);
}

#[tokio::test]
async fn without_the_option_nothing_changes() {
    let server = Server::with(main_namespace()).await;
    let mut peer = server.peer().await;
    peer.send(r#"0{"pid":"abcdefgh.x","offset":"abcdefgh.1"}"#)
        .await;
    let reply = peer.text().await;
    assert!(!reply.contains("pid"), "{reply}");
    server.io.emit("e", 1).unwrap();
    peer.expect(r#"2["e",1]"#).await;
    let socket = &server.io.of("/").sockets()[0];
    assert!(!socket.is_recovered());
    assert_eq!(socket.recovery(), RecoveryOutcome::NotAttempted);
}

/// Node's server cannot recover a client that got no event yet.
#[tokio::test]
async fn the_private_id_alone_is_enough() {
    let server = Server::start(recovering(main_namespace())).await;
    server.io.emit("before its time", ()).unwrap();
    let client = Client::join(&server).await;
    let gone = client.vanish(&server).await;
    assert_eq!(gone.offset, None);
    server.io.emit("missed", ()).unwrap();
    let mut client = gone.back(&server).await;
    assert_eq!(client.pid, gone.pid);
    assert_eq!(client.event().await, [json!("missed")]);
    client.quiet().await;
    // An offset of an earlier session is no obstacle: this session has got no event.
    let mut gone = client.vanish(&server).await;
    gone.auth["offset"] = json!("notthis1.77");
    let mut client = gone.back(&server).await;
    assert_eq!(client.pid, gone.pid);
    assert_eq!(client.event().await, [json!("missed")]);
}

#[tokio::test]
async fn what_was_in_flight_is_sent_again_and_nothing_twice() {
    let server = Server::start(recovering(main_namespace())).await;
    let mut client = Client::join(&server).await;
    let socket = client.socket(&server);
    for i in 0..5 {
        socket.emit("n", i).unwrap();
    }
    for i in 0..2 {
        assert_eq!(client.event().await, [json!("n"), json!(i)]);
    }
    let gone = client.vanish(&server).await;
    let mut client = gone.back(&server).await;
    for i in 2..5 {
        assert_eq!(client.event().await, [json!("n"), json!(i)]);
    }
    client.quiet().await;
    let gone = client.vanish(&server).await;
    let mut client = gone.back(&server).await;
    client.quiet().await;
    assert_eq!(client.pid, gone.pid);
}

/// Events of a room are not replayed to clients that joined it later (Node's server replays them).
#[tokio::test]
async fn rooms_are_replayed_from_the_moment_they_were_joined() {
    let server = Server::start(recovering(main_namespace())).await;
    let client = Client::join(&server).await;
    server.io.to("late").emit("before", ()).unwrap();
    let socket = client.socket(&server);
    socket.join("late").unwrap();
    socket.join("left").unwrap();
    server.io.to("late").emit("after", ()).unwrap();
    server.io.to("left").emit("while in", ()).unwrap();
    socket.leave("left");
    server.io.to("left").emit("while out", ()).unwrap();
    let gone = client.vanish(&server).await;
    let mut client = gone.back(&server).await;
    assert_eq!(client.event().await, [json!("after")]);
    assert_eq!(client.event().await, [json!("while in")]);
    client.quiet().await;
}

/// Node's server has no session to recover as long as the old connection appears to be open.
#[tokio::test]
async fn a_connection_whose_death_was_not_noticed_is_taken_over() {
    let (tx, mut ends) = mpsc::unbounded_channel();
    let server = Server::start(recovering(main_namespace().on_disconnect(
        move |socket: Socket, reason: DisconnectReason| {
            let _ = tx.send((socket.id(), reason));
            async {}
        },
    )))
    .await;
    let mut old = Client::join(&server).await;
    old.socket(&server).join("room").unwrap();
    let mut new = old.again(&server).await;
    assert_eq!((&new.sid, &new.pid), (&old.sid, &old.pid));
    let (id, reason) = within("the end of the old one", ends.recv()).await.unwrap();
    assert_eq!(
        (&*id, reason),
        (&*old.sid, DisconnectReason::TransportClose)
    );
    old.peer.until_closed().await;
    assert_eq!(server.io.of("/").len(), 1);
    server.io.to("room").emit("here", ()).unwrap();
    assert_eq!(new.event().await, [json!("here")]);
    assert!(new.socket(&server).is_recovered());
}

#[tokio::test]
async fn middlewares_run_first_and_may_refuse() {
    let namespace = || {
        main_namespace().middleware(async |socket: Socket, Data(auth): Data<Value>| {
            if auth["token"] == "revoked" {
                return Err(ConnectError::new("not authorized"));
            }
            if auth["token"] == "fewer rooms" {
                assert!(socket.is_recovered());
                socket.leave("secret");
            }
            Ok(())
        })
    };
    let server = Server::start(recovering(namespace())).await;
    let client = Client::join(&server).await;
    client.socket(&server).join(["secret", "open"]).unwrap();
    let mut gone = client.vanish(&server).await;
    server.io.to("secret").emit("secret", ()).unwrap();
    server.io.to("open").emit("open", ()).unwrap();
    gone.auth["token"] = json!("revoked");
    let refused = Client::connect(&server, gone.auth.clone(), None).await;
    assert_eq!(refused.err().unwrap(), json!({"message": "not authorized"}));
    gone.auth["token"] = json!("fewer rooms");
    let mut client = gone.back(&server).await;
    assert_eq!(client.pid, gone.pid);
    assert_eq!(client.event().await, [json!("open")]);
    client.quiet().await;

    let skipping = SocketIo::builder()
        .connection_state_recovery(ConnectionStateRecovery::new().skip_middlewares(true))
        .namespace(namespace());
    let server = Server::start(skipping).await;
    let mut gone = Client::join(&server).await.vanish(&server).await;
    gone.auth["token"] = json!("revoked");
    assert_eq!(gone.back(&server).await.pid, gone.pid);
}

#[tokio::test]
async fn failures_have_reasons() {
    let (tx, mut seen) = mpsc::unbounded_channel();
    let mut limits = fanfare::Limits::default();
    limits.recovery_bytes = 4096;
    let server = Server::start(
        recovering(main_namespace().on_connect(move |socket: Socket| {
            let _ = tx.send(socket.recovery());
            async {}
        }))
        .limits(limits),
    )
    .await;
    let mut attempt = async |auth: Value| {
        let client = Client::connect(&server, auth, None).await.unwrap();
        let outcome = seen.recv().await.unwrap();
        assert!(!matches!(outcome, RecoveryOutcome::Recovered { .. }));
        (client, outcome)
    };
    let (client, _) = attempt(json!({})).await;
    let (_, outcome) = attempt(json!({"pid": "other123.abc"})).await;
    assert_eq!(
        outcome,
        RecoveryOutcome::Failed(RecoveryFailure::OtherServer)
    );
    let (epoch, _) = client.pid.split_once('.').unwrap();
    let (_, outcome) = attempt(json!({"pid": format!("{epoch}.nobody")})).await;
    assert_eq!(
        outcome,
        RecoveryOutcome::Failed(RecoveryFailure::SessionGone)
    );

    // The last event was volatile and ended with a string: the number of others that arrived is unknown.
    client.socket(&server).emit("e", ()).unwrap();
    let (sid, mut gone) = (client.sid.clone(), client.vanish(&server).await);
    gone.auth["offset"] = json!("some text");
    let (client, outcome) = attempt(gone.auth).await;
    assert_eq!(
        outcome,
        RecoveryOutcome::Failed(RecoveryFailure::UnknownOffset)
    );
    assert_ne!(client.pid, gone.pid);
    assert!(!client.socket(&server).rooms().contains(&"a".to_owned()));
    let _ = sid;

    let (client, _) = attempt(json!({})).await;
    let gone = client.vanish(&server).await;
    for _ in 0..100 {
        server.io.emit("e", "x".repeat(100)).unwrap();
    }
    let (_, outcome) = attempt(gone.auth).await;
    assert_eq!(
        outcome,
        RecoveryOutcome::Failed(RecoveryFailure::EventsGone)
    );
}

#[tokio::test]
async fn only_unwanted_ends_are_recoverable() {
    let server = Server::start(recovering(main_namespace())).await;
    let mut client = Client::join(&server).await;
    client.peer.send("1").await;
    until("its end", || server.io.of("/").is_empty()).await;
    let next = client.again(&server).await;
    assert_ne!(next.pid, client.pid);
    let socket = next.socket(&server);
    socket.disconnect(false);
    assert_ne!(next.again(&server).await.pid, next.pid);
    // A malformed packet: `forced close`, as in Node.
    let mut client = Client::join(&server).await;
    client.peer.send("9").await;
    client.peer.until_closed().await;
    assert_eq!(client.again(&server).await.pid, client.pid);
}

#[tokio::test]
async fn sessions_end_and_namespaces_with_them() {
    let recovery =
        ConnectionStateRecovery::new().max_disconnection_duration(Duration::from_millis(100));
    let server = Server::start(
        SocketIo::builder()
            .connection_state_recovery(recovery)
            .namespace(Namespace::pattern("/n-{x}")),
    )
    .await;
    let mut peer = server.peer().await;
    peer.join("/n-1").await;
    peer.vanish();
    until("the end of the namespace", || {
        server.io.namespace("/n-1").is_none()
    })
    .await;
}

/// Closes connections at random while several threads emit to rooms: each sequence arrives complete, once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cut_at_random_nothing_is_lost_or_doubled() {
    const CUTS: usize = 40;
    const SENDERS: u64 = 3;
    let bursts = Arc::new(AtomicU64::new(0));
    let count = bursts.clone();
    // In a handler broadcasts are corked and flushed together.
    let burst = move |socket: Socket| {
        for _ in 0..4 {
            let n = count.fetch_add(1, Ordering::Relaxed);
            socket.to("a").emit("n", (SENDERS, n)).unwrap();
        }
        async { Ack(()) }
    };
    let server = Server::start(recovering(main_namespace().on("burst", burst))).await;
    let mut client = Client::join(&server).await;
    client.socket(&server).join(["a", "b"]).unwrap();
    let mut busy = server.joined().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (io, stopped) = (server.io.clone(), stopped.clone());
            let sid = client.sid.clone();
            tokio::spawn(async move {
                let mut n = 0u64;
                while !*stopped.borrow() {
                    let args = (sender, n);
                    match n % 5 {
                        0 => io.emit("n", args),
                        1 => io.to("a").emit("n", args),
                        2 => io.to(["a", "b", "c"]).emit("n", args),
                        3 => io.to(sid.as_str()).emit("n", args),
                        _ => io.except("c").emit("n", args),
                    }
                    .unwrap();
                    io.to("c").emit("n", (sender, "not for it")).unwrap();
                    n += 1;
                    tokio::time::sleep(Duration::from_micros(300)).await;
                }
                n
            })
        })
        .collect();
    let other = tokio::spawn({
        let stopped = stopped.clone();
        async move {
            while !*stopped.borrow() {
                busy.send(r#"20["burst"]"#).await;
                while busy.text().await != "30[]" {}
            }
        }
    });
    let mut next = [0u64; SENDERS as usize + 1];
    let mut take = |event: Vec<Value>| {
        let (sender, n) = (event[1].as_u64().unwrap(), event[2].as_u64().unwrap());
        assert_eq!(n, next[sender as usize], "of sender {sender}");
        next[sender as usize] += 1;
        next
    };
    let mut seed = 1u64;
    let pid = client.pid.clone();
    for cut in 0..CUTS {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
        for _ in 0..seed >> 33 & 31 {
            take(client.event().await);
        }
        client = match cut % 3 {
            // The server has detected the loss, or not yet, or the old connection is still open.
            0 => client.vanish(&server).await.back(&server).await,
            1 => {
                let auth = client.auth();
                let offset = client.offset.clone();
                client.peer.vanish();
                Client::connect(&server, auth, offset).await.unwrap()
            }
            _ => client.again(&server).await,
        };
        assert_eq!(client.pid, pid, "cut {cut}");
    }
    stop.send(true).unwrap();
    let mut sent = Vec::new();
    for sender in senders {
        sent.push(sender.await.unwrap());
    }
    other.await.unwrap();
    sent.push(bursts.load(Ordering::Relaxed));
    let mut got = [0; SENDERS as usize + 1];
    while got[..] != sent[..] {
        got = take(client.event().await);
    }
    client.quiet().await;
}
