//! Dynamic namespaces.

use std::sync::{Arc, Mutex};

use fanfare::{Ack, ConnectError, Data, Namespace, Socket, SocketIo};

use crate::support::{Server, until, within};

#[tokio::test]
async fn a_pattern_makes_namespaces_that_go_when_empty() {
    let server = Server::start(
        SocketIo::builder()
            .namespace(
                Namespace::pattern("/orders-{id}").on("where", async |socket: Socket| {
                    Ack(socket.namespace_name().to_owned())
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
                if socket.namespace_name() == "/banned" {
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
async fn the_parameters_of_a_pattern_are_known_to_the_socket_and_the_namespace() {
    let server = Server::with(Namespace::pattern("/{team}/docs/{*path}").on(
        "params",
        async |socket: Socket| {
            let params = socket.params();
            let all: Vec<_> = params.iter().collect();
            let get = |name| params.get(name).map(str::to_owned);
            Ack((
                format!("{all:?}"),
                get("team"),
                get("path"),
                get("other"),
                socket.namespace().params().len(),
            ))
        },
    ))
    .await;
    let mut peer = server.peer().await;
    peer.join("/red/docs/a/b.txt").await;
    peer.send(r#"2/red/docs/a/b.txt,0["params"]"#).await;
    peer.expect(
        r#"3/red/docs/a/b.txt,0["[(\"team\", \"red\"), (\"path\", \"a/b.txt\")]","red","a/b.txt",null,2]"#,
    )
    .await;
    for unfit in ["/red/docs/", "/red/x/docs/a", "//docs/a"] {
        peer.send(&format!("0{unfit},")).await;
        peer.expect(&format!(r#"4{unfit},{{"message":"Invalid namespace"}}"#))
            .await;
    }
    assert!(server.io.of("/").params().is_empty());
}

#[tokio::test]
async fn a_hostile_name_is_matched_at_once() {
    let server = Server::with(Namespace::pattern("/p4-{a}-{b}-{c}-{d}")).await;
    let mut peer = server.peer().await;
    let name = format!("/p4-{}/", "-".repeat(500));
    // There are some billions of ways to split it.
    for _ in 0..50 {
        peer.send(&format!("0{name},")).await;
        peer.expect(&format!(r#"4{name},{{"message":"Invalid namespace"}}"#))
            .await;
    }
}

#[test]
fn patterns_that_cannot_work_are_refused_by_build() {
    let refused = |patterns: &[&str]| {
        let builder = patterns
            .iter()
            .fold(SocketIo::builder(), |builder, pattern| {
                builder.namespace(Namespace::pattern(*pattern))
            });
        builder.build().unwrap_err().to_string()
    };
    for (patterns, reason) in [
        (
            &["/orders-{id"][..],
            r#"the pattern "/orders-{id" cannot be used: `{` at byte 8 is not closed"#,
        ),
        (
            &["orders-{id}-{id}"],
            r#"the pattern "/orders-{id}-{id}" cannot be used: the parameter "id" occurs twice"#,
        ),
        (
            &["/orders-{id}", "/orders-{number}"],
            r#"the pattern "/orders-{number}" cannot be used: the earlier pattern "/orders-{id}" takes all its names"#,
        ),
        (
            &["/{*all}", "/shops/{id}"],
            r#"the pattern "/shops/{id}" cannot be used: the earlier pattern "/{*all}" takes all its names"#,
        ),
    ] {
        assert_eq!(refused(patterns), reason);
    }
    let builder = SocketIo::builder()
        .namespace(Namespace::pattern("/shops/{id}"))
        .namespace(Namespace::pattern("/{*all}"));
    assert!(builder.build().is_ok());
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

/// Checks the `auth` of a pattern's clients.
async fn authenticate(Data(auth): Data<serde_json::Value>) -> Result<(), ConnectError> {
    match auth["token"] == "secret" {
        true => Ok(()),
        false => Err(ConnectError::new("who are you?")),
    }
}

#[tokio::test]
async fn of_makes_a_namespace_of_a_pattern_with_its_middlewares_and_handlers() {
    let server = Server::with(
        Namespace::pattern("/orders-{id}")
            .middleware(authenticate)
            .on("id", async |socket: Socket| {
                Ack(socket.params().get("id").map(str::to_owned))
            }),
    )
    .await;
    let handle = server.io.of("/orders-17");
    assert_eq!(handle.params().get("id"), Some("17"));
    assert_eq!(
        server.io.parent("/orders-{id}").unwrap().children().len(),
        1
    );
    let mut peer = server.peer().await;
    peer.send("0/orders-17,").await;
    peer.expect(r#"4/orders-17,{"message":"who are you?"}"#)
        .await;
    peer.send(r#"0/orders-17,{"token":"secret"}"#).await;
    assert!(peer.text().await.starts_with(r#"0/orders-17,{"sid""#));
    peer.send(r#"2/orders-17,0["id"]"#).await;
    peer.expect(r#"3/orders-17,0["17"]"#).await;
    assert_eq!(handle.len(), 1);
    drop(handle);
    peer.send("1/orders-17,").await;
    until("its end", || server.io.namespace("/orders-17").is_none()).await;
    // A namespace that no client ever joins is removed with its handle.
    drop(server.io.of("/orders-18"));
    assert!(server.io.namespace("/orders-18").is_none());
}

#[tokio::test]
async fn of_does_not_open_what_a_predicate_guards() {
    let tenants = |name: &str, auth: &serde_json::Value| {
        auth["tenant"]
            .as_str()
            .is_some_and(|t| name == format!("/{t}"))
    };
    let server =
        Server::with(Namespace::dynamic("/tenants", tenants).on("who", async || Ack("a tenant")))
            .await;
    let (acme, other) = (server.io.of("/acme"), server.io.of("/other"));
    let mut peer = server.peer().await;
    for name in ["/acme", "/other"] {
        peer.send(&format!(r#"0{name},{{"tenant":"third"}}"#)).await;
        peer.expect(&format!(r#"4{name},{{"message":"Invalid namespace"}}"#))
            .await;
    }
    peer.send(r#"0/acme,{"tenant":"acme"}"#).await;
    assert!(peer.text().await.starts_with(r#"0/acme,{"sid""#));
    peer.send(r#"2/acme,0["who"]"#).await;
    peer.expect(r#"3/acme,0["a tenant"]"#).await;
    assert_eq!(acme.emit("hello", ()).unwrap().recipients, 1);
    peer.expect(r#"2/acme,["hello"]"#).await;
    let children = server.io.parent("/tenants").unwrap().children();
    assert_eq!(children.len(), 1);
    drop((acme, other, children));
    assert!(server.io.namespace("/other").is_none());
}

#[tokio::test]
async fn a_predicate_is_asked_for_every_client() {
    let server = Server::with(Namespace::dynamic("/guarded", |name, auth| {
        name == "/guarded" && auth["token"] == "secret"
    }))
    .await;
    let (mut first, mut second) = (server.peer().await, server.peer().await);
    first.send(r#"0/guarded,{"token":"secret"}"#).await;
    assert!(first.text().await.starts_with(r#"0/guarded,{"sid""#));
    second.send(r#"0/guarded,{"token":"guess"}"#).await;
    second
        .expect(r#"4/guarded,{"message":"Invalid namespace"}"#)
        .await;
    second.send(r#"0/guarded,{"token":"secret"}"#).await;
    assert!(second.text().await.starts_with(r#"0/guarded,{"sid""#));
}

#[tokio::test]
async fn handles_and_operators_stay_valid_when_the_last_client_leaves() {
    let server = Server::with(
        Namespace::pattern("/orders-{id}")
            .on_connect(async |socket: Socket| socket.join("all").unwrap())
            .on("keep", async || Ack(())),
    )
    .await;
    let mut peer = server.peer().await;
    peer.join("/orders-1").await;
    let socket = server.io.of("/orders-1").socket(peer.sid()).unwrap();
    let handle = server.io.namespace("/orders-1").unwrap();
    let mut rooms = handle.room_events();
    let (operator, sender) = (handle.to("all"), socket.to("all"));
    drop(socket);
    peer.send("1/orders-1,").await;
    until("the last client is gone", || handle.is_empty()).await;
    while rooms.recv().await.unwrap() != Ok(fanfare::namespace::RoomEvent::Deleted("all".into())) {}
    peer.join("/orders-1").await;
    for (n, report) in [
        handle.emit("e", 0),
        operator.emit("e", 1),
        sender.emit("e", 2),
        handle.except("none").emit("e", 3),
    ]
    .into_iter()
    .enumerate()
    {
        // A disconnected socket is no longer excluded as the sender, although the connection is the same.
        let expected = usize::from(n != 2);
        assert_eq!(report.unwrap().recipients, expected, "{n}");
    }
    for n in [0, 1, 3] {
        peer.expect(&format!(r#"2/orders-1,["e",{n}]"#)).await;
    }
    assert_eq!(handle.socket_ids().len(), 1);
    assert!(within("a room event", rooms.recv()).await.is_some());
    peer.send("1/orders-1,").await;
    until("the last client is gone", || handle.is_empty()).await;
    drop((handle, operator));
    assert!(server.io.namespace("/orders-1").is_some(), "one is left");
    drop(sender);
    until("its end", || server.io.namespace("/orders-1").is_none()).await;
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
                    let entry = format!("connect {}", socket.namespace_name());
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
            if socket.namespace_name() != "/orders-3" {
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
    let mut expected = [a.sid().to_owned(), b.sid().to_owned()];
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(server.io.all_sockets().await.unwrap(), expected.into());
    let id = a.sid().to_owned();
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
