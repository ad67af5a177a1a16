//! WebSocket sessions.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Event, Server};
use fanfare_engine::{CloseMode, CloseReason, EncodedMessage, Transport};
use fanfare_testing::wire::{Frame, UPGRADE_HEADERS};
use fanfare_websocket::OpCode;
use tokio::time::Instant;

#[tokio::test]
async fn opens_with_the_open_packet_and_carries_messages() {
    let mut server = Server::start().await;
    let mut ws = server
        .connect("EIO=4&transport=websocket", "X-Own: 1\r\n")
        .await
        .unwrap();
    let open = ws.text().await;
    assert!(
        open.contains(r#""upgrades":[],"pingInterval":25000"#),
        "{open}"
    );
    let conn = server.opened().await;
    assert_eq!(conn.transport(), Transport::WebSocket);
    assert_eq!(conn.handshake().header_str("x-own"), Some("1"));
    assert_eq!(conn.handshake().query_param("EIO").as_deref(), Some("4"));
    ws.send("4hello").await;
    assert_eq!(server.text().await, "hello");
    ws.send_binary(&[0, 255]).await;
    assert!(matches!(server.event().await, Event::Binary(data) if data == [0, 255]));
    conn.send(&EncodedMessage::text("to you")).unwrap();
    conn.send(&EncodedMessage::binary(&[7; 300])).unwrap();
    assert_eq!(ws.text().await, "4to you");
    assert_eq!(ws.next().await, Frame::Binary(vec![7; 300].into()));
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_read() {
    let mut server = Server::start().await;
    let mut http = server.http().await;
    let mut bytes = format!(
        "GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n{UPGRADE_HEADERS}\r\n"
    )
    .into_bytes();
    fanfare_websocket::frame::encode_masked_into(&mut bytes, OpCode::Text, b"4early", [9, 9, 9, 9]);
    http.send(&bytes).await;
    server.opened().await;
    assert_eq!(server.text().await, "early");
}

#[tokio::test]
async fn big_messages_pass_up_to_the_limit() {
    let mut server = Server::start().await;
    let mut ws = server.websocket().await;
    let conn = server.opened().await;
    let big = "x".repeat(999_999);
    ws.send(&format!("4{big}")).await;
    assert_eq!(server.text().await, big);
    conn.send(&EncodedMessage::text(&big)).unwrap();
    assert_eq!(ws.text().await.len(), 1_000_000);
    ws.send(&format!("4{big}x")).await;
    assert_eq!(ws.next().await, Frame::Close(1009));
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn fragments_and_pings_are_websockets_own_business() {
    let mut server = Server::start().await;
    let mut ws = server.websocket().await;
    server.opened().await;
    ws.send_frame(OpCode::Ping, b"are you there").await;
    assert_eq!(
        ws.next().await,
        Frame::Pong(b"are you there".to_vec().into())
    );
    ws.send_bytes(&[
        0x01, 0x82, 0, 0, 0, 0, b'4', b'a', 0x80, 0x81, 0, 0, 0, 0, b'b',
    ])
    .await;
    assert_eq!(server.text().await, "ab");
}

#[tokio::test]
async fn a_close_frame_is_answered_and_ends_the_session() {
    let mut server = Server::start().await;
    let mut ws = server.websocket().await;
    let conn = server.opened().await;
    ws.send_frame(OpCode::Close, &[0x03, 0xE8]).await;
    assert_eq!(ws.next().await, Frame::Close(1000));
    assert_eq!(ws.next().await, Frame::End);
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert!(!conn.is_open());
    assert_eq!(server.engine.connections(), 0);
}

#[tokio::test]
async fn the_end_of_the_stream_ends_the_session() {
    let mut server = Server::start().await;
    let ws = server.websocket().await;
    server.opened().await;
    drop(ws);
    assert_eq!(server.closed().await, CloseReason::TransportClose);
}

#[tokio::test]
async fn an_unmasked_frame_is_a_protocol_error() {
    let mut server = Server::start().await;
    let mut ws = server.websocket().await;
    server.opened().await;
    ws.send_bytes(&[0x81, 0x02, b'4', b'a']).await;
    assert_eq!(ws.next().await, Frame::Close(1002));
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn what_is_no_packet_is_a_parse_error() {
    for text in ["", "x", "9"] {
        let mut server = Server::start().await;
        let mut ws = server.websocket().await;
        server.opened().await;
        ws.send(text).await;
        assert_eq!(ws.next().await, Frame::Close(1005));
        assert_eq!(server.closed().await, CloseReason::ParseError, "{text:?}");
    }
}

#[tokio::test]
async fn a_ping_from_the_client_is_an_error() {
    let mut server = Server::start().await;
    let mut ws = server.websocket().await;
    server.opened().await;
    ws.send("2").await;
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test(start_paused = true)]
async fn pings_and_misses_the_pong() {
    let mut server = Server::in_memory(|config| {
        config.ping_interval = Duration::from_secs(25);
        config.ping_timeout = Duration::from_secs(20);
    });
    let mut ws = server.websocket().await;
    server.opened().await;
    for _ in 0..3 {
        let before = Instant::now();
        assert_eq!(ws.text().await, "2");
        assert_passed(before, Duration::from_secs(25));
        ws.send("3").await;
    }
    assert_eq!(ws.text().await, "2");
    let before = Instant::now();
    assert_eq!(ws.next().await, Frame::Close(1005));
    assert_passed(before, Duration::from_secs(20));
    assert_eq!(server.closed().await, CloseReason::PingTimeout);
}

/// Asserts that as much virtual time has passed, apart from the resolution of the engine's timers.
fn assert_passed(since: Instant, expected: Duration) {
    let passed = since.elapsed();
    let resolution = Duration::from_millis(130);
    assert!(passed.abs_diff(expected) < resolution, "{passed:?}");
}

/// The next ping is sent after the interval, even if the server would wait longer for the pong.
#[tokio::test(start_paused = true)]
async fn pings_at_the_interval_although_the_timeout_is_longer() {
    for polling in [false, true] {
        let mut server = Server::in_memory(|config| {
            config.ping_interval = Duration::from_secs(5);
            config.ping_timeout = Duration::from_secs(60);
        });
        let before = Instant::now();
        if polling {
            let sid = server.polling().await;
            let query = format!("EIO=4&transport=polling&sid={sid}");
            for _ in 0..3 {
                let polled = server.request("GET", &query, "", "").await;
                assert_eq!(polled.text(), "2");
                server.request("POST", &query, "", "3").await;
            }
        } else {
            let mut ws = server.websocket().await;
            for _ in 0..3 {
                assert_eq!(ws.text().await, "2");
                ws.send("3").await;
            }
        }
        server.opened().await;
        assert_passed(before, Duration::from_secs(15));
    }
}

#[tokio::test]
async fn close_flushes_then_sends_a_close_frame() {
    let mut server = Server::start().await;
    let mut ws = server.websocket().await;
    let conn = server.opened().await;
    fanfare_engine::batch(|| {
        conn.send(&EncodedMessage::text("last words")).unwrap();
        conn.close(CloseMode::Flush, CloseReason::ForcedClose);
        assert!(conn.send(&EncodedMessage::text("more")).is_err());
    });
    assert_eq!(ws.text().await, "4last words");
    assert_eq!(ws.next().await, Frame::Close(1005));
    assert_eq!(ws.next().await, Frame::End);
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
    conn.close(CloseMode::Discard, CloseReason::ForcedClose);
    tokio::task::yield_now().await;
    server.no_event();
}

#[tokio::test]
async fn close_from_within_the_handler_lets_its_answer_out() {
    let bye: common::OnText = Box::new(|conn, _| {
        conn.send(&EncodedMessage::text("bye")).unwrap();
        conn.close(CloseMode::Flush, CloseReason::ForcedClose);
    });
    let mut server = Server::handling(|_| {}, Some(bye)).await;
    let mut ws = server.websocket().await;
    server.opened().await;
    ws.send("4go").await;
    assert_eq!(ws.text().await, "4bye");
    assert_eq!(ws.next().await, Frame::Close(1005));
    assert_eq!(server.text().await, "go");
    assert_eq!(server.closed().await, CloseReason::ForcedClose);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_reported_once_unless_taken_back() {
    let mut server = Server::in_memory(|_| {});
    let _ws = server.websocket().await;
    let conn = server.opened().await;
    let after = |seconds| Some(Instant::now().into_std() + Duration::from_secs(seconds));
    conn.set_deadline(after(2));
    conn.set_deadline(None);
    let _other = server.websocket().await;
    let other = server.opened().await;
    let before = Instant::now();
    other.set_deadline(after(6));
    assert!(matches!(server.event().await, Event::Deadline));
    assert_passed(before, Duration::from_secs(6));
    // Before the first ping, of which no event is reported.
    tokio::time::sleep(Duration::from_secs(15)).await;
    server.no_event();
}

#[tokio::test]
async fn a_panic_in_the_handler_costs_one_connection() {
    let panics: common::OnText = Box::new(|_, text| assert_ne!(text, "panic"));
    let mut server = Server::handling(|_| {}, Some(panics)).await;
    let mut bad = server.websocket().await;
    server.opened().await;
    let mut good = server.websocket().await;
    server.opened().await;
    bad.send("4panic").await;
    assert!(matches!(bad.next().await, Frame::Close(_) | Frame::End));
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    good.send("4fine").await;
    assert_eq!(server.text().await, "fine");
}
