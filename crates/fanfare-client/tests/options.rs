//! Options of the requests, as received by servers.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use fanfare::{Ack, Data, Namespace, SocketIo};
use fanfare_client::options::TransportOptions;
use fanfare_client::{BuildError, Transport, connect};
use serde_json::{Value, json};
use support::{Relay, Server, plain_node, scripted, soon};

/// Returns the requests that Node has received so far, once the connection is a WebSocket.
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
    // A path at which no server answers, for one of them.
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
    let client = connect(format!("{}?EIO=3&sid=pigeon&a=%20b", node.url("/")))
        .transports(UPGRADED)
        .query("transport", "pigeon")
        .query("sid", "pigeon");
    for request in requests(client).await {
        let url = request["url"].as_str().unwrap();
        assert!(url.contains("EIO=4") && !url.contains("EIO=3"), "{url}");
        assert!(!url.contains("pigeon"), "{url}");
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
    // Fanfare's server confirms the first, too.
    let (_io, port) = fanfare_server().await;
    let client = connect(format!("http://127.0.0.1:{port}"))
        .transports([Transport::WebSocket])
        .protocols(["v2.example", "v1.example"]);
    assert!(soon(client).await.unwrap().is_connected());

    for (chosen, offered) in [
        ("other", vec!["a", "b"]),
        ("a, b", vec!["a", "b"]),
        ("a", vec![]),
    ] {
        let headers = format!("Sec-WebSocket-Protocol: {chosen}\r\n");
        let (server, _) = scripted(&headers, Vec::new());
        let client = server
            .client()
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
    tokio::spawn(fanfare::serve(io.clone()).listener(listener));
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
            let relay = Relay::to(port);
            let socket = relay
                .client()
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
                // Node answers the same way. Fanfare's server reads base64, and sends bytes as binary where it can.
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
    // Sent where necessary: in the handshake, and in every WebSocket request.
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
async fn a_query_in_any_script_is_percent_encoded() {
    let node = plain_node();
    let client =
        connect(format!("{}?q=ü x&plus=a+b&odd=%+1%zz", node.url("/"))).transports(UPGRADED);
    for request in requests(client).await {
        let url = request["url"].as_str().unwrap();
        assert!(url.is_ascii(), "{url}");
        assert!(url.ends_with("&q=%C3%BC%20x&plus=a+b&odd=%+1%zz"), "{url}");
    }
}

#[tokio::test]
async fn paths_and_namespaces_that_can_never_work_are_refused() {
    let url = "http://localhost:1";
    for (path, why) in [
        ("/socket.io/?token=a", "`query`"),
        ("/socket.io/#a", "`query`"),
        ("http://elsewhere/socket.io/", "is a URL"),
        ("/a\nb", "control characters"),
    ] {
        let for_all = connect(url).path(path).build();
        let own = TransportOptions::new().path(path);
        let for_one = connect(url)
            .transport_options(Transport::Polling, own)
            .build();
        for error in [for_all.unwrap_err(), for_one.unwrap_err()] {
            let error = error.to_string();
            assert!(error.contains("`path`") && error.contains(why), "{error}");
        }
    }
    for path in ["", "/", "socket.io", "/ñ/", "//a//"] {
        assert!(connect(url).path(path).build().is_ok(), "{path:?}");
    }
    let manager = fanfare_client::Manager::builder(url).build().unwrap();
    for (namespace, why) in [
        ("/a,b", "comma"),
        ("/a\u{1e}b", "control"),
        ("/\n", "control"),
    ] {
        let errors = [
            connect(url).namespace(namespace).build().unwrap_err(),
            manager.socket(namespace).build().unwrap_err(),
        ];
        for error in errors.map(|error| error.to_string()) {
            assert!(
                error.contains("`namespace`") && error.contains(why),
                "{error}"
            );
        }
    }
    let error = connect(format!("{url}/a,b"))
        .build()
        .unwrap_err()
        .to_string();
    assert!(error.contains("comma"), "{error}");
}

#[tokio::test]
async fn intervals_of_pings_may_have_fractions() {
    // Node sends the number unchanged.
    let node = Server::node(json!({ "pingInterval": 25_000.5, "pingTimeout": 20_000.25 }));
    for transport in [Transport::Polling, Transport::WebSocket] {
        let client = connect(node.url("/"))
            .transports([transport])
            .upgrade(false);
        assert!(soon(client.fail_fast()).await.unwrap().is_connected());
    }
}

#[tokio::test]
async fn a_connector_opens_the_byte_streams() {
    let namespace = Namespace::new("/").on("double", async |Data(n): Data<u32>| Ack(2 * n));
    let io = SocketIo::builder().namespace(namespace).build().unwrap();
    let path = std::env::temp_dir().join(format!("fanfare-connector-{}", std::process::id()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(fanfare::serve(io.clone()).connection(stream, None));
        }
    });
    for transports in [vec![Transport::WebSocket], UPGRADED.to_vec()] {
        let path = path.clone();
        let socket = connect("http://localhost")
            .transports(transports)
            .connector(move || tokio::net::UnixStream::connect(path.clone()));
        let socket = soon(socket).await.unwrap();
        let twice: u32 = soon(socket.emit_with_ack("double", 21)).await.unwrap();
        assert_eq!(twice, 42);
        soon(socket.disconnect()).await;
    }
    std::fs::remove_file(&path).unwrap();
    let client = connect("http://localhost").connector(move || {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await }
    });
    assert!(soon(client.fail_fast()).await.is_err());
}

#[tokio::test]
async fn a_connector_excludes_a_proxy() {
    let client = connect("http://localhost").proxy("http://localhost:3128");
    let client = client.connector(|| tokio::net::UnixStream::connect("/nowhere"));
    let error = client.build().unwrap_err();
    let option = "connector";
    assert!(matches!(error, BuildError::InvalidOption { option: found, .. } if found == option));
}
