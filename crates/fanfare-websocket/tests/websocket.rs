//! The tokio `WebSocket` against itself, against raw bytes, and against tungstenite.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::time::Duration;

use bytes::Bytes;
use fanfare_websocket::{
    AcceptError, CloseCode, CloseFrame, ConnectError, Error, HeadError, Message, OpCode, Options,
    ProtocolError, Role, WebSocket, connect, deflate, frame, handshake::HandshakeError,
};
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite;

const KEY: [u8; 4] = [1, 2, 3, 4];

type Pair = (WebSocket<DuplexStream>, WebSocket<DuplexStream>);

/// Connects a server and a client.
async fn pair_with(server: &Options, client: &Options) -> Pair {
    let (a, b) = duplex(64 << 10);
    let uri = "ws://example.test/path?query".parse().unwrap();
    let (server, client) = tokio::join!(
        WebSocket::accept_with(a, server, |_| Ok(())),
        WebSocket::client(b, &uri, client)
    );
    (server.unwrap(), client.unwrap())
}

async fn pair() -> Pair {
    pair_with(&Options::default(), &Options::default()).await
}

/// Makes a server, and the raw stream of its client.
fn raw(buffer: usize) -> (WebSocket<DuplexStream>, DuplexStream) {
    let (a, b) = duplex(buffer);
    (
        WebSocket::new(a, Role::Server, Vec::new(), None, &Options::default()),
        b,
    )
}

fn masked(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_masked_into(&mut out, opcode, payload, KEY);
    out
}

async fn echo(mut websocket: WebSocket<DuplexStream>) {
    while let Some(Ok(message)) = websocket.recv().await {
        if matches!(message, Message::Text(_) | Message::Binary(_)) {
            websocket.send(message).await.unwrap();
        }
    }
}

#[tokio::test]
async fn echoes_messages_of_every_size() {
    let compressing = Options {
        permessage_deflate: Some(deflate::Config::default()),
        ..Options::default()
    };
    for options in [Options::default(), compressing] {
        let (server, mut client) = pair_with(&options, &options).await;
        assert_eq!(client.is_compressed(), options.permessage_deflate.is_some());
        let server = tokio::spawn(echo(server));
        for size in [0, 1, 125, 126, 127, 4096, 65535, 65536, 1_000_000] {
            let text = "é".repeat(size / 2);
            let bytes = Bytes::from((0..size).map(|i| (i * i) as u8).collect::<Vec<u8>>());
            client.feed(text.as_str()).unwrap();
            client.feed(bytes.clone()).unwrap();
            // Receiving also writes what was fed: with more than the stream holds, neither side may wait for the other.
            let answers = [
                client.recv().await.unwrap().unwrap(),
                client.recv().await.unwrap().unwrap(),
            ];
            assert_eq!(answers, [Message::Text(text), Message::Binary(bytes)]);
        }
        client.close(CloseCode::NORMAL, "done").await.unwrap();
        server.await.unwrap();
    }
}

#[tokio::test]
async fn the_closing_handshake_tells_both_ends() {
    for server_closes in [true, false] {
        let (mut server, mut client) = pair().await;
        let (closer, other) = if server_closes {
            (&mut server, &mut client)
        } else {
            (&mut client, &mut server)
        };
        let (closed, received) = tokio::join!(closer.close(CloseCode(3001), "bye"), async {
            let close = other.recv().await.unwrap().unwrap();
            assert!(other.recv().await.is_none());
            assert!(matches!(other.send("late").await, Err(Error::Closed)));
            close
        });
        closed.unwrap();
        assert_eq!(
            received,
            Message::Close(Some(CloseFrame::new(CloseCode(3001), "bye")))
        );
        assert!(closer.recv().await.is_none());
    }
}

#[tokio::test]
async fn messages_on_the_way_arrive_before_the_close() {
    let (mut server, mut client) = pair().await;
    client.feed("one").unwrap();
    client.feed("two").unwrap();
    client.feed(Message::Close(None)).unwrap();
    assert!(matches!(client.feed("three"), Err(Error::Closed)));
    client.flush().await.unwrap();
    server.send("answer").await.unwrap();
    for expected in [
        Message::from("one"),
        Message::from("two"),
        Message::Close(None),
    ] {
        assert_eq!(server.recv().await.unwrap().unwrap(), expected);
    }
    assert_eq!(
        client.recv().await.unwrap().unwrap(),
        Message::from("answer")
    );
    assert_eq!(client.recv().await.unwrap().unwrap(), Message::Close(None));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_close_is_given_up() {
    let (mut server, _client) = raw(1024);
    let begun = tokio::time::Instant::now();
    let result = server.close(CloseCode::GOING_AWAY, "").await;
    assert!(matches!(result, Err(Error::CloseTimeout(_))), "{result:?}");
    assert_eq!(begun.elapsed().as_secs(), 5);
    assert!(server.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_closes_and_reads_nothing_is_given_up() {
    let (mut server, mut client) = raw(8);
    server.feed("more than fits into the buffer").unwrap();
    client.write_all(&masked(OpCode::Close, b"")).await.unwrap();
    assert_eq!(server.recv().await.unwrap().unwrap(), Message::Close(None));
    assert!(server.recv().await.is_none());
}

#[tokio::test]
async fn pings_are_answered_and_delivered() {
    let (mut server, mut client) = pair().await;
    client.ping("are you there?").await.unwrap();
    client.send("x").await.unwrap();
    assert_eq!(
        server.recv().await.unwrap().unwrap(),
        Message::Ping("are you there?".into())
    );
    assert_eq!(server.recv().await.unwrap().unwrap(), Message::from("x"));
    server.flush().await.unwrap();
    assert_eq!(
        client.recv().await.unwrap().unwrap(),
        Message::Pong("are you there?".into())
    );
    assert!(matches!(
        client.ping(vec![0; 126]).await,
        Err(Error::ControlTooLong(126))
    ));
}

#[tokio::test]
async fn recv_loses_nothing_when_it_is_dropped() {
    let (mut server, mut client) = raw(4096);
    let mut bytes = masked(OpCode::Text, b"first");
    bytes.extend(masked(OpCode::Ping, b"?"));
    let mut fragment = masked(OpCode::Text, b"sec");
    fragment[0] &= 0x7F;
    bytes.extend(fragment);
    bytes.extend(masked(OpCode::Continuation, b"ond"));
    bytes.extend(masked(OpCode::Binary, &[7; 3000]));
    let mut seen = Vec::new();
    for byte in bytes {
        client.write_all(&[byte]).await.unwrap();
        // Polled once and dropped.
        if let Ok(message) = timeout(Duration::ZERO, server.recv()).await {
            seen.push(message.unwrap().unwrap());
        }
    }
    let expected = [
        Message::from("first"),
        Message::Ping("?".into()),
        Message::from("second"),
        Message::from(vec![7; 3000]),
    ];
    assert_eq!(seen, expected);
    let mut pong = [0; 3];
    client.read_exact(&mut pong).await.unwrap();
    assert_eq!(&pong, b"\x8a\x01?");
}

#[tokio::test]
async fn a_lost_connection_is_an_error_and_then_the_end() {
    let (mut server, client) = raw(1024);
    drop(client);
    assert!(matches!(server.recv().await, Some(Err(Error::Lost))));
    assert!(server.recv().await.is_none());
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_told_and_closed() {
    let (mut server, mut client) = raw(1024);
    client
        .write_all(b"\x81\x05Hello and more that nobody reads")
        .await
        .unwrap();
    let (received, answer) = tokio::join!(server.recv(), async {
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        client.shutdown().await.unwrap();
        answer
    });
    assert!(
        matches!(
            received,
            Some(Err(Error::Protocol(ProtocolError::Unmasked)))
        ),
        "{received:?}"
    );
    assert_eq!(answer, [0x88, 2, 0x03, 0xEA]);
    assert!(server.recv().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_pings_without_reading_the_pongs_is_held_back() {
    let (mut server, mut client) = raw(1024);
    let server = tokio::spawn(async move { while let Some(Ok(_)) = server.recv().await {} });
    let ping = masked(OpCode::Ping, &[0; 125]);
    let mut sent = 0;
    while timeout(Duration::from_secs(1), client.write_all(&ping))
        .await
        .is_ok()
    {
        sent += ping.len();
        assert!(
            sent < 1 << 20,
            "the server goes on reading while nobody reads its pongs"
        );
    }
    server.abort();
}

#[tokio::test]
async fn a_bomb_and_a_message_over_the_limit_are_refused() {
    let options = Options {
        max_message: 10_000,
        permessage_deflate: Some(deflate::Config::default()),
        ..Options::default()
    };
    for size in [10_001, 5_000_000] {
        let (mut server, mut client) = pair_with(&options, &options).await;
        let (received, close) = tokio::join!(server.recv(), async {
            client.send(vec![0; size]).await.unwrap();
            let close = client.recv().await;
            while client.recv().await.is_some() {}
            close
        });
        assert!(
            matches!(
                received,
                Some(Err(Error::Protocol(ProtocolError::MessageTooBig {
                    limit: 10_000
                })))
            ),
            "{received:?}"
        );
        assert!(
            matches!(&close, Some(Ok(Message::Close(Some(close)))) if close.code == CloseCode::TOO_BIG),
            "{close:?}"
        );
    }
}

#[tokio::test]
async fn one_prepared_frame_goes_to_many() {
    let options = Options {
        permessage_deflate: Some(deflate::Config::default()),
        ..Options::default()
    };
    let text = "to everybody ".repeat(100);
    let plain = frame::prepare(OpCode::Text, text.as_bytes());
    let compressed = deflate::compress_shared(OpCode::Text, text.as_bytes(), 15, 6);
    for _ in 0..3 {
        let (mut server, mut client) = pair_with(&options, &options).await;
        server.send_prepared(&plain).await.unwrap();
        server.send_prepared(&compressed).await.unwrap();
        for _ in 0..2 {
            assert_eq!(
                client.recv().await.unwrap().unwrap(),
                Message::from(text.as_str())
            );
        }
    }
}

#[tokio::test]
async fn the_first_sub_protocol_of_the_server_that_the_client_speaks_is_chosen() {
    let with = |protocols: &[&str]| Options {
        protocols: protocols.iter().map(|p| (*p).to_owned()).collect(),
        ..Options::default()
    };
    let (server, client) = pair_with(&with(&["v3", "v2", "v1"]), &with(&["v1", "v2"])).await;
    assert_eq!(
        (server.protocol(), client.protocol()),
        (Some("v2"), Some("v2"))
    );
    let (server, client) = pair_with(&with(&["v3"]), &with(&["v1", "v2"])).await;
    assert_eq!((server.protocol(), client.protocol()), (None, None));
}

/// Sends a request and returns the response with the server's verdict.
async fn request(head: &str) -> (String, Result<WebSocket<DuplexStream>, AcceptError>) {
    let (a, mut b) = duplex(64 << 10);
    b.write_all(head.as_bytes()).await.unwrap();
    let accepted = WebSocket::accept(a).await;
    let mut response = vec![0; 4096];
    let n = b.read(&mut response).await.unwrap();
    (
        String::from_utf8_lossy(&response[..n]).into_owned(),
        accepted,
    )
}

const GOOD: &str = "GET /chat HTTP/1.1\r\nHost: example.test\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

#[tokio::test]
async fn accepts_a_handshake_with_a_frame_right_behind_it() {
    let head = format!("{GOOD}\u{1}");
    let mut bytes = head.into_bytes();
    bytes.pop();
    bytes.extend(masked(OpCode::Text, b"early"));
    let (a, mut b) = duplex(64 << 10);
    b.write_all(&bytes).await.unwrap();
    let mut server = WebSocket::accept(a).await.unwrap();
    assert_eq!(
        server.recv().await.unwrap().unwrap(),
        Message::from("early")
    );
    let mut response = vec![0; 4096];
    let n = b.read(&mut response).await.unwrap();
    let response = String::from_utf8_lossy(&response[..n]);
    assert!(
        response.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{response}"
    );
    assert!(
        response.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{response}"
    );
}

#[tokio::test]
async fn a_refused_handshake_says_why() {
    let cases = [
        (
            GOOD.replace("GET", "POST"),
            405,
            "allow: GET",
            "GET request, not POST",
        ),
        (GOOD.replace("HTTP/1.1", "HTTP/1.0"), 505, "", "HTTP/1.1"),
        (
            GOOD.replace("Upgrade: WebSocket\r\n", ""),
            426,
            "upgrade: websocket",
            "`Upgrade: websocket` is missing",
        ),
        (
            GOOD.replace("keep-alive, Upgrade", "keep-alive"),
            400,
            "",
            "`Connection: Upgrade` is missing",
        ),
        (
            GOOD.replace(": 13", ": 8"),
            426,
            "sec-websocket-version: 13",
            "must be 13, not 8",
        ),
        (
            GOOD.replace("Sec-WebSocket-Version: 13\r\n", ""),
            426,
            "sec-websocket-version: 13",
            "not missing",
        ),
        (
            GOOD.replace("b25jZQ==", "b25jZQ"),
            400,
            "",
            "16 bytes in base64",
        ),
        (
            GOOD.replace("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
            400,
            "",
            "`Sec-WebSocket-Key`",
        ),
    ];
    for (head, status, header, body) in cases {
        let (response, verdict) = request(&head).await;
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}\n{response}"
        );
        assert!(
            response.contains(header) && response.contains(body),
            "{head}\n{response}"
        );
        assert!(response.contains("content-length: "), "{response}");
        let Err(AcceptError::Handshake(error)) = verdict else {
            panic!("{head}")
        };
        assert_eq!(error.status().as_u16(), status);
        assert!(!error.label().is_empty());
    }
    let twice = GOOD.replace(
        "Upgrade: WebSocket",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUpgrade: WebSocket",
    );
    assert!(matches!(
        request(&twice).await.1,
        Err(AcceptError::Handshake(HandshakeError::Key(_)))
    ));
}

#[tokio::test]
async fn what_is_not_http_or_too_long_is_refused() {
    let (response, verdict) = request("\u{16}\u{3}\u{1} hello TLS\r\n\r\n").await;
    assert!(response.starts_with("HTTP/1.1 400 "), "{response}");
    assert!(matches!(
        verdict,
        Err(AcceptError::Head(HeadError::Malformed(_)))
    ));
    let long = GOOD.replace(
        "Host: example.test",
        &format!("Cookie: {}", "x".repeat(20_000)),
    );
    let (response, verdict) = request(&long).await;
    assert!(response.starts_with("HTTP/1.1 431 "), "{response}");
    assert!(matches!(
        verdict,
        Err(AcceptError::Head(HeadError::TooLong { limit: 16384 }))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_a_time_limit() {
    let (a, mut b) = duplex(1024);
    b.write_all(b"GET / HTT").await.unwrap();
    assert!(matches!(
        WebSocket::accept(a).await,
        Err(AcceptError::Timeout(_))
    ));
    let (a, _b) = duplex(1024);
    let client = WebSocket::client(
        a,
        &"ws://example.test".parse().unwrap(),
        &Options::default(),
    )
    .await;
    assert!(matches!(client, Err(ConnectError::Timeout(_))));
}

#[tokio::test]
async fn the_client_learns_why_it_was_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        WebSocket::accept_with(stream, &Options::default(), |request| {
            assert_eq!(request.uri(), "/secret?x=1");
            Err((StatusCode::FORBIDDEN, "no cookie, no entry".to_owned()))
        })
        .await
    });
    let error = connect(&format!("ws://{address}/secret?x=1"))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the server answered 403 Forbidden: no cookie, no entry"
    );
    assert!(matches!(
        server.await.unwrap(),
        Err(AcceptError::Rejected(StatusCode::FORBIDDEN))
    ));
}

/// Node and many proxies reject in chunks, and keep the connection open.
#[tokio::test]
async fn a_refusal_in_chunks_is_read_to_its_end() {
    let chunks = "4\r\nno c\r\nA;x=y\r\nookie, no \r\n5\r\nentry\r\n0\r\n\r\n";
    for (body, expected) in [
        (chunks, "no cookie, no entry"),
        // A body without an end does not delay the status.
        ("4\r\nno c\r\nA\r\nook", "no cook"),
        ("nonsense\r\n", ""),
    ] {
        let (client, mut server) = tokio::io::duplex(1 << 16);
        let answering = tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                server.read_buf(&mut head).await.unwrap();
            }
            let head = "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n";
            server.write_all(head.as_bytes()).await.unwrap();
            server.write_all(body.as_bytes()).await.unwrap();
            server
        });
        let uri = "ws://localhost/".parse().unwrap();
        let error = WebSocket::client(client, &uri, &Options::default())
            .await
            .unwrap_err();
        let answer = format!("the server answered 403 Forbidden: {expected}");
        assert_eq!(
            error.to_string().trim_end_matches(": "),
            answer.trim_end_matches(": ")
        );
        drop(answering.await.unwrap());
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_says_why() {
    for (uri, why) in [
        ("wss://localhost/", "TLS"),
        ("localhost:80", "ws://"),
        ("ws:// /", "not a URI"),
    ] {
        let error = connect(uri).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn talks_to_a_tungstenite_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut websocket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = websocket.next().await {
            if message.is_text() || message.is_binary() {
                websocket.send(message).await.unwrap();
            }
        }
    });
    let mut client = connect(&format!("ws://{address}/")).await.unwrap();
    for message in [
        Message::from("hello"),
        Message::from(vec![1; 70_000]),
        Message::from(""),
    ] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.recv().await.unwrap().unwrap(), message);
    }
    client.ping("p").await.unwrap();
    assert_eq!(
        client.recv().await.unwrap().unwrap(),
        Message::Pong("p".into())
    );
    client.close(CloseCode::NORMAL, "").await.unwrap();
    server.await.unwrap();
}

#[tokio::test]
async fn talks_to_a_tungstenite_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut websocket: WebSocket<TcpStream> =
            WebSocket::accept(listener.accept().await.unwrap().0)
                .await
                .unwrap();
        let mut close = None;
        while let Some(message) = websocket.recv().await {
            match message.unwrap() {
                Message::Close(frame) => close = frame,
                Message::Ping(_) | Message::Pong(_) => {}
                message => websocket.send(message).await.unwrap(),
            }
        }
        close
    });
    let (mut client, _) = tokio_tungstenite::connect_async(format!("ws://{address}/"))
        .await
        .unwrap();
    for message in [
        tungstenite::Message::text("hello"),
        tungstenite::Message::binary(vec![1; 70_000]),
    ] {
        client.send(message.clone()).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), message);
    }
    let close = tungstenite::protocol::CloseFrame {
        code: 3999.into(),
        reason: "bye".into(),
    };
    client.close(Some(close)).await.unwrap();
    while client.next().await.is_some() {}
    assert_eq!(
        server.await.unwrap(),
        Some(CloseFrame::new(CloseCode(3999), "bye"))
    );
}
