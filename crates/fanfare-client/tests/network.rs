//! Tests of TLS, proxies, the msgpack parser and the blocking client, against Node.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fanfare_client::event::SocketEvent;
use fanfare_client::options::{Parser, Tls};
use fanfare_client::{Ack, Data, Transport, connect};
use fanfare_testing::wire::Http;
use rcgen::{CertificateParams, DnType, Issuer, KeyPair};
use serde_json::{Value, json};
use support::{Server, plain_node, soon};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

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

    /// Issues a certificate and its key.
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
        // Not the expected name.
        let tls = Tls::new()
            .root_certificate(authority.pem.clone())
            .server_name("example.com");
        assert!(
            soon(connect(&url).transports([transport]).tls(tls).fail_fast())
                .await
                .is_err()
        );
        let tls = Tls::new().danger_accept_any_certificate();
        let connected = soon(connect(&url).transports([transport]).tls(tls)).await;
        drop(connected.unwrap());
    }
    // Mutual TLS.
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
    let connected = soon(connect(&url).tls(tls.client_certificate(cert, key))).await;
    drop(connected.unwrap());
    assert!(
        connect(&url)
            .tls(Tls::new().root_certificate("-----BEGIN nonsense"))
            .build()
            .is_err()
    );
}

/// Starts an HTTP proxy that supports CONNECT and requires `me:secret`, over TLS if given a certificate and its key.
/// Counts the tunnels.
async fn proxy(tls: Option<(String, String)>) -> (u16, Arc<AtomicUsize>) {
    let tls = tls.map(|(cert, key)| {
        let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let tunnels = Arc::new(AtomicUsize::new(0));
    let count = tunnels.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (count, tls) = (count.clone(), tls.clone());
            tokio::spawn(async move {
                let mut client = match tls {
                    Some(tls) => match tls.accept(client).await {
                        Ok(client) => Http::new(client),
                        // A client that does not trust the proxy.
                        Err(_) => return,
                    },
                    None => Http::new(client),
                };
                let request = client.request().await.unwrap();
                if request.header("proxy-authorization") != Some("Basic bWU6c2VjcmV0") {
                    client.respond(407, "", b"").await;
                    return;
                }
                assert_eq!(request.method, "CONNECT");
                let mut server = TcpStream::connect(request.target).await.unwrap();
                client
                    .send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    .await;
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
    let plain = plain_node();
    let (cert, key) = authority.issue("127.0.0.1");
    let secure = Server::node(json!({ "tls": { "cert": cert, "key": key } }));
    let (port, tunnels) = proxy(None).await;
    let (tls_port, tls_tunnels) = proxy(Some(authority.issue("127.0.0.1"))).await;
    let ways = [("http", port, &tunnels), ("https", tls_port, &tls_tunnels)];
    let targets = ways.map(|way| [("http", &plain, way), ("https", &secure, way)]);
    for (scheme, node, (proxy, port, tunnels)) in targets.into_iter().flatten() {
        for transport in [Transport::WebSocket, Transport::Polling] {
            let before = tunnels.load(Ordering::SeqCst);
            let client = connect(format!("{scheme}://127.0.0.1:{}", node.port))
                .tls(Tls::new().root_certificate(authority.pem.clone()))
                .transports([transport])
                .upgrade(false);
            let socket = soon(client.proxy(format!("{proxy}://me:secret@127.0.0.1:{port}")))
                .await
                .unwrap();
            let n: u32 = soon(socket.emit_with_ack("echo", 7)).await.unwrap();
            assert_eq!(n, 7);
            assert!(
                tunnels.load(Ordering::SeqCst) > before,
                "{scheme} {transport} {proxy}"
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
    // A proxy that is not trusted: neither by the default roots, nor by those that are for it alone.
    let tls_proxy = format!("https://me:secret@127.0.0.1:{tls_port}");
    let trusting = || Tls::new().root_certificate(authority.pem.clone());
    let stranger = Tls::new().root_certificate(Authority::new().pem);
    for client in [
        connect(plain.url("/")),
        connect(plain.url("/")).tls(trusting()).proxy_tls(stranger),
    ] {
        let refused = soon(client.proxy(&tls_proxy).fail_fast()).await;
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("proxy: ") && refused.contains("certificate"),
            "{refused}"
        );
    }
    // Trusted separately, or with the server, whose name and client certificate are not for the proxy.
    let (cert, key) = authority.issue("client");
    for client in [
        connect(plain.url("/")).proxy_tls(trusting()),
        connect(plain.url("/")).tls(
            trusting()
                .server_name("example.com")
                .client_certificate(cert, key),
        ),
    ] {
        drop(soon(client.proxy(&tls_proxy)).await.unwrap());
    }
    let wrong = connect(plain.url("/")).proxy("socks5://proxy:1080").build();
    let wrong = wrong.unwrap_err().to_string();
    assert!(
        wrong.contains("proxy: unsupported scheme \"socks5\""),
        "{wrong}"
    );
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
    assert!(!socket.inner().is_connected());

    // Several namespaces over one connection, and failures.
    use fanfare_client::blocking;
    let manager = blocking::manager(fanfare_client::Manager::builder(node.url("/"))).unwrap();
    let main = blocking::connect(manager.socket("/")).unwrap();
    let chat = blocking::connect(manager.socket("/chat")).unwrap();
    assert_eq!(main.call::<u32>("echo", 1, support::PATIENCE).unwrap(), 1);
    assert_eq!(chat.call::<u32>("echo", 2, support::PATIENCE).unwrap(), 2);
    let refused = blocking::connect(manager.socket("/admin")).unwrap_err();
    assert_eq!(refused.to_string(), "not authorized");
    let late = main.call::<()>("silence", (), Duration::from_millis(50));
    assert_eq!(late.unwrap_err(), fanfare_client::AckError::Timeout);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", nobody.local_addr().unwrap());
    drop(nobody);
    assert!(blocking::connect(connect(url).fail_fast()).is_err());
}
