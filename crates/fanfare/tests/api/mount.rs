//! Ways to mount a server.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum::routing::get;
use fanfare::limits::ConnectionLimits;
use fanfare::proxy::{Networks, Peer, TrustedProxies};
use fanfare::{Ack, Namespace, Socket, SocketIo, SocketIoBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::support::{self, Server, within};

async fn request(addr: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer
}

async fn serves_both(app: axum::Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    assert!(request(addr, "/hello").await.ends_with("axum says hello"));
    let polling = request(addr, "/socket.io/?EIO=4&transport=polling").await;
    assert!(
        polling.starts_with("HTTP/1.1 200 ") && polling.contains("0{\"sid\":"),
        "{polling}"
    );
    let mut peer = support::Peer::open(addr).await;
    peer.join("/").await;
}

fn io() -> SocketIo {
    SocketIo::builder().build().unwrap()
}

fn routes() -> axum::Router {
    axum::Router::new().route("/hello", get(async || "axum says hello"))
}

#[tokio::test]
async fn as_a_service_in_axum() {
    serves_both(routes().fallback_service(io().service())).await;
}

#[tokio::test]
async fn as_a_layer_in_axum() {
    serves_both(routes().layer(io().layer())).await;
}

#[tokio::test]
async fn as_a_service_in_bare_hyper() {
    let service = io().service();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(service.clone());
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(async move {
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(io, service)
                    .with_upgrades()
                    .await
            });
        }
    });
    support::Peer::open(addr).await.join("/").await;
    assert!(
        request(addr, "/elsewhere")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn alone() {
    let server = Server::start(SocketIo::builder()).await;
    server.joined().await;
    assert!(request(server.addr, "/").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn serve_ends_when_the_server_is_closed() {
    let io = io();
    let serving = tokio::spawn(fanfare::serve(io.clone()).bind("127.0.0.1:0"));
    within("closing", io.close()).await;
    within("the end of serve", serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_path_of_ones_own() {
    let server = Server::start(SocketIo::builder().path("/live")).await;
    let answer = request(server.addr, "/live/?EIO=4&transport=polling").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(
        request(server.addr, "/socket.io/?EIO=4&transport=polling")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn a_polling_session_belongs_to_its_server() {
    let (a, b) = (
        Server::start(SocketIo::builder()).await,
        Server::start(SocketIo::builder()).await,
    );
    let query = "/socket.io/?EIO=4&transport=polling";
    let open = request(a.addr, query).await;
    let (_, rest) = open.split_once("\"sid\":\"").unwrap();
    let (sid, _) = rest.split_once('"').unwrap();
    let answer = request(b.addr, &format!("{query}&sid={sid}")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(
        answer.ends_with(r#"{"code":1,"message":"Session ID unknown"}"#),
        "{answer}"
    );
}

/// Returns the address of the peer, which axum provides as an extension.
fn axum_peer(extensions: &axum::http::Extensions) -> Option<Peer> {
    let info = extensions.get::<ConnectInfo<SocketAddr>>()?;
    Some(Peer::Address(info.0))
}

async fn serve_with_addresses(app: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await });
    addr
}

#[tokio::test]
async fn in_axum_limits_per_address_and_proxies_work() {
    let builder = || SocketIo::builder().peer(axum_peer);
    let limits = ConnectionLimits::new().connections_per_address(1);
    let io = builder().admission(limits.clone()).build().unwrap();
    let addr = serve_with_addresses(routes().layer(io.layer())).await;
    let polling = "/socket.io/?EIO=4&transport=polling";
    assert!(request(addr, polling).await.starts_with("HTTP/1.1 200 "));
    assert!(request(addr, polling).await.starts_with("HTTP/1.1 503 "));

    let proxies = TrustedProxies::new("127.0.0.0/8".parse().unwrap());
    let io = builder().admission(limits).trusted_proxies(proxies);
    let addr = serve_with_addresses(routes().layer(io.build().unwrap().layer())).await;
    for (client, status) in [("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 503)] {
        let forwarded = format!("{polling} HTTP/1.1\r\nX-Forwarded-For: {client}\r\nX:");
        let answer = request(addr, &forwarded).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
}

/// Returns a server whose proxy connects through a Unix socket.
fn behind_a_unix_socket() -> SocketIoBuilder {
    let namespace = Namespace::new("/").on("where", async |socket: Socket| {
        let handshake = socket.handshake();
        let address = handshake.address().map(|address| address.ip().to_string());
        Ack((address, handshake.is_secure()))
    });
    let proxies = TrustedProxies::new(Networks::none()).unix_sockets(true);
    let builder = SocketIo::builder().namespace(namespace);
    builder.trusted_proxies(proxies)
}

/// Asserts the address that the server sees of a client behind the proxy.
async fn assert_believed(ours: UnixStream) {
    let headers = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
    ];
    let mut peer = support::Peer::with_headers(ours, &headers).await;
    peer.join("/").await;
    peer.send(r#"21["where"]"#).await;
    peer.expect(r#"31["192.0.2.7",true]"#).await;
}

#[tokio::test]
async fn a_unix_socket_may_be_a_proxy() {
    let io = behind_a_unix_socket().build().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    tokio::spawn(fanfare::serve(io).connection(theirs, None));
    assert_believed(ours).await;
}

/// Axum does not report that a request came through a Unix socket: the application does.
#[tokio::test]
async fn in_axum_a_unix_socket_may_be_a_proxy() {
    let io = behind_a_unix_socket().peer(|_| Some(Peer::Unix));
    let app = routes().layer(io.build().unwrap().layer());
    let dir = std::env::temp_dir().join(format!("fanfare-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("axum.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let stream = UnixStream::connect(&path).await.unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    assert_believed(stream).await;
}
