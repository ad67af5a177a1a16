//! HTTP/1 of browsers, proxies and attackers: valid requests, and where they end.

use fanfare::{Ack, Data, Namespace, SocketIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpStream;

use crate::support::{Duplex, Server, answer, within};

const OPEN: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";
const KEY: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

fn io() -> SocketIo {
    let namespace = Namespace::new("/").on("echo", async |Data(text): Data<String>| Ack(text));
    SocketIo::builder().namespace(namespace).build().unwrap()
}

/// Returns the status codes of all responses up to the end, after our side has been closed.
async fn statuses(mut stream: impl Duplex, input: &[u8]) -> Vec<u16> {
    let mut answers = Vec::new();
    let (mut reading, mut writing) = tokio::io::split(&mut stream);
    let write = async {
        let _ = writing.write_all(input).await;
        let _ = writing.shutdown().await;
    };
    let read = reading.read_to_end(&mut answers);
    let _ = within("the end", async { tokio::join!(write, read) }).await;
    let answers = String::from_utf8_lossy(&answers);
    let lines = answers.match_indices("HTTP/1.1 ");
    lines
        .map(|(at, line)| answers[at + line.len()..][..3].parse().unwrap())
        .collect()
}

/// Checks each case on a socket and on another stream.
async fn answered(cases: &[(&str, &[u16])]) {
    let server = Server::start(SocketIo::builder()).await;
    for (input, expected) in cases {
        let tcp = TcpStream::connect(server.addr).await.unwrap();
        assert_eq!(
            &statuses(tcp, input.as_bytes()).await,
            expected,
            "{input:.200?}"
        );
        let (ours, theirs) = duplex(1 << 16);
        tokio::spawn(fanfare::serve(server.io.clone()).connection(theirs, None));
        assert_eq!(
            &statuses(ours, input.as_bytes()).await,
            expected,
            "in memory: {input:.200?}"
        );
    }
}

fn get(target: &str, headers: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")
}

#[tokio::test]
async fn what_node_takes_is_taken() {
    let many = |n: usize| (0..n).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let last = get("/", "Connection: close\r\n");
    let then = |request: String| request + &last;
    answered(&[
        (&then(get(&format!("{OPEN}&a=\"b\"&<c>"), "")), &[200, 404]),
        (&then(get("/socket.io/\"<>?EIO=4&transport=polling", "")), &[200, 404]),
        (&then(get(&format!("{OPEN}&a={{b|c}}\\^`#"), "")), &[200, 404]),
        (&then(get(OPEN, &many(101))), &[200, 404]),
        (&then(get(OPEN, &many(500))), &[200, 404]),
        (&then(get(OPEN, "Upgrade:\r\n")), &[200, 404]),
        (&then(get(OPEN, "Connection: Upgrade\r\nUpgrade:\r\n")), &[200, 404]),
        (&then(get(OPEN, "Connection: Upgrade\r\n")), &[200, 404]),
        (&then(get(OPEN, "Upgrade: websocket\r\n")), &[200, 404]),
        // RFC 9110, section 7.8: an offered upgrade may be ignored.
        (&then(get(OPEN, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n")), &[200, 404]),
        (&then(format!("POST {OPEN} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 1\r\n\r\na")), &[400, 404]),
        (&then(format!("\r\n\r\n{}", get(OPEN, ""))), &[200, 404]),
        (&then(get(&format!("http://x{OPEN}"), "")), &[200, 404]),
        (&then(format!("HEAD {OPEN} HTTP/1.1\r\nHost: x\r\n\r\n")), &[400, 404]),
        (&then("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_owned()), &[404, 404]),
        (&then(get(OPEN, "Transfer-Encoding: chunked\r\n") + "2;a=b\r\nab\r\n0\r\nTrailer: x\r\n\r\n"), &[200, 404]),
        (&then(get(OPEN, "Content-Length: 3\r\n") + "abc"), &[200, 404]),
        (&format!("GET {OPEN} HTTP/1.0\r\n\r\n{last}"), &[200]),
        (&format!("GET {OPEN} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n{last}"), &[200, 404]),
        (&get(OPEN, "Connection: close\r\n").repeat(2), &[200]),
        (&get(WEBSOCKET, &format!("Connection: keep-alive, UPGRADE\r\nUpgrade: WebSocket\r\n{KEY}")), &[101]),
        (&get(WEBSOCKET, &format!("Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n{KEY}")), &[101]),
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_request_is_refused_and_ends_the_connection() {
    let good = get(OPEN, "");
    let after = |start: String| start + &good;
    let with = |headers: &str| after(get(OPEN, headers));
    let post = |headers: &str, body: &str| {
        after(format!(
            "POST {OPEN} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}"
        ))
    };
    for (input, expected) in [
        // A line ends with CRLF (RFC 9112, section 2.2).
        (
            after(format!("GET {OPEN} HTTP/1.1\nHost: x\n\n")),
            &[400][..],
        ),
        (
            after(format!("GET {OPEN} HTTP/1.1\r\nHost: x\nA: b\r\n\r\n")),
            &[400],
        ),
        (
            after(format!("GET {OPEN} HTTP/1.1\r\nHost: x\r\n\n")),
            &[400],
        ),
        (
            after(format!("GET {OPEN} HTTP/1.1\r\nHost: x\rA: b\r\n\r\n")),
            &[400],
        ),
        // Exactly one host (section 3.2).
        (after(format!("GET {OPEN} HTTP/1.1\r\n\r\n")), &[400]),
        (with("Host: x\r\n"), &[400]),
        (with("Host: y\r\n"), &[400]),
        (
            after(format!(
                "GET {WEBSOCKET} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{KEY}\r\n"
            )),
            &[400],
        ),
        (after(format!("HEAD {OPEN} HTTP/1.1\r\n\r\n")), &[400]),
        // One length, in digits, and no other coding (section 6).
        (
            post("Content-Length: 1\r\nContent-Length: 1\r\n", "a"),
            &[400],
        ),
        (post("Content-Length: 1, 1\r\n", "a"), &[400]),
        (post("Content-Length: +1\r\n", "a"), &[400]),
        (post("Content-Length:\r\n", ""), &[400]),
        (
            post("Content-Length: 99999999999999999999999\r\n", ""),
            &[400],
        ),
        (
            post(
                "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            &[400],
        ),
        (
            post(
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            &[400],
        ),
        (
            post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"),
            &[400],
        ),
        (post("Transfer-Encoding: gzip\r\n", ""), &[400]),
        (
            after(format!(
                "POST {OPEN} HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            )),
            &[400],
        ),
        (with(" folded: 1\r\n"), &[400]),
        (with("space : 1\r\n"), &[400]),
        (with("no colon\r\n"), &[400]),
        (with("A: b\0c\r\n"), &[400]),
        (after(get(&format!("{OPEN}&a=b c"), "")), &[400]),
        (after(get(&format!("{OPEN}&a=\u{e9}"), "")), &[400]),
        (after(get("socket.io/", "")), &[400]),
        (
            after(format!("GET {OPEN} HTTP/1.2\r\nHost: x\r\n\r\n")),
            &[400],
        ),
        (
            "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            &[400],
        ),
        (format!("{good}@@@@\r\n\r\n"), &[200, 400]),
        (
            format!("{good}PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            &[200, 400],
        ),
        (get(OPEN, &format!("A: {}\r\n", "y".repeat(20_000))), &[431]),
        (get(&format!("{OPEN}&a={}", "y".repeat(20_000)), ""), &[431]),
    ] {
        answered(&[(&input, expected)]).await;
    }
}

/// Node answers a pipelined request, in order.
#[tokio::test]
async fn a_post_behind_a_poll_on_the_same_connection_is_heard() {
    let io = io();
    let (mut stream, theirs) = duplex(1 << 16);
    tokio::spawn(fanfare::serve(io.clone()).connection(theirs, None));
    stream.write_all(get(OPEN, "").as_bytes()).await.unwrap();
    let (_, open) = answer(&mut stream).await;
    let path = format!(
        "{OPEN}&sid={}",
        &open.split_once(r#""sid":""#).unwrap().1[..20]
    );
    let poll = get(&path, "");
    let post = |body: &str| {
        let len = body.len();
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n{body}")
    };
    let both = format!("{poll}{}", post("40"));
    stream.write_all(both.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.1.starts_with("40{"));
    assert_eq!(answer(&mut stream).await.1, "ok");
    // In pieces, with a chunked body, and another request after it.
    stream.write_all(poll.as_bytes()).await.unwrap();
    tokio::task::yield_now().await;
    let chunked = format!("POST {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    for piece in [
        &chunked[..20],
        &chunked[20..],
        "f\r\n421[\"echo\",\"hi\"",
        "\r\n1\r\n]\r",
        "\n0\r\n\r\n",
        &poll,
        &post("422[\"echo\",\"ho\"]"),
    ] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(answer(&mut stream).await.1, r#"431["hi"]"#);
    assert_eq!(answer(&mut stream).await.1, "ok");
    assert_eq!(answer(&mut stream).await.1, r#"432["ho"]"#);
    assert_eq!(answer(&mut stream).await.1, "ok");
}

#[tokio::test]
async fn a_client_that_asks_first_is_told_to_send_its_body() {
    let io = io();
    let (mut stream, theirs) = duplex(1 << 16);
    tokio::spawn(fanfare::serve(io.clone()).connection(theirs, None));
    stream.write_all(get(OPEN, "").as_bytes()).await.unwrap();
    let (_, open) = answer(&mut stream).await;
    let path = format!(
        "{OPEN}&sid={}",
        &open.split_once(r#""sid":""#).unwrap().1[..20]
    );
    let post = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    );
    stream.write_all(post.as_bytes()).await.unwrap();
    let mut go = [0; 25];
    within("the word", stream.read_exact(&mut go))
        .await
        .unwrap();
    assert_eq!(&go, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"40").await.unwrap();
    assert_eq!(answer(&mut stream).await.1, "ok");
}
