//! Bounds that a client or an application runs into: an error with the limit, a count by its cause, and life goes on.

use fanfare::{Ack, Data, Limits, Namespace, Socket, SocketIo};

use crate::recorder::Sums;
use crate::support::{Server, until};
use crate::{assert_served, echo};

#[tokio::test]
async fn auth_that_is_too_long() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    let mut peer = server.peer().await;
    let auth = |len: usize| format!(r#"0{{"t":"{}"}}"#, "x".repeat(len - 8));
    peer.send(&auth(64 * 1024 + 1)).await;
    peer.expect(r#"4{"message":"auth is too long: 65537 bytes, the limit is 65536"}"#)
        .await;
    assert_eq!(sums.get("fanfare_refused_total{cause=auth_too_long}"), 1.0);
    peer.send(&auth(64 * 1024)).await;
    assert!(peer.text().await.starts_with(r#"0{"sid""#));
    assert_served(&mut peer).await;
}

#[tokio::test]
async fn too_many_dynamic_namespaces() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let mut limits = Limits::default();
    limits.max_dynamic_namespaces = 3;
    let builder = SocketIo::builder()
        .namespace(echo())
        .namespace(Namespace::pattern("/n-{id}"))
        .limits(limits);
    let server = Server::start(builder).await;
    let (mut a, mut b) = (server.joined().await, server.joined().await);
    for n in 0..3 {
        a.join(&format!("/n-{n}")).await;
    }
    b.join("/n-0").await; // one that exists is no new one
    b.send("0/n-3,").await;
    b.expect(r#"4/n-3,{"message":"too many namespaces"}"#).await;
    assert_eq!(
        sums.get("fanfare_refused_total{cause=too_many_namespaces}"),
        1.0
    );
    a.send("1/n-1,").await;
    until("one is gone", || server.io.namespaces().len() == 3).await;
    b.join("/n-3").await;
    assert_served(&mut b).await;
}

#[tokio::test]
async fn rooms_are_bounded_in_number_and_length() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let mut limits = Limits::default();
    limits.max_rooms_per_socket = 10;
    let namespace = echo().on("join", async |socket: Socket, Data(room): Data<String>| {
        socket.join(room);
        Ack(socket.rooms().len() - 1)
    });
    let server = Server::start(SocketIo::builder().namespace(namespace).limits(limits)).await;
    let mut peer = server.joined().await;
    let long = "r".repeat(1025);
    peer.send(&format!(r#"21["join","{long}"]"#)).await;
    peer.expect("31[0]").await;
    peer.send(&format!(r#"21["join","{}"]"#, &long[1..])).await;
    peer.expect("31[1]").await;
    assert_eq!(sums.get("fanfare_refused_total{cause=room_too_long}"), 1.0);
    for n in 2..15 {
        peer.send(&format!(r#"21["join","{n}"]"#)).await;
        peer.expect(&format!("31[{}]", n.min(10))).await;
    }
    assert_eq!(sums.get("fanfare_refused_total{cause=too_many_rooms}"), 4.0);
    assert_eq!(server.io.of("/").rooms().len(), 10);
}

#[tokio::test]
async fn rooms_joined_in_a_middleware_are_bounded_as_well() {
    let mut limits = Limits::default();
    limits.max_rooms_per_socket = 10;
    let namespace = echo().middleware(async |socket: Socket| {
        for n in 0..1000 {
            socket.join(format!("{}", n / 2)); // each twice
        }
        Ok::<_, fanfare::ConnectError>(())
    });
    let server = Server::start(SocketIo::builder().namespace(namespace).limits(limits)).await;
    let _peer = server.joined().await;
    assert_eq!(server.io.of("/").sockets()[0].rooms().len(), 11);
}

#[tokio::test]
async fn ten_thousand_rooms_are_joined_and_left_in_no_time_for_the_others() {
    let namespace = echo().on("join", async |socket: Socket, Data(from): Data<u32>| {
        for n in from..from + 1000 {
            socket.join(n.to_string());
        }
        Ack(())
    });
    let server = Server::start(SocketIo::builder().namespace(namespace)).await;
    let mut other = server.joined().await;
    let mut peer = server.joined().await;
    for n in 0..10 {
        peer.send(&format!(r#"21["join",{}]"#, n * 1000)).await;
        peer.expect("31[]").await;
    }
    assert_eq!(server.io.of("/").rooms().len(), 10_000);
    peer.vanish();
    assert_served(&mut other).await;
    until("all rooms are gone", || {
        server.io.of("/").rooms().is_empty()
    })
    .await;
}
