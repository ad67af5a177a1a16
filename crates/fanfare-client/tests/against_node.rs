//! Tests of the client against a real Node `socket.io` server.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fanfare_client::event::{Event, ManagerEvent, SocketEvent};
use fanfare_client::extract::{Connected, Disconnected};
use fanfare_client::{
    Ack, AckError, ConnectError, Data, DisconnectReason, Manager, Socket, StartError, Transport,
    connect,
};
use serde_json::{Value, json};
use support::{Server, plain_node, soon, until};
use tokio::sync::mpsc;

const ALL: [&[Transport]; 3] = [
    &[Transport::WebSocket],
    &[Transport::Polling],
    &[Transport::Polling, Transport::WebSocket],
];

#[tokio::test]
async fn acks_both_ways_and_binary_over_every_transport() {
    let node = plain_node();
    for transports in ALL {
        let socket = soon(
            connect(node.url("/"))
                .transports(transports.iter().copied())
                .upgrade(transports.len() > 1)
                .on("question", |Data((a, b)): Data<(u32, u32)>| async move {
                    Ack(a + b)
                }),
        )
        .await
        .unwrap();
        assert!(socket.is_connected() && socket.is_active() && socket.id().is_some());

        let n: u32 = soon(socket.emit_with_ack("echo", 42)).await.unwrap();
        assert_eq!(n, 42);
        let (a, b): (String, Vec<u8>) = soon(socket.emit_with_ack("echo", ("x", [1, 2])))
            .await
            .unwrap();
        assert_eq!((a.as_str(), b), ("x", vec![1, 2]));
        let answer: u32 = soon(socket.emit_with_ack("question", ())).await.unwrap();
        assert_eq!(answer, 42);

        // Binary anywhere, and more than one.
        let (first, second) = (Bytes::from(vec![7; 5000]), Bytes::from_static(b""));
        let args = (&first, json!({ "n": 1 }), (&second, "tail"));
        let (x, y, (z, tail)): (Bytes, Value, (Bytes, String)) =
            soon(socket.emit_with_ack("echo", args)).await.unwrap();
        assert_eq!(
            (x, y, z, tail.as_str()),
            (first, json!({ "n": 1 }), second, "tail")
        );
        soon(socket.disconnect()).await;
        assert!(!socket.is_connected() && !socket.is_active() && socket.id().is_none());
    }
}

#[tokio::test]
async fn upgrade_under_load_keeps_the_order() {
    let node = plain_node();
    let socket = connect(node.url("/"))
        .transports([Transport::Polling, Transport::WebSocket])
        .build()
        .unwrap();
    let mut manager = socket.manager().events();
    let mut echoes = socket.listen::<u32>("echo");
    for n in 0..200 {
        socket.emit("echo", n).unwrap();
    }
    socket.connect();
    let mut next = 200;
    let upgraded = async {
        while let Some(event) = manager.next().await {
            if matches!(event, ManagerEvent::Upgrade { .. }) {
                break;
            }
        }
    };
    tokio::pin!(upgraded);
    loop {
        tokio::select! {
            () = &mut upgraded => break,
            () = tokio::time::sleep(Duration::from_micros(200)) => {
                socket.emit("echo", next).unwrap();
                next += 1;
            }
        }
    }
    for n in next..next + 100 {
        socket.emit("echo", n).unwrap();
    }
    for n in 0..next + 100 {
        assert_eq!(soon(echoes.next()).await.unwrap().unwrap(), n);
    }
    assert_eq!(socket.manager().transport(), Some(Transport::WebSocket));
}

#[tokio::test]
async fn namespaces_share_one_connection() {
    let node = plain_node();
    let manager = Manager::builder(node.url("/")).build().unwrap();
    let (main, chat) = (
        soon(manager.socket("/")).await.unwrap(),
        soon(manager.socket("/chat")).await.unwrap(),
    );
    let refused = soon(manager.socket("/admin")).await.unwrap_err();
    let StartError::Connect(ConnectError::Rejected { message, data }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (message.as_str(), data.as_deref()),
        ("not authorized", Some(r#"{"code":401}"#))
    );
    let unknown = soon(manager.socket("/nowhere")).await.unwrap_err();
    assert!(unknown.to_string().contains("Invalid namespace"));
    let admin = soon(manager.socket("/admin").auth(json!({ "token": "secret" })))
        .await
        .unwrap();

    let mut messages = chat.listen::<String>("message");
    let length: usize = soon(chat.emit_with_ack("message", "hello")).await.unwrap();
    assert_eq!(
        (
            length,
            soon(messages.next()).await.unwrap().unwrap().as_str()
        ),
        (5, "hello")
    );
    assert_ne!(main.id(), chat.id());
    assert!(manager.socket("/chat").build().is_err());

    // One leaves, the others stay.
    soon(chat.disconnect()).await;
    let n: u32 = soon(admin.emit_with_ack("echo", 1)).await.unwrap();
    assert_eq!(n, 1);
    chat.connect();
    soon(chat.connected_or_failed()).await.unwrap();
    soon(manager.close()).await;
    assert!(manager.transport().is_none() && !main.is_active());
}

#[tokio::test]
async fn a_refused_socket_connects_with_new_credentials() {
    let node = plain_node();
    let socket = connect(node.url("/admin"))
        .on_connect_error(|socket: Socket, error: ConnectError| async move {
            if !error.is_temporary() {
                socket.set_auth(json!({ "token": "secret" })).unwrap();
                socket.connect();
            }
        })
        .build()
        .unwrap();
    socket.connect();
    until(|| socket.is_connected()).await;
}

#[tokio::test]
async fn auth_headers_query_and_cookies() {
    let node = Server::node(json!({ "cookie": true }));
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let socket = soon(
        connect(format!("{}?from=url", node.url("/")))
            .transports([Transport::Polling])
            .upgrade(false)
            .query("a b", "c&d")
            .header("X-Custom", "yes")
            .auth_with(move || {
                let n = asked.fetch_add(1, Ordering::SeqCst) + 1;
                async move { Ok::<_, std::io::Error>(json!({ "attempt": n })) }
            }),
    )
    .await
    .unwrap();
    let handshake: Value = soon(socket.emit_with_ack("handshake", ())).await.unwrap();
    assert_eq!(handshake["auth"], json!({ "attempt": 1 }));
    assert_eq!(handshake["query"]["from"], "url");
    assert_eq!(handshake["query"]["a b"], "c&d");
    assert_eq!(handshake["headers"]["x-custom"], "yes");
    let requests: Vec<Value> = soon(socket.emit_with_ack("requests", ())).await.unwrap();
    assert!(requests[0]["headers"]["cookie"].is_null());
    for request in &requests[1..] {
        assert!(
            request["headers"]["cookie"]
                .as_str()
                .unwrap()
                .starts_with("io="),
            "{request}"
        );
    }
    // The callback is called again at each connect.
    let mut events = socket.events();
    socket.emit("cut", ()).unwrap();
    while !matches!(
        soon(events.next()).await.unwrap(),
        SocketEvent::Connect { .. }
    ) {}
    let handshake: Value = soon(socket.emit_with_ack("handshake", ())).await.unwrap();
    assert_eq!(handshake["auth"], json!({ "attempt": 2 }));
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn every_reason_for_which_node_disconnects() {
    let node = plain_node();
    for (event, expected) in [
        ("kick", DisconnectReason::IoServerDisconnect),
        ("kick all", DisconnectReason::IoServerDisconnect),
        ("cut", DisconnectReason::TransportClose),
        ("sever", DisconnectReason::TransportClose),
        ("garbage", DisconnectReason::ParseError),
    ] {
        let socket = soon(connect(node.url("/"))).await.unwrap();
        let mut events = socket.events();
        socket.emit(event, ()).unwrap();
        let SocketEvent::Disconnect { reason, .. } = soon(events.next()).await.unwrap() else {
            panic!()
        };
        assert_eq!(reason, expected, "{event}");
        if reason.reconnects() {
            assert!(matches!(
                soon(events.next()).await.unwrap(),
                SocketEvent::Connect { .. }
            ));
        } else {
            assert!(!socket.is_active());
        }
    }
    let socket = soon(connect(node.url("/"))).await.unwrap();
    let mut events = socket.events();
    let before = socket.id();
    drop(socket.disconnect());
    assert!(before.is_some());
    let SocketEvent::Disconnect { reason, .. } = soon(events.next()).await.unwrap() else {
        panic!()
    };
    assert_eq!(reason, DisconnectReason::IoClientDisconnect);
}

#[tokio::test]
async fn a_restarted_server_is_found_again_and_nothing_buffered_is_lost() {
    let mut node = plain_node();
    let (tx, mut lifecycle) = mpsc::unbounded_channel();
    let tx2 = tx.clone();
    let socket = soon(
        connect(node.url("/"))
            .reconnection_delay(Duration::from_millis(20), Duration::from_millis(100))
            .on_connect(move |Connected { recovered, .. }: Connected| {
                let _ = tx.send(format!("connect {recovered}"));
                async {}
            })
            .on_disconnect(move |Disconnected { reason, .. }: Disconnected| {
                let _ = tx2.send(format!("disconnect {reason}"));
                async {}
            }),
    )
    .await
    .unwrap();
    let mut manager = socket.manager().events();
    assert_eq!(soon(lifecycle.recv()).await.unwrap(), "connect false");
    node.kill();
    assert!(
        soon(lifecycle.recv())
            .await
            .unwrap()
            .starts_with("disconnect transport")
    );
    for n in 0..50 {
        socket.emit("number", ("a", n)).unwrap();
    }
    let pending = socket.emit_with_ack::<u32>("number", ("a", 50));
    let mut attempts = 0;
    while attempts < 3 {
        if let ManagerEvent::ReconnectError(_) = soon(manager.next()).await.unwrap() {
            attempts += 1;
        }
    }
    assert_eq!(socket.buffered().0, 51);
    node.restart();
    assert_eq!(soon(lifecycle.recv()).await.unwrap(), "connect false");
    assert_eq!(soon(pending).await.unwrap(), 50);
    let numbers: Vec<u32> = soon(socket.emit_with_ack("numbers", "a")).await.unwrap();
    assert_eq!(numbers, (0..=50).collect::<Vec<_>>());
    assert_eq!((socket.buffered().0, socket.pending_acks()), (0, 0));
}

#[tokio::test]
async fn ack_deadlines_and_cancellation() {
    let node = plain_node();
    let socket = soon(connect(node.url("/"))).await.unwrap();
    let timeout = socket
        .timeout(Duration::from_millis(50))
        .emit_with_ack::<()>("silence", ());
    assert_eq!(soon(timeout).await.unwrap_err(), AckError::Timeout);
    let wrong = soon(socket.emit_with_ack::<u32>("echo", "text"))
        .await
        .unwrap_err();
    assert!(matches!(wrong, AckError::Args(_)));
    // A dropped future leaves no state behind, and its late answer is ignored.
    let slow = socket.emit_with_ack::<String>("later", 100);
    assert_eq!(socket.pending_acks(), 1);
    drop(slow);
    assert_eq!(socket.pending_acks(), 0);
    let late: String = soon(socket.emit_with_ack("later", 150)).await.unwrap();
    assert_eq!(late, "late");
    // A lost connection fails the events that were sent.
    let lost = socket.emit_with_ack::<()>("silence", ());
    socket.emit("cut", ()).unwrap();
    assert_eq!(soon(lost).await.unwrap_err(), AckError::Disconnected);
}

#[tokio::test]
async fn rejected_arguments_reach_the_server() {
    let node = plain_node();
    let socket = soon(
        connect(node.url("/"))
            .on(
                "question",
                |Data(_): Data<Vec<String>>| async move { Ack(1) },
            )
            .on_any(|event: Event| async move { assert_eq!(event.name(), "question") }),
    )
    .await
    .unwrap();
    let answer: Value = soon(socket.emit_with_ack("question", ())).await.unwrap();
    assert!(
        answer["error"]["message"]
            .as_str()
            .unwrap()
            .contains("argument 0"),
        "{answer}"
    );
}

#[tokio::test]
async fn recovery_misses_nothing_and_doubles_nothing() {
    let node = Server::node(json!({ "recovery": 60_000, "ticks": 2 }));
    let socket = soon(
        connect(node.url("/"))
            .reconnection_delay(Duration::from_millis(10), Duration::from_millis(50)),
    )
    .await
    .unwrap();
    let mut events = socket.events();
    let _: bool = soon(socket.emit_with_ack("join", "ticks")).await.unwrap();
    let (mut expected, mut recoveries, mut since) = (None, 0, 0);
    while recoveries < 10 {
        match soon(events.next()).await.unwrap() {
            SocketEvent::Event(event) if event.name() == "tick" => {
                let n: u64 = event.data().unwrap();
                assert_eq!(n, *expected.get_or_insert(n), "lost or doubled");
                expected = Some(n + 1);
                since += 1;
                if since == 5 {
                    socket.emit("cut", ()).unwrap();
                }
            }
            SocketEvent::Connect { recovered, .. } => {
                assert!(recovered);
                assert!(socket.is_recovered());
                recoveries += 1;
                since = 0;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn disconnect_flushes() {
    let node = plain_node();
    let observer = soon(connect(node.url("/"))).await.unwrap();
    for (name, transports) in ["w", "p", "u"].into_iter().zip(ALL) {
        let socket = soon(
            connect(node.url("/"))
                .transports(transports.iter().copied())
                .upgrade(name == "u"),
        )
        .await
        .unwrap();
        for n in 0..500 {
            socket.emit("number", (name, n)).unwrap();
        }
        soon(socket.disconnect()).await;
        let numbers: Vec<u32> = soon(observer.emit_with_ack("numbers", name)).await.unwrap();
        assert_eq!(numbers.len(), 500, "{name}");
    }
    // Dropping the last handle does the same.
    let socket = soon(connect(node.url("/"))).await.unwrap();
    for n in 0..100 {
        socket.emit("number", ("d", n)).unwrap();
    }
    drop(socket);
    soon(async {
        while soon(observer.emit_with_ack::<Vec<u32>>("numbers", "d"))
            .await
            .unwrap()
            .len()
            < 100
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn failing_fast_and_giving_up() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("http://127.0.0.1:{port}");
    let error = soon(connect(&url).fail_fast()).await.unwrap_err();
    assert!(error.to_string().starts_with("websocket error"), "{error}");
    let error = soon(connect(&url).reconnection(false)).await.unwrap_err();
    assert!(matches!(
        error,
        StartError::Connect(ConnectError::Transport(_))
    ));
    let error = soon(
        connect(&url)
            .reconnection_attempts(2)
            .reconnection_delay(Duration::from_millis(5), Duration::from_millis(5)),
    )
    .await
    .unwrap_err();
    assert!(matches!(
        error,
        StartError::Connect(ConnectError::Transport(_))
    ));
    // A path at which no server answers.
    let node = plain_node();
    let error = soon(connect(node.url("/")).path("/nothing").fail_fast())
        .await
        .unwrap_err();
    let StartError::Connect(ConnectError::Transport(error)) = error else {
        panic!()
    };
    assert_eq!(error.message, "xhr poll error");
}

#[tokio::test]
async fn websocket_first_falls_back_to_polling() {
    let node = Server::node(json!({ "transports": ["polling"] }));
    let socket = soon(connect(node.url("/"))).await.unwrap();
    assert_eq!(socket.manager().transport(), Some(Transport::Polling));
    let n: u32 = soon(socket.emit_with_ack("echo", 1)).await.unwrap();
    assert_eq!(n, 1);
}

#[tokio::test]
async fn big_messages_both_ways() {
    let node = Server::node(json!({ "maxHttpBufferSize": 20_000_000 }));
    for transports in ALL {
        let socket = soon(connect(node.url("/")).transports(transports.iter().copied()))
            .await
            .unwrap();
        let text = "é".repeat(1_000_000);
        let back: String = soon(socket.emit_with_ack("echo", &text)).await.unwrap();
        assert!(back == text);
        let data = Bytes::from(vec![0x1e; 3_000_000]);
        let back: Bytes = soon(socket.emit_with_ack("echo", &data)).await.unwrap();
        assert!(back == data);
    }
}

#[tokio::test]
async fn once_off_and_streams() {
    let node = plain_node();
    let (tx, mut rx) = mpsc::unbounded_channel();
    let socket = soon(connect(node.url("/"))).await.unwrap();
    let sender = tx.clone();
    socket.once("echo", move |Data(n): Data<u32>| {
        let _ = sender.send(("once", n));
        async {}
    });
    let id = socket.on("echo", move |Data(n): Data<u32>| {
        let _ = tx.send(("on", n));
        async {}
    });
    let mut stream = socket.listen::<u32>("echo");
    socket.emit("echo", 1).unwrap();
    socket.emit("echo", 2).unwrap();
    for expected in [("once", 1), ("on", 1), ("on", 2)] {
        assert_eq!(soon(rx.recv()).await.unwrap(), expected);
    }
    socket.off(id);
    socket.emit("echo", 3).unwrap();
    for expected in 1..=3 {
        assert_eq!(soon(stream.next()).await.unwrap().unwrap(), expected);
    }
    assert!(rx.try_recv().is_err());
    socket.volatile().emit("echo", 4).unwrap();
    assert_eq!(soon(stream.next()).await.unwrap().unwrap(), 4);
    assert!(socket.emit("connect", ()).is_err(), "reserved");
}

#[tokio::test]
async fn options_of_requests() {
    let node = Server::node(json!({ "addTrailingSlash": false }));
    let socket = soon(
        connect(node.url("/"))
            .transports([Transport::Polling])
            .upgrade(false)
            .add_trailing_slash(false)
            .timestamp_param("when"),
    )
    .await
    .unwrap();
    let requests: Vec<Value> = soon(socket.emit_with_ack("requests", ())).await.unwrap();
    for request in &requests {
        let url = request["url"].as_str().unwrap();
        assert!(url.starts_with("/socket.io?"), "{url}");
        assert!(url.contains("&when="), "{url}");
    }
}
