//! Options of the requests, as servers see them.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use bytes::Bytes;
use fanfare::{Ack, Data, Namespace, SocketIo};
use fanfare_client::{
    BuildError, DisconnectReason, SocketEvent, Transport, TransportOptions, connect,
};
use serde_json::{Value, json};
use support::wire::{Relay, read_head, websocket_server};
use support::{Server, plain_node, soon};

/// What Node saw of the requests so far, once the connection is a WebSocket.
async fn requests(client: fanfare_client::ClientBuilder) -> Vec<Value> {
    let socket = client.build().unwrap();
    let mut events = socket.manager().events();
    socket.connect();
    soon(socket.connected_or_failed()).await.unwrap();
    while socket.manager().transport() != Some(Transport::WebSocket) {
        soon(events.next()).await.unwrap();
    }
    soon(socket.emit_with_ack("requests", ())).await.unwrap()
}

fn is_websocket(request: &Value) -> bool {
    let url = request["url"].as_str().unwrap();
    assert_eq!(url.matches("transport=").count(), 1, "{url}");
    url.contains("transport=websocket")
}

const UPGRADED: [Transport; 2] = [Transport::Polling, Transport::WebSocket];

#[tokio::test]
async fn options_of_one_transport() {
    let node = plain_node();
    let client = connect(node.url("/?from=url"))
        .transports(UPGRADED)
        .header("X-All", "all")
        .header("X-Which", "either")
        .query("which", "either")
        .transport_options(
            Transport::Polling,
            TransportOptions::new()
                .header("x-which", "polling")
                .query("which", "polling"),
        )
        .transport_options(
            Transport::WebSocket,
            TransportOptions::new()
                .header("X-Own", "yes")
                .query("from", "a socket"),
        );
    let seen = requests(client).await;
    assert!(seen.len() > 2, "{seen:?}");
    for request in &seen {
        let (url, headers) = (request["url"].as_str().unwrap(), &request["headers"]);
        assert_eq!(headers["x-all"], "all");
        if is_websocket(request) {
            assert_eq!(headers["x-which"], "either");
            assert_eq!(headers["x-own"], "yes");
            assert!(url.ends_with("&which=either&from=a%20socket"), "{url}");
        } else {
            assert_eq!(headers["x-which"], "polling");
            assert!(headers["x-own"].is_null());
            assert!(url.ends_with("&from=url&which=polling"), "{url}");
        }
    }
    // A path where nobody answers, for one of them.
    let client = connect(node.url("/")).transport_options(
        Transport::WebSocket,
        TransportOptions::new().path("/elsewhere"),
    );
    let socket = soon(client).await.unwrap();
    assert_eq!(socket.manager().transport(), Some(Transport::Polling));
    let wrong = TransportOptions::new().header("a b", "c");
    let client = connect(node.url("/")).transport_options(Transport::Polling, wrong);
    assert!(matches!(client.build(), Err(BuildError::Header { name }) if name == "a b"));
}

#[tokio::test]
async fn timestamps_where_they_are_asked_for() {
    let node = plain_node();
    let url = node.url("/");
    let client = || connect(&url).transports(UPGRADED).timestamp_param("when");
    for (client, polling, websocket) in [
        (client(), true, false),
        (client().timestamp_requests(true), true, true),
        (client().timestamp_requests(false), false, false),
    ] {
        let seen = requests(client.query("tag", polling.to_string())).await;
        let tag = format!("tag={polling}");
        let ours = seen.iter().rev().take_while(|request| {
            // Only those of this client; the newest come last.
            request["url"].as_str().unwrap().contains(&tag)
        });
        let ours: Vec<_> = ours.collect();
        assert!(ours.len() > 1);
        for request in ours.into_iter().take(3) {
            let stamped = request["url"].as_str().unwrap().contains("&when=");
            let expected = if is_websocket(request) {
                websocket
            } else {
                polling
            };
            assert_eq!(stamped, expected, "{request}");
        }
    }
}

#[tokio::test]
async fn the_protocols_parameters_are_not_the_applications() {
    let node = plain_node();
    let client = connect(format!("{}?EIO=3&sid=x&a=%20b", node.url("/")))
        .transports(UPGRADED)
        .query("transport", "pigeon")
        .query("sid", "y");
    for request in requests(client).await {
        let url = request["url"].as_str().unwrap();
        assert!(url.contains("EIO=4") && !url.contains("EIO=3"), "{url}");
        assert!(
            !url.contains("pigeon") && !url.contains("sid=x") && !url.contains("sid=y"),
            "{url}"
        );
        assert!(url.ends_with("&a=%20b"), "{url}");
    }
}

#[tokio::test]
async fn sub_protocols() {
    let node = plain_node();
    let client = connect(node.url("/"))
        .transports([Transport::WebSocket])
        .protocols(["v2.example", "v1.example"]);
    let seen = requests(client).await;
    assert_eq!(
        seen[0]["headers"]["sec-websocket-protocol"],
        "v2.example, v1.example"
    );
    // Our server confirms the first, too.
    let (_io, port) = fanfare_server().await;
    let client = connect(format!("http://127.0.0.1:{port}"))
        .transports([Transport::WebSocket])
        .protocols(["v2.example", "v1.example"]);
    assert!(soon(client).await.unwrap().connected());

    for (chosen, offered) in [
        ("other", vec!["a", "b"]),
        ("a, b", vec!["a", "b"]),
        ("a", vec![]),
    ] {
        let headers = format!("Sec-WebSocket-Protocol: {chosen}\r\n").leak();
        let url = websocket_server(headers, Vec::new()).await;
        let client = connect(url)
            .transports([Transport::WebSocket])
            .protocols(offered);
        let error = soon(client.fail_fast()).await.unwrap_err().to_string();
        let expected =
            format!("the server chose the sub-protocol {chosen:?}, which was not offered");
        assert!(error.contains(&expected), "{error}");
    }
    for (wrong, because) in [
        (vec![""], "\"\" is not a token"),
        (vec!["a, b"], "\"a, b\" is not a token"),
        (vec!["ä"], "is not a token"),
        (vec!["a", "b", "a"], "\"a\" stands there twice"),
    ] {
        let error = connect("http://localhost").protocols(wrong).build();
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("`protocols`") && error.contains(because),
            "{error}"
        );
    }
}

async fn fanfare_server() -> (SocketIo, u16) {
    let main = Namespace::new("/").on("echo", async |Data(data): Data<Bytes>| Ack(data));
    let io = SocketIo::builder().namespace(main).build().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(fanfare::serve_listener(listener, io.clone()));
    (io, port)
}

#[tokio::test]
async fn bytes_as_base64_over_every_transport() {
    let node = plain_node();
    let (_io, fanfare) = fanfare_server().await;
    for (name, port) in [("node", node.port), ("fanfare", fanfare)] {
        for (transports, upgrade) in [
            (vec![Transport::WebSocket], false),
            (vec![Transport::Polling], false),
            (UPGRADED.to_vec(), true),
        ] {
            let relay = Relay::to(port).await;
            let socket = connect(&relay.url)
                .transports(transports)
                .upgrade(upgrade)
                .force_base64(true)
                .build()
                .unwrap();
            let mut events = socket.manager().events();
            socket.connect();
            soon(socket.connected_or_failed()).await.unwrap();
            while upgrade && socket.manager().transport() != Some(Transport::WebSocket) {
                soon(events.next()).await.unwrap();
            }
            for len in [0, 1, 2, 3, 30_000] {
                let data = Bytes::from((0..len).map(|n| n as u8).collect::<Vec<_>>());
                relay.take();
                let back: Bytes = soon(socket.emit_with_ack("echo", &data)).await.unwrap();
                assert!(back == data, "{name}");
                let (up, down) = relay.take();
                assert!(up > len * 4 / 3, "{name}: {up} bytes up of {len}");
                // Node answers likewise. Our server reads it, and sends bytes as they are where it can.
                let text =
                    name == "node" || socket.manager().transport() == Some(Transport::Polling);
                let least = if text { len * 4 / 3 } else { len };
                assert!(down > least, "{name}: {down} bytes down of {len}");
                if !text && len == 30_000 {
                    assert!(down < len * 4 / 3, "{name}: {down} bytes down of {len}");
                }
            }
        }
    }
    // Said where it has to be said: by the handshake, and by every WebSocket.
    let client = connect(node.url("/?mark=1"))
        .transports(UPGRADED)
        .force_base64(true);
    let seen = requests(client).await;
    let ours = seen
        .iter()
        .filter(|request| request["url"].as_str().unwrap().contains("mark=1"));
    for request in ours {
        let url = request["url"].as_str().unwrap();
        let says = is_websocket(request) || !url.contains("sid=");
        assert_eq!(url.contains("b64=1"), says, "{url}");
    }
}

#[tokio::test]
async fn polling_requests_end_in_time() {
    // Nobody answers.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let polling = |url: &str| connect(url).transports([Transport::Polling]).upgrade(false);
    let client = polling(&url).request_timeout(Duration::from_millis(50));
    let error = soon(client.fail_fast()).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "xhr poll error: no whole answer within the request timeout of 50ms"
    );

    // Requests that are answered in time go on for longer than that, and one that is not ends the connection.
    let node = Server::node(json!({ "pingInterval": 100, "pingTimeout": 60_000 }));
    let client = polling(&node.url("/")).request_timeout(Duration::from_secs(1));
    let socket = client.reconnection(false).build().unwrap();
    let (mut events, mut below) = (socket.events(), socket.manager().events());
    socket.connect();
    soon(socket.connected_or_failed()).await.unwrap();
    let mut pings = 0;
    while pings < 15 {
        pings += u32::from(matches!(
            soon(below.next()).await.unwrap(),
            fanfare_client::ManagerEvent::Ping
        ));
    }
    assert!(socket.connected());
    node.stall();
    assert!(matches!(
        soon(events.next()).await.unwrap(),
        SocketEvent::Connect { .. }
    ));
    let SocketEvent::Disconnect { reason, details } = soon(events.next()).await.unwrap() else {
        panic!()
    };
    node.resume();
    assert_eq!(reason, DisconnectReason::TransportError);
    let details = details.unwrap().to_string();
    assert!(
        details.ends_with("within the request timeout of 1s"),
        "{details}"
    );

    // The body counts, too.
    let dripping = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", dripping.local_addr().unwrap());
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = dripping.accept().await.unwrap();
        read_head(&mut stream).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n";
        stream.write_all(head).await.unwrap();
        while stream.write_all(b"0").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let client = polling(&url).request_timeout(Duration::from_millis(200));
    let error = soon(client.fail_fast()).await.unwrap_err().to_string();
    assert!(
        error.ends_with("within the request timeout of 200ms"),
        "{error}"
    );
}
