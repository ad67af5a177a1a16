//! Rooms and broadcasts.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use fanfare::{
    Ack, AllArgs, Data, DisconnectReason, EmitError, EventError, Namespace, Socket, SocketIo, Value,
};
use fanfare_testing::Received;

use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Peer, Server, until, within};

/// Returns a namespace whose sockets join rooms on request.
fn joining() -> Namespace {
    Namespace::new("/")
        .on("echo", async || Ack(()))
        .on(
            "join",
            async |socket: Socket, Data(AllArgs(rooms)): Data<AllArgs<String>>| {
                socket.join(&rooms).map_err(EventError::public)?;
                Ok::<_, EventError>(Ack(socket.rooms().len()))
            },
        )
        .on("leave", async |socket: Socket, Data(room): Data<String>| {
            socket.leave(room);
            Ack(socket.rooms().len())
        })
}

async fn member(server: &Server, rooms: &str) -> Peer {
    let mut peer = server.joined().await;
    if !rooms.is_empty() {
        peer.send(&format!(r#"20["join",{rooms}]"#)).await;
        assert!(peer.text().await.starts_with("30["));
    }
    peer
}

#[tokio::test]
async fn each_recipient_gets_an_event_once() {
    let server = Server::with(joining()).await;
    let mut a = member(&server, r#""a""#).await;
    let mut ab = member(&server, r#""a","b""#).await;
    let mut c = member(&server, r#""c""#).await;
    let io = &server.io;
    assert_eq!(io.to(["a", "b"]).emit("union", ()).unwrap().recipients, 2);
    assert_eq!(
        io.to("a")
            .except("b")
            .emit("difference", ())
            .unwrap()
            .recipients,
        1
    );
    assert_eq!(
        io.except(["a", "b"]).emit("rest", ()).unwrap().recipients,
        1
    );
    assert_eq!(io.to(ab.sid()).emit("own id", ()).unwrap().recipients, 1);
    assert_eq!(
        io.to(["a".to_owned(), ab.sid().to_owned()])
            .emit("both", ())
            .unwrap()
            .recipients,
        2
    );
    assert_eq!(io.emit("all", ()).unwrap().recipients, 3);
    for packet in ["union", "difference", "both", "all"] {
        a.expect(&format!(r#"2["{packet}"]"#)).await;
    }
    for packet in ["union", "own id", "both", "all"] {
        ab.expect(&format!(r#"2["{packet}"]"#)).await;
    }
    for packet in ["rest", "all"] {
        c.expect(&format!(r#"2["{packet}"]"#)).await;
    }
    for peer in [&mut a, &mut ab, &mut c] {
        peer.quiet().await;
    }
}

#[tokio::test]
async fn a_socket_leaves_itself_out() {
    let server = Server::with(
        joining()
            .on("others", async |socket: Socket| {
                socket.broadcast().emit("from", socket.id())
            })
            .on("to", async |socket: Socket, Data(room): Data<String>| {
                socket.to(room).emit("to", ())
            })
            .on(
                "except",
                async |socket: Socket, Data(room): Data<String>| {
                    socket.except(room).emit("except", ())
                },
            ),
    )
    .await;
    let mut a = member(&server, r#""r""#).await;
    let mut b = member(&server, r#""r""#).await;
    let mut c = member(&server, "").await;
    a.send(r#"2["others"]"#).await;
    let from_a = format!(r#"2["from","{}"]"#, a.sid());
    b.expect(&from_a).await;
    c.expect(&from_a).await;
    a.send(r#"2["to","r"]"#).await;
    b.expect(r#"2["to"]"#).await;
    let own = format!(r#"2["to","{}"]"#, a.sid());
    a.send(&own).await;
    a.send(r#"2["except","r"]"#).await;
    c.expect(r#"2["except"]"#).await;
    for peer in [&mut a, &mut b, &mut c] {
        peer.quiet().await;
    }
}

#[tokio::test]
async fn rooms_come_and_go_with_their_members() {
    let server = Server::with(joining()).await;
    let mut a = member(&server, r#""r","s","r""#).await;
    let b = member(&server, r#""r""#).await;
    let main = server.io.of("/");
    let mut rooms = main.rooms();
    rooms.sort();
    assert_eq!(rooms, [("r".to_owned(), 2), ("s".to_owned(), 1)]);
    a.send(r#"20["leave","s"]"#).await;
    a.expect("30[2]").await;
    assert_eq!(main.rooms(), [("r".to_owned(), 2)]);
    let gone = main.socket(b.sid()).unwrap();
    b.vanish();
    crate::support::within("leaving", async {
        while gone.is_connected() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(main.rooms(), [("r".to_owned(), 1)]);
    assert_eq!(main.len(), 1);
}

#[tokio::test]
async fn rooms_are_still_there_while_disconnecting() {
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let after = tx.clone();
    let server = Server::with(
        joining()
            .on_disconnecting(move |socket: Socket, reason: DisconnectReason| {
                let tx = tx.clone();
                async move { tx.send((reason, socket.rooms().len())).unwrap() }
            })
            .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
                let tx = after.clone();
                async move { tx.send((reason, socket.rooms().len())).unwrap() }
            }),
    )
    .await;
    let peer = member(&server, r#""r""#).await;
    peer.vanish();
    assert_eq!(rx.recv().await, Some((DisconnectReason::TransportClose, 2)));
    assert_eq!(rx.recv().await, Some((DisconnectReason::TransportClose, 0)));
}

/// In Node the list is empty as soon as the handler is pending.
#[tokio::test]
async fn an_async_on_disconnecting_sees_the_rooms_that_the_socket_was_in() {
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let gate = Arc::new(tokio::sync::Notify::new());
    let wait = gate.clone();
    let server = Server::with(joining().on_disconnecting(move |socket: Socket| {
        let (tx, wait) = (tx.clone(), wait.clone());
        async move {
            wait.notified().await;
            tx.send((socket.is_connected(), socket.rooms(), socket.clone()))
                .unwrap();
        }
    }))
    .await;
    let peer = member(&server, r#""r","s""#).await;
    let (sid, main) = (peer.sid().to_owned(), server.io.of("/"));
    peer.vanish();
    until("its end", || main.is_empty()).await;
    gate.notify_one();
    let (connected, rooms, socket) = rx.recv().await.unwrap();
    assert!(!connected);
    assert_eq!(rooms, [&*sid, "r", "s"]);
    until("the end of the handler", || socket.rooms().is_empty()).await;
}

/// In Node an empty list is ignored, which selects all sockets.
#[tokio::test]
async fn an_empty_list_of_rooms_addresses_nobody() {
    let server = Server::with(joining()).await;
    let mut a = member(&server, r#""a""#).await;
    let mut b = member(&server, "").await;
    let nobody: [&str; 0] = [];
    let main = server.io.of("/");
    assert_eq!(main.to(nobody).emit("e", ()).unwrap().recipients, 0);
    assert_eq!(
        main.except("a")
            .to(nobody)
            .emit("e", ())
            .unwrap()
            .recipients,
        0
    );
    let from_a = main.socket(a.sid()).unwrap();
    assert_eq!(from_a.to(nobody).emit("e", ()).unwrap().recipients, 0);
    assert!(main.to(nobody).sockets().is_empty());
    assert!(main.to(nobody).fetch_sockets().await.unwrap().is_empty());
    let answers = main.to(nobody).emit_with_ack::<u8>("e", ()).await;
    assert_eq!(answers.unwrap(), [0; 0]);
    main.to(nobody).sockets_join("x");
    main.to(nobody).sockets_leave("a");
    main.to(nobody).disconnect_sockets(true);
    assert_eq!(main.rooms(), [("a".to_owned(), 1)]);
    a.quiet().await;
    b.quiet().await;
    // With a room it is that room; an empty list of exceptions excludes no socket.
    assert_eq!(main.to(nobody).to("a").emit("e", ()).unwrap().recipients, 1);
    assert_eq!(main.except(nobody).emit("e", ()).unwrap().recipients, 2);
}

#[tokio::test]
async fn many_at_once() {
    let server = Server::with(joining()).await;
    let mut a = member(&server, r#""r""#).await;
    let mut b = member(&server, "").await;
    let io = &server.io;
    io.of("/").sockets_join("new");
    assert_eq!(io.to("new").sockets().len(), 2);
    io.to("r").sockets_leave("new");
    assert_eq!(io.to("new").sockets().len(), 1);
    io.to("new").disconnect_sockets(false);
    b.expect("1").await;
    a.quiet().await;
    io.of("/").disconnect_sockets(true);
    a.expect("1").await;
    assert_eq!(a.until_closed().await, []);
}

#[tokio::test]
async fn the_number_of_rooms_is_limited() {
    let mut limits = fanfare::Limits::default();
    limits.max_rooms_per_socket = 2;
    let server = Server::start(SocketIo::builder().limits(limits).namespace(joining())).await;
    let mut peer = server.joined().await;
    peer.send(r#"20["join","a","b","c"]"#).await;
    let error = "the socket would be in 3 rooms, the limit is 2";
    peer.expect(&format!(r#"30[{{"error":{{"message":"{error}"}}}}]"#))
        .await;
    peer.send(r#"20["join","a","b"]"#).await;
    peer.expect("30[3]").await; // including the room of its id
}

#[tokio::test]
async fn emitted_from_one_batch_everybody_sees_the_same_order() {
    let server = Server::with(
        joining().on("burst", async |socket: Socket, Data(n): Data<u32>| {
            socket.namespace().emit("all", n)?;
            socket.emit("own", n)?;
            socket.namespace().to("r").emit("room", n)?;
            Ok::<_, EmitError>(())
        }),
    )
    .await;
    let mut a = member(&server, "").await;
    let mut b = member(&server, r#""r""#).await;
    for n in 0..100 {
        a.send(&format!(r#"2["burst",{n}]"#)).await;
    }
    for n in 0..100 {
        a.expect(&format!(r#"2["all",{n}]"#)).await;
        a.expect(&format!(r#"2["own",{n}]"#)).await;
        b.expect(&format!(r#"2["all",{n}]"#)).await;
        b.expect(&format!(r#"2["room",{n}]"#)).await;
    }
}

/// Events that one thread emits under a lock precede those that the next emits under it, for all recipients.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn emitted_under_one_lock_everybody_sees_the_same_order() {
    use std::sync::{Arc, Mutex};
    let counter = Arc::new(Mutex::new(0u32));
    let server = Server::start(
        SocketIo::builder()
            .state(counter.clone())
            .namespace(joining().on(
                "next",
                async |socket: Socket, fanfare::State(counter): fanfare::State<Arc<Mutex<u32>>>| {
                    let mut counter = counter.lock().unwrap();
                    *counter += 1;
                    socket.namespace().emit("n", *counter)
                },
            )),
    )
    .await;
    const EACH: u32 = 300;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(server.joined().await);
    }
    let total = EACH * peers.len() as u32;
    let tasks = peers.into_iter().map(|mut peer| {
        tokio::spawn(async move {
            for _ in 0..EACH {
                peer.send(r#"2["next"]"#).await;
            }
            for n in 1..=total {
                peer.expect(&format!(r#"2["n",{n}]"#)).await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn volatile_events_go_to_those_who_can_take_them() {
    let server = Server::with(joining()).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    socket.volatile().emit("v", 1).unwrap();
    peer.expect(r#"2["v",1]"#).await;
    server.io.volatile().emit("v", 2).unwrap();
    peer.expect(r#"2["v",2]"#).await;
    let big = "x".repeat(100_000);
    while socket.pending_bytes() == 0 {
        socket.emit("big", &big).unwrap(); // until the TCP window of the client is full
    }
    socket.volatile().emit("v", 3).unwrap();
    server.io.volatile().emit("v", 4).unwrap();
    socket.emit("end", ()).unwrap();
    loop {
        let text = peer.text().await;
        assert!(!text.starts_with(r#"2["v""#), "{text}");
        if text == r#"2["end"]"# {
            break;
        }
    }
}

#[tokio::test]
async fn data_and_ids_of_the_sockets() {
    let server = Server::with(joining()).await;
    let peer = server.joined().await;
    let main = server.io.of("/");
    let socket = main.socket(peer.sid()).unwrap();
    assert_eq!(socket.data::<Option<u8>>().unwrap(), None);
    socket
        .set_data(&serde_json::json!({ "name": "x" }))
        .unwrap();
    assert_eq!(socket.data::<serde_json::Value>().unwrap()["name"], "x");
    assert_eq!(main.socket_ids(), [socket.id()]);
    assert_eq!(main.sockets(), [socket]);
    assert!(main.socket("nobody").is_none());
    let _ = Value::Null;
}

/// Counts how often the value is serialized.
struct Counted(AtomicUsize);

impl serde::Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_bytes(b"counted")
    }
}

#[tokio::test]
async fn a_broadcast_is_encoded_once_for_clients_of_all_versions() {
    let server = Server::start(SocketIo::builder().allow_eio3(true)).await;
    let (mut a, mut b) = (server.joined().await, server.joined().await);
    let url = |query: &str| format!("ws://{}/socket.io/?{query}", server.addr);
    let mut old = Vec::new();
    for query in [
        "EIO=3&transport=websocket",
        "EIO=3&transport=websocket&b64=1",
    ] {
        let (mut ws, _) = tokio_tungstenite::connect_async(url(query)).await.unwrap();
        for start in ["0{", "40"] {
            let text = within("a packet", ws.next()).await.unwrap().unwrap();
            assert!(text.to_text().unwrap().starts_with(start));
        }
        old.push(ws);
    }
    let value = Counted(AtomicUsize::new(0));
    assert_eq!(server.io.emit("news", &value).unwrap().recipients, 4);
    assert_eq!(value.0.load(Ordering::Relaxed), 1);
    let header = r#"51-["news",{"_placeholder":true,"num":0}]"#;
    for peer in [&mut a, &mut b] {
        peer.expect(header).await;
        assert_eq!(peer.next().await, Received::Binary("counted".into()));
    }
    for (ws, expected) in old.iter_mut().zip([
        Message::Binary("\u{4}counted".into()),
        Message::Text("b4Y291bnRlZA==".into()),
    ]) {
        let text = within("the header", ws.next()).await.unwrap().unwrap();
        assert_eq!(text, Message::Text(format!("4{header}").into()));
        let attachment = within("the attachment", ws.next()).await.unwrap().unwrap();
        assert_eq!(attachment, expected);
    }
}

/// A stream whose writer blocks while the gate is locked, and reports it.
struct Gated {
    stream: DuplexStream,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    lock: std::sync::Mutex<()>,
    stands: AtomicBool,
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gate.lock.try_lock().is_err() {
            self.gate.stands.store(true, Ordering::Release);
            drop(self.gate.lock.lock().unwrap());
        }
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// The broadcast blocks at one of its recipients; sockets that join or leave do not wait for it, even in the same room.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn joins_and_leaves_do_not_wait_for_a_broadcast_under_way() {
    let server = Server::with(joining()).await;
    let mut first = member(&server, r#""room""#).await;
    let gate = Arc::new(Gate::default());
    let (ours, theirs) = duplex(4096);
    let gated = Gated {
        stream: theirs,
        gate: gate.clone(),
    };
    tokio::spawn(fanfare::serve(server.io.clone()).connection(gated, None));
    let mut stuck = Peer::over(ours).await;
    stuck.join("/").await;
    stuck.send(r#"20["join","room"]"#).await;
    stuck.expect("30[2]").await;
    let mut last = member(&server, r#""room""#).await;
    let other = server.joined().await;
    let other = server.io.of("/").socket(other.sid()).unwrap();

    let (held, holds) = std::sync::mpsc::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let hold = gate.clone();
    let holder = std::thread::spawn(move || {
        let held_lock = hold.lock.lock().unwrap();
        held.send(()).unwrap();
        let _ = released.recv();
        drop(held_lock);
    });
    holds.recv().unwrap();
    let stuck_socket = server.io.of("/").socket(stuck.sid()).unwrap();
    stuck_socket.emit("before", ()).unwrap();
    until("the writer stands", || gate.stands.load(Ordering::Acquire)).await;

    let io = server.io.clone();
    let broadcast = std::thread::spawn(move || io.to("room").emit("all", ()).unwrap().recipients);
    first.expect(r#"2["all"]"#).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        for round in 0..100 {
            other.join(["room", "another"]).unwrap();
            other.leave("room");
            other.join(format!("room {round}")).unwrap();
        }
        tell.send(other.rooms().len()).unwrap();
    });
    let rooms = within("joins and leaves", told).await.unwrap();
    assert_eq!(rooms, 102, "its own, another, and one for each round");
    assert!(
        !broadcast.is_finished(),
        "the broadcast was to be under way"
    );

    release.send(()).unwrap();
    holder.join().unwrap();
    last.expect(r#"2["all"]"#).await;
    stuck.expect(r#"2["before"]"#).await;
    stuck.expect(r#"2["all"]"#).await;
    assert_eq!(broadcast.join().unwrap(), 3);
}
