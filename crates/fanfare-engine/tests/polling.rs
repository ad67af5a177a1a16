//! Long-polling sessions.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Ask, Event, Server};
use fanfare_engine::{CloseMode, CloseReason, EncodedMessage};
use fanfare_testing::wire::{Frame, Http};
use tokio::time::Instant;

struct Client {
    get: Http,
    post: Http,
    query: String,
}

impl Client {
    async fn open(server: &mut Server) -> (Client, common::Conn) {
        let sid = server.polling().await;
        let query = format!("EIO=4&transport=polling&sid={sid}");
        let client = Client {
            get: server.http().await,
            post: server.http().await,
            query,
        };
        (client, server.opened().await)
    }

    async fn get(&mut self) {
        self.get.ask("GET", &self.query, "", "").await;
    }

    async fn got(&mut self) -> String {
        let response = self.get.response().await;
        assert_eq!(response.status, 200);
        response.text().to_owned()
    }

    async fn post(&mut self, body: &str) {
        self.post
            .ask(
                "POST",
                &self.query,
                "Content-Type: text/plain;charset=UTF-8\r\n",
                body,
            )
            .await;
        let response = self.post.response().await;
        assert_eq!((response.status, response.text()), (200, "ok"));
        assert_eq!(response.header("content-type"), Some("text/html"));
        assert_eq!(response.header("content-length"), Some("2"));
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn a_post_delivers_its_packets_in_order() {
    let mut server = Server::start().await;
    let (mut client, _conn) = Client::open(&mut server).await;
    client.post("4hello\x1ebAQIDBA==\x1e4€").await;
    assert_eq!(server.text().await, "hello");
    assert!(matches!(server.event().await, Event::Binary(data) if data == [1, 2, 3, 4]));
    assert_eq!(server.text().await, "€");
}

#[tokio::test]
async fn a_get_takes_what_waits_or_waits_itself() {
    let mut server = Server::start().await;
    let (mut client, conn) = Client::open(&mut server).await;
    conn.send(&EncodedMessage::text("one")).unwrap();
    conn.send(&EncodedMessage::binary(&[1, 2, 3, 4])).unwrap();
    conn.send_with(|buf| buf.text(|out| out.extend_from_slice("é".as_bytes())))
        .unwrap();
    assert_eq!(conn.pending_packets(), 3);
    client.get().await;
    assert_eq!(client.got().await, "4one\x1ebAQIDBA==\x1e4é");
    assert_eq!((conn.pending_bytes(), conn.pending_packets()), (0, 0));
    client.get().await;
    while !client_waits(&conn).await {}
    conn.send(&EncodedMessage::text("two")).unwrap();
    assert_eq!(client.got().await, "4two");
}

#[tokio::test]
async fn what_a_post_causes_comes_in_one_answer() {
    let echo: common::OnText = Box::new(|conn, text| {
        let _ = conn.send_with(|buf| buf.text(|out| out.extend_from_slice(text.as_bytes())));
    });
    let mut server = Server::handling(|_| {}, Some(echo)).await;
    let (mut client, _conn) = Client::open(&mut server).await;
    client.get().await;
    client.post("4a\x1e4b\x1e4c").await;
    let mut got = client.got().await;
    // The GET may arrive after the POST was handled; all three are in one response either way.
    assert_eq!(std::mem::take(&mut got), "4a\x1e4b\x1e4c");
}

#[tokio::test]
async fn overlapping_gets_close_the_session() {
    let mut server = Server::start().await;
    let (mut client, conn) = Client::open(&mut server).await;
    client.get().await;
    while !client_waits(&conn).await {}
    let response = server.request("GET", &client.query, "", "").await;
    assert_eq!((response.status, response.text()), (400, ""));
    assert_eq!(client.got().await, "1");
    assert_eq!(server.closed().await, CloseReason::TransportError);
    let response = server.request("GET", &client.query, "", "").await;
    assert_eq!(
        response.text(),
        r#"{"code":1,"message":"Session ID unknown"}"#
    );
    assert_eq!(server.engine.connections(), 0);
}

/// Whether a GET waits, as far as it is visible from outside: a volatile message may leave.
async fn client_waits(conn: &common::Conn) -> bool {
    tokio::task::yield_now().await;
    conn.is_writable()
}

#[tokio::test]
async fn overlapping_posts_close_the_session() {
    let mut server = Server::start().await;
    let (client, _conn) = Client::open(&mut server).await;
    let mut first = server.http().await;
    first
        .send(
            format!(
                "POST /engine.io/?{} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n4a",
                client.query
            )
            .as_bytes(),
        )
        .await;
    // The first POST is in progress as soon as a second one is rejected.
    loop {
        let mut second = server.http().await;
        second.ask("POST", &client.query, "", "4b").await;
        match second.response().await.status {
            200 => assert_eq!(server.text().await, "b"),
            400 => break,
            other => panic!("{other}"),
        }
    }
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn a_get_given_up_closes_the_session() {
    let mut server = Server::start().await;
    let (mut client, conn) = Client::open(&mut server).await;
    client.get().await;
    while !client_waits(&conn).await {}
    drop(client.get);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn a_post_given_up_closes_the_session() {
    let mut server = Server::start().await;
    let (client, _conn) = Client::open(&mut server).await;
    let mut post = server.http().await;
    post.send(
        format!(
            "POST /engine.io/?{} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n4a",
            client.query
        )
        .as_bytes(),
    )
    .await;
    drop(post);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn a_close_packet_ends_the_session_and_its_get() {
    let mut server = Server::start().await;
    let (mut client, conn) = Client::open(&mut server).await;
    client.get().await;
    while !client_waits(&conn).await {}
    client.post("1").await;
    assert_eq!(client.got().await, "6");
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert!(!conn.is_open());
    assert!(conn.send(&EncodedMessage::text("late")).is_err());
}

#[tokio::test]
async fn what_is_no_packet_is_a_parse_error() {
    for body in ["abc", "4ok\x1e", "b!!!", "9"] {
        let mut server = Server::start().await;
        let (mut client, _conn) = Client::open(&mut server).await;
        client.post(body).await;
        if body.starts_with("4ok") {
            assert_eq!(server.text().await, "ok");
        }
        assert_eq!(server.closed().await, CloseReason::ParseError, "{body:?}");
    }
}

#[tokio::test]
async fn a_ping_from_the_client_is_an_error() {
    let mut server = Server::start().await;
    let (mut client, _conn) = Client::open(&mut server).await;
    client.post("2").await;
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn close_goes_out_after_what_waits() {
    let mut server = Server::start().await;
    let (mut client, conn) = Client::open(&mut server).await;
    conn.send(&EncodedMessage::text("last")).unwrap();
    conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    assert!(!conn.is_open());
    // Not in one body: the official client would close before it delivers `last`.
    client.get().await;
    assert_eq!(client.got().await, "4last");
    client.get().await;
    assert_eq!(client.got().await, "1");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
}

#[tokio::test(start_paused = true)]
async fn a_close_without_a_get_waits_for_its_timeout() {
    let timeout = Duration::from_secs(5);
    let mut server = Server::in_memory(|config| config.close_timeout = timeout);
    let (_client, conn) = Client::open(&mut server).await;
    let before = Instant::now();
    conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    let passed = before.elapsed();
    assert!((timeout..2 * timeout).contains(&passed), "{passed:?}");
}

#[tokio::test]
async fn the_engine_closes_its_sessions() {
    let mut server = Server::start().await;
    let (mut waiting, conn) = Client::open(&mut server).await;
    waiting.get().await;
    while !client_waits(&conn).await {}
    let (_idle, _) = Client::open(&mut server).await;
    let mut ws = server.websocket().await;
    server.opened().await;
    server.engine.close();
    for _ in 0..3 {
        assert_eq!(server.closed().await, CloseReason::ForcedClose);
    }
    assert_eq!(waiting.got().await, "1");
    assert_eq!(ws.next().await, Frame::Close(1005));
    assert_eq!(ws.next().await, Frame::End);
    assert_eq!(server.engine.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_travel_by_polling() {
    let mut server = Server::in_memory(|config| {
        config.ping_interval = Duration::from_secs(25);
        config.ping_timeout = Duration::from_secs(20);
    });
    let (mut client, _conn) = Client::open(&mut server).await;
    for _ in 0..3 {
        client.get().await;
        assert_eq!(client.got().await, "2");
        // The server has closed the connection of the last POST, which was idle for too long.
        server.request("POST", &client.query, "", "3").await;
    }
    client.get().await;
    assert_eq!(client.got().await, "2");
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
}
