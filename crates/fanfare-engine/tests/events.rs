//! Events of a connection other than its messages, as the handler sees them.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Ask, Event, Server};
use fanfare_engine::{CloseReason, EncodedMessage};
use fanfare_websocket::OpCode;

#[tokio::test(start_paused = true)]
async fn an_upgrade_and_heartbeats() {
    let mut server = Server::telling_all(|_| {});
    let sid = server.polling().await;
    server.opened().await;
    let query = format!("EIO=4&transport=websocket&sid={sid}");
    let mut ws = server.connect(&query, "").await.unwrap();
    assert!(matches!(server.event().await, Event::Upgrading));
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    ws.send("5").await;
    assert!(matches!(server.event().await, Event::Upgraded));
    for _ in 0..2 {
        assert_eq!(ws.text().await, "2");
        ws.send("3").await;
        assert!(matches!(server.event().await, Event::Heartbeat));
    }
}

#[tokio::test]
async fn a_close_is_described() {
    let mut server = Server::with(|config| {
        config.limits.max_payload = 100;
        config.limits.outbox_bytes = 1000;
        config.limits.burst_bytes = 0;
    })
    .await;

    let mut ws = server.websocket().await;
    let conn = server.opened().await;
    assert_eq!(conn.close_description(), None);
    ws.send_frame(OpCode::Text, &[b'4'; 101]).await;
    assert_eq!(server.closed().await, CloseReason::TransportError);
    let description = conn.close_description().unwrap();
    assert!(
        description.contains("101") && description.contains("100"),
        "{description}"
    );

    let mut ws = server.websocket().await;
    let conn = server.opened().await;
    ws.send_frame(OpCode::Close, &1001u16.to_be_bytes()).await;
    assert_eq!(server.closed().await, CloseReason::TransportClose);
    assert_eq!(
        conn.close_description().as_deref(),
        Some("close frame 1001")
    );

    let mut ws = server.websocket().await;
    let conn = server.opened().await;
    ws.send("9").await;
    assert_eq!(server.closed().await, CloseReason::ParseError);
    assert!(conn.close_description().is_some());

    let sid = server.polling().await;
    let conn = server.opened().await;
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let mut first = server.http().await;
    first.ask("POST", &query, "Content-Length: 5\r\n", "").await;
    let response = server.request("POST", &query, "", "4x").await;
    // Either of the two may come second.
    if response.status == 200 {
        first.send(b"4").await;
        drop(first);
        assert_eq!(server.text().await, "x");
        assert_eq!(server.closed().await, CloseReason::TransportError);
        let lost = "data request connection closed prematurely";
        assert_eq!(conn.close_description().as_deref(), Some(lost));
    } else {
        assert_eq!(server.closed().await, CloseReason::TransportError);
        assert_eq!(
            conn.close_description().as_deref(),
            Some("overlap from client")
        );
    }

    server.polling().await;
    let conn = server.opened().await;
    conn.send(&EncodedMessage::text(&"x".repeat(900))).unwrap();
    conn.send(&EncodedMessage::text(&"x".repeat(900)))
        .unwrap_err();
    assert_eq!(server.closed().await, CloseReason::TransportError);
    let description = conn.close_description().unwrap();
    assert!(description.contains("the limit is 1000"), "{description}");
}
