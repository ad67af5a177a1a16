//! Peers that stop in the middle, or do not read.

use std::time::Duration;

use fanfare::{Limits, SocketIo};
use tokio::io::AsyncWriteExt;

use crate::support::{Server, until};
use crate::{assert_served, echo, raw};

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
        let mut stream = raw(server.addr).await;
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
    let _stalled = raw(server.addr).await;
    let mut other = server.joined().await;
    let stalled = server.io.of("/").sockets();
    let stalled = stalled
        .iter()
        .find(|socket| socket.id().as_str() != other.sid())
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
    assert!(!stalled.is_connected());
    assert_served(&mut other).await;
}
