//! TLS, proxies, the msgpack parser and the blocking façade, against Node.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fanfare_client::{Ack, Data, Parser, SocketEvent, Tls, Transport, connect};
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use serde_json::{Value, json};
use support::{Server, plain_node, soon};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Certificate and key.
    fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        (
            params.signed_by(&key, &self.issuer).unwrap().pem(),
            key.serialize_pem(),
        )
    }
}

#[tokio::test]
async fn tls_with_custom_roots_and_client_certificates() {
    let authority = Authority::new();
    let (cert, key) = authority.issue("127.0.0.1");
    let node = Server::node(json!({ "tls": { "cert": cert, "key": key } }));
    for (scheme, transport) in [("https", Transport::Polling), ("wss", Transport::WebSocket)] {
        let url = format!("{scheme}://127.0.0.1:{}", node.port);
        let tls = Tls::new().root_certificate(authority.pem.clone());
        let socket = soon(
            connect(&url)
                .transports([transport])
                .upgrade(false)
                .tls(tls),
        )
        .await
        .unwrap();
        let big = "x".repeat(300_000);
        let back: String = soon(socket.emit_with_ack("echo", &big)).await.unwrap();
        assert!(back == big);
        soon(socket.disconnect()).await;
        // Not trusted.
        let error = soon(connect(&url).transports([transport]).fail_fast())
            .await
            .unwrap_err();
        assert!(error.to_string().contains("certificate"), "{error}");
        // Not the name we look for.
        let tls = Tls::new()
            .root_certificate(authority.pem.clone())
            .server_name("example.com");
        assert!(
            soon(connect(&url).transports([transport]).tls(tls).fail_fast())
                .await
                .is_err()
        );
        let tls = Tls::new().danger_accept_any_certificate();
        soon(connect(&url).transports([transport]).tls(tls))
            .await
            .unwrap();
    }
    // Mutual.
    let (cert, key) = authority.issue("127.0.0.1");
    let node = Server::node(json!({ "tls": { "cert": cert, "key": key, "ca": authority.pem } }));
    let url = format!("https://127.0.0.1:{}", node.port);
    let tls = Tls::new()
        .root_certificate(authority.pem.clone())
        .only_given_roots();
    assert!(
        soon(connect(&url).tls(tls.clone()).fail_fast())
            .await
            .is_err()
    );
    let (cert, key) = authority.issue("client");
    soon(connect(&url).tls(tls.client_certificate(cert, key)))
        .await
        .unwrap();
    assert!(
        connect(&url)
            .tls(Tls::new().root_certificate("-----BEGIN nonsense"))
            .build()
            .is_err()
    );
}

/// An HTTP proxy that knows CONNECT and wants `me:secret`. Counts the tunnels.
async fn proxy() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = tunnels.clone();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                if !head.contains("Proxy-Authorization: Basic bWU6c2VjcmV0\r\n") {
                    client
                        .write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                        .await
                        .unwrap();
                    return;
                }
                let target = head
                    .strip_prefix("CONNECT ")
                    .unwrap()
                    .split(' ')
                    .next()
                    .unwrap();
                let mut server = TcpStream::connect(target).await.unwrap();
                client
                    .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await
                    .unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, tunnels)
}

#[tokio::test]
async fn through_a_proxy() {
    let authority = Authority::new();
    let (cert, key) = authority.issue("127.0.0.1");
    let plain = plain_node();
    let secure = Server::node(json!({ "tls": { "cert": cert, "key": key } }));
    let (port, tunnels) = proxy().await;
    for (scheme, node) in [("http", &plain), ("https", &secure)] {
        for transport in [Transport::WebSocket, Transport::Polling] {
            let before = tunnels.load(Ordering::SeqCst);
            let client = connect(format!("{scheme}://127.0.0.1:{}", node.port))
                .tls(Tls::new().root_certificate(authority.pem.clone()))
                .transports([transport])
                .upgrade(false);
            let socket = soon(client.proxy(format!("http://me:secret@127.0.0.1:{port}")))
                .await
                .unwrap();
            let n: u32 = soon(socket.emit_with_ack("echo", 7)).await.unwrap();
            assert_eq!(n, 7);
            assert!(
                tunnels.load(Ordering::SeqCst) > before,
                "{scheme} {transport}"
            );
        }
    }
    let refused = soon(
        connect(plain.url("/"))
            .proxy(format!("127.0.0.1:{port}"))
            .fail_fast(),
    )
    .await
    .unwrap_err();
    assert!(refused.to_string().contains("407"), "{refused}");
    let wrong = connect(plain.url("/")).proxy("https://proxy:3128").build();
    let wrong = wrong.unwrap_err().to_string();
    assert!(wrong.contains("without TLS"), "{wrong}");
}

#[tokio::test]
async fn the_msgpack_parser() {
    let node = Server::node(json!({ "parser": "msgpack", "recovery": 60_000 }));
    for transport in [Transport::WebSocket, Transport::Polling] {
        let socket = soon(
            connect(node.url("/chat"))
                .transports([transport])
                .upgrade(false)
                .parser(Parser::Msgpack)
                .auth(json!({ "token": 1 }))
                .on("question", |Data((a, b)): Data<(u32, u32)>| async move {
                    Ack((a + b, Bytes::from_static(b"!")))
                }),
        )
        .await
        .unwrap();
        let data = Bytes::from(vec![1; 1000]);
        let (x, y): (Bytes, Value) =
            soon(socket.emit_with_ack("echo", (&data, json!({ "a": [1.5, null] }))))
                .await
                .unwrap();
        assert_eq!((x, y), (data, json!({ "a": [1.5, null] })));
        let answer: u32 = soon(socket.emit_with_ack("question", ())).await.unwrap();
        assert_eq!(answer, 42);
        let handshake: Value = soon(socket.emit_with_ack("handshake", ())).await.unwrap();
        assert_eq!(handshake["auth"], json!({ "token": 1 }));
        let mut messages = socket.listen::<String>("message");
        let mut events = socket.events();
        socket.emit("message", "before").unwrap();
        assert_eq!(soon(messages.next()).await.unwrap().unwrap(), "before");
        socket.emit("cut", ()).unwrap();
        loop {
            if let SocketEvent::Connect { recovered, .. } = soon(events.next()).await.unwrap() {
                assert!(recovered);
                break;
            }
        }
        soon(socket.disconnect()).await;
    }
}

#[cfg(feature = "blocking")]
#[test]
fn without_async() {
    use std::time::Duration;

    let node = plain_node();
    let socket = fanfare_client::blocking::connect(connect(node.url("/chat"))).unwrap();
    assert!(matches!(
        socket.recv(support::PATIENCE),
        Some(SocketEvent::Connect { .. })
    ));
    let n: u32 = socket.call("echo", 5, support::PATIENCE).unwrap();
    assert_eq!(n, 5);
    socket.emit("message", "hello").unwrap();
    let Some(SocketEvent::Event(event)) = socket.recv(support::PATIENCE) else {
        panic!()
    };
    assert_eq!(event.data::<String>().unwrap(), "hello");
    assert!(socket.recv(Duration::from_millis(1)).is_none());
    socket.disconnect();
    assert!(!socket.inner().connected());
}
