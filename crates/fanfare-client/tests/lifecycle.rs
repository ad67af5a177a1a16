//! Life cycle of sockets, failed attempts and their reports, against Node and misbehaving servers.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_client::event::{ManagerEvent, SocketEvent};
use fanfare_client::options::Parser;
use fanfare_client::{DisconnectReason, EmitError, Manager, StartError, Transport, connect};
use fanfare_testing::Link;
use fanfare_testing::wire::Http;
use fanfare_websocket::OpCode;
use fanfare_websocket::frame::encode_into;
use serde_json::{Value, json};
use support::{OPEN, Server, plain_node, scripted, soon, until};
use tokio::sync::mpsc;

/// Checks joins after a disconnection: Node closes the connection of all namespaces when it gets a second CONNECT, or
/// one in the same read as a DISCONNECT.
#[tokio::test]
async fn namespaces_left_and_rejoined_at_once_disturb_no_other() {
    let node = plain_node();
    for transport in [Transport::WebSocket, Transport::Polling] {
        let manager = Manager::builder(node.url("/"))
            .transports([transport])
            .upgrade(false)
            .build()
            .unwrap();
        let main = soon(manager.socket("/")).await.unwrap();
        let mut events = main.events();
        for _ in 0..20 {
            // Disconnected before the answer, and retried with another socket.
            let first = manager.socket("/chat").build().unwrap();
            first.connect();
            drop(first);
            let chat = soon(manager.socket("/chat").auth(json!({ "token": 1 }))).await;
            let chat = chat.unwrap();
            // Left and joined again at once, with other credentials.
            drop(chat.disconnect());
            chat.set_auth(json!({ "token": 2 })).unwrap();
            chat.connect();
            soon(chat.connected_or_failed()).await.unwrap();
            let handshake: Value = soon(chat.emit_with_ack("handshake", ())).await.unwrap();
            assert_eq!(handshake["auth"], json!({ "token": 2 }));
        }
        let n: u32 = soon(main.emit_with_ack("echo", 1)).await.unwrap();
        assert_eq!(n, 1);
        soon(manager.close()).await;
        let first = soon(events.next()).await;
        assert!(
            matches!(
                first,
                Some(SocketEvent::Disconnect {
                    reason: DisconnectReason::IoClientDisconnect,
                    ..
                })
            ),
            "{transport}: {first:?}"
        );
    }
}

/// Checks the timeout of a join: a server that uses another parser never answers CONNECT.
#[tokio::test]
async fn another_parser_is_an_error_at_once_or_after_the_attempts() {
    for (server, parser) in [
        (json!({}), Parser::Msgpack),
        (json!({ "parser": "msgpack" }), Parser::Json),
    ] {
        let node = Server::node(server);
        let client = || connect(node.url("/")).parser(parser);
        let error = soon(client().fail_fast()).await.unwrap_err();
        assert!(matches!(error, StartError::Connect(_)), "{error}");
        let delay = Duration::from_millis(20);
        let attempts = client()
            .reconnection_delay(delay, delay)
            .reconnection_attempts(2);
        let error = soon(attempts).await.unwrap_err();
        assert!(matches!(error, StartError::Connect(_)), "{error}");
    }
}

/// Encodes WebSocket messages of a server.
fn messages<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        encode_into(&mut bytes, OpCode::Text, text.as_ref().as_bytes());
    }
    bytes
}

/// Starts a server that sends these packets at once when it gets CONNECT of the namespace.
fn server(texts: impl IntoIterator<Item = String>) -> Link {
    let joined = [r#"40{"sid":"a"}"#.to_owned()];
    scripted("", messages(joined.into_iter().chain(texts))).0
}

fn named(name: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |n| format!(r#"42["{name}",{n}]"#))
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_the_server_disconnects_at_once_has_connected() {
    let server = server(["41".to_owned()]);
    for _ in 0..20 {
        let socket = soon(server.client()).await.unwrap();
        until(|| !socket.is_active()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_one_event_says_what_it_missed_and_counts_no_other() {
    let texts = named("other", 20).chain(named("x", 10));
    let server = server(texts.chain(["42[\"end\"]".to_owned()]));
    let socket = server.client().inbound_buffer(4, 1 << 20).build().unwrap();
    let (mut xs, mut end) = (socket.listen::<u32>("x"), socket.listen::<()>("end"));
    socket.connect();
    soon(end.next()).await.unwrap().unwrap();
    for n in 0..4 {
        assert_eq!(soon(xs.next()).await, Some(Ok(n)));
    }
    assert!(matches!(soon(xs.next()).await, Some(Err(_))));
}

#[tokio::test(start_paused = true)]
async fn a_slow_observer_of_the_connection_hears_of_its_end() {
    let server = server(named("x", 3000));
    let manager = server
        .manager()
        .report_packets(true)
        .reconnection(false)
        .build()
        .unwrap();
    let mut below = manager.events();
    let socket = manager.socket("/").build().unwrap();
    let mut events = socket.events();
    socket.connect();
    for _ in 0..3001 {
        soon(events.next()).await.unwrap();
    }
    soon(manager.close()).await;
    drop((socket, manager));
    let mut seen = Vec::new();
    while let Some(event) = soon(below.next()).await {
        seen.push(event);
    }
    let closed = |event: &ManagerEvent| matches!(event, ManagerEvent::Close { .. });
    assert!(seen.iter().any(closed));
    assert!(seen.len() < 2000, "{} were kept", seen.len());
}

#[tokio::test(start_paused = true)]
async fn handlers_that_never_end_do_not_stop_those_of_the_connection() {
    let texts = named("x", 1100).chain(["41".to_owned()]);
    let server = server(texts);
    let (tx, mut ended) = mpsc::unbounded_channel();
    let _socket = soon(
        server
            .client()
            .on("x", std::future::pending::<()>)
            .on_disconnect(move || {
                let _ = tx.send(());
                async {}
            }),
    )
    .await
    .unwrap();
    soon(ended.recv()).await.unwrap();
}

#[tokio::test]
async fn a_listener_of_one_socket_is_none_of_another() {
    let server = server([]);
    let manager = server.manager().build().unwrap();
    let first = manager.socket("/first").build().unwrap();
    let second = manager.socket("/second").build().unwrap();
    let handler = || async {};
    let (mine, other) = (first.on("x", handler), second.on("x", handler));
    assert!(!first.off(other));
    assert!(first.off(mine));
}

#[tokio::test]
async fn many_pings_are_not_answered_one_by_one() {
    let mut bytes = messages([r#"40{"sid":"a"}"#]);
    const PINGS: usize = 10_000;
    for _ in 0..PINGS {
        encode_into(&mut bytes, OpCode::Ping, b"1234");
    }
    bytes.extend(messages([r#"42["end"]"#]));
    let (server, mut said) = scripted("", bytes);
    let socket = server.client().build().unwrap();
    let mut end = socket.listen::<()>("end");
    socket.connect();
    soon(end.next()).await.unwrap().unwrap();
    soon(socket.disconnect()).await;
    let said = soon(said.recv()).await.unwrap();
    assert!(said.len() < PINGS / 5, "{} pongs", said.len());
}

#[test]
fn after_the_runtime_has_gone_nothing_is_accepted_and_nothing_waits() {
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let first = runtime();
    let socket = first.block_on(async {
        let server = server([]);
        soon(server.client()).await.unwrap()
    });
    let mut events = socket.events();
    let waiting = socket.emit_with_ack::<()>("x", ());
    drop(first);
    assert_eq!(socket.emit("x", ()), Err(EmitError::Closed));
    assert!(!socket.is_connected() && !socket.is_active());
    socket.connect();
    runtime().block_on(async {
        soon(socket.disconnect()).await;
        assert!(soon(waiting).await.is_err());
        assert!(soon(socket.connected_or_failed()).await.is_err());
        while soon(events.next()).await.is_some() {}
    });
}

/// Checks that a request is not retried after a connection fails while in use, which may have carried it, or its
/// answer.
#[tokio::test(start_paused = true)]
async fn what_breaks_in_use_is_not_sent_again() {
    let (server, mut bodies) = closing_server("");
    let socket = soon(
        server
            .client()
            .transports([Transport::Polling])
            .upgrade(false)
            .reconnection(false),
    )
    .await
    .unwrap();
    let mut events = socket.events();
    assert_eq!(soon(bodies.recv()).await.unwrap(), "40");
    socket.emit("x", 1).unwrap();
    let ended = soon(events.next()).await;
    assert!(matches!(ended, Some(SocketEvent::Disconnect { .. })));
    assert!(bodies.try_recv().is_err());
}

/// Returns the network of a long-polling server that closes a kept-alive connection when the second POST arrives on it,
/// once, and the bodies of the other POSTs. `headers` are in all its responses.
fn closing_server(headers: &'static str) -> (Link, mpsc::UnboundedReceiver<String>) {
    let (tx, bodies) = mpsc::unbounded_channel();
    let (closed, gets) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let link = Link::to(move |stream, _| {
        let (tx, closed, gets) = (tx.clone(), closed.clone(), gets.clone());
        async move {
            let (mut http, mut posts) = (Http::new(stream), 0);
            while let Some(request) = http.request().await {
                let answer = if request.method == "POST" {
                    posts += 1;
                    if posts == 2 && !closed.swap(true, Ordering::SeqCst) {
                        return;
                    }
                    let _ = tx.send(request.text().to_owned());
                    "ok"
                } else {
                    match gets.fetch_add(1, Ordering::SeqCst) {
                        0 => OPEN,
                        1 => r#"40{"sid":"a"}"#,
                        _ => std::future::pending().await,
                    }
                };
                http.respond(200, headers, answer.as_bytes()).await;
            }
        }
    });
    (link, bodies)
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closed_as_a_post_leaves_ends_nothing() {
    let (server, mut bodies) = closing_server("");
    let socket = soon(
        server
            .client()
            .transports([Transport::Polling])
            .upgrade(false)
            .reconnection(false),
    )
    .await
    .unwrap();
    assert_eq!(soon(bodies.recv()).await.unwrap(), "40");
    // The idle time after which servers close connections.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    socket.emit("x", 1).unwrap();
    assert_eq!(soon(bodies.recv()).await.unwrap(), r#"42["x",1]"#);
    assert!(socket.is_connected());
}

/// A server that says how long it keeps a connection is believed: later requests take another one, before it closes that.
#[tokio::test(start_paused = true)]
async fn a_connection_is_not_used_for_longer_than_the_server_keeps_it() {
    for (headers, reused) in [
        ("Keep-Alive: timeout=0\r\n", false),
        ("Keep-Alive: timeout=60\r\n", true),
    ] {
        let (server, mut bodies) = closing_server(headers);
        let socket = soon(
            server
                .client()
                .transports([Transport::Polling])
                .upgrade(false)
                .reconnection(false),
        )
        .await
        .unwrap();
        assert_eq!(soon(bodies.recv()).await.unwrap(), "40");
        let mut events = socket.events();
        socket.emit("x", 1).unwrap();
        // A second one over the same connection breaks it, in use.
        let arrived = tokio::select! {
            body = soon(bodies.recv()) => body.is_some_and(|body| body == r#"42["x",1]"#),
            _ = soon(events.next()) => false,
        };
        assert_eq!(arrived, !reused, "{headers}");
        assert_eq!(socket.is_connected(), arrived);
    }
}

#[cfg(feature = "blocking")]
#[test]
fn blocking_recv_keeps_its_time_while_another_thread_receives() {
    let node = plain_node();
    let socket = fanfare_client::blocking::connect(connect(node.url("/"))).unwrap();
    while socket.recv(Duration::from_millis(1)).is_some() {}
    std::thread::scope(|scope| {
        let (tx, rx) = std::sync::mpsc::channel();
        let socket = &socket;
        let other = scope.spawn(move || {
            tx.send(()).unwrap();
            // Until the socket is disconnected below.
            socket.recv(support::PATIENCE)
        });
        rx.recv().unwrap();
        let begin = std::time::Instant::now();
        // Repeated, so that the other thread gets its turn.
        for _ in 0..20 {
            assert!(socket.recv(Duration::from_millis(20)).is_none());
        }
        // Far less than the timeout of the other thread, even on a busy machine.
        assert!(begin.elapsed() < support::PATIENCE / 2);
        socket.disconnect();
        assert!(other.join().unwrap().is_some());
    });
}
