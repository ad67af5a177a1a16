//! The ways to mount a server.

use axum::routing::get;
use fanfare::SocketIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Peer, Server, within};

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
    let mut peer = Peer::open(addr).await;
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
    Peer::open(addr).await.join("/").await;
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
    let serving = tokio::spawn(fanfare::serve("127.0.0.1:0", io.clone()));
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
