//! Every response that is not a payload: status, headers and body, as Node's server gives them.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Ask, Event, Server};
use fanfare_engine::{CloseReason, Transport};
use fanfare_testing::wire::UPGRADE_HEADERS;

#[tokio::test]
async fn the_handshake_has_nodes_keys_in_nodes_order() {
    let mut server = Server::start().await;
    let response = server
        .request("GET", "EIO=4&transport=polling", "", "")
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(
        response.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(
        response.header("content-length"),
        Some(response.body.len().to_string().as_str())
    );
    assert_eq!(response.header("x-xss-protection"), None);
    let sid = common::sid_of(response.text());
    assert_eq!(sid.len(), 20);
    let expected = format!(
        r#"0{{"sid":"{sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}}"#
    );
    assert_eq!(response.text(), expected);
    let conn = server.opened().await;
    assert_eq!(conn.sid(), sid);
    assert_eq!(
        conn.handshake().address().unwrap().ip().to_string(),
        "127.0.0.1"
    );
    assert_eq!(conn.handshake().header_str("host"), Some("fanfare.test"));
    assert_eq!(server.engine.connections(), 1);
}

#[tokio::test]
async fn msie_gets_its_header() {
    let server = Server::start().await;
    let agent = "User-Agent: Mozilla/5.0 (compatible;MSIE 10.0; Windows NT 6.2; Trident/6.0)\r\n";
    let response = server
        .request("GET", "EIO=4&transport=polling", agent, "")
        .await;
    assert_eq!(response.header("x-xss-protection"), Some("0"));
}

#[tokio::test]
async fn refusals_are_json_with_a_code() {
    let server = Server::start().await;
    let sid = server.polling().await;
    let mismatch = format!("EIO=4&transport=websocket&sid={sid}");
    let cases = [
        (
            "GET",
            "EIO=4",
            r#"{"code":0,"message":"Transport unknown"}"#,
        ),
        (
            "GET",
            "EIO=4&transport=tobi",
            r#"{"code":0,"message":"Transport unknown"}"#,
        ),
        (
            "GET",
            "EIO=4&transport=constructor",
            r#"{"code":0,"message":"Transport unknown"}"#,
        ),
        (
            "GET",
            "EIO=4&transport=polling&sid=test",
            r#"{"code":1,"message":"Session ID unknown"}"#,
        ),
        (
            "POST",
            "EIO=4&transport=polling&sid=test",
            r#"{"code":1,"message":"Session ID unknown"}"#,
        ),
        (
            "POST",
            "EIO=4&transport=polling",
            r#"{"code":2,"message":"Bad handshake method"}"#,
        ),
        (
            "OPTIONS",
            "EIO=4&transport=polling",
            r#"{"code":2,"message":"Bad handshake method"}"#,
        ),
        (
            "GET",
            "EIO=4&transport=websocket",
            r#"{"code":3,"message":"Bad request"}"#,
        ),
        (
            "GET",
            mismatch.as_str(),
            r#"{"code":3,"message":"Bad request"}"#,
        ),
        (
            "GET",
            "EIO=3&transport=polling",
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
        ),
        (
            "GET",
            "transport=polling",
            r#"{"code":5,"message":"Unsupported protocol version"}"#,
        ),
    ];
    for (method, query, body) in cases {
        let response = server.request(method, query, "", "").await;
        assert_eq!(
            (response.status, response.text()),
            (400, body),
            "{method} {query}"
        );
        assert_eq!(response.header("content-type"), Some("application/json"));
    }
}

#[tokio::test]
async fn an_origin_with_illegal_characters_is_refused() {
    let server = Server::start().await;
    let mut http = server.http().await;
    http.send(
        b"GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: test\r\nOrigin: a\x80b\r\n\r\n",
    )
    .await;
    // Bytes above 0x7F are legal in Node, too.
    assert_eq!(http.response().await.status, 200);
}

#[tokio::test]
async fn refused_websockets_get_text_and_the_end_of_the_connection() {
    let server = Server::start().await;
    let cases = [
        ("EIO=4&transport=tobi", "Transport unknown"),
        (
            "EIO=4&transport=websocket&sid=aaaaaaaaaaaaaaaaaaaa",
            "Session ID unknown",
        ),
        ("EIO=3&transport=websocket", "Unsupported protocol version"),
    ];
    for (query, body) in cases {
        let mut http = server.http().await;
        http.ask("GET", query, UPGRADE_HEADERS, "").await;
        let response = http.response().await;
        assert_eq!((response.status, response.text()), (400, body), "{query}");
        assert!(response.head.starts_with("HTTP/1.1 400 Bad Request\r\n"));
        assert_eq!(response.header("connection"), Some("close"));
        assert_eq!(response.header("content-type"), Some("text/html"));
        assert_eq!(
            response.header("content-length"),
            Some(body.len().to_string().as_str())
        );
        http.read_to_end().await;
    }
}

#[tokio::test]
async fn a_handshake_that_is_not_websocket_version_13_is_refused() {
    let server = Server::start().await;
    let mut http = server.http().await;
    let headers = UPGRADE_HEADERS.replace("Version: 13", "Version: 8");
    http.ask("GET", "EIO=4&transport=websocket", &headers, "")
        .await;
    let response = http.response().await;
    assert_eq!(response.status, 426);
    assert_eq!(response.header("sec-websocket-version"), Some("13"));
    assert_eq!(response.header("connection"), Some("close"));
    http.read_to_end().await;
}

#[tokio::test]
async fn the_first_sub_protocol_that_is_offered_is_confirmed() {
    let server = Server::start().await;
    let mut http = server.http().await;
    let headers = format!("{UPGRADE_HEADERS}Sec-WebSocket-Protocol: one, two\r\n");
    http.ask("GET", "EIO=4&transport=websocket", &headers, "")
        .await;
    let response = http.response().await;
    assert_eq!(response.status, 101);
    assert_eq!(response.header("sec-websocket-protocol"), Some("one"));
}

#[tokio::test]
async fn a_session_keeps_its_protocol() {
    let server = Server::start().await;
    let sid = server.polling().await;
    let response = server
        .request("GET", &format!("EIO=3&transport=polling&sid={sid}"), "", "")
        .await;
    assert_eq!(
        (response.status, response.text()),
        (400, r#"{"code":3,"message":"Bad request"}"#)
    );
}

#[tokio::test]
async fn other_methods_with_a_session_get_500() {
    let mut server = Server::start().await;
    let sid = server.polling().await;
    server.opened().await;
    let response = server
        .request("PUT", &format!("EIO=4&transport=polling&sid={sid}"), "", "")
        .await;
    assert_eq!((response.status, response.text()), (500, ""));
    server.no_event();
}

#[tokio::test]
async fn the_path_is_a_prefix() {
    let server = Server::start().await;
    assert_eq!(
        server
            .request("GET", "/engine.io/whatever?EIO=4&transport=polling", "", "")
            .await
            .status,
        200
    );
    assert_eq!(
        server
            .request("GET", "/other/?EIO=4&transport=polling", "", "")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn transports_can_be_switched_off() {
    let server = Server::with(|config| config.transports = [Transport::Polling].into()).await;
    let response = server
        .request("GET", "EIO=4&transport=polling", "", "")
        .await;
    assert!(response.text().contains(r#""upgrades":[]"#));
    assert!(
        server
            .connect("EIO=4&transport=websocket", "")
            .await
            .is_err()
    );
    let server = Server::with(|config| config.transports = [Transport::WebSocket].into()).await;
    assert_eq!(
        server
            .request("GET", "EIO=4&transport=polling", "", "")
            .await
            .status,
        400
    );
    let mut ws = server
        .connect("EIO=4&transport=websocket", "")
        .await
        .unwrap();
    assert_eq!(common::sid_of(&ws.text().await).len(), 20);
}

#[tokio::test]
async fn too_many_connections_are_refused() {
    let server = Server::with(|config| config.limits.max_connections = 1).await;
    let _first = server.websocket().await;
    assert_eq!(
        server
            .request("GET", "EIO=4&transport=polling", "", "")
            .await
            .status,
        503
    );
    server.engine.reject_new();
    assert_eq!(
        server
            .request("GET", "EIO=4&transport=polling", "", "")
            .await
            .status,
        503
    );
}

#[tokio::test]
async fn a_body_that_is_too_long_gets_413_and_the_session_lives() {
    let mut server = Server::with(|config| config.limits.max_payload = 10).await;
    let sid = server.polling().await;
    server.opened().await;
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let response = server.request("POST", &query, "", "4123456789X").await;
    assert_eq!((response.status, response.text()), (413, ""));
    // Without a length the server detects it while reading.
    let mut http = server.http().await;
    let head = format!(
        "POST /engine.io/?{query} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    http.send(head.as_bytes()).await;
    http.send(b"6\r\n412345\r\n6\r\n412345\r\n0\r\n\r\n").await;
    assert_eq!(http.response().await.status, 413);
    server.no_event();
    let response = server.request("POST", &query, "", "4123456789").await;
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(server.text().await, "123456789");
}

#[tokio::test]
async fn a_post_of_bytes_closes_a_v4_session() {
    let mut server = Server::start().await;
    let sid = server.polling().await;
    server.opened().await;
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let response = server
        .request(
            "POST",
            &query,
            "Content-Type: application/octet-stream\r\n",
            "4a",
        )
        .await;
    assert_eq!((response.status, response.text()), (400, ""));
    assert!(matches!(
        server.event().await,
        Event::Close(CloseReason::TransportError)
    ));
}

#[tokio::test]
async fn a_head_that_is_too_long_to_be_kept_gets_431() {
    let server = Server::with(|config| config.limits.max_header_bytes = 500).await;
    let query = "EIO=4&transport=polling";
    let long = format!("X-Long: {}\r\n", "x".repeat(400));
    assert_eq!(server.request("GET", query, &long, "").await.status, 200);
    let long = format!("X-Long: {}\r\n", "x".repeat(500));
    assert_eq!(server.request("GET", query, &long, "").await.status, 431);
    let long = format!("{query}&x={}", "x".repeat(500));
    assert_eq!(server.request("GET", &long, "", "").await.status, 431);
    assert_eq!(server.engine.connections(), 1);
}

#[tokio::test]
async fn jsonp_is_refused_clearly() {
    let server = Server::start().await;
    for query in ["EIO=4&transport=polling&j=0", "EIO=4&transport=polling&j"] {
        let response = server.request("GET", query, "", "").await;
        assert_eq!(response.status, 400);
        assert_eq!(
            response.text(),
            r#"{"code":3,"message":"JSONP is not supported"}"#
        );
    }
}
