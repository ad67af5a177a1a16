//! Several servers that act as one: encoding, outcomes, and what the adapter learns.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fanfare::ack::BroadcastAckError;
use fanfare::adapter::{
    Broadcast, ClusterOptions, EncodedEvent, Interest, Peers, PublishOutcome, RoomChange,
    ServerSideEmitError,
};
use fanfare::parser::MsgpackParser;
use fanfare::socket::OutgoingEvent;
use fanfare::{Socket, SocketIo};
use fanfare_testing::Received;
use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

use crate::bus::{Bus, State};
use crate::recovery::{main_namespace, recovering};
use crate::support::Server;

/// Argument that counts how often it is serialized.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Serialize for Counting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        serializer.serialize_str("once")
    }
}

impl Counting {
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// An event is serialized once for the clients of all servers and all listeners, recovery or not.
#[tokio::test]
async fn an_event_is_serialized_once() {
    let (tx, mut seen) = mpsc::unbounded_channel();
    let listening = move || {
        let tx = tx.clone();
        main_namespace().on_any_outgoing(move |_: &Socket, event: &OutgoingEvent| {
            let _ = tx.send(event.data::<String>().unwrap());
        })
    };
    let plain = SocketIo::builder().namespace(listening());
    for builder in [plain, recovering(listening())] {
        let bus = Bus::default();
        let (one, _) = bus.start("one", builder, State::default()).await;
        let two = bus.node("two", main_namespace()).await;
        let (mut a, mut b) = (one.joined().await, two.joined().await);
        let value = Counting::default();
        one.io.emit("e", &value).unwrap();
        assert_eq!(value.take(), 1);
        assert!(a.text().await.starts_with(r#"2["e","once""#));
        b.expect(r#"2["e","once"]"#).await;
        assert_eq!(seen.recv().await.unwrap(), "once");

        let answers = one.io.of("/").everyone().emit_with_ack::<u8>("ack", &value);
        assert_eq!(value.take(), 1);
        for peer in [&mut a, &mut b] {
            peer.expect(r#"20["ack","once"]"#).await;
            peer.send("30[7]").await;
        }
        assert_eq!(answers.await.unwrap(), [7, 7]);
        assert_eq!(seen.recv().await.unwrap(), "once");

        let socket = one.io.of("/").socket(a.sid()).unwrap();
        socket.emit("own", &value).unwrap();
        assert_eq!(value.take(), 1);
        assert!(a.text().await.starts_with(r#"2["own","once""#));
        assert_eq!(seen.recv().await.unwrap(), "once");

        one.io.server_side_emit("tell", &value).unwrap();
        assert_eq!(value.take(), 1);
    }
}

/// Received events are put into the clients' packets as they are written.
#[tokio::test]
async fn received_events_are_spliced() {
    let bus = Bus::default();
    let json = bus.node("json", main_namespace()).await;
    let builder = SocketIo::builder()
        .namespace(main_namespace())
        .parser(MsgpackParser);
    let (msgpack, _) = bus.start("msgpack", builder, State::default()).await;
    let mut a = json.joined().await;
    let mut b = msgpack.peer().await;
    b.send_binary(b"\x82\xa4type\x00\xa3nsp\xa1/").await;
    b.next().await;
    let send = |event: EncodedEvent| {
        for (_, node) in bus.others("") {
            let options = ClusterOptions::default();
            node.receive("/", "other", Broadcast::new(event.clone(), options));
        }
    };
    send(EncodedEvent::from_json(r#" ["e", 1.50 ,{"k":[]},"\ud800"] "#, Vec::new()).unwrap());
    a.expect(r#"2["e", 1.50 ,{"k":[]},"\ud800"]"#).await;
    let packet = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data";
    let data = "\u{fffd}".as_bytes();
    let data = [b"\x94\xa1e\xcb\x3f\xf8\0\0\0\0\0\0\x81\xa1k\x90\xa3", data].concat();
    let expected = |data: &[u8]| Received::Binary(Bytes::from([packet, data].concat()));
    assert_eq!(b.next().await, expected(&data));

    // Integers and texts in longer forms than needed stay as they are.
    let data = b"\x93\xd9\x01e\xcd\x00\x01\xc4\x02\x01\x02";
    send(EncodedEvent::from_msgpack(&data[..]).unwrap());
    a.expect(r#"51-["e",1,{"_placeholder":true,"num":0}]"#)
        .await;
    assert_eq!(
        a.next().await,
        Received::Binary(Bytes::from_static(b"\x01\x02"))
    );
    assert_eq!(b.next().await, expected(data));

    // Only the libraries themselves may send these.
    send(EncodedEvent::from_json(r#"["connect"]"#, Vec::new()).unwrap());
    a.quiet().await;
}

#[tokio::test]
async fn the_caller_learns_whether_the_other_servers_get_the_event() {
    let alone = Server::with(main_namespace()).await;
    assert_eq!(alone.io.emit("e", ()).unwrap().cluster, None);

    let bus = Bus::default();
    let builder = SocketIo::builder().namespace(main_namespace());
    let (one, state) = bus.start("one", builder, State::default()).await;
    let two = bus.node("two", main_namespace()).await;
    let (mut a, mut b) = (one.joined().await, two.joined().await);
    let report = one.io.emit("e", ()).unwrap();
    assert_eq!(
        (report.recipients, report.cluster),
        (1, Some(PublishOutcome::Queued))
    );
    assert_eq!(one.io.local().emit("e", ()).unwrap().cluster, None);
    for outcome in [PublishOutcome::Full, PublishOutcome::Down] {
        *state.outcome.lock().unwrap() = outcome;
        let report = one.io.emit("e", ()).unwrap();
        assert_eq!((report.recipients, report.cluster), (1, Some(outcome)));
        let error = one.io.server_side_emit("e", ()).unwrap_err();
        assert!(matches!(error, ServerSideEmitError::Unreachable { .. }));
        let found = one.io.fetch_sockets().await.unwrap_err().into_sockets();
        assert_eq!((found.len(), found[0].id()), (1, a.sid()));
    }
    *state.outcome.lock().unwrap() = PublishOutcome::Queued;
    state.broken.store(true, Ordering::Relaxed);
    let found = one.io.fetch_sockets().await.unwrap_err().into_sockets();
    assert!(found.iter().any(|socket| socket.id() == a.sid()));
    *state.outcome.lock().unwrap() = PublishOutcome::Down;
    let answers = one.io.of("/").everyone().emit_with_ack::<u8>("ack", ());
    for _ in 0..4 {
        a.expect(r#"2["e"]"#).await;
    }
    a.expect(r#"20["ack"]"#).await;
    a.send("30[5]").await;
    match answers.await {
        Err(BroadcastAckError::Unreachable { responses, .. }) => assert_eq!(responses, [5]),
        other => panic!("{other:?}"),
    }
    b.expect(r#"2["e"]"#).await;
    b.quiet().await;
}

#[tokio::test]
async fn the_adapter_learns_which_rooms_are_open() {
    let bus = Bus::default();
    let builder = || SocketIo::builder().namespace(main_namespace());
    let with = |interest| State {
        interest,
        ..State::default()
    };
    let (one, rooms) = bus.start("one", builder(), with(Interest::Rooms)).await;
    let (two, all) = bus
        .start("two", builder(), with(Interest::RoomsAndSockets))
        .await;
    let told = |state: &State| -> Vec<(String, RoomChange)> {
        std::mem::take(&mut *state.changes.lock().unwrap())
    };
    let change =
        |room: &str, opened, is_socket| ("/".to_owned(), RoomChange::new(room, opened, is_socket));

    let (a, b) = (one.joined().await, one.joined().await);
    let socket = |peer: &crate::support::Peer| one.io.of("/").socket(peer.sid()).unwrap();
    let (x, y) = (socket(&a), socket(&b));
    x.join(["r", "s"]).unwrap();
    y.join(["s", a.sid()]).unwrap();
    x.leave("s");
    assert_eq!(
        told(&rooms),
        [
            change("r", true, false),
            change("s", true, false),
            change(a.sid(), true, false)
        ]
    );
    x.disconnect(true);
    y.leave("s");
    assert_eq!(
        told(&rooms),
        [change("r", false, false), change("s", false, false)]
    );

    let c = two.joined().await;
    let socket = two.io.of("/").socket(c.sid()).unwrap();
    socket.join("r").unwrap();
    socket.disconnect(false);
    assert_eq!(
        told(&all),
        [
            change(c.sid(), true, true),
            change("r", true, false),
            change("r", false, false),
            change(c.sid(), false, true)
        ]
    );
}

/// Threads that change rooms at the same time: of each room the changes alternate, and in the end what the adapter
/// knows is what is open.
#[tokio::test(flavor = "multi_thread")]
async fn no_change_of_a_room_is_lost() {
    let bus = Bus::default();
    let builder = SocketIo::builder().namespace(main_namespace());
    let state = State {
        interest: Interest::Rooms,
        ..State::default()
    };
    let (server, state) = bus.start("one", builder, state).await;
    let mut peers = Vec::new();
    for _ in 0..4 {
        peers.push(server.joined().await);
    }
    let sockets = server.io.of("/").sockets();
    let threads = sockets.into_iter().enumerate().map(|(number, socket)| {
        std::thread::spawn(move || {
            for turn in 0..2000 {
                let room = format!("r{}", (turn * 7 + number) % 5);
                match (turn + number) % 3 {
                    0 => socket.leave(room),
                    _ => socket.join(room).unwrap(),
                }
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let mut open = BTreeSet::new();
    for (_, change) in &*state.changes.lock().unwrap() {
        let room = change.room.to_string();
        let changed = match change.opened {
            true => open.insert(room),
            false => open.remove(&room),
        };
        assert!(changed, "{change:?}");
    }
    let rooms = server.io.of("/").rooms();
    let rooms: BTreeSet<String> = rooms.into_iter().map(|(room, _)| room).collect();
    assert_eq!(open, rooms);
}

#[tokio::test]
async fn the_nodes_are_known() {
    let bus = Bus::default();
    let one = bus.node("one", main_namespace()).await;
    let two = bus.node("two", main_namespace()).await;
    let _peer = two.joined().await;
    let Peers::Nodes(nodes) = one.io.of("/").peers().await.unwrap() else {
        panic!("no nodes");
    };
    assert_eq!(nodes.len(), 1);
    assert_eq!((&*nodes[0].id, nodes[0].clients), ("two", Some(1)));
    let version = nodes[0].version.as_deref().unwrap();
    assert!(version.starts_with("fanfare "), "{version}");
}
