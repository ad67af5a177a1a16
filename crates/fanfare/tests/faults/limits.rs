//! Limits that a client or an application reaches: an error with the limit, a count by its cause, and no further
//! effect.

use fanfare::ack::BroadcastAckError;
use fanfare::adapter::FetchSocketsError;
use fanfare::broadcast::TooManyRooms;
use fanfare::{Ack, Data, EmitError, JoinError, Limits, Namespace, Socket, SocketIo};

use crate::recorder::Sums;
use crate::support::{Peer, Server, until};
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
    assert_eq!(sums.get("fanfare_rejected_total{cause=auth_too_long}"), 1.0);
    peer.send(&auth(64 * 1024)).await;
    assert!(peer.text().await.starts_with(r#"0{"sid""#));
    assert_served(&mut peer).await;
}

#[tokio::test]
async fn too_many_dynamic_namespaces() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let mut limits = Limits::default();
    limits.max_dynamic_namespaces = 5; // of which one address gets 3
    let builder = SocketIo::builder()
        .namespace(echo())
        .namespace(Namespace::pattern("/n-{id}"))
        .limits(limits);
    let server = Server::start(builder).await;
    let (mut a, mut b) = (server.joined().await, server.joined().await);
    for n in 0..3 {
        a.join(&format!("/n-{n}")).await;
    }
    b.join("/n-0").await; // an existing one is not new
    b.send("0/n-3,").await;
    b.expect(r#"4/n-3,{"message":"too many namespaces"}"#).await;
    assert_eq!(
        sums.get("fanfare_rejected_total{cause=too_many_namespaces}"),
        1.0
    );
    a.send("1/n-1,").await;
    until("one is gone", || server.io.namespaces().len() == 3).await;
    b.join("/n-3").await;
    assert_served(&mut b).await;
}

#[tokio::test]
async fn one_address_does_not_use_up_the_dynamic_namespaces() {
    let mut limits = Limits::default();
    limits.max_dynamic_namespaces = 20;
    let builder = SocketIo::builder()
        .namespace(echo())
        .namespace(Namespace::pattern("/n-{id}"))
        .limits(limits);
    let server = Server::start(builder).await;
    let mut greedy = server.joined().await;
    let mut made = 0;
    for n in 0..20 {
        greedy.send(&format!("0/n-{n},")).await;
        made += usize::from(greedy.text().await.starts_with('0'));
    }
    assert_eq!(made, 11, "half of them and one");
    let mut others = Vec::new();
    for (n, address) in ["127.0.0.2", "127.0.0.3", "127.0.0.4"].iter().enumerate() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket
            .bind(format!("{address}:0").parse().unwrap())
            .unwrap();
        let mut other = Peer::over(socket.connect(server.addr).await.unwrap()).await;
        other.join(&format!("/n-other-{n}")).await;
        others.push(other);
    }
    assert_eq!(server.io.namespaces().len(), 1 + 11 + 3);
}

#[tokio::test]
async fn rooms_are_bounded_in_number_and_length() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let mut limits = Limits::default();
    limits.max_rooms_per_socket = 10;
    let namespace = echo().on("join", async |socket: Socket, Data(room): Data<String>| {
        let joined = socket.join(room).map_err(|error| error.to_string());
        Ack((socket.rooms().len() - 1, joined.err()))
    });
    let server = Server::start(SocketIo::builder().namespace(namespace).limits(limits)).await;
    let mut peer = server.joined().await;
    let long = "r".repeat(1025);
    peer.send(&format!(r#"21["join","{long}"]"#)).await;
    let start = &long[..32];
    peer.expect(&format!(
        r#"31[0,"the name of the room \"{start}…\" has 1025 bytes, the limit is 1024"]"#
    ))
    .await;
    peer.send(&format!(r#"21["join","{}"]"#, &long[1..])).await;
    peer.expect("31[1,null]").await;
    assert_eq!(sums.get("fanfare_rejected_total{cause=room_too_long}"), 1.0);
    for n in 2..15 {
        peer.send(&format!(r#"21["join","{n}"]"#)).await;
        let error = match n {
            ..=10 => "null",
            _ => r#""the socket would be in 11 rooms, the limit is 10""#,
        };
        peer.expect(&format!("31[{},{error}]", n.min(10))).await;
    }
    // It is already in this one.
    peer.send(r#"21["join","10"]"#).await;
    peer.expect("31[10,null]").await;
    assert_eq!(
        sums.get("fanfare_rejected_total{cause=too_many_rooms}"),
        4.0
    );
    assert_eq!(server.io.of("/").rooms().len(), 10);
}

#[tokio::test]
async fn rooms_joined_in_a_middleware_are_bounded_as_well() {
    let mut limits = Limits::default();
    limits.max_rooms_per_socket = 10;
    let namespace = echo().middleware(async |socket: Socket| {
        let joined = |n: usize| socket.join(n.to_string()).is_ok();
        let joined = (0..1000).filter(|n| joined(n / 2)).count(); // each twice
        assert_eq!(joined, 20);
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
            socket.join(n.to_string()).unwrap();
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

/// Fills a socket that may be in three rooms.
fn fill(socket: &Socket) {
    let long = "ä".repeat(600);
    assert_eq!(
        socket.join(["a", &long]),
        Err(JoinError::RoomTooLong {
            room: "ä".repeat(32),
            len: 1200,
            limit: 1024
        })
    );
    socket.join(["a", "b", "a"]).unwrap();
    let too_many = |rooms| Err(JoinError::TooManyRooms { rooms, limit: 3 });
    assert_eq!(socket.join(["c", "d", "a", "d"]), too_many(4));
    assert_eq!(socket.rooms()[1..], ["a", "b"]);
    let own = socket.id().to_string();
    socket.join(["b", "c", "c", own.as_str()]).unwrap();
    assert_eq!(socket.join("d"), too_many(4));
    socket.join(["a", "c"]).unwrap();
    assert_eq!(socket.rooms()[1..], ["a", "b", "c"]);
}

#[tokio::test]
async fn of_several_rooms_all_are_joined_or_none() {
    let mut limits = Limits::default();
    limits.max_rooms_per_socket = 3;
    let builder = || SocketIo::builder().limits(limits.clone());
    // Both once connected, and in a middleware.
    let server = Server::start(builder()).await;
    let peer = server.joined().await;
    let socket = server.io.of("/").sockets().remove(0);
    fill(&socket);
    peer.vanish();
    until("it is gone", || !socket.is_connected()).await;
    socket.join("late").unwrap();
    assert_eq!(socket.rooms(), [] as [String; 0]);

    let namespace = echo().middleware(async |socket: Socket| {
        fill(&socket);
        Ok::<_, fanfare::ConnectError>(())
    });
    let server = Server::start(builder().namespace(namespace)).await;
    let _peer = server.joined().await;
    assert_eq!(server.io.of("/").rooms().len(), 3);
}

#[tokio::test]
async fn those_that_cannot_join_in_bulk_are_counted() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let mut limits = Limits::default();
    limits.max_rooms_per_socket = 1;
    let server = Server::start(SocketIo::builder().limits(limits)).await;
    let (_a, _b) = (server.joined().await, server.joined().await);
    server.io.of("/").sockets()[0].join("one").unwrap();
    server.io.sockets_join("two");
    assert_eq!(
        sums.get("fanfare_rejected_total{cause=too_many_rooms}"),
        1.0
    );
    assert_eq!(server.io.to("two").sockets().len(), 1);
}

#[tokio::test]
async fn the_rooms_of_one_call_are_bounded() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let mut limits = Limits::default();
    limits.max_rooms_per_call = 3;
    let builder = SocketIo::builder().limits(limits).namespace(echo());
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    let (main, fits, over) = (server.io.of("/"), ["a", "b", "a"], ["a", "a", "b", "a"]);
    let socket = main.socket(peer.sid()).unwrap();
    let error = socket.join(over).unwrap_err();
    assert_eq!(error.to_string(), "4 rooms in one call, the limit is 3");
    assert_eq!(socket.rooms().len(), 1);
    socket.join(fits).unwrap();
    let assert_too_many = |error: EmitError| match error {
        EmitError::TooManyRooms(TooManyRooms {
            rooms: 4, limit: 3, ..
        }) => {}
        error => panic!("{error}"),
    };
    assert_too_many(main.to(over).emit("e", ()).unwrap_err());
    assert_too_many(main.except(over).emit("e", ()).unwrap_err());
    assert_too_many(
        main.to("a")
            .to("b")
            .to(["c", "d"])
            .emit("e", ())
            .unwrap_err(),
    );
    match main.to(over).emit_with_ack::<u8>("e", ()).await {
        Err(BroadcastAckError::Emit(error)) => assert_too_many(error),
        other => panic!("{other:?}"),
    }
    let fetched = main.to(over).fetch_sockets().await.unwrap_err();
    assert!(
        matches!(fetched, FetchSocketsError::TooManyRooms(_)),
        "{fetched}"
    );
    // An operation that returns no errors does nothing.
    main.to(over).disconnect_sockets(true);
    main.sockets_join(["c", "d", "e", "f"]);
    main.sockets_leave(over);
    assert!(main.to(over).sockets().is_empty());
    assert_eq!(socket.rooms().len(), 3);
    let cause = "fanfare_rejected_total{cause=too_many_rooms_per_call}";
    assert_eq!(sums.get(cause), 9.0);
    assert_eq!(
        main.to(fits).except("x").emit("e", ()).unwrap().recipients,
        1
    );
    peer.expect(r#"2["e"]"#).await;
    main.sockets_join(["c"; 3]);
    // Leaving allocates nothing, so it is not limited.
    socket.leave(vec!["c"; 5000]);
    socket.leave(over);
    assert_eq!(socket.rooms().len(), 1);
    assert_served(&mut peer).await;
}

/// In a middleware as well, nothing is changed before the limit is checked: the socket keeps its state.
#[tokio::test]
async fn a_hundred_thousand_rooms_are_refused_at_once() {
    let mut limits = Limits::default();
    limits.max_rooms_per_call = 200_000;
    let namespace = echo().middleware(async |socket: Socket| {
        let names: Vec<String> = (0..120_000).map(|n| n.to_string()).collect();
        let error = socket.join(&names).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the socket would be in 120000 rooms, the limit is 10000"
        );
        socket.join(&names[..10_000]).unwrap();
        socket.join(&names[..10_000]).unwrap();
        socket.leave(&names[1..]);
        Ok::<_, fanfare::ConnectError>(())
    });
    let server = Server::start(SocketIo::builder().limits(limits).namespace(namespace)).await;
    let mut peer = server.joined().await;
    assert_eq!(server.io.of("/").sockets()[0].rooms()[1..], ["0"]);
    assert_served(&mut peer).await;
}
