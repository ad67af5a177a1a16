//! Namespaces that come and go.

use std::sync::{Arc, Mutex};

use fanfare::{Ack, Namespace, Socket, SocketIo};

use crate::support::{Server, until, within};

#[tokio::test]
async fn a_pattern_makes_namespaces_that_go_when_empty() {
    let server = Server::start(
        SocketIo::builder()
            .namespace(
                Namespace::pattern("/orders-{id}").on("where", async |socket: Socket| {
                    Ack(socket.namespace().to_owned())
                }),
            )
            .namespace(Namespace::new("/orders-fixed").on("where", async || Ack("fixed"))),
    )
    .await;
    let (mut a, mut b) = (server.peer().await, server.peer().await);
    a.join("/orders-1").await;
    b.join("/orders-2").await;
    a.send(r#"2/orders-1,0["where"]"#).await;
    a.expect(r#"3/orders-1,0["/orders-1"]"#).await;
    a.join("/orders-fixed").await;
    a.send(r#"2/orders-fixed,0["where"]"#).await;
    a.expect(r#"3/orders-fixed,0["fixed"]"#).await;
    let parent = server.io.parent("/orders-{id}").unwrap();
    assert_eq!(parent.children().len(), 2);
    assert_eq!(parent.emit("all", ()).unwrap().recipients, 2);
    a.expect(r#"2/orders-1,["all"]"#).await;
    b.expect(r#"2/orders-2,["all"]"#).await;
    b.send("1/orders-2,").await;
    within("the namespace's end", async {
        while parent.children().len() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(server.io.namespace("/orders-2").is_none());
    assert!(server.io.namespace("/orders-fixed").is_some());
}

#[tokio::test]
async fn a_predicate_sees_the_auth_and_refusals_leave_nothing_behind() {
    let server = Server::start(
        SocketIo::builder().namespace(
            Namespace::dynamic("/tenants", |name, auth| {
                auth["tenant"]
                    .as_str()
                    .is_some_and(|t| name == format!("/{t}"))
            })
            .middleware(async |socket: Socket| {
                if socket.namespace() == "/banned" {
                    Err(fanfare::ConnectError::new("banned"))
                } else {
                    Ok(())
                }
            }),
        ),
    )
    .await;
    let mut peer = server.peer().await;
    peer.send(r#"0/acme,{"tenant":"other"}"#).await;
    peer.expect(r#"4/acme,{"message":"Invalid namespace"}"#)
        .await;
    peer.send(r#"0/banned,{"tenant":"banned"}"#).await;
    peer.expect(r#"4/banned,{"message":"banned"}"#).await;
    assert!(server.io.namespace("/banned").is_none());
    peer.send(r#"0/acme,{"tenant":"acme"}"#).await;
    assert!(peer.text().await.starts_with("0/acme,"));
    assert!(server.io.namespace("/acme").is_some());
}

#[tokio::test]
async fn of_creates_a_namespace_that_clients_may_join() {
    let server = Server::start(SocketIo::builder()).await;
    assert!(server.io.namespace("later").is_none());
    assert_eq!(server.io.of("later").name(), "/later");
    let mut peer = server.peer().await;
    peer.join("/later").await;
    assert_eq!(server.io.of("/later").len(), 1);
    assert_eq!(server.io.namespaces().len(), 2);
}

#[tokio::test]
async fn new_namespaces_are_announced_before_their_first_socket() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (announced, connected) = (log.clone(), log.clone());
    let server = Server::start(
        SocketIo::builder()
            .namespace(Namespace::new("/declared"))
            .namespace(
                Namespace::pattern("/orders-{id}").on_connect(move |socket: Socket| {
                    let entry = format!("connect {}", socket.namespace());
                    connected.lock().unwrap().push(entry);
                    async {}
                }),
            )
            .on_new_namespace(move |namespace| {
                announced.lock().unwrap().push(namespace.name().to_owned());
            }),
    )
    .await;
    let mut peer = server.joined().await;
    peer.join("/declared").await;
    peer.join("/orders-1").await;
    let mut other = server.peer().await;
    other.join("/orders-1").await;
    server.io.of("by-hand");
    server.io.of("/by-hand");
    until("the second connection", || log.lock().unwrap().len() == 4).await;
    assert_eq!(
        *log.lock().unwrap(),
        [
            "/orders-1",
            "connect /orders-1",
            "connect /orders-1",
            "/by-hand"
        ]
    );
}

#[tokio::test]
async fn a_parent_sends_to_rooms_of_all_its_namespaces() {
    let server = Server::start(SocketIo::builder().namespace(
        Namespace::pattern("/orders-{id}").on_connect(async |socket: Socket| {
            if socket.namespace() != "/orders-3" {
                socket.join("staff").unwrap();
            }
        }),
    ))
    .await;
    let mut peers = Vec::new();
    for name in ["/orders-1", "/orders-2", "/orders-3"] {
        let mut peer = server.peer().await;
        peer.join(name).await;
        peers.push((name, peer));
    }
    let parent = server.io.parent("/orders-{id}").unwrap();
    let report = parent.emit_with(|everyone| everyone.to("staff"), "news", 1);
    assert_eq!(report.unwrap().recipients, 2);
    let report = parent.emit_with(|everyone| everyone.except("staff").volatile(), "news", 2);
    assert_eq!(report.unwrap().recipients, 1);
    for ((name, mut peer), n) in peers.into_iter().zip([1, 1, 2]) {
        peer.expect(&format!(r#"2{name},["news",{n}]"#)).await;
    }
}

#[tokio::test]
async fn the_server_shows_what_is_there() {
    let server = Server::start(SocketIo::builder().namespace(Namespace::new("/chat"))).await;
    let (mut a, b) = (server.joined().await, server.joined().await);
    let main = server.io.of("/");
    let mut ids: Vec<_> = main.socket_ids().iter().map(ToString::to_string).collect();
    ids.sort();
    let mut expected = [a.sid.clone(), b.sid.clone()];
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(server.io.all_sockets().await.unwrap(), expected.into());
    let id = a.sid.clone();
    a.join("/chat").await;
    server.io.sockets_join("all");
    main.socket(&id).unwrap().join("one").unwrap();
    assert_eq!(server.io.clients_count(), 2);
    assert_eq!((main.len(), server.io.of("/chat").len()), (2, 1));
    assert_eq!(main.sockets().len(), 2);
    assert!(main.socket("nobody").is_none());
    let mut rooms = main.rooms();
    rooms.sort();
    assert_eq!(rooms, [("all".to_owned(), 2), ("one".to_owned(), 1)]);
    server.io.sockets_leave("all");
    assert_eq!(main.rooms(), [("one".to_owned(), 1)]);
    let mut names: Vec<_> = server
        .io
        .namespaces()
        .iter()
        .map(|n| n.name().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["/", "/chat"]);
    let report = server.io.compress(false).except(id.as_str()).emit("x", ());
    assert_eq!(report.unwrap().recipients, 1);
    server.io.disconnect_sockets(true);
    until("the end of all connections", || {
        server.io.clients_count() == 0
    })
    .await;
}
