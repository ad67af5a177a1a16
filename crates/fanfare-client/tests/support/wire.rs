//! Byte-level test servers: a relay that counts bytes, and servers that send given bytes.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fanfare_websocket::OpCode;
use fanfare_websocket::frame::encode_into;
use fanfare_websocket::handshake::accept_key;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Engine.IO handshake.
pub const OPEN: &[u8] = br#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

/// Relay that forwards connections to a local port and counts the bytes.
pub struct Relay {
    pub url: String,
    up: Arc<AtomicUsize>,
    down: Arc<AtomicUsize>,
}

impl Relay {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (up, down) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let relay = Self {
            url,
            up: up.clone(),
            down: down.clone(),
        };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (read_client, write_client) = client.into_split();
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let (read_server, write_server) = server.into_split();
                tokio::spawn(count(read_client, write_server, up.clone()));
                tokio::spawn(count(read_server, write_client, down.clone()));
            }
        });
        relay
    }

    /// Returns the number of bytes from the client and to it since the last call.
    pub fn take(&self) -> (usize, usize) {
        (
            self.up.swap(0, Ordering::SeqCst),
            self.down.swap(0, Ordering::SeqCst),
        )
    }
}

async fn count(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    counter: Arc<AtomicUsize>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        counter.fetch_add(n, Ordering::SeqCst);
        if to.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// Reads the head of a request.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Starts a server that opens every WebSocket with these additional header lines and an Engine.IO handshake, and sends
/// these bytes when the client requests its namespace.
pub async fn websocket_server(headers: &'static str, bytes: Vec<u8>) -> String {
    listening_server(headers, bytes).await.0
}

/// Starts a server as [`websocket_server`] does, which also returns the input after each request of the namespace, one
/// `Vec` for each client.
pub async fn listening_server(
    headers: &'static str,
    bytes: Vec<u8>,
) -> (String, mpsc::UnboundedReceiver<Vec<u8>>) {
    let (tx, rx) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (bytes, tx) = (bytes.clone(), tx.clone());
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                let (_, key) = head
                    .lines()
                    .filter_map(|line| line.split_once(": "))
                    .find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
                    .unwrap();
                let accept = String::from_utf8(accept_key(key.as_bytes()).to_vec()).unwrap();
                let answer = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
                );
                stream.write_all(answer.as_bytes()).await.unwrap();
                let mut open = Vec::new();
                encode_into(&mut open, OpCode::Text, OPEN);
                stream.write_all(&open).await.unwrap();
                if stream.read_u8().await.is_ok() {
                    stream.write_all(&bytes).await.unwrap();
                }
                // Reads until the client closes.
                let mut said = Vec::new();
                let _ = stream.read_to_end(&mut said).await;
                let _ = tx.send(said);
            });
        }
    });
    (url, rx)
}
