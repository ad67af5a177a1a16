//! Clients of Engine.IO v3.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Event, Server};
use fanfare_engine::{CloseReason, EncodedMessage, Protocol};
use fanfare_testing::wire::Frame;
use tokio::time::Instant;

async fn server() -> Server {
    Server::with(|config| config.allow_eio3 = true).await
}

#[tokio::test]
async fn payloads_carry_lengths_in_utf16_units() {
    let mut server = server().await;
    let open = server
        .request("GET", "EIO=3&transport=polling&b64=1", "", "")
        .await;
    let sid = common::sid_of(open.text());
    let (length, packet) = open.text().split_once(':').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), packet.len());
    assert!(packet.starts_with("0{\"sid\""));
    let conn = server.opened().await;
    assert_eq!(conn.protocol(), Protocol::V3);
    let query = format!("EIO=3&transport=polling&sid={sid}");
    let posted = server
        .request(
            "POST",
            &query,
            "Content-Type: text/plain\r\n",
            "6:4hello3:4€😀1:2",
        )
        .await;
    assert_eq!(posted.status, 200);
    assert_eq!(server.text().await, "hello");
    // `€` is one unit and the emoji is two: this body claims 3 units for `4€` and half an emoji, which is an error.
    assert_eq!(server.closed().await, CloseReason::ParseError);
}

#[tokio::test]
async fn the_client_pings_and_gets_pongs() {
    let mut server = server().await;
    let open = server
        .request("GET", "EIO=3&transport=polling&b64=1", "", "")
        .await;
    let sid = common::sid_of(open.text());
    let conn = server.opened().await;
    let query = format!("EIO=3&transport=polling&sid={sid}");
    assert_eq!(
        server
            .request("POST", &query, "Content-Type: text/plain\r\n", "1:24:4€😀")
            .await
            .text(),
        "ok"
    );
    assert_eq!(server.text().await, "€😀");
    conn.send(&EncodedMessage::text("€")).unwrap();
    conn.send(&EncodedMessage::binary(&[1, 2, 3])).unwrap();
    let got = server.request("GET", &query, "", "").await;
    assert_eq!(got.text(), "1:32:4€6:b4AQID");
    assert_eq!(
        got.header("content-type"),
        Some("text/plain; charset=UTF-8")
    );
}

#[tokio::test]
async fn clients_that_take_bytes_get_binary_payloads_and_send_them() {
    let mut server = server().await;
    let open = server
        .request("GET", "EIO=3&transport=polling", "", "")
        .await;
    let sid = common::sid_of(open.text());
    let conn = server.opened().await;
    let query = format!("EIO=3&transport=polling&sid={sid}");
    conn.send(&EncodedMessage::text("hi")).unwrap();
    conn.send(&EncodedMessage::binary(&[200, 201])).unwrap();
    let got = server.request("GET", &query, "", "").await;
    assert_eq!(got.header("content-type"), Some("application/octet-stream"));
    assert_eq!(
        got.body,
        [0, 3, 255, b'4', b'h', b'i', 1, 3, 255, 4, 200, 201]
    );
    // 7 bits only: the test client sends text.
    let headers = "Content-Type: application/octet-stream\r\n";
    let mut http = server.http().await;
    let body = [1, 3, 255, 4, 9, 8];
    let head = format!(
        "POST /engine.io/?{query} HTTP/1.1\r\nHost: a\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    http.send(head.as_bytes()).await;
    http.send(&body).await;
    assert_eq!(http.response().await.status, 200);
    assert!(matches!(server.event().await, Event::Binary(data) if data == [9, 8]));
}

#[tokio::test]
async fn websocket_binary_has_a_type_byte() {
    let mut server = server().await;
    let mut ws = server
        .connect("EIO=3&transport=websocket", "")
        .await
        .unwrap();
    assert!(ws.text().await.starts_with("0{"));
    let conn = server.opened().await;
    ws.send_binary(&[4, 1, 2]).await;
    assert!(matches!(server.event().await, Event::Binary(data) if data == [1, 2]));
    conn.send(&EncodedMessage::binary(&[7; 200])).unwrap();
    conn.send_with(|buf| buf.binary(&[8])).unwrap();
    let mut expected = vec![7; 201];
    expected[0] = 4;
    assert_eq!(ws.next().await, Frame::Binary(expected.into()));
    assert_eq!(ws.next().await, Frame::Binary(vec![4, 8].into()));
    ws.send("2").await;
    assert_eq!(ws.text().await, "3");
    ws.send("3").await;
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn websocket_binary_is_base64_for_those_who_ask_for_it() {
    let mut server = server().await;
    let query = "EIO=3&transport=websocket&b64=1";
    let mut ws = server.connect(query, "").await.unwrap();
    ws.text().await;
    let conn = server.opened().await;
    let message = EncodedMessage::build(|buf| {
        buf.text(|out| out.extend_from_slice(b"hi"));
        buf.binary(&[1, 2, 3]);
    });
    conn.send(&message).unwrap();
    let targets = vec![conn.clone()].into();
    fanfare_engine::broadcast(&targets, &message, Default::default(), None);
    conn.send_with(|buf| buf.binary(&[4])).unwrap();
    for expected in ["4hi", "b4AQID", "4hi", "b4AQID", "b4BA=="] {
        assert_eq!(ws.text().await, expected);
    }
    ws.send("b4AQID").await;
    assert!(matches!(server.event().await, Event::Binary(data) if data == [1, 2, 3]));
}

#[tokio::test]
async fn each_transport_says_whether_binary_is_to_be_base64() {
    let mut server = server().await;
    for (polling, websocket) in [("&b64=1", ""), ("", "&b64=1")] {
        let open = server
            .request("GET", &format!("EIO=3&transport=polling{polling}"), "", "")
            .await;
        let sid = common::sid_of(open.text());
        let conn = server.opened().await;
        conn.send(&EncodedMessage::binary(&[1])).unwrap();
        let query = format!("EIO=3&transport=polling&sid={sid}");
        let got = server.request("GET", &query, "", "").await;
        let body: &[u8] = match polling {
            "" => &[1, 2, 255, 4, 1],
            _ => b"6:b4AQ==",
        };
        assert_eq!(got.body, body);
        let query = format!("EIO=3&transport=websocket&sid={sid}{websocket}");
        let mut ws = server.connect(&query, "").await.unwrap();
        ws.send("2probe").await;
        assert_eq!(ws.text().await, "3probe");
        ws.send("5").await;
        assert!(matches!(server.event().await, Event::Upgraded));
        conn.send(&EncodedMessage::binary(&[1])).unwrap();
        let expected = match websocket {
            "" => Frame::Binary(vec![4, 1].into()),
            _ => Frame::Text("b4AQ==".into()),
        };
        assert_eq!(ws.next().await, expected);
        drop(ws);
        server.closed().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_eio_is_v3_and_must_ping() {
    let mut server = Server::in_memory(|config| config.allow_eio3 = true);
    let mut ws = server.connect("transport=websocket", "").await.unwrap();
    ws.text().await;
    assert_eq!(server.opened().await.protocol(), Protocol::V3);
    assert_eq!(
        ws.next().await,
        Frame::Close(1005),
        "no ping comes from the server"
    );
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
}

#[tokio::test]
async fn pings_of_a_client_that_reads_nothing_are_not_all_answered() {
    let mut server = Server::with(|config| {
        config.allow_eio3 = true;
        config.limits.outbox_packets = 100;
    })
    .await;
    let open = server
        .request("GET", "EIO=3&transport=polling&b64=1", "", "")
        .await;
    let sid = common::sid_of(open.text());
    let conn = server.opened().await;
    let query = format!("EIO=3&transport=polling&sid={sid}");
    let text = "Content-Type: text/plain\r\n";
    for _ in 0..3 {
        let posted = server
            .request("POST", &query, text, &"1:2".repeat(10_000))
            .await;
        assert_eq!(posted.text(), "ok");
    }
    assert_eq!(conn.pending_packets(), 100);
    let got = server.request("GET", &query, "", "").await;
    assert_eq!(got.text(), "1:3".repeat(100));
    // A client that reads gets its answer as before.
    server.request("POST", &query, text, "1:2").await;
    let got = server.request("GET", &query, "", "").await;
    assert_eq!(got.text(), "1:3");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_ping_after_an_upgrade_is_missed() {
    let mut server = Server::in_memory(|config| {
        config.allow_eio3 = true;
        config.ping_interval = Duration::from_secs(25);
        config.ping_timeout = Duration::from_secs(20);
    });
    let query = "EIO=3&transport=polling&b64=1";
    let open = server.request("GET", query, "", "").await;
    let sid = common::sid_of(open.text());
    let conn = server.opened().await;
    let query = format!("EIO=3&transport=websocket&sid={sid}");
    let mut ws = server.connect(&query, "").await.unwrap();
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    ws.send("5").await;
    assert!(matches!(server.event().await, common::Event::Upgraded));
    // While it pings it stays open, for longer than it would without.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(25)).await;
        ws.send("2").await;
        assert_eq!(ws.text().await, "3");
    }
    assert!(conn.is_open());
    let before = Instant::now();
    assert_eq!(ws.next().await, Frame::Close(1005));
    // Interval and timeout, and the resolution of the engine's timers.
    let passed = before.elapsed().as_secs_f64();
    assert!((45.0..45.2).contains(&passed), "{passed} s");
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
}
