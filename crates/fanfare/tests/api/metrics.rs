//! Metrics of the server.

use std::sync::atomic::Ordering;

use fanfare::limits::SlowConsumer;
use fanfare::{Ack, Limits, Namespace, Socket, SocketIo};
use tokio::net::TcpStream;

use crate::bus::{Bus, State};
use crate::recorder::Sums;
use crate::support::{Server, until};
use crate::time::{ask, polling};

// Tests run on a runtime of one thread, which a local recorder requires.

#[tokio::test]
async fn connections_events_and_bytes_are_counted() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let server = Server::with(
        Namespace::new("/chat")
            .on("echo", async |socket: Socket| {
                socket.emit("echo", "x").unwrap();
                Ack(())
            })
            .on("panics", async |n: Option<fanfare::Data<u32>>| {
                assert!(n.is_some(), "as expected");
            })
            .on("typed", async |_: fanfare::Data<u32>| {}),
    )
    .await;
    let mut a = server.peer().await;
    a.join("/chat").await;
    let mut b = server.peer().await;
    b.join("/chat").await;

    a.send(r#"2/chat,1["echo"]"#).await;
    a.expect(r#"2/chat,["echo","x"]"#).await;
    a.expect("3/chat,1[]").await;
    server.io.of("/chat").emit("all", 1).unwrap();
    a.expect(r#"2/chat,["all",1]"#).await;
    b.expect(r#"2/chat,["all",1]"#).await;
    a.send(r#"2/chat,["panics"]"#).await;
    a.send(r#"2/chat,2["typed","no number"]"#).await;
    assert!(a.text().await.starts_with("3/chat,2[{\"error\""));

    server.io.publish_metrics();
    let connections = "fanfare_connections{protocol=4,transport=websocket}";
    assert_eq!(sums.get(connections), 2.0);
    assert_eq!(sums.get("fanfare_sockets{namespace=/chat}"), 2.0);
    assert_eq!(
        sums.get("fanfare_events_received_total{namespace=/chat}"),
        3.0
    );
    assert_eq!(sums.get("fanfare_events_sent_total{namespace=/chat}"), 3.0);
    assert_eq!(sums.get("fanfare_handler_panics_total{}"), 1.0);
    assert_eq!(sums.get("fanfare_events_rejected_total{reason=args}"), 1.0);
    assert!(sums.get("fanfare_received_bytes_total{}") > 60.0);
    assert!(sums.get("fanfare_sent_bytes_total{namespace=/chat}") > 50.0);
    let stats = server.io.stats();
    assert_eq!((stats.websocket, stats.opened, stats.closed), (2, 2, 0));
    assert_eq!((stats.events_in, stats.events_out, stats.panics), (3, 3, 1));

    b.vanish();
    until("one is gone", || server.io.stats().closed == 1).await;
    // A second publication adds nothing that the first has already added.
    server.io.publish_metrics();
    server.io.publish_metrics();
    assert_eq!(sums.get(connections), 1.0);
    assert_eq!(sums.get("fanfare_sockets{namespace=/chat}"), 1.0);
    assert_eq!(
        sums.get("fanfare_events_received_total{namespace=/chat}"),
        3.0
    );
    let closed: f64 = sums
        .all()
        .iter()
        .filter(|(key, _)| key.starts_with("fanfare_connections_closed_total"))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(closed, 1.0);
}

#[tokio::test]
async fn acknowledgements_are_measured() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    let answered = socket.emit_with_ack::<u32>("q", ());
    peer.expect(r#"20["q"]"#).await;
    peer.send("30[7]").await;
    assert_eq!(answered.await.unwrap(), 7);
    let late = socket
        .timeout(std::time::Duration::from_millis(1))
        .emit_with_ack::<u32>("q", ());
    assert!(late.await.is_err());
    assert_eq!(sums.get("fanfare_ack_seconds{}"), 1.0);
    assert_eq!(sums.get("fanfare_acks_total{outcome=answered}"), 1.0);
    assert_eq!(sums.get("fanfare_acks_total{outcome=timeout}"), 1.0);
}

#[tokio::test]
async fn answers_that_a_full_outbox_drops_are_counted() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let mut limits = Limits::default();
    (limits.outbox_packets, limits.burst_packets) = (2, 2);
    let namespace = Namespace::new("/").on("ask", async || Ack("answer"));
    let builder = SocketIo::builder()
        .limits(limits)
        .engine(|config| config.slow_consumer = SlowConsumer::DropNewest)
        .namespace(namespace);
    let server = Server::start(builder).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let path = polling(&mut stream).await;
    let events: Vec<String> = (0..5).map(|id| format!("42{id}[\"ask\"]")).collect();
    let posted = ask(&mut stream, &format!("POST {path}"), &events.join("\u{1e}")).await;
    assert_eq!(posted, "ok");
    until("all were answered", || server.io.stats().events_in == 5).await;
    until("three did not fit", || {
        sums.get("fanfare_outbox_full_total{}") == 3.0
    })
    .await;
    let answers = ask(&mut stream, &format!("GET {path}"), "").await;
    assert_eq!(answers, "430[\"answer\"]\u{1e}431[\"answer\"]");
}

#[tokio::test]
async fn namespaces_that_clients_name_make_no_labels() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let server = Server::with(Namespace::pattern("/order-{id}")).await;
    for n in 0..80 {
        server.io.of(&format!("/made-{n}"));
    }
    let mut peer = server.peer().await;
    for n in 0..3 {
        peer.join(&format!("/order-{n}")).await;
        peer.send(&format!(r#"2/order-{n},["x"]"#)).await;
    }
    peer.join("/made-79").await;
    peer.send(r#"2/made-79,["x"]"#).await;
    until("all have arrived", || server.io.stats().events_in == 4).await;
    server.io.publish_metrics();
    assert_eq!(
        sums.get("fanfare_events_received_total{namespace=/order-{id}}"),
        3.0
    );
    assert_eq!(
        sums.get("fanfare_events_received_total{namespace=other}"),
        1.0
    );
    let labels = sums
        .all()
        .keys()
        .filter(|key| key.starts_with("fanfare_events_received_total"))
        .count();
    assert_eq!(labels, 65);
}

#[tokio::test]
async fn what_is_malformed_is_counted_by_kind() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let server = Server::start(SocketIo::builder()).await;
    for (packet, kind) in [
        ("9", "unknown_packet_type"),
        ("2[\"a\"", "invalid_json"),
        ("2[\"connect\"]", "reserved_event"),
        ("51[\"a\"]", "illegal_attachments"),
        ("599-[\"a\"]", "too_many_attachments"),
    ] {
        let mut peer = server.joined().await;
        peer.send(packet).await;
        peer.until_closed().await;
        let key = format!("fanfare_malformed_packets_total{{kind={kind}}}");
        assert_eq!(sums.get(&key), 1.0, "{packet}: {:?}", sums.all());
    }
    assert_eq!(sums.get("fanfare_rejected_total{cause=malformed}"), 5.0);
}

#[tokio::test]
async fn messages_between_servers_are_counted_by_kind() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let bus = Bus::default();
    let builder = SocketIo::builder().namespace(Namespace::new("/"));
    let (one, state) = bus.start("one", builder, State::default()).await;
    let two = bus.node("two", Namespace::new("/")).await;
    one.io.emit("a", ()).unwrap();
    one.io.sockets_join("r");
    assert_eq!(one.io.fetch_sockets().await.unwrap().len(), 0);
    one.io.publish_metrics();
    two.io.publish_metrics();
    let sent = |kind: &str| {
        sums.get(&format!(
            "fanfare_cluster_messages_sent_total{{kind={kind}}}"
        ))
    };
    let received = |kind: &str| {
        sums.get(&format!(
            "fanfare_cluster_messages_received_total{{kind={kind}}}"
        ))
    };
    for kind in ["broadcast", "join", "fetch", "answer"] {
        assert_eq!((sent(kind), received(kind)), (1.0, 1.0), "{kind}");
    }
    assert_eq!(sums.get("fanfare_cluster_health{state=up}"), 2.0);
    assert_eq!(sums.get("fanfare_cluster_requests_pending{}"), 0.0);

    state.broken.store(true, Ordering::Relaxed);
    assert!(one.io.fetch_sockets().await.is_err());
    one.io.publish_metrics();
    assert_eq!(sums.get("fanfare_cluster_health{state=up}"), 1.0);
    assert_eq!(sums.get("fanfare_cluster_health{state=down}"), 1.0);
    assert_eq!(sums.get("fanfare_cluster_requests_incomplete_total{}"), 1.0);
}
