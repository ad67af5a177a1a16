//! Every operation across nodes, the table, and messages of Node.js.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use fanfare_testing::{Received, until, within};
use support::{Node, Postgres};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_works_across_nodes() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let connect = async || postgres.builder().adapter().unwrap();
    fanfare_testing::cluster::exercise(connect).await;
}

/// Equal events that are emitted at once all arrive, although PostgreSQL drops equal notifications of one transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_events_all_arrive() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let one = Node::start(postgres.builder()).await;
    let mut two = Node::start(postgres.builder()).await;
    one.sees(2).await;
    for _ in 0..100 {
        one.server.io().emit("same", ()).unwrap();
    }
    one.server.io().emit("last", ()).unwrap();
    for _ in 0..100 {
        two.client.expect(r#"2["same"]"#).await;
    }
    two.client.expect(r#"2["last"]"#).await;
}

/// Node's emitter names no namespace: the channel determines it. Rows of other nodes are read, and old rows are
/// deleted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_node_are_understood() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let builder = postgres.builder().cleanup_interval(Duration::from_secs(1));
    let mut node = Node::start(builder).await;
    node.adapter.ready().await;
    let client = postgres.client().await;
    let notify = async |payload: &str| {
        let sql = "SELECT pg_notify('socket.io#/', $1)";
        client.execute(sql, &[&payload]).await.unwrap();
    };
    for rubbish in [
        "",
        "{",
        "[]",
        r#"{"uid":"x","type":3,"attachmentId":"99999"}"#,
        r#"{"uid":"x","type":3,"attachmentId":"no"}"#,
        r#"{"uid":"x","type":3,"attachmentId":99}"#,
        r#"{"uid":"x","type":7,"nsp":"/other"}"#,
        r#"{"type":11,"uid":"x","data":{"requestId":"?","clientCount":99999999999}}"#,
    ] {
        notify(rubbish).await;
    }
    notify(r#"{"uid":"emitter","type":3,"data":{"packet":{"type":2,"data":["hello",1],"nsp":"/"},"opts":{"rooms":["room"],"except":[],"flags":{}}}}"#).await;
    node.client.expect(r#"2["hello",1]"#).await;
    let message = b"\x84\xa4type\x03\xa4data\x82\xa6packet\x82\xa4type\x02\xa4data\x92\xa3bin\xc4\x02\x00\xff\
        \xa4opts\x83\xa5rooms\x90\xa6except\x90\xa5flags\x80\xa3uid\xa20f\xa3nsp\xa1/";
    let insert = "INSERT INTO socket_io_attachments (payload) VALUES ($1) RETURNING id";
    let row = client.query_one(insert, &[&&message[..]]).await.unwrap();
    let id: i64 = row.get(0);
    notify(&format!(r#"{{"uid":"0f","type":3,"attachmentId":"{id}"}}"#)).await;
    node.client
        .expect(r#"51-["bin",{"_placeholder":true,"num":0}]"#)
        .await;
    assert_eq!(
        node.client.next().await,
        Received::Binary(Bytes::from_static(b"\0\xff"))
    );
    within("the row is deleted", async {
        let count = "SELECT count(*) FROM socket_io_attachments";
        while client.query_one(count, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

/// PostgreSQL truncates longer names of channels, so that two namespaces would share one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_is_too_long_is_named() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let long = postgres.builder().channel_prefix("x".repeat(62));
    let node = Node::start(long).await;
    until("the limitation", || {
        let health = node.adapter.health().to_string();
        health.contains("longer than 63 bytes")
    })
    .await;
    assert_eq!(node.adapter.health().label(), "degraded");
    let fits = Node::start(postgres.builder().channel_prefix("x".repeat(61))).await;
    fits.adapter.ready().await;
    assert_eq!(fits.adapter.health().label(), "up");
}

/// An emitter reaches the clients of all nodes, and reports whether it did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emitter_drives_the_cluster() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let options = || postgres.builder().max_outage(Duration::from_millis(100));
    let (mut one, mut two) = (Node::start(options()).await, Node::start(options()).await);
    one.sees(2).await;
    two.adapter.ready().await;
    let emitter = options().emitter().unwrap();
    emitter.to("room").emit("number", 1).unwrap();
    let long = "x".repeat(10_000);
    emitter.to("room").emit("number", (2, &long)).unwrap();
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
    postgres.kill();
    until("the failure", || emitter.emit("number", 6).is_err()).await;
    assert!(within("the flush", emitter.flush()).await.is_err());
}
