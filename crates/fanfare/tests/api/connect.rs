//! Joining namespaces: CONNECT, CONNECT_ERROR, middlewares, the connect timeout.

use std::time::Duration;

use fanfare::engine::Transport;
use fanfare::{Ack, ConnectError, Data, Handshake, Namespace, Socket, SocketIo};
use fanfare_testing::Received;
use serde_json::{Value, json};

use crate::support::{Server, within};

#[tokio::test]
async fn a_client_joins_and_gets_a_public_id() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.peer().await;
    assert_eq!(peer.handshake()["upgrades"], json!([]));
    assert_eq!(peer.handshake()["pingInterval"], 25000);
    assert_eq!(peer.handshake()["maxPayload"], 1_000_000);
    peer.join("/").await;
    assert_eq!(peer.sid().len(), 20);
    assert_ne!(
        peer.handshake()["sid"],
        peer.sid(),
        "the public id gives no hold on the transport"
    );
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    assert!(socket.is_connected());
    assert_eq!(socket.transport(), Transport::WebSocket);
    assert_eq!(server.io.clients_count(), 1);
}

#[tokio::test]
async fn an_unknown_namespace_is_refused_and_the_connection_lives_on() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.peer().await;
    peer.send("0/nowhere,").await;
    peer.expect(r#"4/nowhere,{"message":"Invalid namespace"}"#)
        .await;
    peer.join("/").await;
}

#[tokio::test]
async fn middlewares_run_in_order_and_see_auth() {
    #[derive(serde::Deserialize)]
    struct Auth {
        token: String,
    }
    let server = Server::with(
        Namespace::new("/private")
            .middleware(async |socket: Socket, Data(auth): Data<Auth>| {
                socket.extensions().insert(vec![auth.token]);
            })
            .middleware(async |socket: Socket| {
                let mut order: Vec<String> = socket.extensions().get().unwrap();
                tokio::task::yield_now().await;
                if order[0] == "bad" {
                    return Err(
                        ConnectError::new("not authorized").with_data(json!({ "code": 17 }))
                    );
                }
                order.push("second".into());
                socket.extensions().insert(order);
                Ok(())
            })
            .on("order", async |socket: Socket| {
                Ack(socket.extensions().get::<Vec<String>>())
            }),
    )
    .await;
    let mut peer = server.peer().await;
    peer.send(r#"0/private,{"token":"bad"}"#).await;
    peer.expect(r#"4/private,{"message":"not authorized","data":{"code":17}}"#)
        .await;
    assert!(server.io.of("/private").is_empty());
    peer.send(r#"0/private,{"token":"good"}"#).await;
    assert!(peer.text().await.starts_with(r#"0/private,{"sid":"#));
    peer.send(r#"2/private,1["order"]"#).await;
    peer.expect(r#"3/private,1[["good","second"]]"#).await;
}

#[tokio::test]
async fn auth_that_does_not_fit_refuses_and_says_no_more() {
    let server = Server::with(
        Namespace::new("/")
            .middleware(async |Data(_): Data<std::collections::HashMap<String, u8>>| {}),
    )
    .await;
    let mut peer = server.peer().await;
    peer.send(r#"0{"a":"text"}"#).await;
    peer.expect(r#"4{"message":"invalid auth"}"#).await;
}

#[tokio::test]
async fn a_panic_in_a_middleware_refuses_the_client_only() {
    async fn panics() {
        panic!("a bug");
    }
    let server = Server::with(Namespace::new("/").middleware(panics)).await;
    let mut peer = server.peer().await;
    peer.send("0").await;
    peer.expect(r#"4{"message":"internal error"}"#).await;
}

#[tokio::test]
async fn joining_twice_closes_the_connection() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.joined().await;
    peer.send("0").await;
    assert_eq!(peer.until_closed().await, []);
}

/// Returns the number that a client sends in its `auth`.
fn number(socket: &Socket) -> i64 {
    socket.handshake().auth::<Value>().unwrap()["n"]
        .as_i64()
        .unwrap()
}

/// Reproduces React's strict mode: connect, disconnect, connect. The client sends no packet in between.
#[tokio::test]
async fn a_second_connect_while_the_middleware_runs_replaces_the_first() {
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let go = std::sync::Arc::new(tokio::sync::Notify::new());
    let (connected, waits) = (tx.clone(), go.clone());
    let server = Server::with(
        Namespace::new("/")
            .middleware(move |socket: Socket| {
                let (tx, waits) = (tx.clone(), waits.clone());
                async move {
                    if number(&socket) == 1 {
                        tx.send("first").unwrap();
                        waits.notified().await;
                        tx.send("first ends").unwrap();
                    }
                }
            })
            .on_connect(move |socket: Socket| {
                let n = number(&socket);
                connected
                    .send(if n == 2 {
                        "second connected"
                    } else {
                        "first connected"
                    })
                    .unwrap();
                async {}
            })
            .on("echo", async || Ack(())),
    )
    .await;
    let mut peer = server.peer().await;
    peer.send(r#"0{"n":1}"#).await;
    assert_eq!(within("the first", rx.recv()).await, Some("first"));
    peer.send(r#"0{"n":2}"#).await;
    let reply = peer.text().await;
    assert!(reply.starts_with(r#"0{"sid":"#), "{reply}");
    assert_eq!(
        within("the second", rx.recv()).await,
        Some("second connected")
    );
    go.notify_one();
    assert_eq!(within("its end", rx.recv()).await, Some("first ends"));
    peer.quiet().await;
    assert_eq!(server.io.of("/").len(), 1);
    assert!(rx.try_recv().is_err(), "the first must not connect");
}

#[tokio::test]
async fn a_client_may_leave_and_come_back_while_the_middleware_runs() {
    let server = Server::with(Namespace::new("/slow").middleware(async |socket: Socket| {
        while number(&socket) == 1 {
            tokio::task::yield_now().await;
            if socket.namespace().len() == 1 {
                return;
            }
        }
    }))
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"0/slow,{"n":1}"#).await;
    peer.send("1/slow,").await;
    peer.send(r#"0/slow,{"n":2}"#).await;
    let reply = peer.text().await;
    assert!(reply.starts_with(r#"0/slow,{"sid":"#), "{reply}");
    assert_eq!(server.io.of("/slow").len(), 1);
}

#[tokio::test]
async fn an_event_before_joining_closes_the_connection() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.peer().await;
    peer.send(r#"2["early"]"#).await;
    assert_eq!(peer.until_closed().await, []);
}

#[tokio::test]
async fn a_connection_that_joins_nothing_is_closed() {
    // Long enough for the other client to join.
    let server = Server::start(SocketIo::builder().connect_timeout(Duration::from_secs(1))).await;
    let mut idle = server.peer().await;
    let mut joined = server.joined().await;
    assert_eq!(idle.until_closed().await, []);
    joined.join_is_alive().await;
}

impl crate::support::Peer {
    async fn join_is_alive(&mut self) {
        self.send("0/nowhere,").await;
        assert!(self.text().await.starts_with("4/nowhere"));
    }
}

#[tokio::test]
async fn a_client_that_goes_while_a_middleware_waits_is_never_connected() {
    let (tx, mut rx) = tokio::sync::mpsc::unbounded_channel();
    let connected = tx.clone();
    let server = Server::with(
        Namespace::new("/")
            .middleware(move |socket: Socket| {
                let tx = tx.clone();
                async move {
                    tx.send("middleware").unwrap();
                    while socket.io().clients_count() > 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
            .on_connect(move || {
                let tx = connected.clone();
                async move { tx.send("connected").unwrap() }
            }),
    )
    .await;
    let mut peer = server.peer().await;
    peer.send("0").await;
    assert_eq!(
        within("the middleware", rx.recv()).await,
        Some("middleware")
    );
    peer.vanish();
    let io = server.io.clone();
    within("closing", io.close()).await; // waits for handlers
    assert!(rx.try_recv().is_err(), "the connect handler must not run");
    assert!(server.io.of("/").is_empty());
}

#[tokio::test]
async fn the_handshake_shows_the_first_request() {
    let server = Server::with(
        Namespace::new("/").on("handshake", async |handshake: Handshake| {
            Ack((
                handshake.query("EIO"),
                handshake.header("upgrade").map(str::to_owned),
                handshake
                    .address()
                    .is_some_and(|address| address.ip().is_loopback()),
                handshake.auth::<Value>().unwrap(),
                handshake.is_secure(),
                handshake.is_xdomain(),
                handshake.url().to_owned(),
                handshake.query_params().collect::<Vec<_>>(),
                handshake.headers().any(|(name, _)| name == "host"),
                handshake.issued().elapsed().is_ok(),
            ))
        }),
    )
    .await;
    let mut peer = server.peer().await;
    peer.send(r#"0{"a":[1]}"#).await;
    peer.text().await;
    peer.send(r#"20["handshake"]"#).await;
    peer.expect(
        r#"30["4","websocket",true,{"a":[1]},false,false,"/socket.io/?EIO=4&transport=websocket",[["EIO","4"],["transport","websocket"]],true,true]"#,
    )
    .await;
}

#[tokio::test]
async fn rooms_joined_in_a_middleware_count_from_the_connection_on() {
    let server = Server::with(
        Namespace::new("/")
            .middleware(async |socket: Socket| {
                socket.join(["a", "b"]).unwrap();
                socket.leave("b");
            })
            .on_connect(async |socket: Socket| socket.emit("rooms", socket.rooms().len())),
    )
    .await;
    let mut peer = server.joined().await;
    peer.expect(r#"2["rooms",2]"#).await;
    assert_eq!(server.io.to("a").emit("hello", ()).unwrap().recipients, 1);
    peer.expect(r#"2["hello"]"#).await;
    assert_eq!(server.io.to("b").emit("hello", ()).unwrap().recipients, 0);
}

#[tokio::test]
async fn bad_packets_close_the_connection() {
    let server = Server::start(SocketIo::builder()).await;
    for packet in [
        "9",
        "2",
        "2{}",
        r#"2["unclosed"#,
        r#"2["disconnect"]"#,
        "0{}trailing",
    ] {
        let mut peer = server.joined().await;
        peer.send(packet).await;
        assert!(
            !peer
                .until_closed()
                .await
                .contains(&Received::Text("x".into())),
            "{packet}"
        );
    }
}

/// A client of Socket.IO v2 knows its session id, which must stay secret; its public id is a different one.
#[tokio::test]
async fn the_id_of_a_v2_client_is_not_its_session() {
    use futures_util::StreamExt;

    for same in [false, true] {
        let builder = SocketIo::builder().allow_eio3(true);
        let server = Server::start(builder.eio3_transport_ids(same)).await;
        let url = format!("ws://{}/socket.io/?EIO=3&transport=websocket", server.addr);
        let (mut ws, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let open = within("a packet", ws.next()).await.unwrap().unwrap();
        let (_, open) = open.to_text().unwrap().split_once(r#""sid":""#).unwrap();
        let sid = open[..20].to_owned();
        within("the namespace", ws.next()).await.unwrap().unwrap();
        let [socket] = &server.io.of("/").sockets()[..] else {
            panic!("one socket")
        };
        assert_eq!(socket.id().as_str() == sid, same);
        assert_eq!(socket.id().len(), 20);
    }
}
