//! Every operation across nodes, and what a node receives.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use fanfare_nats::JetStream;
use fanfare_testing::{until, within};
use support::{Nats, Node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_works_across_nodes() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let connect = async || nats.builder().prefix("every").adapter().unwrap();
    fanfare_testing::cluster::exercise(connect).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_works_with_a_log() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    fanfare_testing::cluster::exercise(async || {
        let builder = nats.builder().jetstream(JetStream::new());
        builder.adapter().unwrap()
    })
    .await;
}

/// A room that has no members here costs this node nothing, and a room that closed is no longer subscribed.
#[tokio::test]
async fn a_node_receives_only_what_has_recipients_there() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let mut one = Node::start(nats.builder().name("one")).await;
    let two = Node::start(nats.builder().name("two")).await;
    one.sees(2).await;
    two.sees(2).await;
    let socket = two.server.io().of("/").socket(two.client.sid()).unwrap();
    socket.join("elsewhere").unwrap();
    let messages = async |name| nats.connection(name).await["out_msgs"].as_u64().unwrap();
    let subscriptions = async |name| {
        nats.connection(name).await["subscriptions"]
            .as_u64()
            .unwrap()
    };
    let before = messages("two").await;
    socket.leave("room");
    within("the end of the subscription", async {
        // Inbox, heartbeats, requests, answers, the namespace, its room and that of the socket's id.
        while subscriptions("two").await != 7 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    for _ in 0..1000 {
        one.send();
    }
    for number in 1..=1000 {
        assert_eq!(one.number().await, number);
    }
    // A message after those, which arrives after them.
    one.server.io().emit("number", 7).unwrap();
    let mut client = two.client;
    assert_eq!(support::number(&client.text().await), 7);
    let received = messages("two").await - before;
    assert!(
        received < 100,
        "{received} messages: heartbeats and one event"
    );

    client.close().await;
    within("the end of the client's subscriptions", async {
        while subscriptions("two").await != 5 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Messages that are not of the cluster, or not valid, are ignored.
#[tokio::test]
async fn rubbish_is_ignored() {
    use tokio::io::AsyncWriteExt;

    let Some(nats) = Nats::start().await else {
        return;
    };
    let mut one = Node::start(nats.builder()).await;
    let mut two = Node::start(nats.builder()).await;
    one.sees(2).await;
    two.sees(2).await;
    let mut raw = nats.raw().await;
    let own = format!("node.{}", two.adapter.node_id());
    for subject in [
        "heartbeat",
        "requests",
        own.as_str(),
        "ns.=2F.all",
        "ns.=2F.room.room",
    ] {
        for payload in [
            "",
            "{",
            "\u{1f3ba}",
            "[1,2]",
            r#"{"id":1}"#,
            r#"{"type":3,"uid":"x","nsp":"/"}"#,
            r#"{"type":3,"data":{"packet":{"type":2,"data":[]},"opts":{"rooms":[]}},"uid":"x","nsp":"/"}"#,
            r#"{"type":99,"data":[[[[]]]],"uid":"x","nsp":"/none"}"#,
            r#"{"type":11,"data":{"requestId":"x","clientCount":18446744073709551615},"uid":"x","nsp":"/"}"#,
            r#"{"type":7,"data":{"opts":{"rooms":[],"except":[]},"requestId":"r"},"uid":"emitter","nsp":"/"}"#,
        ] {
            let headers = "NATS/1.0\r\nFanfare-Part: a 0 9999999\r\n\r\n";
            let message = format!(
                "PUB fanfare.default.v1.{subject} {}\r\n{payload}\r\n\
                 HPUB fanfare.default.v1.{subject} {} {}\r\n{headers}{payload}\r\n",
                payload.len(),
                headers.len(),
                payload.len() + headers.len(),
            );
            raw.write_all(message.as_bytes()).await.unwrap();
        }
    }
    raw.write_all(b"PUB fanfare.default.v1.ns.=2F.all 4\r\nlast\r\n")
        .await
        .unwrap();
    one.send();
    assert_eq!(two.number().await, 1);
    assert!(two.adapter.health().is_ready());

    // The node reports another node that claims its id.
    let heartbeat = format!(r#"{{"id":"{}"}}"#, two.adapter.node_id());
    let message = format!(
        "PUB fanfare.default.v1.heartbeat {}\r\n{heartbeat}\r\n",
        heartbeat.len()
    );
    raw.write_all(message.as_bytes()).await.unwrap();
    until("the collision is seen", || {
        two.adapter.health().label() == "degraded"
    })
    .await;
}

/// An emitter reaches the clients of all nodes, with a log and without, and reports whether it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emitter_drives_the_cluster() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    for logged in [false, true] {
        let options = || {
            let options = nats
                .builder()
                .prefix(if logged { "logged" } else { "plain" });
            let options = options.max_outage(std::time::Duration::from_millis(100));
            match logged {
                true => options.jetstream(JetStream::new()),
                false => options,
            }
        };
        let (mut one, mut two) = (Node::start(options()).await, Node::start(options()).await);
        one.sees(2).await;
        one.adapter.ready().await;
        two.adapter.ready().await;
        let emitter = options().emitter().unwrap();
        emitter.to("room").emit("number", 1).unwrap();
        emitter.emit("number", 2).unwrap();
        emitter.of("other").emit("number", 3).unwrap();
        emitter
            .to("room")
            .except(one.client.sid())
            .emit("number", 4)
            .unwrap();
        emitter.to(one.client.sid()).sockets_join("new").unwrap();
        emitter.to("new").to("room").emit("number", 5).unwrap();
        within("the flush", emitter.flush()).await.unwrap();
        for (node, numbers) in [(&mut one, &[1, 2, 5][..]), (&mut two, &[1, 2, 4, 5])] {
            for number in numbers {
                assert_eq!(node.number().await, *number);
            }
        }
        let found = one.server.io().to("new").fetch_sockets().await.unwrap();
        assert_eq!(found.len(), 1);
        if logged {
            nats.kill();
            until("the failure", || emitter.emit("number", 6).is_err()).await;
            assert!(within("the flush", emitter.flush()).await.is_err());
        }
    }
}
