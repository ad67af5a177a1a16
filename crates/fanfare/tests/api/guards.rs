//! Admission control, rate limits, proxies, draining.

use std::time::Duration;

use fanfare::limits::{ConnectionLimits, RateLimitAction, RateLimits};
use fanfare::proxy::{Networks, TrustedProxies};
use fanfare::{Ack, DisconnectReason, Limits, Namespace, Socket, SocketIo};
use fanfare_testing::Received;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, until, within};

const NEW_SESSION: &str = "/socket.io/?EIO=4&transport=polling";

/// Returns the whole response to one request.
async fn request(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

async fn get(server: &Server, path: &str, headers: &str) -> String {
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    request(server, &head).await
}

fn assert_unavailable(answer: &str) {
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(
        answer.to_lowercase().contains("\r\nretry-after: "),
        "{answer}"
    );
}

#[tokio::test]
async fn too_many_connections_of_one_address_are_refused() {
    let admission = ConnectionLimits::new()
        .connections_per_address(2)
        .retry_after(Duration::from_millis(1500));
    let server = Server::start(SocketIo::builder().admission(admission)).await;
    let a = server.joined().await;
    let mut b = server.joined().await;
    let answer = get(&server, NEW_SESSION, "").await;
    assert_unavailable(&answer);
    assert!(answer.contains("retry-after: 2"), "{answer}");
    b.send(r#"2["still here"]"#).await;
    a.vanish();
    until("one has gone", || server.io.clients_count() == 1).await;
    until("it is counted", || server.io.stats().closed == 1).await;
    let answer = get(&server, NEW_SESSION, "").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(server.io.stats().rejected, 1);
}

/// Reloads a page: the new connection may arrive before the old one has ended.
#[tokio::test]
async fn a_new_connection_waits_for_the_end_of_the_one_that_it_replaces() {
    let admission = ConnectionLimits::new().connections_per_address(1);
    let server = Server::start(SocketIo::builder().admission(admission)).await;
    let old = server.joined().await;
    let head = format!("GET {NEW_SESSION} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let asking = request(&server, &head);
    tokio::pin!(asking);
    // An early answer can only be a rejection.
    let early = tokio::time::timeout(Duration::from_millis(50), &mut asking).await;
    assert!(early.is_err(), "{early:?}");
    // Another one is rejected: as many connections may wait as may be open.
    assert_unavailable(&request(&server, &head).await);
    old.vanish();
    let answer = asking.await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// Handlers may keep a socket for any time.
#[tokio::test]
async fn a_connection_is_counted_until_it_is_closed_and_no_longer() {
    let (tx, mut kept) = tokio::sync::mpsc::unbounded_channel();
    let namespace = Namespace::new("/").on_disconnect(move |socket: Socket| {
        tx.send(socket).unwrap();
        std::future::pending::<()>()
    });
    let admission = ConnectionLimits::new().connections_per_address(1);
    let builder = SocketIo::builder().namespace(namespace);
    let server = Server::start(builder.admission(admission)).await;
    server.joined().await.vanish();
    let socket = within("the end", kept.recv()).await.unwrap();
    server.joined().await;
    drop(socket);
}

#[tokio::test]
async fn new_connections_are_rated_and_their_total_is_bounded() {
    let admission = ConnectionLimits::new()
        .connections_per_second(2)
        .burst(Duration::from_secs(1000));
    let mut limits = Limits::default();
    limits.max_connections = 1990;
    let server = Server::start(SocketIo::builder().admission(admission).limits(limits)).await;
    let _first = server.joined().await;
    // Requests of existing sessions are not new connections.
    for _ in 0..20 {
        let answer = get(&server, &format!("{NEW_SESSION}&sid=nobody"), "").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }

    let mut limits = Limits::default();
    limits.max_connections = 1;
    let server = Server::start(SocketIo::builder().limits(limits)).await;
    let _only = server.joined().await;
    assert_unavailable(&get(&server, NEW_SESSION, "").await);

    let upgrade = "Upgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let answer = get(&server, "/socket.io/?EIO=4&transport=websocket", upgrade).await;
    assert_unavailable(&answer);

    let admission = ConnectionLimits::new().connections_per_second(1);
    let server = Server::start(SocketIo::builder().admission(admission)).await;
    let mut refused = 0;
    for _ in 0..20 {
        let answer = get(&server, NEW_SESSION, "").await;
        if !answer.starts_with("HTTP/1.1 200 ") {
            assert_unavailable(&answer);
            refused += 1;
        }
    }
    assert!(refused > 0);
}

fn echo() -> Namespace {
    Namespace::new("/").on("echo", async || Ack(()))
}

fn one_event(excess: RateLimitAction) -> RateLimits {
    // Three at once; joining is the first.
    let limits = RateLimits::new().events_per_second(1).excess(excess);
    limits.burst(Duration::from_secs(3))
}

#[tokio::test]
async fn events_beyond_the_rate_are_dropped_and_the_sender_learns_it() {
    let builder = SocketIo::builder()
        .namespace(echo())
        .rate_limits(one_event(RateLimitAction::Drop));
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    let mut dropped = 0;
    for id in 0..20 {
        peer.send(&format!(r#"2{id}["echo"]"#)).await;
    }
    for id in 0..20 {
        let answer = peer.text().await;
        if answer == format!(r#"3{id}[{{"error":{{"message":"too many events"}}}}]"#) {
            dropped += 1;
        } else {
            assert_eq!(answer, format!("3{id}[]"));
        }
    }
    // Each dropped event would have taken one second more.
    assert!((8..=18).contains(&dropped), "{dropped}");
    assert_eq!(server.io.stats().events_in, 20 - dropped);
    assert_eq!(server.io.stats().rejected, dropped);
}

#[tokio::test]
async fn a_flood_ends_the_connection_or_is_only_noted() {
    let builder = SocketIo::builder()
        .namespace(echo())
        .rate_limits(one_event(RateLimitAction::Disconnect));
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    for _ in 0..6 {
        peer.send(r#"2["echo"]"#).await;
    }
    assert_eq!(peer.until_closed().await, []);

    let builder = SocketIo::builder()
        .namespace(echo())
        .rate_limits(one_event(RateLimitAction::Warn));
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    for id in 0..20 {
        peer.send(&format!(r#"2{id}["echo"]"#)).await;
        peer.expect(&format!("3{id}[]")).await;
    }
    assert!(server.io.stats().rejected > 0);
}

#[tokio::test]
async fn bytes_beyond_the_rate_are_dropped_with_all_their_attachments() {
    let limits = RateLimits::new()
        .bytes_per_second(1000)
        .burst(Duration::from_secs(1));
    let builder = SocketIo::builder().namespace(echo()).rate_limits(limits);
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    let big = "x".repeat(20_000);
    peer.send(&format!(r#"21["echo","{big}"]"#)).await;
    peer.expect("31[]").await;
    peer.send(r#"51-2["echo",{"_placeholder":true,"num":0}]"#)
        .await;
    peer.send_binary(b"attachment").await;
    peer.expect(r#"32[{"error":{"message":"too many events"}}]"#)
        .await;
    peer.send(r#"23["echo"]"#).await;
    peer.expect(r#"33[{"error":{"message":"too many events"}}]"#)
        .await;
}

#[tokio::test]
async fn the_address_of_a_client_is_its_own() {
    let proxies = TrustedProxies::new(Networks::private());
    let namespace = Namespace::new("/").on_connect(async |socket: Socket| {
        let handshake = socket.handshake();
        let address = handshake.address().unwrap().ip().to_string();
        socket
            .emit("you", (address, handshake.is_secure()))
            .unwrap();
    });
    let admission = ConnectionLimits::new().connections_per_address(1);
    let builder = SocketIo::builder()
        .namespace(namespace)
        .trusted_proxies(proxies);
    let server = Server::start(builder.admission(admission)).await;
    let forwarded = "X-Forwarded-For: 6.6.6.6, 203.0.113.9\r\nX-Forwarded-Proto: https\r\n";
    let answer = get(&server, NEW_SESSION, forwarded).await;
    let (_, sid) = answer.split_once(r#""sid":""#).unwrap();
    let path = format!("{NEW_SESSION}&sid={}", &sid[..20]);
    let post = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n40"
    );
    assert!(request(&server, &post).await.ends_with("ok"));
    let answer = get(&server, &path, "").await;
    assert!(
        answer.ends_with(r#"42["you","203.0.113.9",true]"#),
        "{answer}"
    );
    // The limit is that of the client, not of the proxy.
    assert_unavailable(&get(&server, NEW_SESSION, forwarded).await);
    let other = get(&server, NEW_SESSION, "X-Forwarded-For: 203.0.113.10\r\n").await;
    assert!(other.starts_with("HTTP/1.1 200 "), "{other}");
}

#[tokio::test]
async fn draining_empties_the_server_and_reports() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let namespace = Namespace::new("/")
        .on("slow", async || {
            tokio::time::sleep(Duration::from_millis(300)).await;
        })
        .on_disconnect(move |reason: DisconnectReason| {
            let _ = tell.send(reason);
            std::future::ready(())
        });
    let server = Server::with(namespace).await;
    assert!(server.io.is_ready());
    let mut peers = Vec::new();
    for _ in 0..5 {
        peers.push(server.joined().await);
    }
    peers[0].send(r#"2["slow"]"#).await;
    until("the handler runs", || server.io.stats().events_in == 1).await;
    server.io.emit("last", "word").unwrap();
    let io = server.io.clone();
    let draining = tokio::spawn(async move { io.drain(Duration::from_secs(8)).await });
    until("it is not ready", || !server.io.is_ready()).await;
    assert_unavailable(&get(&server, NEW_SESSION, "").await);
    for mut peer in peers {
        let seen = peer.until_closed().await;
        assert_eq!(seen, [Received::Text(r#"2["last","word"]"#.into())]);
    }
    let report = within("the drain", draining).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.closed, 5);
    assert!(report.took < Duration::from_secs(5), "{report:?}");
    for _ in 0..5 {
        assert_eq!(
            told.recv().await,
            Some(DisconnectReason::ServerShuttingDown)
        );
    }
    let refused = TcpStream::connect(server.addr).await;
    assert!(refused.is_err(), "serve has returned");
}

#[tokio::test]
async fn rebalancing_closes_a_share_after_what_was_sent() {
    let server = Server::with(Namespace::new("/")).await;
    let mut peers = Vec::new();
    for _ in 0..8 {
        peers.push(server.joined().await);
    }
    server.io.emit("last", "word").unwrap();
    let moved = server.io.rebalance(0.25, Duration::from_secs(1));
    assert_eq!(within("the move", moved).await, Ok(2));
    until("two are gone", || server.io.clients_count() == 6).await;
    assert!(server.io.is_ready());
    peers.push(server.joined().await);
    server.io.emit("after", ()).unwrap();
    let mut stayed = 0;
    for peer in &mut peers[..8] {
        peer.expect(r#"2["last","word"]"#).await;
        match peer.next().await {
            Received::Closed => {}
            other => {
                assert_eq!(other, Received::Text(r#"2["after"]"#.into()));
                stayed += 1;
            }
        }
    }
    assert_eq!(stayed, 6);
    for share in [-0.1, 1.1, f64::NAN] {
        let error = server
            .io
            .rebalance(share, Duration::ZERO)
            .await
            .unwrap_err();
        assert!(error.to_string().ends_with("between 0 and 1"), "{error}");
    }
    assert_eq!(server.io.clients_count(), 7);
    assert_eq!(server.io.rebalance(1.0, Duration::ZERO).await, Ok(7));
}

#[tokio::test]
async fn a_drain_ends_at_its_deadline() {
    let namespace = Namespace::new("/").on("stuck", async || std::future::pending::<()>().await);
    let server = Server::with(namespace).await;
    let mut peer = server.joined().await;
    peer.send(r#"2["stuck"]"#).await;
    until("the handler runs", || server.io.stats().events_in == 1).await;
    let report = within("the drain", server.io.drain(Duration::from_millis(300))).await;
    assert_eq!(
        (report.connections, report.handlers, report.closed),
        (0, 1, 1),
        "{report:?}"
    );
    assert!(report.took >= Duration::from_millis(300));
}

#[tokio::test]
async fn load_balancers_speak_for_clients_with_the_proxy_protocol() {
    let namespace = Namespace::new("/").on_connect(async |socket: Socket| {
        let address = socket.handshake().address().unwrap().to_string();
        socket.emit("you", address).unwrap();
    });
    let io = SocketIo::builder().namespace(namespace).build().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = fanfare::serve(io.clone())
        .proxy_protocol("127.0.0.0/8".parse().unwrap())
        .header_timeout(Duration::from_millis(500));
    tokio::spawn(serve.listener(listener));

    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x09\x7f\0\0\x01\x10\x92\x01\xbb";
    for (header, expected) in [
        (
            &b"PROXY TCP4 203.0.113.9 127.0.0.1 4242 443\r\n"[..],
            "203.0.113.9:4242",
        ),
        (&v2[..], "203.0.113.9:4242"),
    ] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        // In pieces, as a network may deliver it.
        for piece in header.chunks(7) {
            stream.write_all(piece).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        let url = format!("ws://{addr}/socket.io/?EIO=4&transport=websocket");
        let (ws, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        let mut ws = ws;
        use futures_util::{SinkExt, StreamExt};
        ws.send("40".into()).await.unwrap();
        let mut last = String::new();
        for _ in 0..3 {
            last = within("a message", ws.next())
                .await
                .unwrap()
                .unwrap()
                .to_string();
        }
        assert_eq!(last, format!(r#"42["you","{expected}"]"#));
    }

    // A missing, a truncated and an invalid header: none is served.
    for start in [
        "",
        "PROXY TCP4 203.0",
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _ = within("the end", stream.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"", "{start}");
    }
}
