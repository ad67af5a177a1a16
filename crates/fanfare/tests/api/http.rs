//! Options of the builder for requests, responses and connections.

use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::IntoResponse;
use fanfare::engine::{
    EngineConnection, EngineConnectionEvent, HandshakeRequest, PerMessageDeflate, Transport,
};
use fanfare::http::{Cookie, Cors, CorsOrigin, HttpCompression};
use fanfare::{BuildError, Data, Namespace, Socket, SocketIo};
use fanfare_testing::Received;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Peer, Server, until, within};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Returns the head (in lower case) and the body of a response; of a WebSocket the data that arrived with the head.
async fn request(addr: std::net::SocketAddr, line: &str, headers: &str) -> (String, String) {
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let close = if headers.contains("Upgrade") {
        ""
    } else {
        "Connection: close\r\n"
    };
    let head = format!("{line} HTTP/1.1\r\nHost: x\r\n{close}{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", async {
        loop {
            let ended = stream.read_buf(&mut answer).await.unwrap_or(0) == 0;
            let head = answer.windows(4).any(|w| w == b"\r\n\r\n");
            if ended || (head && answer.starts_with(b"HTTP/1.1 101")) {
                break;
            }
        }
    })
    .await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

fn sid_of(body: &str) -> String {
    let (_, rest) = body.split_once("\"sid\":\"").unwrap();
    rest[..rest.find('"').unwrap()].to_owned()
}

#[tokio::test]
async fn requests_are_decided_on_and_refusals_are_told() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = told.clone();
    let server = Server::start(
        SocketIo::builder()
            .allow_request(async |request: HandshakeRequest| {
                tokio::task::yield_now().await;
                match request.header_str("x-token") {
                    Some("good") => Ok(()),
                    Some(_) => Err("wrong token"),
                    None => Err(""),
                }
            })
            .on_connection_error(move |error| {
                let told = (error.code.code(), error.message.to_owned(), error.context);
                seen.lock().unwrap().push(told);
                assert!(error.request.url().starts_with("/socket.io/"));
            }),
    )
    .await;
    let get = format!("GET {POLLING}");
    let (head, body) = request(server.addr, &get, "").await;
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    assert_eq!(body, r#"{"code":4,"message":"Forbidden"}"#);
    let (_, body) = request(server.addr, &get, "X-Token: bad\r\n").await;
    assert_eq!(body, r#"{"code":4,"message":"wrong token"}"#);
    let (head, body) = request(server.addr, &get, "X-Token: good\r\n").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    let post = format!("POST {POLLING}&sid={}", sid_of(&body));
    let (head, _) = request(server.addr, &post, "Content-Length: 0\r\n").await;
    assert!(
        head.starts_with("http/1.1 200 "),
        "a session is not asked again: {head}"
    );
    request(server.addr, "GET /socket.io/?EIO=4&transport=x", "").await;
    request(server.addr, "GET /socket.io/?EIO=4&transport=websocket", "").await;
    let expected = [
        (4, "Forbidden", ""),
        (4, "wrong token", ""),
        (0, "Transport unknown", ""),
        (3, "Bad request", "TRANSPORT_HANDSHAKE_ERROR"),
    ];
    let told = told.lock().unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|(code, text, context)| (*code, text.as_str(), *context))
        .collect();
    assert_eq!(told, expected);
    assert_eq!(server.io.stats().rejected, 4);
}

#[tokio::test]
async fn answers_get_headers_also_those_of_websockets() {
    let server = Server::start(
        SocketIo::builder()
            .cookie(Cookie::default())
            .cors(Cors::new().origin(CorsOrigin::Exact("https://a.example".into())))
            .generate_id(async |request: HandshakeRequest| {
                let id = request.query_param("id");
                id.ok_or_else(|| std::io::Error::other("no id"))
            })
            .initial_headers(|headers, _| {
                headers.insert("x-initial", HeaderValue::from_static("1"));
            })
            .headers(|headers, request| {
                let path = HeaderValue::from_str(request.url()).unwrap();
                headers.insert("x-url", path);
            }),
    )
    .await;
    let (head, _) = request(server.addr, &format!("GET {POLLING}&id=one"), "").await;
    for line in [
        "set-cookie: io=one; path=/; httponly; samesite=lax",
        "access-control-allow-origin: https://a.example",
        "x-initial: 1",
        "x-url: /socket.io/?eio=4&transport=polling&id=one",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let post = format!("POST {POLLING}&sid=one");
    let (head, _) = request(server.addr, &post, "Content-Length: 0\r\n").await;
    assert!(
        head.contains("x-url:") && !head.contains("x-initial"),
        "{head}"
    );
    assert!(!head.contains("set-cookie"), "{head}");
    let websocket = "GET /socket.io/?EIO=4&transport=websocket&id=two";
    let (head, _) = request(server.addr, websocket, UPGRADE).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(
        head.contains("x-initial: 1") && head.contains("x-url:"),
        "{head}"
    );
    let (head, body) = request(server.addr, &format!("GET {POLLING}"), "").await;
    assert!(
        head.starts_with("http/1.1 400 ") && !head.contains("x-url"),
        "{head}"
    );
    assert_eq!(body, r#"{"code":3,"message":"Bad request"}"#);
}

/// The counterpart of Node's `io.engine.use(…)`: any `tower` layer works, and sees upgrades as well.
#[tokio::test]
async fn tower_layers_are_the_middlewares_of_the_engine() {
    async fn guard(
        request: axum::extract::Request,
        next: axum::middleware::Next,
    ) -> axum::response::Response {
        if request.headers().contains_key("x-bad") {
            let closing = [("connection", "close")];
            return (StatusCode::IM_A_TEAPOT, closing).into_response();
        }
        let mut response = next.run(request).await;
        let seen = HeaderValue::from_static("yes");
        response.headers_mut().insert("x-layer", seen);
        response
    }
    let io = SocketIo::builder().build().unwrap();
    let app = axum::Router::new()
        .fallback_service(io.service())
        .layer(axum::middleware::from_fn(guard));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    for (line, headers, status) in [
        (POLLING, "", "200"),
        ("/socket.io/?EIO=4&transport=websocket", UPGRADE, "101"),
    ] {
        let line = format!("GET {line}");
        let (head, _) = request(addr, &line, headers).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
        assert!(head.contains("x-layer: yes"), "{head}");
        let (head, _) = request(addr, &line, &format!("{headers}X-Bad: 1\r\n")).await;
        assert!(head.starts_with("http/1.1 418 "), "{head}");
    }
    let mut peer = Peer::open(addr).await;
    peer.join("/").await;
}

#[tokio::test]
async fn connections_can_be_watched_and_looked_at() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let server = Server::start(
        SocketIo::builder()
            .max_payload(1000)
            .namespace(Namespace::new("/").on("look", async |socket: Socket| {
                let conn: EngineConnection = socket.conn();
                assert_eq!(conn.transport(), Transport::WebSocket);
                assert!(conn.is_open());
                assert!(conn.request().url().contains("EIO=4"));
                assert_eq!(conn.close_description(), None);
                assert_ne!(conn.id(), socket.id().to_string());
                assert_eq!(conn, socket.conn());
                fanfare::Ack(conn.pending_packets())
            }))
            .on_conn_event(move |conn, event| {
                assert_eq!(conn.transport(), Transport::WebSocket);
                seen.lock().unwrap().push(match event {
                    EngineConnectionEvent::Open => "open".to_owned(),
                    EngineConnectionEvent::Message { binary, len } => {
                        format!("message {binary} {len}")
                    }
                    EngineConnectionEvent::Close {
                        reason,
                        description,
                    } => {
                        format!("close {reason} {}", description.unwrap_or("-"))
                    }
                    other => format!("{other:?}"),
                });
            }),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"27["look"]"#).await;
    peer.expect("37[0]").await;
    peer.send(&format!("2[\"look\",\"{}\"]", "x".repeat(2000)))
        .await;
    assert_eq!(peer.next().await, Received::Closed);
    until("the close", || events.lock().unwrap().len() == 4).await;
    let events = events.lock().unwrap();
    assert_eq!(events[..3], ["open", "message false 1", "message false 10"]);
    assert!(
        events[3].starts_with("close transport error "),
        "{}",
        events[3]
    );
    assert!(events[3].contains("1000"), "{}", events[3]);
}

#[tokio::test]
async fn compression_is_a_matter_of_the_event() {
    let server = Server::start(
        SocketIo::builder()
            .http_compression(HttpCompression::new().threshold(100))
            .per_message_deflate(PerMessageDeflate::default())
            .namespace(Namespace::new("/").on(
                "ask",
                async |socket: Socket, Data(compress): Data<bool>| {
                    socket.compress(compress).emit("long", "x".repeat(500))
                },
            )),
    )
    .await;
    let get = format!("GET {POLLING}");
    let (_, body) = request(server.addr, &get, "").await;
    let session = format!("{POLLING}&sid={}", sid_of(&body));
    let post = async |body: &str| {
        let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
        let head = format!(
            "POST {session} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within("an answer", stream.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.ends_with("ok"), "{answer}");
    };
    post("40").await;
    let gzip = "Accept-Encoding: gzip\r\n";
    request(server.addr, &format!("GET {session}"), gzip).await;
    for compress in [true, false] {
        post(&format!(r#"42["ask",{compress}]"#)).await;
        let (head, _) = request(server.addr, &format!("GET {session}"), gzip).await;
        assert_eq!(head.contains("content-encoding: gzip"), compress, "{head}");
    }
    // A client that does not offer permessage-deflate gets none.
    let mut peer = server.joined().await;
    peer.send(r#"2["ask",true]"#).await;
    peer.expect(&format!("2[\"long\",\"{}\"]", "x".repeat(500)))
        .await;
}

#[tokio::test]
async fn the_path_and_the_transports() {
    let server = Server::start(
        SocketIo::builder()
            .path("/live/")
            .add_trailing_slash(false)
            .initial_packet("hello")
            .transports([Transport::Polling]),
    )
    .await;
    let (head, body) = request(server.addr, "GET /live?EIO=4&transport=polling", "").await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");
    assert!(
        body.contains("\"upgrades\":[]") && body.ends_with("\u{1e}4hello"),
        "{body}"
    );
    let (head, _) = request(server.addr, "GET /live?EIO=4&transport=websocket", UPGRADE).await;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
}

#[test]
fn options_that_cannot_be_used_are_found_when_the_server_is_built() {
    let cookie = Cookie::new("a b");
    let cors = Cors::new().methods("GET\n");
    let deflate = PerMessageDeflate::new().server_max_window_bits(8);
    for (builder, name, value) in [
        (SocketIo::builder().cookie(cookie), "cookie", "a b"),
        (SocketIo::builder().cors(cors), "cors", "GET"),
        (
            SocketIo::builder().per_message_deflate(deflate),
            "per_message_deflate",
            "8 bits",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, BuildError::InvalidOption { option, .. } if option == name));
        assert!(error.to_string().contains(value), "{error}");
    }
}

/// Uses HTTP/2 for long-polling: many requests on one connection.
#[tokio::test]
async fn polling_works_over_http_2() {
    let server = Server::start(SocketIo::builder().namespace(
        Namespace::new("/").on("echo", async |Data(text): Data<String>| fanfare::Ack(text)),
    ))
    .await;
    let stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let mut send = async |method: &str, query: String, body: &'static str| {
        let request = hyper::Request::builder()
            .method(method)
            .uri(format!("http://{}{POLLING}{query}", server.addr))
            .header("accept-encoding", "gzip")
            .body(axum::body::Body::from(body))
            .unwrap();
        let response = within("an answer", sender.send_request(request))
            .await
            .unwrap();
        assert_eq!(response.version(), hyper::Version::HTTP_2);
        assert_eq!(response.status(), StatusCode::OK);
        let headers: HeaderMap = response.headers().clone();
        let body = axum::body::to_bytes(axum::body::Body::new(response.into_body()), 10_000);
        (
            headers,
            String::from_utf8(body.await.unwrap().to_vec()).unwrap(),
        )
    };
    let (headers, open) = send("GET", String::new(), "").await;
    assert_eq!(headers["cache-control"], "no-store");
    let session = format!("&sid={}", sid_of(&open));
    assert_eq!(send("POST", session.clone(), "40").await.1, "ok");
    assert!(send("GET", session.clone(), "").await.1.starts_with("40{"));
    assert_eq!(
        send("POST", session.clone(), r#"427["echo","hi"]"#).await.1,
        "ok"
    );
    assert_eq!(send("GET", session, "").await.1, r#"437["hi"]"#);
}

#[tokio::test]
async fn one_option_says_which_origins_are_let_in() {
    let cors = Cors::new().credentials(true);
    let server = Server::start(
        SocketIo::builder()
            .origins(["https://a.example", "http://b.example:8080"])
            .cors(cors),
    )
    .await;
    let get = format!("GET {POLLING}");
    let websocket = "GET /socket.io/?EIO=4&transport=websocket";
    for (origin, allowed) in [
        ("Origin: https://a.example\r\n", true),
        ("Origin: http://b.example:8080\r\n", true),
        ("", true),
        ("Origin: http://a.example\r\n", false),
        ("Origin: https://a.example.evil\r\n", false),
        ("Origin: null\r\n", false),
    ] {
        let (head, body) = request(server.addr, &get, origin).await;
        assert_eq!(head.starts_with("http/1.1 200 "), allowed, "{origin}{head}");
        assert_eq!(body.contains("Forbidden"), !allowed);
        let allow = "access-control-allow-origin: ";
        assert_eq!(
            head.contains(allow),
            allowed && !origin.is_empty(),
            "{head}"
        );
        let upgrade = format!("{UPGRADE}{origin}");
        let (head, _) = request(server.addr, websocket, &upgrade).await;
        assert_eq!(head.starts_with("http/1.1 101 "), allowed, "{origin}{head}");
    }
    for wrong in [
        "*",
        "example.org",
        "https://a.example/",
        "https://A.example",
        "https://a.example:443",
        "https://u@a.example",
        "",
    ] {
        let error = SocketIo::builder().origins([wrong]).build().unwrap_err();
        assert!(error.to_string().contains(&format!("{wrong:?}")), "{error}");
    }
}
