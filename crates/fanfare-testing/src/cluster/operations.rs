//! Operations of the API, each across the nodes.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use fanfare::ack::BroadcastAckError;
use fanfare::adapter::FetchSocketsError;
use serde_json::{Value, json};

use super::{Cluster, DYNAMIC, NODES, room};
use crate::{DEADLINE, Received, until, within};

/// Number of events of which the order is checked.
const ORDERED: usize = 500;
/// Timeout of the requests that are meant to reach it.
const SHORT: Duration = Duration::from_millis(500);

/// Selections of recipients.
pub(super) async fn broadcasts(cluster: &mut Cluster) {
    cluster.settled("the beginning").await;
    cluster.io(0).emit("everyone", 1).expect("sent");
    cluster.arrives(&[0, 1, 2], json!(["everyone", 1])).await;
    for from in 0..NODES {
        for to in 0..NODES {
            cluster
                .io(from)
                .to(room(to))
                .emit("room", to)
                .expect("sent");
            cluster.arrives(&[to], json!(["room", to])).await;
            let id = cluster.id(to);
            cluster.io(from).to(id).emit("id", to).expect("sent");
            cluster.arrives(&[to], json!(["id", to])).await;
        }
        let rooms = [room(0), "all".to_owned(), room(1), "none".to_owned()];
        let to = cluster.io(from).to(rooms.as_slice());
        to.emit("each once", ()).expect("sent");
        cluster.arrives(&[0, 1, 2], json!(["each once"])).await;
        let to = cluster.io(from).to("all").except(room(1));
        to.emit("except", ()).expect("sent");
        cluster.arrives(&[0, 2], json!(["except"])).await;
        let to = cluster.io(from).except([room(0), room(2)].as_slice());
        to.emit("except two", ()).expect("sent");
        cluster.arrives(&[1], json!(["except two"])).await;
        cluster.io(from).local().emit("local", ()).expect("sent");
        cluster.arrives(&[from], json!(["local"])).await;
        let to = cluster.io(from).to("none");
        to.emit("no recipients", ()).expect("sent");
        cluster.settled("no recipients").await;
        let socket = cluster.socket(from, &cluster.id(from));
        socket.to("all").emit("others", ()).expect("sent");
        let others: Vec<usize> = (0..NODES).filter(|node| *node != from).collect();
        cluster.arrives(&others, json!(["others"])).await;
        socket.broadcast().emit("not me", ()).expect("sent");
        cluster.arrives(&others, json!(["not me"])).await;
        let flags = cluster.io(from).volatile().compress(false);
        flags.emit("flags", ()).expect("sent");
        cluster.arrives(&[0, 1, 2], json!(["flags"])).await;
    }
}

/// Arguments of every kind.
pub(super) async fn values(cluster: &mut Cluster) {
    let value = json!([null, true, -1, 9_007_199_254_740_991_u64, 1.5, "\u{1f3ba}\u{0}\"\\", [], {}, {"k": [null]}]);
    for from in 0..NODES {
        cluster.io(from).emit("value", &value).expect("sent");
        cluster.arrives(&[0, 1, 2], json!(["value", value])).await;
        let odd = "a.b *>\u{1f3ba} '\"";
        cluster.io(from).to(odd).emit(odd, ()).expect("sent");
        let to = cluster.io(from).to([odd, "all"].as_slice());
        to.emit(odd, odd).expect("sent");
        cluster.arrives(&[0, 1, 2], json!([odd, odd])).await;

        let first = Bytes::from((0..=255).collect::<Vec<u8>>());
        let args = (first.clone(), 1, Bytes::new());
        cluster.io(from).emit("binary", args).expect("sent");
        let text = r#"52-["binary",{"_placeholder":true,"num":0},1,{"_placeholder":true,"num":1}]"#;
        for peer in &mut cluster.peers {
            peer.expect(text).await;
            assert_eq!(peer.next().await, Received::Binary(first.clone()));
            assert_eq!(peer.next().await, Received::Binary(Bytes::new()));
        }
        cluster.settled("binary").await;

        // Longer than a message of some brokers.
        let long = "x".repeat(300_000);
        cluster
            .io(from)
            .to(room(1))
            .emit("long", &long)
            .expect("sent");
        cluster.arrives(&[1], json!(["long", long])).await;
    }
    // A room whose name no subject or channel can contain unescaped.
    let odd = format!("a.b *>\u{1f3ba} '\"{}", "long".repeat(30));
    let id = cluster.id(1);
    cluster
        .socket(1, &id)
        .join(&odd)
        .expect("the rooms are few");
    cluster.reachable(&odd, &[1]).await;
    cluster.socket(1, &id).leave(&odd);
    cluster.io(0).to(&odd).emit("left", ()).expect("sent");
    cluster.settled("a room that was left").await;
}

/// Events of one node arrive in order, even if their recipients differ.
pub(super) async fn order(cluster: &mut Cluster) {
    let id = cluster.id(2);
    for number in 0..ORDERED {
        let io = cluster.io(0);
        let sent = match number % 5 {
            0 => io.emit("order", number),
            1 => io.to(room(2)).emit("order", number),
            2 => io.to(id.as_str()).emit("order", number),
            3 => io.to([room(2), room(1)].as_slice()).emit("order", number),
            _ => io.to("all").emit("order", number),
        };
        sent.expect("sent");
    }
    for number in 0..ORDERED {
        cluster.peers[2]
            .expect(&format!(r#"2["order",{number}]"#))
            .await;
    }
    for (client, kinds) in [(0, &[0, 4][..]), (1, &[0, 3, 4])] {
        for number in (0..ORDERED).filter(|number| kinds.contains(&(number % 5))) {
            cluster.peers[client]
                .expect(&format!(r#"2["order",{number}]"#))
                .await;
        }
    }
    cluster.settled("order").await;
}

/// Returns the id of the acknowledgement that a packet requests.
fn ack_id<'a>(packet: &'a str, event: &str) -> &'a str {
    let id = packet
        .strip_prefix('2')
        .and_then(|rest| rest.strip_suffix(event));
    id.filter(|id| !id.is_empty())
        .unwrap_or_else(|| panic!("expected {event} with an id, not {packet}"))
}

/// Acknowledgements of broadcasts.
pub(super) async fn acknowledgements(cluster: &mut Cluster) {
    for from in 0..NODES {
        let asking = cluster.io(from).timeout(DEADLINE);
        let answers = asking.emit_with_ack::<Value>("ask", from);
        for node in 0..NODES {
            let packet = cluster.peers[node].text().await;
            let id = ack_id(&packet, &json!(["ask", from]).to_string()).to_owned();
            let answer = json!([{"from": node, "text": "\u{1f3ba}"}]);
            cluster.peers[node].send(&format!("3{id}{answer}")).await;
        }
        let answers = within("the answers", answers).await;
        let answers = answers.unwrap_or_else(|error| panic!("not all answered: {error}"));
        let nodes: BTreeSet<u64> = answers
            .iter()
            .filter_map(|answer| answer["from"].as_u64())
            .collect();
        assert_eq!((answers.len(), nodes), (NODES, (0..NODES as u64).collect()));

        // Of another node, with a binary answer.
        let other = (from + 1) % NODES;
        let asking = cluster.io(from).to(room(other)).timeout(DEADLINE);
        let answers = asking.emit_with_ack::<Bytes>("binary?", ());
        let packet = cluster.peers[other].text().await;
        let id = ack_id(&packet, r#"["binary?"]"#).to_owned();
        let peer = &mut cluster.peers[other];
        peer.send(&format!(r#"61-{id}[{{"_placeholder":true,"num":0}}]"#))
            .await;
        peer.send_binary(&b"\0\xff"[..]).await;
        let answers = within("the binary answer", answers).await;
        assert_eq!(
            answers.ok().as_deref(),
            Some(&[Bytes::from_static(b"\0\xff")][..])
        );

        let nothing = cluster.io(from).to("none").emit_with_ack::<u8>("ask", ());
        assert_eq!(within("no answers", nothing).await.ok(), Some(Vec::new()));

        // One client does not answer.
        let answers = cluster
            .io(from)
            .timeout(SHORT)
            .emit_with_ack::<usize>("one?", ());
        for node in 0..NODES {
            let packet = cluster.peers[node].text().await;
            let id = ack_id(&packet, r#"["one?"]"#).to_owned();
            if node == other {
                cluster.peers[node].send(&format!("3{id}[{node}]")).await;
            }
        }
        match within("the timeout", answers).await {
            Err(BroadcastAckError::Timeout {
                responses, missing, ..
            }) => {
                assert_eq!((responses, missing), (vec![other], NODES - 1));
            }
            result => panic!("expected a timeout, not {result:?}"),
        }
    }
    cluster.settled("acknowledgements").await;
}

fn ids(sockets: &[fanfare::adapter::RemoteSocket]) -> BTreeSet<String> {
    sockets
        .iter()
        .map(|socket| socket.id().to_owned())
        .collect()
}

/// Sockets of all nodes.
pub(super) async fn sockets(cluster: &mut Cluster) {
    let all: BTreeSet<String> = (0..NODES).map(|node| cluster.id(node)).collect();
    for from in 0..NODES {
        let found = within("the sockets", cluster.io(from).fetch_sockets()).await;
        let found = found.unwrap_or_else(|error| panic!("not all answered: {error}"));
        assert_eq!(ids(&found), all);
        for socket in &found {
            let node = (0..NODES).find(|node| cluster.id(*node) == socket.id());
            let node = node.expect("it is one of the clients");
            let rooms: BTreeSet<String> = socket.rooms().iter().cloned().collect();
            assert_eq!(
                rooms,
                [cluster.id(node), room(node), "all".to_owned()].into()
            );
            let data: Value = socket.data().expect("the data is JSON");
            assert_eq!(data, json!({"node": node, "text": "\u{1f3ba}"}));
            let handshake = socket.handshake();
            assert_eq!(handshake.query()["EIO"], "4");
            assert!(handshake.headers().contains_key("sec-websocket-key"));
            assert!(handshake.url().starts_with("/socket.io/?"));
            assert!(handshake.issued() > 1_500_000_000_000);
        }
        for (rooms, except, expected) in [
            (vec![room(1)], vec![], vec![1]),
            (vec![room(0), room(2)], vec![], vec![0, 2]),
            (
                vec!["all".to_owned()],
                vec![room(from)],
                (0..NODES).filter(|n| *n != from).collect(),
            ),
            (vec!["none".to_owned()], vec![], vec![]),
        ] {
            let operator = cluster
                .io(from)
                .to(rooms.as_slice())
                .except(except.as_slice());
            let found = within("the sockets of rooms", operator.fetch_sockets()).await;
            let expected = expected.into_iter().map(|node| cluster.id(node)).collect();
            assert_eq!(found.map(|found| ids(&found)).ok(), Some(expected));
        }
        let here = within("the sockets here", cluster.io(from).local().fetch_sockets()).await;
        assert_eq!(
            here.map(|found| ids(&found)).ok(),
            Some([cluster.id(from)].into())
        );
    }
    cluster.settled("sockets").await;
}

/// The answer of a node may be longer than a message of the broker.
pub(super) async fn large_answers(cluster: &mut Cluster) {
    let id = cluster.id(1);
    let socket = cluster.socket(1, &id);
    let text = "x".repeat(2 << 20);
    socket
        .set_data(&json!({"text": text}))
        .expect("the data is JSON");
    let found = within("a large answer", cluster.io(0).to(room(1)).fetch_sockets()).await;
    let found = found.unwrap_or_else(|error| panic!("the large answer did not arrive: {error}"));
    assert_eq!(found.len(), 1);
    let data: Value = found[0].data().expect("the data is JSON");
    assert_eq!(data["text"].as_str().map(str::len), Some(text.len()));
    socket
        .set_data(&json!({"node": 1}))
        .expect("the data is JSON");
    cluster.settled("large answers").await;
}

/// Rooms of remote sockets.
pub(super) async fn rooms(cluster: &mut Cluster) {
    for from in 0..NODES {
        let name = format!("joined-from-{from}");
        cluster.io(from).to("all").sockets_join(name.as_str());
        // Sent with the request: no other node has subscribed to the room yet.
        let to = cluster.io(from).to(name.as_str());
        to.emit("welcome", from).expect("sent");
        cluster.arrives(&[0, 1, 2], json!(["welcome", from])).await;
        for node in 0..NODES {
            let socket = cluster.socket(node, &cluster.id(node));
            until("the socket joins", || socket.rooms().contains(&name)).await;
        }
        cluster.reachable(&name, &[0, 1, 2]).await;
        let other = (from + 1) % NODES;
        cluster
            .io(from)
            .to(room(other))
            .sockets_leave([name.as_str(), "none"]);
        let socket = cluster.socket(other, &cluster.id(other));
        until("the socket leaves", || !socket.rooms().contains(&name)).await;
        cluster
            .io(from)
            .to(name.as_str())
            .emit("who stayed", ())
            .expect("sent");
        let stayed: Vec<usize> = (0..NODES).filter(|node| *node != other).collect();
        cluster.arrives(&stayed, json!(["who stayed"])).await;

        // Through a remote socket.
        let found = within(
            "the socket",
            cluster.io(from).to(room(other)).fetch_sockets(),
        )
        .await;
        let remote = found.ok().and_then(|found| found.into_iter().next());
        let remote = remote.expect("the socket is found");
        remote.emit("to you", ()).expect("sent");
        cluster.arrives(&[other], json!(["to you"])).await;
        remote.join("own");
        until("the socket joins", || {
            socket.rooms().contains(&"own".to_owned())
        })
        .await;
        remote.leave("own");
        until("the socket leaves", || {
            !socket.rooms().contains(&"own".to_owned())
        })
        .await;
        let answer = remote.timeout(DEADLINE).emit_with_ack::<u8>("name?", ());
        let packet = cluster.peers[other].text().await;
        let id = ack_id(&packet, r#"["name?"]"#).to_owned();
        cluster.peers[other].send(&format!("3{id}[7]")).await;
        assert_eq!(within("the answer", answer).await.ok(), Some(7));
        cluster.io(from).sockets_leave(name.as_str());
        for node in 0..NODES {
            let socket = cluster.socket(node, &cluster.id(node));
            until("the socket leaves", || !socket.rooms().contains(&name)).await;
        }
    }
    cluster.settled("rooms").await;
}

/// Events between servers.
pub(super) async fn server_events(cluster: &mut Cluster) {
    for from in 0..NODES {
        let others: Vec<usize> = (0..NODES).filter(|node| *node != from).collect();
        let told = cluster
            .io(from)
            .server_side_emit("tell", (1, "\u{1f3ba}", [(); 1]));
        told.expect("sent");
        for &other in &others {
            cluster.peers[other]
                .expect("2[\"told\",1,\"\u{1f3ba}\",[null]]")
                .await;
        }
        cluster.settled("an event between servers").await;
        let asking = cluster.io(from).of("/");
        let answers = asking.server_side_emit_with_ack::<usize>("ask", 10);
        let answers = within("the answers of servers", answers).await;
        let mut answers = answers.unwrap_or_else(|error| panic!("not all answered: {error}"));
        answers.sort_unstable();
        let expected: Vec<usize> = others.iter().map(|node| 10 + node).collect();
        assert_eq!(answers, expected);
    }
    cluster.settled("events between servers").await;
}

/// A namespace that clients create.
pub(super) async fn dynamic_namespaces(cluster: &mut Cluster) {
    let mut peers = Vec::new();
    for server in &cluster.nodes {
        let mut peer = server.peer().await;
        peer.join(DYNAMIC).await;
        peers.push(peer);
    }
    cluster.meet(DYNAMIC, NODES).await;
    for from in 0..NODES {
        // The adapter may take a moment to subscribe to the channels of the namespace.
        for (node, peer) in peers.iter_mut().enumerate() {
            let what = "a broadcast in a dynamic namespace";
            within(what, async {
                loop {
                    let namespace = cluster.io(from).of(DYNAMIC);
                    namespace.to(peer.sid()).emit("here", node).expect("sent");
                    let arrived = tokio::time::timeout(SHORT, peer.text()).await;
                    if let Ok(text) = arrived {
                        assert_eq!(text, format!(r#"2{DYNAMIC},["here",{node}]"#));
                        break;
                    }
                }
            })
            .await;
        }
        cluster
            .io(from)
            .of(DYNAMIC)
            .emit("everyone", from)
            .expect("sent");
        for peer in &mut peers {
            while peer.text().await != format!(r#"2{DYNAMIC},["everyone",{from}]"#) {}
        }
        let found = within("its sockets", cluster.io(from).of(DYNAMIC).fetch_sockets()).await;
        assert_eq!(found.map(|found| found.len()).ok(), Some(NODES));
    }
    cluster.settled("nothing leaks from a namespace").await;
    for peer in peers {
        peer.close().await;
    }
}

/// Remote sockets are disconnected.
pub(super) async fn disconnections(cluster: &mut Cluster) {
    for close in [false, true] {
        let mut extra = cluster.nodes[2].peer().await;
        extra.join("/").await;
        let id = extra.sid().to_owned();
        let socket = cluster.socket(2, &id);
        socket.join("extra").expect("the rooms are few");
        within("the disconnection", async {
            while socket.is_connected() {
                // Repeated, as the adapter may not have subscribed to the room yet.
                cluster.io(0).to("extra").disconnect_sockets(close);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        extra.expect("1").await;
        if close {
            extra.until_closed().await;
        }
    }
    cluster.settled("disconnections").await;
}

/// A node that closes is not waited for.
pub(super) async fn a_node_that_leaves(mut cluster: Cluster) {
    let node = cluster.nodes.remove(2);
    cluster.peers.remove(2);
    within("a node closes", node.io().close()).await;
    cluster.meet("/", NODES - 1).await;
    for from in 0..NODES - 1 {
        let found = within("the sockets", cluster.io(from).fetch_sockets()).await;
        match found {
            Ok(found) => assert_eq!(found.len(), NODES - 1),
            Err(FetchSocketsError::Timeout { missing, .. }) => panic!("waited for {missing}"),
            Err(error) => panic!("{error}"),
        }
        cluster.io(from).emit("still here", from).expect("sent");
        cluster.arrives(&[0, 1], json!(["still here", from])).await;
    }
    for server in &cluster.nodes {
        within("a node closes", server.io().close()).await;
    }
}
