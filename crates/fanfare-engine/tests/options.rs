//! `cors`, `cookie`, and the handler's influence on handshakes and headers.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::{Arc, Mutex};

use common::{Ask, Server};
use std::time::Duration;

use fanfare_engine::hooks::{AllowFuture, ConnectionError, GenerateIdFuture};
use fanfare_engine::http::{Cookie, Cors, CorsOrigin};
use fanfare_engine::{
    CloseReason, Connection, EncodedMessage, Engine, EngineConfig, Handler, HandshakeRequest, serve,
};
use fanfare_testing::wire::{Frame, Http, Response, UPGRADE_HEADERS, WebSocket};
use http::{HeaderMap, HeaderValue};

/// Code, message and context of each rejection.
type Refusals = Vec<(u8, String, &'static str)>;

#[derive(Clone, Default)]
struct Gatekeeper(Arc<Mutex<Refusals>>);

impl Handler for Gatekeeper {
    type State = ();

    fn accept(&self, _: &HandshakeRequest) {}
    fn open(&self, _: &Arc<Connection<()>>) {}
    fn text(&self, _: &Arc<Connection<()>>, _: &str) {}
    fn binary(&self, _: &Arc<Connection<()>>, _: &[u8]) {}
    fn close(&self, _: &Arc<Connection<()>>, _: CloseReason) {}

    fn allow_request(&self, handshake: &HandshakeRequest) -> Option<AllowFuture> {
        let token = handshake.query_param("token");
        Some(Box::pin(async move {
            tokio::task::yield_now().await;
            match token.as_deref() {
                Some("good") => Ok(()),
                Some(other) => Err(format!("not with \"{other}\"")),
                None => Err(String::new()),
            }
        }))
    }

    fn generate_id(&self, handshake: &HandshakeRequest) -> Option<GenerateIdFuture> {
        let id = handshake.query_param("id")?;
        Some(Box::pin(async move {
            tokio::task::yield_now().await;
            match id.as_str() {
                "none" => Err("out of ids".to_owned()),
                _ => Ok(id),
            }
        }))
    }

    fn headers(&self, _: &HandshakeRequest, headers: &mut HeaderMap, initial: bool) -> bool {
        headers.insert(
            "x-initial",
            HeaderValue::from_static(if initial { "yes" } else { "no" }),
        );
        true
    }

    fn connection_error(&self, error: &ConnectionError<'_>) {
        self.0
            .lock()
            .unwrap()
            .push((error.code.code(), error.message.to_owned(), error.context));
    }
}

async fn start(handler: Gatekeeper) -> std::net::SocketAddr {
    let mut config = EngineConfig::default();
    config.path = "/engine.io/".to_owned();
    let engine = Engine::new(handler, config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(engine.service()).listener(listener));
    address
}

async fn request(
    address: std::net::SocketAddr,
    method: &str,
    query: &str,
    headers: &str,
) -> Response {
    let mut http = Http::new(common::tcp(address).await);
    http.ask(method, query, headers, "").await;
    http.response().await
}

#[tokio::test]
async fn handshakes_can_be_refused_with_a_message() {
    let keeper = Gatekeeper::default();
    let address = start(keeper.clone()).await;
    let response = request(address, "GET", "EIO=4&transport=polling", "").await;
    assert_eq!(
        (response.status, response.text()),
        (403, r#"{"code":4,"message":"Forbidden"}"#)
    );
    let response = request(address, "GET", "EIO=4&transport=polling&token=bad", "").await;
    assert_eq!(
        (response.status, response.text()),
        (403, r#"{"code":4,"message":"not with \"bad\""}"#)
    );
    let response = request(
        address,
        "GET",
        "EIO=4&transport=websocket&token=bad",
        UPGRADE_HEADERS,
    )
    .await;
    assert_eq!(
        (response.status, response.text()),
        (400, "not with \"bad\""),
        "400 even for Forbidden"
    );
    let response = request(
        address,
        "GET",
        "EIO=4&transport=websocket&token=good",
        UPGRADE_HEADERS,
    )
    .await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("x-initial"), Some("yes"));
    let response = request(address, "GET", "EIO=4&transport=polling&token=good", "").await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-initial"), Some("yes"));
    let sid = common::sid_of(response.text());
    let response = request(
        address,
        "GET",
        &format!("EIO=4&transport=websocket&sid={sid}"),
        "",
    )
    .await;
    assert_eq!(response.status, 400);
    let mut http = Http::new(common::tcp(address).await);
    http.ask(
        "POST",
        &format!("EIO=4&transport=polling&sid={sid}"),
        "",
        "4x",
    )
    .await;
    assert_eq!(http.response().await.header("x-initial"), Some("no"));
    let errors = keeper.0.lock().unwrap();
    let expected = [
        (4, "Forbidden".to_owned(), ""),
        (4, "not with \"bad\"".to_owned(), ""),
        (4, "not with \"bad\"".to_owned(), ""),
        (3, "Bad request".to_owned(), "TRANSPORT_MISMATCH"),
    ];
    assert_eq!(*errors, expected);
}

#[tokio::test]
async fn the_cookie_is_set_by_the_polling_handshake_only() {
    let server = Server::with(|config| config.cookie = Some(Cookie::default())).await;
    let response = server
        .request("GET", "EIO=4&transport=polling", "", "")
        .await;
    let sid = common::sid_of(response.text());
    let expected = format!("io={sid}; Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(response.header("set-cookie"), Some(expected.as_str()));
    let response = server
        .request(
            "POST",
            &format!("EIO=4&transport=polling&sid={sid}"),
            "",
            "4x",
        )
        .await;
    assert_eq!(response.header("set-cookie"), None);
    let response = server
        .request("GET", "EIO=4&transport=websocket", UPGRADE_HEADERS, "")
        .await;
    assert_eq!(
        (response.status, response.header("set-cookie")),
        (101, None)
    );
}

#[tokio::test]
async fn other_origins_are_let_in_as_configured() {
    let server = Server::with(|config| {
        config.cors = Some(
            Cors::new()
                .origin(CorsOrigin::List(vec![
                    "https://a.example".into(),
                    "https://b.example".into(),
                ]))
                .credentials(true)
                .max_age(Duration::from_secs(60)),
        );
    })
    .await;
    let asks = "Origin: https://b.example\r\nAccess-Control-Request-Headers: x-token\r\n";
    let response = server
        .request("OPTIONS", "EIO=4&transport=polling", asks, "")
        .await;
    assert_eq!((response.status, response.text()), (204, ""));
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("https://b.example")
    );
    assert_eq!(
        response.header("access-control-allow-credentials"),
        Some("true")
    );
    assert_eq!(
        response.header("access-control-allow-methods"),
        Some("GET,HEAD,PUT,PATCH,POST,DELETE")
    );
    assert_eq!(
        response.header("access-control-allow-headers"),
        Some("x-token")
    );
    assert_eq!(response.header("access-control-max-age"), Some("60"));
    let response = server
        .request("GET", "EIO=4&transport=polling", asks, "")
        .await;
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("https://b.example")
    );
    assert_eq!(response.header("vary"), Some("Origin"));
    let stranger = "Origin: https://c.example\r\n";
    let response = server
        .request("GET", "EIO=4&transport=polling", stranger, "")
        .await;
    assert_eq!(
        (
            response.status,
            response.header("access-control-allow-origin")
        ),
        (200, None)
    );
    // Errors carry the headers too: the browser shows them to the client.
    let response = server.request("GET", "EIO=4&transport=no", asks, "").await;
    assert_eq!(response.status, 400);
    assert_eq!(
        response.header("access-control-allow-origin"),
        Some("https://b.example")
    );
}

#[tokio::test]
async fn without_cors_there_are_no_such_headers() {
    let server = Server::start().await;
    let response = server
        .request(
            "GET",
            "EIO=4&transport=polling",
            "Origin: https://a.example\r\n",
            "",
        )
        .await;
    assert_eq!(response.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn the_application_may_make_the_session_ids() {
    let keeper = Gatekeeper::default();
    let address = start(keeper.clone()).await;
    let polling = "EIO=4&transport=polling&token=good";
    let websocket = "EIO=4&transport=websocket&token=good";
    let response = request(address, "GET", &format!("{polling}&id=node-7.a"), "").await;
    assert_eq!(common::sid_of(response.text()), "node-7.a");
    let post = format!("{polling}&sid=node-7.a");
    assert_eq!(request(address, "POST", &post, "").await.status, 200);
    let mut ws = WebSocket::connect(
        common::tcp(address).await,
        &common::target(&format!("{websocket}&id=ws")),
        "",
    )
    .await
    .unwrap();
    assert_eq!(common::sid_of(&ws.text().await), "ws");

    let long = "x".repeat(129);
    for (query, method) in [
        (format!("{polling}&id=none"), "GET"),
        (format!("{polling}&id=a%20b"), "GET"),
        (format!("{polling}&id={long}"), "GET"),
        (format!("{polling}&id=ws"), "GET"),
    ] {
        let response = request(address, method, &query, "").await;
        assert_eq!(
            (response.status, response.text()),
            (400, r#"{"code":3,"message":"Bad request"}"#),
            "{query}"
        );
    }
    // Over WebSocket a duplicate id is detected after the handshake.
    let mut ws = WebSocket::connect(
        common::tcp(address).await,
        &common::target(&format!("{websocket}&id=ws")),
        "",
    )
    .await
    .unwrap();
    assert_eq!(ws.next().await, Frame::Close(1005));
    let errors = keeper.0.lock().unwrap();
    assert_eq!(errors.len(), 5);
    assert!(
        errors
            .iter()
            .all(|(code, _, context)| (*code, *context) == (3, "ID_GENERATION_ERROR"))
    );
}

#[tokio::test]
async fn sessions_may_begin_with_a_message_of_the_server() {
    let server = Server::with(|config| {
        config.initial_packet = Some(EncodedMessage::text("welcome"));
    })
    .await;
    let response = server
        .request("GET", "EIO=4&transport=polling", "", "")
        .await;
    let mut packets = response.text().split('\u{1e}');
    assert!(packets.next().unwrap().starts_with("0{"));
    assert_eq!(packets.collect::<Vec<_>>(), ["4welcome"]);
    let mut ws = server.websocket().await;
    assert_eq!(ws.text().await, "4welcome");
}

#[tokio::test]
async fn the_slash_behind_the_path() {
    for (path, slash, found, missed) in [
        ("/engine.io", true, "/engine.io/?", "/engine.io?"),
        ("/engine.io/", true, "/engine.io/?", "/engine.io?"),
        ("/engine.io/", false, "/engine.io?", "/engine?"),
        ("/engine.io", false, "/engine.io/?", "/engine?"),
    ] {
        let server = Server::with(|config| {
            config.path = path.to_owned();
            config.add_trailing_slash = slash;
        })
        .await;
        for (start, status) in [(found, 200), (missed, 404)] {
            let query = format!("{start}EIO=4&transport=polling");
            let response = server.request("GET", &query, "", "").await;
            assert_eq!(response.status, status, "{path} {slash} {start}");
        }
    }
}

#[tokio::test]
async fn a_preflight_may_go_on_to_its_usual_answer() {
    let server = Server::with(|config| {
        config.cors = Some(Cors::new().preflight_continue(true));
    })
    .await;
    let response = server
        .request(
            "OPTIONS",
            "EIO=4&transport=polling",
            "Origin: https://a.example\r\n",
            "",
        )
        .await;
    assert_eq!(
        response.text(),
        r#"{"code":2,"message":"Bad handshake method"}"#
    );
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
}

#[tokio::test]
async fn a_websocket_is_answered_with_the_headers_for_other_origins_too() {
    let server = Server::with(|config| config.cors = Some(Cors::default())).await;
    let response = server
        .request("GET", "EIO=4&transport=websocket", UPGRADE_HEADERS, "")
        .await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    let response = server
        .request(
            "GET",
            "EIO=4&transport=websocket&sid=x",
            UPGRADE_HEADERS,
            "",
        )
        .await;
    assert_eq!(response.status, 400);
    assert_eq!(
        response.header("access-control-allow-origin"),
        None,
        "as in Node"
    );
}
