//! Several servers that act as one: the adapter, tested with one that connects servers in this process.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare::ack::BroadcastAckError;
use fanfare::adapter::{
    Broadcast, ClusterOptions, DisconnectSockets, EncodedEvent, FetchSocketsError, ServerEvent,
    ServerSideEmitError,
};
use fanfare::{Ack, Namespace, SocketIo};
use serde_json::{Value, json};

use crate::bus::{Bus, State};
use crate::support::{Peer, Server, within};

fn namespace() -> Namespace {
    Namespace::new("/").on("echo", async || Ack(()))
}

/// Starts two nodes with a client each: the first in rooms `a` and `both`, the second in `b` and `both`.
async fn two() -> (Bus, Server, Server, Peer, Peer) {
    let bus = Bus::default();
    let (one, two) = (
        bus.node("one", namespace()).await,
        bus.node("two", namespace()).await,
    );
    let (a, b) = (one.joined().await, two.joined().await);
    let (x, y) = (
        one.io.of("/").socket(a.sid()).unwrap(),
        two.io.of("/").socket(b.sid()).unwrap(),
    );
    x.join(["a", "both"]).unwrap();
    y.join(["b", "both"]).unwrap();
    y.set_data(&json!({"name": "Bea"})).unwrap();
    (bus, one, two, a, b)
}

#[tokio::test]
async fn broadcasts_reach_the_clients_of_all_nodes() {
    let (_bus, one, two, mut a, mut b) = two().await;
    one.io
        .emit("all", (1, bytes::Bytes::from_static(b"x")))
        .unwrap();
    for peer in [&mut a, &mut b] {
        peer.expect(r#"51-["all",1,{"_placeholder":true,"num":0}]"#)
            .await;
        peer.next().await;
    }
    one.io.to("b").emit("to b", ()).unwrap();
    b.expect(r#"2["to b"]"#).await;
    two.io
        .to(["a", "both"])
        .except("b")
        .emit("to a", ())
        .unwrap();
    a.expect(r#"2["to a"]"#).await;
    one.io.local().emit("local", ()).unwrap();
    a.expect(r#"2["local"]"#).await;
    // A socket's broadcast excludes it even if the message travels between nodes.
    let x = one.io.of("/").socket(a.sid()).unwrap();
    x.to("both").emit("not to me", ()).unwrap();
    b.expect(r#"2["not to me"]"#).await;
    one.io.to(b.sid()).emit("by id", ()).unwrap();
    b.expect(r#"2["by id"]"#).await;
    one.io.of("/elsewhere").emit("unheard", ()).unwrap();
    a.quiet().await;
    b.quiet().await;
}

#[tokio::test]
async fn acknowledgements_are_gathered_from_all_nodes() {
    let (_bus, one, two, mut a, mut b) = two().await;
    let mut c = two.joined().await;
    let votes = one
        .io
        .timeout(Duration::from_secs(10))
        .emit_with_ack::<u8>("vote", ());
    for (peer, vote) in [(&mut a, 1), (&mut b, 2), (&mut c, 3)] {
        peer.expect(r#"20["vote"]"#).await;
        peer.send(&format!("30[{vote}]")).await;
    }
    let mut votes = votes.await.unwrap();
    votes.sort_unstable();
    assert_eq!(votes, [1, 2, 3]);

    let some = one
        .io
        // Long enough for the answer of the second.
        .timeout(Duration::from_secs(1))
        .emit_with_ack::<u8>("vote", ());
    b.expect(r#"21["vote"]"#).await;
    b.send("31[9]").await;
    match some.await {
        Err(BroadcastAckError::Timeout {
            responses,
            missing: 2,
            nodes,
            ..
        }) => {
            assert_eq!(responses, [9]);
            assert_eq!(nodes.ids, ["two"], "its other client did not answer");
        }
        other => panic!("{other:?}"),
    }
    let nobody = one.io.to("nobody").emit_with_ack::<u8>("vote", ()).await;
    assert_eq!(nobody.unwrap(), Vec::<u8>::new());
}

#[tokio::test]
async fn sockets_of_all_nodes_are_fetched_and_moved() {
    let (_bus, one, two, mut a, mut b) = two().await;
    assert_eq!(one.io.of("/").server_count().await.unwrap(), 2);
    let mut found = one.io.fetch_sockets().await.unwrap();
    found.sort_by_key(|socket| socket.id() == b.sid());
    assert_eq!([found[0].id(), found[1].id()], [a.sid(), b.sid()]);
    let remote = &found[1];
    let mut rooms = remote.rooms().to_vec();
    rooms.sort();
    let mut expected = vec!["b".to_owned(), "both".to_owned(), b.sid().to_owned()];
    expected.sort();
    assert_eq!(rooms, expected);
    assert_eq!(remote.data::<Value>().unwrap(), json!({"name": "Bea"}));
    assert_eq!(remote.handshake().address(), "127.0.0.1");
    assert_eq!(remote.handshake().query()["EIO"], "4");
    assert!(
        remote
            .handshake()
            .headers()
            .contains_key("sec-websocket-key")
    );
    assert_eq!(one.io.local().fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(
        one.io.to("b").all_sockets().await.unwrap(),
        [b.sid().to_owned()].into()
    );

    remote.emit("hello", 1).unwrap();
    b.expect(r#"2["hello",1]"#).await;
    let remote = remote.clone();
    let asked = tokio::spawn(async move {
        let remote = remote.timeout(Duration::from_secs(10));
        remote.emit_with_ack::<String>("name?", ()).await.unwrap()
    });
    b.expect(r#"20["name?"]"#).await;
    b.send(r#"30["Bea"]"#).await;
    assert_eq!(asked.await.unwrap(), "Bea");

    one.io.to("both").sockets_join("new");
    two.io.to("new").emit("joined", ()).unwrap();
    for peer in [&mut a, &mut b] {
        peer.expect(r#"2["joined"]"#).await;
    }
    two.io.to("a").sockets_leave(["new", "both"]);
    one.io.to("new").emit("left", ()).unwrap();
    b.expect(r#"2["left"]"#).await;
    a.quiet().await;
    found[1].join("own");
    assert!(
        two.io
            .of("/")
            .socket(b.sid())
            .unwrap()
            .rooms()
            .contains(&"own".to_owned())
    );
    one.io.to("own").disconnect_sockets(true);
    b.expect("1").await;
    b.until_closed().await;
    assert_eq!(one.io.fetch_sockets().await.unwrap().len(), 1);
}

#[tokio::test]
async fn servers_talk_to_each_other() {
    let bus = Bus::default();
    let with = |answer: u8| {
        namespace()
            .on_server_event("ask", move |event: ServerEvent| async move {
                let n: u8 = event.data().unwrap();
                event.ack(n + answer).unwrap();
            })
            .on_server_event("tell", async |event: ServerEvent| {
                let (text, n): (String, u8) = event.data().unwrap();
                event.namespace().local().emit("told", (text, n)).unwrap();
            })
    };
    let one = bus.node("one", with(1)).await;
    let two = bus.node("two", with(2)).await;
    let three = bus.node("three", with(3)).await;
    let (mut a, mut b, mut c) = (one.joined().await, two.joined().await, three.joined().await);
    one.io.server_side_emit("tell", ("x", 7)).unwrap();
    for peer in [&mut b, &mut c] {
        peer.expect(r#"2["told","x",7]"#).await;
    }
    a.quiet().await;
    let mut answers: Vec<u8> = one
        .io
        .of("/")
        .server_side_emit_with_ack("ask", 10)
        .await
        .unwrap();
    answers.sort_unstable();
    assert_eq!(answers, [12, 13]);
    for name in ["connect", "connection", "new_namespace"] {
        let error = one.io.server_side_emit(name, ()).unwrap_err();
        assert!(
            matches!(error, ServerSideEmitError::NotSerializable(_)),
            "{error}"
        );
    }
    two.io.close().await;
    assert_eq!(one.io.of("/").server_count().await.unwrap(), 2);
}

/// As with clients, an event leaves when it is emitted, in the order of the calls, and not when its answers are awaited.
#[tokio::test]
async fn a_server_side_event_with_answers_leaves_at_once() {
    let bus = Bus::default();
    let (heard, mut order) = tokio::sync::mpsc::unbounded_channel();
    let listening = namespace().on_server_event("ask", move |event: ServerEvent| {
        let heard = heard.clone();
        async move {
            heard.send(event.data::<u8>().unwrap()).unwrap();
            event.ack(()).unwrap();
        }
    });
    let one = bus.node("one", namespace()).await;
    let _two = bus.node("two", listening).await;
    let main = one.io.of("/");
    let first = main.server_side_emit_with_ack::<()>("ask", 1);
    main.server_side_emit("ask", 2).unwrap();
    for expected in [1, 2] {
        assert_eq!(within("the event", order.recv()).await, Some(expected));
    }
    assert_eq!(first.await.unwrap(), [()]);
}

#[cfg(feature = "macros")]
#[tokio::test]
async fn servers_talk_in_types() {
    use fanfare::typed::{Contract, TypedEvent, TypedServerEvent};
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize, TypedEvent)]
    #[event(ack = (u8, String))]
    struct Ask(u8, u8);

    #[derive(Serialize, Deserialize, TypedEvent)]
    struct Tell {
        text: String,
    }

    #[derive(Contract)]
    #[contract(between_servers(Ask, Tell))]
    struct Cluster;

    let with = |name: &'static str| {
        namespace()
            .on_server_event("wrong", async |event: ServerEvent| {
                event.ack("text").unwrap();
            })
            .contract::<Cluster>()
            .on_typed_server_event(move |event: TypedServerEvent<Ask>| async move {
                let Ask(a, b) = event.data().unwrap();
                event.ack(&(a + b, name.to_owned())).unwrap();
            })
            .on_typed_server_event(async |event: TypedServerEvent<Tell>| {
                let Tell { text } = event.data().unwrap();
                event.namespace().local().emit("told", text).unwrap();
            })
    };
    let bus = Bus::default();
    let one = bus.node("one", with("one")).await;
    let two = bus.node("two", with("two")).await;
    let mut b = two.joined().await;
    let cluster = one.io.typed::<Cluster>();
    cluster
        .server_side_emit(&Tell { text: "x".into() })
        .unwrap();
    b.expect(r#"2["told","x"]"#).await;
    let answers = cluster.server_side_emit_with_ack(&Ask(1, 2)).await;
    assert_eq!(answers.unwrap(), [(3, "two".to_owned())]);

    #[derive(Serialize, TypedEvent)]
    #[event(name = "wrong", ack = u8)]
    struct Wrong;
    let main = one.io.of("/");
    let answers = main.server_side_emit_event_with_ack(&Wrong).await;
    assert!(
        matches!(answers, Err(ServerSideEmitError::Args(_))),
        "{answers:?}"
    );
}

/// The error contains the answers that arrived, and names the servers that did not answer.
#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_waited_for_in_vain() {
    let bus = Bus::default();
    let with = |answer: u8| {
        namespace().on_server_event("ask", move |event: ServerEvent| async move {
            event.ack(answer).unwrap();
        })
    };
    let one = bus.node("one", with(1)).await;
    let _two = bus.node("two", with(2)).await;
    bus.ghost();
    let main = one.io.of("/");
    match main.fetch_sockets().await {
        Err(FetchSocketsError::Timeout {
            timeout, missing, ..
        }) => {
            assert_eq!(timeout, Duration::from_secs(5));
            assert_eq!(
                (&*missing.ids, missing.len()),
                (&["ghost".to_owned()][..], 1)
            );
        }
        other => panic!("{other:?}"),
    }
    match main.server_side_emit_with_ack::<u8>("ask", ()).await {
        Err(ServerSideEmitError::Timeout {
            missing, responses, ..
        }) => {
            assert_eq!(
                (&*missing.ids, responses),
                (&["ghost".to_owned()][..], vec![2])
            );
        }
        other => panic!("{other:?}"),
    }
    let timeout = Duration::from_secs(1);
    match main.timeout(timeout).emit_with_ack::<u8>("vote", ()).await {
        Err(BroadcastAckError::Timeout { nodes, missing, .. }) => {
            assert_eq!((nodes.ids, missing), (vec!["ghost".to_owned()], 1));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn alone_there_is_nobody_else() {
    let server = Server::with(namespace()).await;
    let peer = server.joined().await;
    let found = server.io.fetch_sockets().await.unwrap();
    assert_eq!((found.len(), found[0].id()), (1, peer.sid()));
    assert_eq!(server.io.of("/").server_count().await.unwrap(), 1);
    server.io.server_side_emit("e", ()).unwrap();
    let none: Vec<u8> = server
        .io
        .of("/")
        .server_side_emit_with_ack("e", ())
        .await
        .unwrap();
    assert!(none.is_empty());
    within("leaving", async {
        server.io.to(peer.sid()).disconnect_sockets(false);
    })
    .await;
    assert!(server.io.fetch_sockets().await.unwrap().is_empty());
}

/// In the messages of a cluster an empty list selects all sockets: a selection of none must not be sent.
#[tokio::test]
async fn nobody_is_nobody_on_the_other_servers_either() {
    let (_bus, one, two, mut a, mut b) = two().await;
    let nobody = one.io.to([] as [&str; 0]);
    assert_eq!(nobody.emit("e", ()).unwrap().recipients, 0);
    nobody.sockets_join("x");
    nobody.sockets_leave(["a", "b", "both"]);
    nobody.disconnect_sockets(true);
    assert!(nobody.fetch_sockets().await.unwrap().is_empty());
    let answers = nobody.emit_with_ack::<u8>("e", ()).await;
    assert_eq!(answers.unwrap(), [0; 0]);
    assert_eq!(two.io.to("b").sockets().len(), 1);
    assert_eq!(two.io.to("x").sockets().len(), 0);
    a.quiet().await;
    b.quiet().await;
}

/// Other servers may have no limit. Their requests are answered, so that they do not wait.
#[tokio::test]
async fn a_message_of_another_server_names_a_bounded_number_of_rooms() {
    let (bus, one, _two, _a, mut b) = two().await;
    let (_, cluster) = bus.others("one").remove(0);
    let options = |rooms: usize| ClusterOptions::new(vec!["b".to_owned(); rooms]);
    let broadcast = |rooms| {
        let event = EncodedEvent::new("e", &()).unwrap();
        Broadcast::new(event, options(rooms))
    };
    cluster.receive("/", "one", broadcast(10_001));
    let asking = broadcast(10_001).request_id("unknown");
    cluster.receive("/", "one", asking);
    let message = DisconnectSockets::new(options(10_001), true);
    cluster.receive("/", "one", message);
    b.quiet().await;
    cluster.receive("/", "one", broadcast(10_000));
    b.expect(r#"2["e"]"#).await;
    drop(one);
}

#[tokio::test]
async fn the_state_of_the_broker_is_visible() {
    let alone = Server::with(namespace()).await;
    assert!(alone.io.cluster().is_none());
    let bus = Bus::default();
    let builder = SocketIo::builder().namespace(namespace());
    let (one, state) = bus.start("one", builder, State::default()).await;
    let _two = bus.node("two", namespace()).await;
    let cluster = one.io.cluster().unwrap();
    assert!(cluster.is_ready(), "{cluster:?}");
    assert_eq!(cluster.nodes().await.unwrap()[0].id, "two");
    state.broken.store(true, Ordering::Relaxed);
    assert!(!cluster.is_ready());
    assert_eq!(cluster.health().label(), "down");
    assert!(cluster.nodes().await.is_err());
}
