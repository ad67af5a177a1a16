//! Requests that are never finished, sessions that are never used.

use std::net::SocketAddr;
use std::time::Duration;

use fanfare::{ServeOptions, SocketIo, SocketIoBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Server, until, within};
use crate::{echo, narrow, upgrade};

/// One answer of a connection that stays open: its body.
async fn answer(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("an answer", stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, len) = head.split_once("content-length: ").unwrap();
    let len: usize = len.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.unwrap();
    String::from_utf8(body).unwrap()
}

async fn open_session(stream: &mut TcpStream) -> String {
    let request = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let body = answer(stream).await;
    let (_, sid) = body.split_once(r#""sid":""#).unwrap();
    sid[..20].to_owned()
}

/// A server with little patience.
async fn impatient(builder: SocketIoBuilder) -> (SocketIo, SocketAddr) {
    let io = builder.build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut options = ServeOptions::default();
    options.header_timeout = Duration::from_millis(300);
    options.write_timeout = Duration::from_millis(300);
    tokio::spawn(fanfare::serve_with(listener, io.clone(), options));
    (io, addr)
}

#[tokio::test]
async fn half_a_handshake() {
    let (io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for start in [
        "",
        "G",
        "P", // may become HTTP/2
        "GET /socket.io/?EIO=4",
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHo",
        &preface[..20],
        preface,
        &format!("{preface}\0\0\0\x04\0\0\0\0\0"), // settings, and no request
    ] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // The end, or a reset.
        let end = stream.read_to_end(&mut rest);
        let _ = within(&format!("the end after {start:?}"), end).await;
    }
    // A connection that had a request does not stay for ever either.
    let mut stream = TcpStream::connect(addr).await.unwrap();
    open_session(&mut stream).await;
    let _ = within("the end", stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(io.stats().opened, 1);
}

#[tokio::test]
async fn a_head_that_drips() {
    let (io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let start = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX-Drip: ";
    stream.write_all(start.as_bytes()).await.unwrap();
    drip_until_cut(&mut stream).await;
    assert_eq!(io.stats().opened, 0);
}

async fn drip_until_cut(stream: &mut TcpStream) {
    within("the end of the connection", async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_drips() {
    let builder = SocketIo::builder()
        .namespace(echo())
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(300));
    let (io, addr) = impatient(builder).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let sid = open_session(&mut stream).await;
    let post = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n4"
    );
    stream.write_all(post.as_bytes()).await.unwrap();
    // The session ends with the heartbeat, and the request soon after it.
    drip_until_cut(&mut stream).await;
    assert_eq!((io.stats().closed, io.clients_count()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_read_the_answer_to_its_get() {
    let (io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let mut stream = narrow(addr).await;
    let sid = open_session(&mut stream).await;
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40");
    stream.write_all(post.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await, "ok");
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("40{\"sid\""));
    // More than the buffers of the system take. An outbox takes one message of any length.
    assert_eq!(io.emit("big", "x".repeat(32 << 20)).unwrap().full, 0);
    stream.write_all(get.as_bytes()).await.unwrap();
    drip_until_cut(&mut stream).await;
}

#[tokio::test]
async fn a_head_that_is_too_long() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    for head in [
        format!(
            "GET /socket.io/?EIO=4&transport=polling&x={} HTTP/1.1\r\n",
            "y".repeat(20_000)
        ),
        format!(
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX: {}\r\n",
            "y".repeat(20_000)
        ),
        format!(
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n{}",
            "X: y\r\n".repeat(1000)
        ),
    ] {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        let _ = within("the end", stream.read_to_end(&mut answer)).await;
        let status = String::from_utf8_lossy(&answer);
        let refused = ["HTTP/1.1 431", "HTTP/1.1 414", "HTTP/1.1 400"];
        assert!(
            refused.iter().any(|s| status.starts_with(s)),
            "{status:.60}"
        );
    }
    assert_eq!(server.io.stats().opened, 0);
}

#[tokio::test]
async fn posts_that_are_never_finished() {
    let builder = SocketIo::builder()
        .namespace(echo())
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(300));
    let server = Server::start(builder).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let sid = open_session(&mut stream).await;
        let post = format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n4"
        );
        stream.write_all(post.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    // Their sessions end with the heartbeat, whatever drips in.
    until("the sessions are gone", || server.io.stats().closed == 50).await;
    let mut other = server.joined().await;
    other.send(r#"21["echo"]"#).await;
    other.expect("31[]").await;
    assert_eq!(server.io.clients_count(), 1);
}

#[tokio::test]
async fn a_client_that_vanishes_during_its_upgrade() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    for stage in 0..3 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let sid = open_session(&mut stream).await;
        let mut probe = TcpStream::connect(server.addr).await.unwrap();
        let upgrade = upgrade(&format!("&sid={sid}"), "");
        probe.write_all(upgrade.as_bytes()).await.unwrap();
        if stage > 0 {
            let mut head = [0; 12];
            within("the upgrade", probe.read_exact(&mut head))
                .await
                .unwrap();
            assert_eq!(&head, b"HTTP/1.1 101");
            // `2probe`, whole or half; the mask is zero.
            let frame = b"\x81\x86\0\0\0\x002probe";
            let len = if stage == 1 { 8 } else { frame.len() };
            probe.write_all(&frame[..len]).await.unwrap();
        }
        drop(probe);
        // The session lives on where it was.
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40");
        stream.write_all(post.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await, "ok", "stage {stage}");
        let mut polled = String::new();
        while !polled.contains("40{\"sid\"") {
            let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(get.as_bytes()).await.unwrap();
            polled = answer(&mut stream).await; // a noop, if the probe got that far
        }
    }
    assert_eq!(
        (server.io.stats().polling, server.io.stats().closed),
        (3, 0)
    );
}
