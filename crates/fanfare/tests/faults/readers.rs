//! Peers that stop in the middle, or do not read.

use std::time::Duration;

use fanfare::{Limits, SocketIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Server, until, within};
use crate::{assert_served, echo};

/// A raw WebSocket that has joined the main namespace.
async fn raw(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    // The mask is zero.
    stream.write_all(b"\x81\x82\0\0\0\x0040").await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(7).any(|w| w == b"40{\"sid") {
        seen.push(within("the answer", stream.read_u8()).await.unwrap());
    }
    stream
}

#[tokio::test]
async fn frames_that_are_never_finished() {
    let builder = SocketIo::builder()
        .namespace(echo())
        .ping_interval(Duration::from_millis(500))
        .ping_timeout(Duration::from_millis(500));
    let server = Server::start(builder).await;
    // Half a header, a length of nearly a megabyte with nothing behind it, a few bytes of the payload.
    let starts = [
        &b"\x81"[..],
        b"\x81\xff\0\0\0\0\0\x0f\0\0\0\0\0\0",
        b"\x81\xff\0\0\0\0\0\x0f\0\0\0\0\0\x0042[\"echo\"",
        b"\x01\x84\0\0\0\x0042[\"",
    ];
    let mut streams = Vec::new();
    for start in starts {
        let mut stream = raw(&server).await;
        stream.write_all(start).await.unwrap();
        streams.push(stream);
    }
    until("the heartbeat ends them", || {
        server.io.stats().closed == starts.len() as u64
    })
    .await;
    assert_eq!(server.io.clients_count(), 0);
}

#[tokio::test]
async fn one_that_does_not_read_costs_its_outbox_and_no_more() {
    let mut limits = Limits::default();
    limits.outbox_bytes = 256 * 1024;
    let server = Server::start(SocketIo::builder().namespace(echo()).limits(limits)).await;
    let _stalled = raw(&server).await;
    let mut other = server.joined().await;
    let stalled = server.io.of("/").sockets();
    let stalled = stalled
        .iter()
        .find(|socket| socket.id().as_str() != other.sid)
        .unwrap();
    let text = "x".repeat(64 * 1024);
    let mut most = 0;
    // The kernel's buffers take the first few megabytes.
    for _ in 0..400 {
        let report = server.io.emit("flood", &text).unwrap();
        most = most.max(stalled.pending_bytes());
        let seen = other.text().await;
        assert!(seen.starts_with(r#"2["flood","xxx"#));
        if report.full > 0 {
            break;
        }
    }
    assert!(most <= 256 * 1024, "{most}");
    until("it is sent away", || server.io.stats().closed == 1).await;
    assert!(!stalled.connected());
    assert_served(&mut other).await;
}
