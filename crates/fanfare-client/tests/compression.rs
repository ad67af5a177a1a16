//! Tests of permessage-deflate, against Node, Fanfare, and servers that negotiate or compress wrongly.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use fanfare::{Ack, Data, Namespace, SocketIo};
use fanfare_client::event::SocketEvent;
use fanfare_client::options::PerMessageDeflate;
use fanfare_client::{BuildError, DisconnectReason, Socket, Transport, connect};
use fanfare_testing::wire::Frame;
use fanfare_websocket::deflate::compress_shared;
use fanfare_websocket::{OpCode, frame};
use serde_json::{Value, json};
use support::{Relay, Server, scripted, soon};

/// Maximum overhead of an event in addition to its payload, in bytes: frames, names, occasional pings.
const SLACK: usize = 400;

fn text(len: usize) -> String {
    "All work and no play makes Jack a dull boy. "
        .chars()
        .cycle()
        .take(len)
        .collect()
}

/// Emits an event and returns the bytes that it and its acknowledgement took on the wire.
async fn cost(relay: &Relay, socket: &Socket, compress: bool, payload: &str) -> (usize, usize) {
    // Everything in flight earlier has arrived with the previous acknowledgement.
    relay.take();
    let echo = socket.compress(compress).emit_with_ack("echo", payload);
    let back: String = soon(echo).await.unwrap();
    assert!(back == payload);
    relay.take()
}

fn takeover() -> PerMessageDeflate {
    PerMessageDeflate::new()
        .server_no_context_takeover(false)
        .client_no_context_takeover(false)
}

/// Runs all checks against a server on a port, whose event `bytes` echoes bytes.
async fn compresses_both_ways(port: u16, bytes: &str) {
    let relay = Relay::to(port);
    let small_windows = PerMessageDeflate::new()
        .server_max_window_bits(10)
        .client_max_window_bits(9);
    for (name, deflate) in [
        ("default", PerMessageDeflate::default()),
        ("takeover", takeover()),
        ("small windows", small_windows),
    ] {
        for transports in [
            vec![Transport::WebSocket],
            vec![Transport::Polling, Transport::WebSocket],
        ] {
            let upgrades = transports.len() > 1;
            let client = relay
                .client()
                .transports(transports)
                .per_message_deflate(deflate);
            let socket = client.build().unwrap();
            let mut events = socket.manager().events();
            socket.connect();
            soon(socket.connected_or_failed()).await.unwrap();
            while upgrades && socket.manager().transport() != Some(Transport::WebSocket) {
                soon(events.next()).await.unwrap();
            }
            // Discards the packets that the upgrade left in flight.
            cost(&relay, &socket, true, "").await;

            let (up, down) = cost(&relay, &socket, true, &text(50_000)).await;
            assert!(up < 12_500 && down < 12_500, "{name}: {up} up, {down} down");
            let (up, down) = cost(&relay, &socket, false, &text(50_000)).await;
            assert!(
                (50_000..50_000 + SLACK).contains(&up) && down < 12_500,
                "{name}, compress(false): {up} up, {down} down"
            );
            // Under our threshold, then just at it: the message has a few bytes more than the text.
            let (up, _) = cost(&relay, &socket, true, &text(900)).await;
            assert!(up >= 900, "{name}: {up} up");
            let (up, _) = cost(&relay, &socket, true, &text(1024)).await;
            assert!(up < 500, "{name}: {up} up");

            let data = Bytes::from(vec![7; 50_000]);
            relay.take();
            let back: Bytes = soon(socket.emit_with_ack(bytes, &data)).await.unwrap();
            let (up, down) = relay.take();
            assert!(
                back == data && up < 12_500 && down < 12_500,
                "{up} up, {down} down"
            );

            // Many in a row, of all sizes, compressed and not: the windows of both ends stay the same.
            let mut echoes = socket.listen::<String>("echo");
            let lengths = || (0..200).map(|n| n * n % 5000);
            for (n, len) in lengths().enumerate() {
                socket.compress(n % 3 > 0).emit("echo", text(len)).unwrap();
            }
            for len in lengths() {
                assert!(soon(echoes.next()).await.unwrap().unwrap() == text(len));
            }
            soon(socket.disconnect()).await;
        }
    }
}

#[tokio::test]
async fn compresses_both_ways_against_node() {
    let node = Server::node(json!({ "perMessageDeflate": true }));
    compresses_both_ways(node.port, "echo").await;
}

#[tokio::test]
async fn compresses_both_ways_against_fanfare() {
    for deflate in [PerMessageDeflate::default(), takeover()] {
        let main = Namespace::new("/")
            .on(
                "echo",
                async |socket: fanfare::Socket, Data(text): Data<String>| {
                    socket.emit("echo", &text).map(|()| Ack(text))
                },
            )
            .on("bytes", async |Data(data): Data<Bytes>| Ack(data));
        let io = SocketIo::builder()
            .namespace(main)
            .per_message_deflate(deflate)
            .build()
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(fanfare::serve(io.clone()).listener(listener));
        compresses_both_ways(port, "bytes").await;
    }
}

#[tokio::test]
async fn only_if_asked_for_and_agreed() {
    let node = Server::node(json!({ "perMessageDeflate": true }));
    let relay = Relay::to(node.port);
    let socket = soon(relay.client()).await.unwrap();
    let (up, down) = cost(&relay, &socket, true, &text(50_000)).await;
    assert!(up > 50_000 && down > 50_000, "{up} up, {down} down");
    let requests: Vec<Value> = soon(socket.emit_with_ack("requests", ())).await.unwrap();
    assert!(requests[0]["headers"]["sec-websocket-extensions"].is_null());

    // A server that declines the offer.
    let node = Server::node(json!({}));
    let relay = Relay::to(node.port);
    let client = relay
        .client()
        .per_message_deflate(PerMessageDeflate::default());
    let socket = soon(client).await.unwrap();
    let (up, down) = cost(&relay, &socket, true, &text(50_000)).await;
    assert!(up > 50_000 && down > 50_000, "{up} up, {down} down");
    let requests: Vec<Value> = soon(socket.emit_with_ack("requests", ())).await.unwrap();
    assert_eq!(
        requests[0]["headers"]["sec-websocket-extensions"],
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits"
    );
}

#[tokio::test]
async fn a_bad_answer_is_no_connection() {
    for (answer, because) in [
        ("permessage-bzip2", "permessage-bzip2"),
        // Context takeover although the client requested none.
        ("permessage-deflate", "server_no_context_takeover"),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=16",
            "server_max_window_bits=16",
        ),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=15",
            "server_max_window_bits",
        ),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; client_max_window_bits=12",
            "client_max_window_bits=12",
        ),
        (
            "permessage-deflate; server_no_context_takeover; server_max_window_bits=10, permessage-deflate",
            "there are two",
        ),
    ] {
        let headers = format!("Sec-WebSocket-Extensions: {answer}\r\n");
        let (server, _) = scripted(&headers, Vec::new());
        let client = server
            .client()
            .transports([Transport::WebSocket])
            .per_message_deflate(
                PerMessageDeflate::new()
                    .server_max_window_bits(10)
                    .client_max_window_bits(11),
            );
        let error = soon(client.fail_fast()).await.unwrap_err().to_string();
        assert!(
            error.contains("permessage-") && error.contains(because),
            "{answer}: {error}"
        );
    }
    // Not offered at all.
    let headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let (server, _) = scripted(headers, Vec::new());
    let client = server.client().transports([Transport::WebSocket]);
    let error = soon(client.fail_fast()).await.unwrap_err().to_string();
    assert!(error.contains("not offered"), "{error}");
}

#[tokio::test]
async fn what_expands_too_far_or_cannot_be_expanded_ends_the_connection() {
    let mut joined = Vec::new();
    frame::encode_into(&mut joined, OpCode::Text, br#"40{"sid":"a"}"#);
    let zeros = |len| {
        let message = [&b"42[\"x\",\""[..], &vec![b'0'; len], b"\"]"].concat();
        compress_shared(OpCode::Text, &message, 15, 9)
    };
    // 40 MB in 40 KB, and one invalid byte in a compressed frame.
    let bomb = zeros(40 << 20);
    assert!(bomb.len() < 50_000, "{}", bomb.len());
    for (bytes, because, code) in [
        (&bomb[..], "over the limit of 1000000 bytes", 1009_u16),
        (&[0xC1, 0x01, 0xFF], "corrupt", 1007),
    ] {
        let headers =
            "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
        let (server, mut said) = scripted(headers, [&joined, bytes].concat());
        let socket = server
            .client()
            .transports([Transport::WebSocket])
            .per_message_deflate(PerMessageDeflate::default())
            .max_message(1_000_000)
            .reconnection(false)
            .build()
            .unwrap();
        let mut events = socket.events();
        socket.connect();
        assert!(matches!(
            soon(events.next()).await.unwrap(),
            SocketEvent::Connect { .. }
        ));
        let SocketEvent::Disconnect { reason, details } = soon(events.next()).await.unwrap() else {
            panic!("not refused: {because}")
        };
        assert_eq!(reason, DisconnectReason::TransportError);
        let details = details.unwrap().to_string();
        assert!(details.contains(because), "{details}");
        // The server is notified: a close frame with the code is the last input it gets.
        let said = soon(said.recv()).await.unwrap();
        assert_eq!(said.last(), Some(&Frame::Close(code)));
    }
    // A message of exactly the limit is accepted.
    let headers = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n";
    let (server, _) = scripted(headers, [&joined, &zeros(999_989)[..]].concat());
    let socket = server
        .client()
        .transports([Transport::WebSocket])
        .per_message_deflate(PerMessageDeflate::default())
        .max_message(1_000_000)
        .build()
        .unwrap();
    let mut x = socket.listen::<String>("x");
    socket.connect();
    assert_eq!(soon(x.next()).await.unwrap().unwrap().len(), 999_989);
}

#[tokio::test]
async fn windows_that_zlib_cannot_make_are_an_error() {
    for bits in [0, 8, 16] {
        let error = connect("http://localhost")
            .per_message_deflate(PerMessageDeflate::new().client_max_window_bits(bits))
            .build()
            .unwrap_err();
        assert!(
            matches!(&error, BuildError::InvalidOption { option, .. } if *option == "per_message_deflate"),
            "{error}"
        );
        assert!(
            error.to_string().contains(&format!("{bits} bits")),
            "{error}"
        );
    }
}

#[cfg(feature = "macros")]
#[tokio::test]
async fn events_as_types_are_sent_as_they_are_if_asked_for() {
    use fanfare_client::typed::{Contract, Typed, TypedEvent};

    #[derive(serde::Serialize, serde::Deserialize, TypedEvent)]
    #[event(ack = String)]
    struct Echo(String);

    #[derive(Contract)]
    #[contract(namespace = "/", from_clients(Echo), from_server(Echo))]
    struct Main;

    let main = Namespace::new("/").on_event(
        async |socket: fanfare::Socket, Typed(Echo(text)): Typed<Echo>| {
            socket.emit("echo", "short").map(|()| Ack(text))
        },
    );
    let io = SocketIo::builder()
        .namespace(main)
        .per_message_deflate(PerMessageDeflate::default())
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = Relay::to(listener.local_addr().unwrap().port());
    tokio::spawn(fanfare::serve(io.clone()).listener(listener));
    let client = relay
        .client()
        .per_message_deflate(PerMessageDeflate::default());
    let socket = soon(client).await.unwrap();
    let typed = socket.typed::<Main>();
    let mut echoes = typed.listen::<Echo>();
    let echo = Echo(text(50_000));
    relay.take();
    for compress in [true, false] {
        // Checks the number of bytes sent, after the answer has arrived.
        let mut sent = async |what: &str| {
            soon(echoes.next()).await.unwrap().unwrap();
            let (up, _) = relay.take();
            assert_eq!(up < 12_500, compress, "{what}: {up} up");
            assert!(up < 50_000 + SLACK, "{what}: {up} up");
        };
        socket.compress(compress).emit_event(&echo).unwrap();
        sent("emit_event").await;
        let answer = socket.compress(compress).emit_event_with_ack(&echo);
        assert_eq!(soon(answer).await.unwrap(), echo.0);
        sent("emit_event_with_ack").await;
        typed.compress(compress).emit(&echo).unwrap();
        sent("emit").await;
        typed.volatile().compress(compress).emit(&echo).unwrap();
        sent("volatile").await;
        let answer = typed.compress(compress).emit_with_ack(&echo);
        assert_eq!(soon(answer).await.unwrap(), echo.0);
        sent("emit_with_ack").await;
    }
}
