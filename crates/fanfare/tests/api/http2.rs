//! Browsers' use of HTTP/2: WebSockets by extended CONNECT (RFC 8441), headers in several fields.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, Response, StatusCode, Version};
use fanfare::engine::PerMessageDeflate;
use fanfare::{Ack, Data, Namespace, Socket, SocketIo};
use fanfare_websocket::deflate::Params;
use fanfare_websocket::{Message, Options, Role, WebSocket};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};

use crate::serve::tls;
use crate::support::{Duplex, Peer, Server, until, within};

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "/socket.io/?EIO=4&transport=websocket";

fn echo() -> Namespace {
    Namespace::new("/")
        .on("echo", async |Data(text): Data<String>| Ack(text))
        .on(
            "header",
            async |socket: Socket, Data(name): Data<String>| {
                Ack(socket.handshake().header(&name).map(str::to_owned))
            },
        )
}

fn io() -> SocketIo {
    SocketIo::builder().namespace(echo()).build().unwrap()
}

/// HTTP/2 connection of a client.
struct Client {
    sender: SendRequest<Body>,
    origin: String,
}

impl Client {
    async fn over(stream: impl Duplex + 'static) -> Client {
        let stream: Pin<Box<dyn Duplex>> = Box::pin(stream);
        let handshake =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = within("the connection", handshake).await.unwrap();
        tokio::spawn(connection);
        let origin = "https://localhost".to_owned();
        let mut client = Client { sender, origin };
        // After a response the client knows the settings of the server.
        assert_eq!(client.get("/elsewhere", &[]).await.0, StatusCode::NOT_FOUND);
        client
    }

    async fn to(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).await.unwrap()).await
    }

    async fn send(&mut self, request: Request<Body>) -> Response<Incoming> {
        within("an answer", self.sender.send_request(request))
            .await
            .unwrap()
    }

    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (StatusCode, String) {
        let mut request = Request::builder()
            .method(method)
            .version(Version::HTTP_2)
            .uri(format!("{}{path}", self.origin));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .send(request.body(Body::from(body.to_owned())).unwrap())
            .await;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), 1 << 20);
        (
            status,
            String::from_utf8(body.await.unwrap().to_vec()).unwrap(),
        )
    }

    async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
        self.ask(Method::GET, path, headers, "").await
    }

    /// Requests a WebSocket as browsers do.
    async fn connect(&mut self, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .version(Version::HTTP_2)
            .uri(format!("{}{path}", self.origin))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("origin", "https://localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Waits until the server has ended the connection.
    async fn closed(&self) {
        until("the end of the connection", || self.sender.is_closed()).await;
    }

    async fn websocket(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> TokioIo<hyper::upgrade::Upgraded> {
        let response = self.connect(path, headers).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(!response.headers().contains_key("sec-websocket-accept"));
        let upgraded = within("the stream", hyper::upgrade::on(response)).await;
        TokioIo::new(upgraded.unwrap())
    }
}

async fn talk(peer: &mut Peer) {
    peer.join("/").await;
    for n in 0..3 {
        peer.send(&format!(r#"2{n}["echo","hi"]"#)).await;
        peer.expect(&format!(r#"3{n}["hi"]"#)).await;
    }
    let long = "long ".repeat(40_000);
    peer.send(&format!(r#"27["echo","{long}"]"#)).await;
    peer.expect(&format!(r#"37["{long}"]"#)).await;
}

/// Tests a WebSocket from the start, and the upgrade of a session that polls on the same connection.
async fn websockets_of(client: &mut Client, io: &SocketIo) {
    let mut peer = Peer::on(client.websocket(WEBSOCKET, &[]).await).await;
    talk(&mut peer).await;

    let (_, open) = client.get(POLLING, &[]).await;
    let (_, rest) = open.split_once(r#""sid":""#).unwrap();
    let sid = &rest[..20];
    assert!(open.contains(r#""upgrades":["websocket"]"#), "{open}");
    let path = format!("{POLLING}&sid={sid}");
    assert_eq!(client.ask(Method::POST, &path, &[], "40").await.1, "ok");
    assert!(client.get(&path, &[]).await.1.starts_with("40{"));
    let stream = client
        .websocket(&format!("{WEBSOCKET}&sid={sid}"), &[])
        .await;
    let mut probe = Peer::probing(stream);
    probe.send_engine("2probe").await;
    probe.expect_engine("3probe").await;
    probe.send_engine("5").await;
    probe.send(r#"21["echo","upgraded"]"#).await;
    probe.expect(r#"31["upgraded"]"#).await;
    assert_eq!((io.stats().polling, io.stats().websocket), (0, 2));
    peer.send(r#"21["echo","still"]"#).await;
    peer.expect(r#"31["still"]"#).await;
    peer.vanish();
    probe.vanish();
    until("both are gone", || io.clients_count() == 0).await;
}

#[tokio::test]
async fn a_websocket_over_http_2() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    let mut client = Client::to(server.addr).await;
    websockets_of(&mut client, &server.io).await;
}

#[tokio::test]
async fn a_websocket_over_http_2_in_axum() {
    let io = io();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = axum::Router::new().route("/", axum::routing::get(async || "hello"));
    let app = routes.layer(io.layer());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = Client::to(address).await;
    websockets_of(&mut client, &io).await;
}

#[tokio::test]
async fn a_websocket_over_http_2_and_tls() {
    let io = io();
    let (acceptor, connector) = tls();
    let (ours, theirs) = tokio::io::duplex(1 << 12);
    let served = io.clone();
    tokio::spawn(async move {
        let stream = acceptor.accept(theirs).await.unwrap();
        fanfare::serve(served).connection(stream, None).await;
    });
    let name = ServerName::try_from("localhost").unwrap();
    let stream = connector.connect(name, ours).await.unwrap();
    let mut client = Client::over(stream).await;
    websockets_of(&mut client, &io).await;
}

#[tokio::test]
async fn messages_are_compressed_over_http_2() {
    let deflate = PerMessageDeflate::default();
    let builder = SocketIo::builder().namespace(echo());
    let server = Server::start(builder.per_message_deflate(deflate)).await;
    let mut client = Client::to(server.addr).await;
    let offer = deflate.offer();
    let offer = [("sec-websocket-extensions", offer.as_str())];
    let response = client.connect(WEBSOCKET, &offer).await;
    let params = Params::from_answer(response.headers(), Some(&deflate)).unwrap();
    let stream = within("the stream", hyper::upgrade::on(response))
        .await
        .unwrap();
    let stream = TokioIo::new(stream);
    let mut ws = WebSocket::new(
        stream,
        Role::Client,
        Vec::new(),
        params,
        &Options::default(),
    );
    assert!(ws.is_compressed());
    let mut next = async |send: Option<String>| {
        if let Some(text) = send {
            ws.send(text).await.unwrap();
        }
        match within("a message", ws.recv()).await {
            Some(Ok(Message::Text(text))) => text,
            other => panic!("{other:?}"),
        }
    };
    assert!(next(None).await.starts_with("0{"));
    assert!(next(Some("40".into())).await.starts_with("40{"));
    let long = "and so on, ".repeat(1000);
    let answer = next(Some(format!(r#"421["echo","{long}"]"#))).await;
    assert_eq!(answer, format!(r#"431["{long}"]"#));
}

#[tokio::test]
async fn refusals_of_a_websocket_over_http_2_say_why() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    let mut client = Client::to(server.addr).await;
    for (path, headers, expected) in [
        (
            "/socket.io/?EIO=4&transport=x",
            &[][..],
            "Transport unknown",
        ),
        (
            &format!("{WEBSOCKET}&sid=unknown"),
            &[],
            "Session ID unknown",
        ),
        (POLLING, &[], "Bad request"),
    ] {
        let response = client.connect(path, headers).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{path}");
        let body = to_bytes(Body::new(response.into_body()), 1000)
            .await
            .unwrap();
        assert_eq!(body, expected, "{path}");
    }
    // A tunnel to another host is not handled here.
    let request = Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri("localhost:80")
        .body(Body::empty())
        .unwrap();
    assert!(client.send(request).await.status().is_client_error());
    let status = client.get(POLLING, &[]).await.0;
    assert_eq!(status, StatusCode::OK, "the connection goes on");
}

/// An HTTP/2 connection with an open WebSocket is not idle.
#[tokio::test]
async fn a_websocket_keeps_its_http_2_connection() {
    let io = io();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = fanfare::serve(io.clone()).header_timeout(Duration::from_secs(1));
    tokio::spawn(serve.listener(listener));
    let mut client = Client::to(address).await;
    let mut peer = Peer::on(client.websocket(WEBSOCKET, &[]).await).await;
    peer.join("/").await;
    // A connection without a WebSocket is closed.
    let other = Client::to(address).await;
    other.closed().await;
    peer.send(r#"21["echo","hi"]"#).await;
    peer.expect(r#"31["hi"]"#).await;
    // When the WebSocket has ended, its connection is closed as well.
    peer.vanish();
    until("the socket is gone", || io.clients_count() == 0).await;
    client.closed().await;
}

/// HTTP/2 allows browsers to split a cookie into crumbs (RFC 9113, section 8.2.3).
#[tokio::test]
async fn headers_that_come_in_pieces_are_one() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    let mut client = Client::to(server.addr).await;
    let headers = [
        ("cookie", "a=1"),
        ("x-list", "one"),
        ("cookie", "b=2"),
        ("x-list", "two"),
        ("authorization", "first"),
        ("authorization", "second"),
        ("cookie", "c=3"),
    ];
    let mut peer = Peer::on(client.websocket(WEBSOCKET, &headers).await).await;
    peer.join("/").await;
    for (name, value) in [
        ("cookie", "a=1; b=2; c=3"),
        ("x-list", "one, two"),
        ("authorization", "first"),
        ("host", "localhost"),
    ] {
        peer.send(&format!(r#"21["header","{name}"]"#)).await;
        peer.expect(&format!(r#"31["{value}"]"#)).await;
    }
}
