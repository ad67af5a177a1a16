//! Hostile and broken peers: the cost of each is bounded and counted by its cause, and no other peer is affected.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

#[allow(
    dead_code,
    unreachable_pub,
    reason = "not every test file needs all of it"
)]
#[path = "../api/support.rs"]
mod support;

#[allow(dead_code, reason = "not every test file needs all of it")]
#[path = "../api/recorder.rs"]
mod recorder;

mod floods;
mod http;
mod limits;
mod memory;
mod packets;
mod readers;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanfare::{Ack, Namespace};
use support::{Peer, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Returns the namespace that the other peers use.
fn echo() -> Namespace {
    Namespace::new("/").on("echo", async || Ack(()))
}

/// Asserts that another peer is served normally.
async fn assert_served(peer: &mut Peer) {
    for _ in 0..20 {
        let asked = Instant::now();
        peer.send(r#"21["echo"]"#).await;
        peer.expect("31[]").await;
        // A limit for a machine that is busy; a server that waits for the hostile peer takes forever.
        assert!(
            asked.elapsed() < Duration::from_secs(5),
            "{:?}",
            asked.elapsed()
        );
    }
}

/// Opens a connection with small buffers, which fill up if it is not read.
async fn narrow(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(addr).await.unwrap()
}

/// Returns the request for a WebSocket, with additional query and headers.
fn upgrade(query: &str, headers: &str) -> String {
    format!(
        "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {headers}\r\n"
    )
}

/// Opens a WebSocket that has joined the main namespace, as a raw stream.
async fn raw(addr: SocketAddr) -> TcpStream {
    let mut stream = narrow(addr).await;
    stream.write_all(upgrade("", "").as_bytes()).await.unwrap();
    stream.write_all(&text_frame("40")).await.unwrap();
    let mut seen = Vec::new();
    while !seen.windows(7).any(|w| w == b"40{\"sid") {
        seen.push(within("the answer", stream.read_u8()).await.unwrap());
    }
    stream
}

/// Returns a frame of a client, with zero as its mask.
fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        len @ ..=125 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// Writes the same data repeatedly, reading the responses, until the server has closed the connection.
async fn write_until_cut(stream: &mut TcpStream, data: &[u8]) {
    let (mut reading, mut writing) = stream.split();
    let flood = async { while writing.write_all(data).await.is_ok() {} };
    let mut nowhere = tokio::io::sink();
    let cut = async {
        tokio::select! {
            _ = tokio::io::copy(&mut reading, &mut nowhere) => {}
            () = flood => {}
        }
    };
    within("the end of the connection", cut).await;
}
