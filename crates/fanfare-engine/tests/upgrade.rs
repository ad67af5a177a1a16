//! Upgrades from polling to WebSocket.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Ask, Event, Server};
use fanfare_engine::{CloseMode, CloseReason, EncodedMessage, Transport};
use fanfare_testing::wire::{Frame, Http, WebSocket};

struct Client {
    get: Http,
    query: String,
    sid: String,
}

async fn open(server: &mut Server) -> (Client, common::Conn) {
    let sid = server.polling().await;
    let get = server.http().await;
    (
        Client {
            get,
            query: format!("EIO=4&transport=polling&sid={sid}"),
            sid,
        },
        server.opened().await,
    )
}

async fn probe(server: &Server, sid: &str) -> WebSocket {
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    server.connect(&query, "").await.unwrap()
}

#[tokio::test]
async fn an_upgrade_moves_the_session_and_what_waits() {
    let mut server = Server::start().await;
    let (mut client, conn) = open(&mut server).await;
    client.get.ask("GET", &client.query, "", "").await;
    let mut ws = probe(&server, &client.sid).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    // The GET is ended so that the client can pause.
    assert_eq!(client.get.response().await.text(), "6");
    conn.send(&EncodedMessage::text("while paused")).unwrap();
    conn.send(&EncodedMessage::binary(&[1, 2])).unwrap();
    assert_eq!(conn.transport(), Transport::Polling);
    ws.send("5").await;
    ws.send("4first").await;
    assert_eq!(ws.text().await, "4while paused");
    assert_eq!(ws.next().await, Frame::Binary(vec![1, 2].into()));
    assert!(matches!(server.event().await, Event::Upgraded));
    assert_eq!(server.text().await, "first");
    assert_eq!(conn.transport(), Transport::WebSocket);
    // Later polling requests are rejected with that reason.
    for method in ["GET", "POST"] {
        let response = server.request(method, &client.query, "", "").await;
        assert_eq!(
            (response.status, response.text()),
            (400, r#"{"code":3,"message":"Bad request"}"#)
        );
    }
    conn.send(&EncodedMessage::text("after")).unwrap();
    assert_eq!(ws.text().await, "4after");
    server.no_event();
}

#[tokio::test]
async fn a_get_in_flight_at_the_switch_is_released() {
    let mut server = Server::start().await;
    let (mut client, conn) = open(&mut server).await;
    let mut ws = probe(&server, &client.sid).await;
    client.get.ask("GET", &client.query, "", "").await;
    while !conn.is_writable() {
        tokio::task::yield_now().await;
    }
    ws.send("5").await;
    assert_eq!(client.get.response().await.text(), "6");
    assert!(matches!(server.event().await, Event::Upgraded));
    conn.send(&EncodedMessage::text("hi")).unwrap();
    assert_eq!(ws.text().await, "4hi");
}

#[tokio::test]
async fn a_post_in_flight_at_the_switch_comes_first() {
    let mut server = Server::start().await;
    let (client, _conn) = open(&mut server).await;
    let mut ws = probe(&server, &client.sid).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    let mut post = server.http().await;
    let head = format!(
        "POST /engine.io/?{} HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n",
        client.query
    );
    post.send(head.as_bytes()).await;
    // `Expect` would show it; here the rejection of the second POST shows that the first is in progress. It must not be
    // tried on this session, so wait until the server has read the head: a request on the same connection cannot
    // overtake it.
    post.send(b"4po").await;
    let mut other = server.http().await;
    other.ask("GET", "EIO=4&transport=nope", "", "").await;
    other.response().await;
    ws.send("5").await;
    ws.send("4websocket").await;
    post.send(b"st!").await;
    let (mut posted, mut upgraded) = (false, false);
    loop {
        match server.event().await {
            Event::Text(text) if text == "post!" => posted = true,
            Event::Upgraded => upgraded = true,
            Event::Text(text) => {
                assert_eq!(text, "websocket");
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(upgraded);
    // Either the POST was in progress and came first, or it came after the switch and was rejected.
    let response = post.response().await;
    assert_eq!(posted, response.status == 200, "{response:?}");
}

#[tokio::test]
async fn a_second_websocket_is_closed_at_once() {
    let mut server = Server::start().await;
    let (client, _conn) = open(&mut server).await;
    let mut first = probe(&server, &client.sid).await;
    first.send("2probe").await;
    assert_eq!(first.text().await, "3probe");
    let mut second = probe(&server, &client.sid).await;
    assert_eq!(second.next().await, Frame::Close(1005));
    first.send("5").await;
    assert!(matches!(server.event().await, Event::Upgraded));
    let mut third = probe(&server, &client.sid).await;
    assert_eq!(third.next().await, Frame::Close(1005));
    first.send("4still here").await;
    assert_eq!(server.text().await, "still here");
}

#[tokio::test]
async fn a_failed_probe_leaves_the_session_to_polling() {
    let mut server = Server::start().await;
    let (mut client, conn) = open(&mut server).await;
    let mut wrong = probe(&server, &client.sid).await;
    wrong.send("4not a probe").await;
    assert_eq!(wrong.next().await, Frame::Close(1005));
    let gone = probe(&server, &client.sid).await;
    drop(gone);
    conn.send(&EncodedMessage::text("still polling")).unwrap();
    client.get.ask("GET", &client.query, "", "").await;
    assert_eq!(client.get.response().await.text(), "4still polling");
    // Another WebSocket may probe as soon as the server has seen the end of the last one.
    loop {
        let mut ws = probe(&server, &client.sid).await;
        ws.send("2probe").await;
        match ws.next().await {
            Frame::Text(text) => {
                assert_eq!(text, "3probe");
                break;
            }
            other => assert_eq!(other, Frame::Close(1005)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_that_takes_too_long_costs_only_the_probe() {
    let timeout = Duration::from_secs(10);
    let mut server = Server::in_memory(|config| config.limits.upgrade_timeout = timeout);
    let (mut client, conn) = open(&mut server).await;
    let mut ws = probe(&server, &client.sid).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    let before = tokio::time::Instant::now();
    assert_eq!(ws.next().await, Frame::Close(1005));
    let passed = before.elapsed();
    assert!(passed < timeout + Duration::from_secs(1), "{passed:?}");
    assert!(passed > timeout - Duration::from_secs(1), "{passed:?}");
    assert!(conn.is_open());
    conn.send(&EncodedMessage::text("alive")).unwrap();
    client.get.ask("GET", &client.query, "", "").await;
    assert_eq!(client.get.response().await.text(), "4alive");
}

#[tokio::test]
async fn a_session_that_closes_takes_its_probe_along() {
    let mut server = Server::start().await;
    let (client, conn) = open(&mut server).await;
    let mut ws = probe(&server, &client.sid).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    conn.close(CloseMode::Discard, CloseReason::ForcedClose);
    assert_eq!(ws.next().await, Frame::Close(1005));
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
}

#[tokio::test]
async fn a_session_closing_during_an_upgrade_flushes_over_the_websocket() {
    let mut server = Server::start().await;
    let (client, conn) = open(&mut server).await;
    let mut ws = probe(&server, &client.sid).await;
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    conn.send(&EncodedMessage::text("last")).unwrap();
    conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    ws.send("5").await;
    assert_eq!(ws.text().await, "4last");
    assert_eq!(ws.next().await, Frame::Close(1005));
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
}

#[tokio::test]
async fn upgrades_can_be_switched_off() {
    let mut server = Server::with(|config| config.allow_upgrades = false).await;
    let response = server
        .request("GET", "EIO=4&transport=polling", "", "")
        .await;
    assert!(response.text().contains(r#""upgrades":[]"#));
    server.opened().await;
    let mut ws = probe(&server, &common::sid_of(response.text())).await;
    assert_eq!(ws.next().await, Frame::Close(1005));
}
