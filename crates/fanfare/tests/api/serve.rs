//! Connections that the application accepts.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanfare::engine::{HandshakeRequest, PerMessageDeflate};
use fanfare::{Ack, Data, Namespace, Socket, SocketIo};
use fanfare_websocket::{Message, Options, WebSocket};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::support::{Duplex, Peer, answer, until, within};

const QUERY: &str = "/socket.io/?EIO=4&transport=polling";

fn echo() -> SocketIo {
    let namespace = Namespace::new("/")
        .on("echo", async |Data(text): Data<String>| Ack(text))
        .on("where", async |socket: Socket| {
            let handshake = socket.handshake();
            let address = handshake.address().map(|address| address.to_string());
            Ack((address, handshake.is_secure()))
        });
    SocketIo::builder().namespace(namespace).build().unwrap()
}

/// Returns a client's end of a connection in memory, and the task that serves the other end.
fn in_memory(io: &SocketIo, room: usize) -> (DuplexStream, JoinHandle<()>) {
    let (ours, theirs) = duplex(room);
    let serving = tokio::spawn(fanfare::serve(io.clone()).connection(theirs, None));
    (ours, serving)
}

async fn ask(stream: &mut impl Duplex, line: &str, body: &str) -> String {
    let len = body.len();
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await.1
}

/// Opens a session by long-polling and joins the main namespace; returns the path of its requests.
async fn poll(stream: &mut impl Duplex) -> String {
    let open = ask(stream, &format!("GET {QUERY}"), "").await;
    let (_, sid) = open.split_once(r#""sid":""#).unwrap();
    let path = format!("{QUERY}&sid={}", &sid[..20]);
    assert_eq!(ask(stream, &format!("POST {path}"), "40").await, "ok");
    let joined = ask(stream, &format!("GET {path}"), "").await;
    assert!(joined.starts_with("40{\"sid\""), "{joined}");
    path
}

async fn talk(peer: &mut Peer) {
    peer.join("/").await;
    for n in 0..3 {
        peer.send(&format!(r#"2{n}["echo","hi"]"#)).await;
        peer.expect(&format!(r#"3{n}["hi"]"#)).await;
    }
}

#[tokio::test]
async fn a_stream_in_memory() {
    let io = echo();
    // With a capacity of less than a packet, everything is written in pieces.
    for room in [1 << 16, 7] {
        let (stream, serving) = in_memory(&io, room);
        let mut peer = Peer::over(stream).await;
        within("the end of HTTP", serving).await.unwrap();
        talk(&mut peer).await;
        let long = "long ".repeat(20_000);
        peer.send(&format!(r#"27["echo","{long}"]"#)).await;
        peer.expect(&format!(r#"37["{long}"]"#)).await;
        peer.send(r#"28["where"]"#).await;
        peer.expect("38[null,false]").await;
        peer.vanish();
        until("the end is noticed", || io.clients_count() == 0).await;
    }
    let (mut stream, serving) = in_memory(&io, 1 << 16);
    let path = poll(&mut stream).await;
    assert_eq!(
        ask(&mut stream, &format!("POST {path}"), r#"421["echo","hi"]"#).await,
        "ok"
    );
    assert_eq!(
        ask(&mut stream, &format!("GET {path}"), "").await,
        r#"431["hi"]"#
    );
    assert_eq!(ask(&mut stream, "GET /elsewhere", "").await, "");
    drop(stream);
    within("the end of HTTP", serving).await.unwrap();
}

#[tokio::test]
async fn an_upgrade_comes_on_a_stream_of_its_own() {
    let io = echo();
    let (mut polling, _serving) = in_memory(&io, 1 << 16);
    let path = poll(&mut polling).await;
    let uri = format!("ws://x{}", path.replace("polling", "websocket"));
    let (stream, _serving) = in_memory(&io, 1 << 16);
    let uri = uri.parse().unwrap();
    let mut ws = WebSocket::client(stream, &uri, &Options::default())
        .await
        .unwrap();
    ws.send("2probe").await.unwrap();
    assert_eq!(text(&mut ws).await, "3probe");
    ws.send("5").await.unwrap();
    ws.send(r#"421["echo","upgraded"]"#).await.unwrap();
    assert_eq!(text(&mut ws).await, r#"431["upgraded"]"#);
    assert_eq!((io.stats().polling, io.stats().websocket), (0, 1));
}

async fn text<T: Duplex + Unpin>(ws: &mut WebSocket<T>) -> String {
    match within("a message", ws.recv()).await {
        Some(Ok(Message::Text(text))) => text,
        other => panic!("expected a text, not {other:?}"),
    }
}

#[tokio::test]
async fn a_unix_socket() {
    let io = echo();
    let path = std::env::temp_dir().join(format!("fanfare-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).unwrap();
    let served = io.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(fanfare::serve(served.clone()).connection(stream, None));
        }
    });
    let mut peer = Peer::over(UnixStream::connect(&path).await.unwrap()).await;
    talk(&mut peer).await;
    let mut stream = UnixStream::connect(&path).await.unwrap();
    poll(&mut stream).await;
    assert_eq!((io.stats().polling, io.stats().websocket), (1, 1));
    std::fs::remove_file(&path).unwrap();
}

/// A listener of the application provides the client's address.
#[tokio::test]
async fn a_tcp_socket() {
    let io = echo();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = io.clone();
    tokio::spawn(async move {
        let client: SocketAddr = "192.0.2.7:1234".parse().unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(fanfare::serve(served.clone()).connection(stream, client));
        }
    });
    let mut peer = Peer::open(addr).await;
    talk(&mut peer).await;
    peer.send(r#"28["where"]"#).await;
    peer.expect(r#"38["192.0.2.7:1234",false]"#).await;
}

#[tokio::test]
async fn a_proxy_protocol_header_is_read_from_tcp_sockets() {
    let io = echo();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serve = fanfare::serve(io.clone()).proxy_protocol("127.0.0.0/8".parse().unwrap());
    tokio::spawn(async move {
        let (stream, address) = listener.accept().await.unwrap();
        serve.connection(stream, address).await;
    });
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 1234 443\r\n";
    stream.write_all(header).await.unwrap();
    let mut peer = Peer::over(stream).await;
    peer.join("/").await;
    peer.send(r#"28["where"]"#).await;
    peer.expect(r#"38["192.0.2.7:1234",false]"#).await;
}

/// Returns both sides' TLS configuration.
pub(crate) fn tls() -> (tokio_rustls::TlsAcceptor, tokio_rustls::TlsConnector) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let certificate = made.cert.der().clone();
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (Arc::new(server).into(), Arc::new(client).into())
}

#[tokio::test]
async fn tls_of_ones_own() {
    let io = echo();
    let (acceptor, connector) = tls();
    let (ours, theirs) = duplex(1 << 14);
    let serve = fanfare::serve(io.clone()).secure(true);
    tokio::spawn(async move {
        let stream = acceptor.accept(theirs).await.unwrap();
        serve.connection(stream, None).await;
    });
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, ours).await.unwrap();
    let mut peer = Peer::over(stream).await;
    talk(&mut peer).await;
    peer.send(r#"28["where"]"#).await;
    peer.expect("38[null,true]").await;
}

/// permessage-deflate works on a WebSocket that is not on a TCP socket of the server.
#[tokio::test]
async fn messages_are_compressed_on_any_stream() {
    let deflate = PerMessageDeflate::new()
        .server_no_context_takeover(false)
        .client_no_context_takeover(false);
    let namespace = Namespace::new("/").on("echo", async |Data(text): Data<String>| Ack(text));
    let builder = SocketIo::builder().namespace(namespace);
    let io = builder.per_message_deflate(deflate).build().unwrap();
    let options = Options {
        permessage_deflate: Some(deflate),
        ..Options::default()
    };
    let (acceptor, connector) = tls();
    for on in ["memory", "TLS", "hyper"] {
        let (ours, theirs) = duplex(if on == "TLS" { 1 << 12 } else { 100 });
        let (acceptor, io) = (acceptor.clone(), io.clone());
        let stream: Pin<Box<dyn Duplex>> = match on {
            "memory" => {
                tokio::spawn(fanfare::serve(io).connection(theirs, None));
                Box::pin(ours)
            }
            "TLS" => {
                tokio::spawn(async move {
                    let stream = acceptor.accept(theirs).await.unwrap();
                    fanfare::serve(io).connection(stream, None).await;
                });
                let name = ServerName::try_from("localhost").unwrap();
                Box::pin(connector.connect(name, ours).await.unwrap())
            }
            _ => {
                let http = hyper::server::conn::http1::Builder::new();
                let service = hyper_util::service::TowerToHyperService::new(io.service());
                let stream = hyper_util::rt::TokioIo::new(theirs);
                tokio::spawn(http.serve_connection(stream, service).with_upgrades());
                Box::pin(ours)
            }
        };
        let uri = "ws://localhost/socket.io/?EIO=4&transport=websocket"
            .parse()
            .unwrap();
        let mut ws = WebSocket::client(stream, &uri, &options).await.unwrap();
        assert!(ws.is_compressed());
        assert!(text(&mut ws).await.starts_with("0{"));
        ws.send("40").await.unwrap();
        assert!(text(&mut ws).await.starts_with("40{"));
        for n in 0..20 {
            let long = format!("{n} and so on, ").repeat(100 * n + 1);
            ws.send(format!(r#"42{n}["echo","{long}"]"#)).await.unwrap();
            assert_eq!(text(&mut ws).await, format!(r#"43{n}["{long}"]"#));
        }
    }
}

#[tokio::test]
async fn requests_under_way_end_before_the_connection_does() {
    let io = echo();
    let (mut idle, idle_serving) = in_memory(&io, 1 << 16);
    poll(&mut idle).await;
    let (mut waiting, waiting_serving) = in_memory(&io, 1 << 16);
    let path = poll(&mut waiting).await;
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    waiting.write_all(get.as_bytes()).await.unwrap();
    let (stream, _serving) = in_memory(&io, 1 << 16);
    let mut peer = Peer::over(stream).await;
    peer.join("/").await;
    within("the end of the server", io.close()).await;
    // The session of the waiting request was closed, and the client was told.
    let (_, body) = answer(&mut waiting).await;
    assert_eq!(body, "1");
    for serving in [idle_serving, waiting_serving] {
        within("the end of the connection", serving).await.unwrap();
    }
    assert_eq!(idle.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(peer.until_closed().await, []);
}

#[tokio::test]
async fn to_drop_the_future_is_to_cut_the_connection() {
    let io = echo();
    let (mut stream, serving) = in_memory(&io, 1 << 16);
    poll(&mut stream).await;
    serving.abort();
    let end = within("the end", stream.read(&mut [0; 8])).await;
    assert_eq!(end.unwrap(), 0);
    // A WebSocket is not aborted: it has a separate task.
    let (stream, serving) = in_memory(&io, 1 << 16);
    let mut peer = Peer::over(stream).await;
    serving.abort();
    talk(&mut peer).await;
}

#[tokio::test]
async fn a_client_that_is_too_slow_is_cut() {
    let io = SocketIo::builder()
        .allow_request(async |_: HandshakeRequest| Ok::<_, String>(()))
        .build()
        .unwrap();
    let serve = fanfare::serve(io.clone())
        .header_timeout(Duration::from_millis(50))
        .write_timeout(Duration::from_millis(50));
    for start in [
        "",
        "GET /socket.io/?EIO=4",
        &format!("GET {QUERY} HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let (mut ours, theirs) = duplex(20);
        let served = serve.clone().connection(theirs, None);
        let serving = tokio::spawn(served);
        // The last one does not read its response.
        let _ = within("the request", ours.write_all(start.as_bytes())).await;
        within("the end of the connection", serving).await.unwrap();
    }
}

/// Two limits for silent connections, however they were accepted.
#[tokio::test]
async fn a_handshake_has_a_deadline_and_is_counted() {
    let io = echo();
    let (acceptor, connector) = tls();
    let serve = fanfare::serve(io.clone()).header_timeout(Duration::from_millis(100));
    let (_ours, theirs) = duplex(1 << 12);
    let handshake = acceptor.accept(theirs);
    let serving = tokio::spawn(serve.clone().handshake(handshake, None));
    within("the end", serving).await.unwrap();
    assert_eq!(io.stats().rejected, 1);

    // Most of the silent connections are closed, and those that send a request are not.
    let serve = serve
        .header_timeout(Duration::from_secs(600))
        .max_idle_connections(10);
    let mut silent = Vec::new();
    for n in 0..100 {
        let (ours, theirs) = duplex(1 << 12);
        let serve = serve.clone();
        match n % 2 {
            0 => tokio::spawn(serve.connection(theirs, None)),
            _ => tokio::spawn(serve.handshake(acceptor.accept(theirs), None)),
        };
        silent.push(ours);
    }
    until("most are cut", || io.stats().rejected == 91).await;
    let (ours, theirs) = duplex(1 << 14);
    tokio::spawn(serve.handshake(acceptor.accept(theirs), None));
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, ours).await.unwrap();
    talk(&mut Peer::over(stream).await).await;
    let mut cut = 0;
    for stream in &mut silent[..80] {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte));
        cut += usize::from(matches!(read.await, Ok(Ok(0))));
    }
    assert!(cut >= 70, "{cut} of the first are cut");
}

/// More connections can arrive than the 128 of a usual backlog before the server accepts any.
#[tokio::test]
async fn many_clients_may_come_at_once() {
    let listener = fanfare::serve::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (mut clients, mut connected) = (tokio::task::JoinSet::new(), Vec::new());
    for _ in 0..400 {
        clients.spawn(TcpStream::connect(addr));
    }
    // The server accepts none yet: connected clients wait in the backlog.
    within("all are connected", async {
        while let Some(client) = clients.join_next().await {
            connected.push(client.unwrap().unwrap());
        }
    })
    .await;
    drop(listener);
}
