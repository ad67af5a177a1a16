//! Several servers that are one: the adapter, shown with one that connects servers in this process.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare::{
    Ack, Adapter, AdapterError, BoxFuture, BroadcastAckError, Cluster, ClusterMessage,
    ClusterResponse, FetchSocketsError, Namespace, Peers, ServerEvent, ServerSideEmitError,
    SocketIo,
};
use serde_json::{Value, json};

use crate::support::{Peer, Server, within};

/// The nodes and what they were told to carry.
#[derive(Clone, Default)]
struct Bus(Arc<Mutex<Vec<(String, Cluster)>>>);

struct Loopback {
    bus: Bus,
    uid: String,
    opened: Arc<Mutex<Vec<String>>>,
}

impl Bus {
    fn others(&self, uid: &str) -> Vec<(String, Cluster)> {
        let nodes = self.0.lock().unwrap();
        nodes.iter().filter(|(id, _)| id != uid).cloned().collect()
    }

    async fn node<C>(&self, uid: &str, namespace: Namespace<C>) -> Server {
        let adapter = Loopback {
            bus: self.clone(),
            uid: uid.to_owned(),
            opened: Arc::default(),
        };
        Server::start(SocketIo::builder().namespace(namespace).adapter(adapter)).await
    }

    /// Another server that never answers.
    fn ghost(&self) {
        let nobody = SocketIo::builder().build().unwrap();
        let cluster = Arc::new(Mutex::new(None));
        struct Catch(Arc<Mutex<Option<Cluster>>>);
        impl Adapter for Catch {
            fn start(&self, cluster: Cluster) {
                *self.0.lock().unwrap() = Some(cluster);
            }
            fn publish(&self, _: &str, _: ClusterMessage) -> Result<(), AdapterError> {
                Ok(())
            }
            fn respond(&self, _: &str, _: &str, _: ClusterResponse) -> Result<(), AdapterError> {
                Ok(())
            }
            fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
                Box::pin(async { Ok(Peers::Count(0)) })
            }
        }
        drop(nobody);
        let server = SocketIo::builder()
            .adapter(Catch(cluster.clone()))
            .build()
            .unwrap();
        drop(server); // its `Cluster` leads nowhere now
        let cluster = cluster.lock().unwrap().clone().unwrap();
        self.0.lock().unwrap().push(("ghost".into(), cluster));
    }
}

impl Adapter for Loopback {
    fn start(&self, cluster: Cluster) {
        self.bus.0.lock().unwrap().push((self.uid.clone(), cluster));
    }

    fn namespace_opened(&self, namespace: &str) {
        self.opened.lock().unwrap().push(namespace.to_owned());
    }

    fn publish(&self, namespace: &str, message: ClusterMessage) -> Result<(), AdapterError> {
        for (_, cluster) in self.bus.others(&self.uid) {
            cluster.receive(namespace, &self.uid, message.clone());
        }
        Ok(())
    }

    fn respond(&self, _: &str, to: &str, response: ClusterResponse) -> Result<(), AdapterError> {
        let found = self.bus.others(&self.uid);
        let (_, cluster) = found
            .iter()
            .find(|(uid, _)| uid == to)
            .ok_or_else(|| AdapterError::new("no such node"))?;
        cluster.receive_response(&self.uid, response);
        Ok(())
    }

    fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        let others = self.bus.others(&self.uid);
        let ids = others.into_iter().map(|(uid, _)| uid).collect();
        Box::pin(async move { Ok(Peers::Nodes(ids)) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.bus
            .0
            .lock()
            .unwrap()
            .retain(|(uid, _)| *uid != self.uid);
        Box::pin(async {})
    }
}

fn namespace() -> Namespace {
    Namespace::new("/").on("echo", async || Ack(()))
}

/// Two nodes with a client each: the first in rooms `a` and `both`, the second in `b` and `both`.
async fn two() -> (Bus, Server, Server, Peer, Peer) {
    let bus = Bus::default();
    let (one, two) = (
        bus.node("one", namespace()).await,
        bus.node("two", namespace()).await,
    );
    let (a, b) = (one.joined().await, two.joined().await);
    let (x, y) = (
        one.io.of("/").socket(&a.sid).unwrap(),
        two.io.of("/").socket(&b.sid).unwrap(),
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
    // A socket's own broadcast spares it wherever the message goes.
    let x = one.io.of("/").socket(&a.sid).unwrap();
    x.to("both").emit("not to me", ()).unwrap();
    b.expect(r#"2["not to me"]"#).await;
    one.io.to(b.sid.as_str()).emit("by id", ()).unwrap();
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
            ..
        }) => assert_eq!(responses, [9]),
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
    found.sort_by_key(|socket| socket.id() == b.sid);
    assert_eq!([found[0].id(), found[1].id()], [&*a.sid, &*b.sid]);
    let remote = &found[1];
    let mut rooms = remote.rooms().to_vec();
    rooms.sort();
    let mut expected = vec!["b".to_owned(), "both".to_owned(), b.sid.clone()];
    expected.sort();
    assert_eq!(rooms, expected);
    assert_eq!(remote.data::<Value>().unwrap(), json!({"name": "Bea"}));
    assert_eq!(remote.handshake().address, "127.0.0.1");
    assert_eq!(remote.handshake().query["EIO"], "4");
    assert!(remote.handshake().headers.contains_key("sec-websocket-key"));
    assert_eq!(one.io.local().fetch_sockets().await.unwrap().len(), 1);
    assert_eq!(
        one.io.to("b").all_sockets().await.unwrap(),
        [b.sid.clone()].into()
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
            .socket(&b.sid)
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

#[cfg(feature = "macros")]
#[tokio::test]
async fn servers_talk_in_types() {
    use fanfare::typed::TypedServerEvent;
    use fanfare::{Contract, TypedEvent};
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

#[tokio::test(start_paused = true)]
async fn who_does_not_answer_is_waited_for_in_vain() {
    let bus = Bus::default();
    let one = bus.node("one", namespace()).await;
    bus.ghost();
    match one.io.fetch_sockets().await {
        Err(FetchSocketsError::Timeout {
            timeout,
            missing: 1,
        }) => {
            assert_eq!(timeout, Duration::from_secs(5));
        }
        other => panic!("{other:?}"),
    }
    let main = one.io.of("/");
    let answers = main.server_side_emit_with_ack::<u8>("ask", ()).await;
    assert!(matches!(
        answers,
        Err(ServerSideEmitError::Timeout { missing: 1, .. })
    ));
}

#[tokio::test]
async fn alone_there_is_nobody_else() {
    let server = Server::with(namespace()).await;
    let peer = server.joined().await;
    let found = server.io.fetch_sockets().await.unwrap();
    assert_eq!((found.len(), found[0].id()), (1, &*peer.sid));
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
        server.io.to(peer.sid.as_str()).disconnect_sockets(false);
    })
    .await;
    assert!(server.io.fetch_sockets().await.unwrap().is_empty());
}
