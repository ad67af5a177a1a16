//! Order, limits, batches and broadcasts.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Ask, Server};
use fanfare_engine::{
    BroadcastOptions, CloseReason, Connection, DeliveryReport, EncodedMessage, SendError,
    SlowConsumer, batch, broadcast,
};
use fanfare_protocol::Limits;
use fanfare_testing::wire::{Frame, WebSocket};
use futures_util::FutureExt;

/// Sends to each of `targets`, without options.
fn broadcast_all<S: Send + Sync + 'static>(
    targets: &Arc<[Arc<Connection<S>>]>,
    message: &EncodedMessage,
) -> DeliveryReport {
    broadcast(targets, message, BroadcastOptions::default(), None)
}

async fn clients(server: &mut Server, n: usize) -> (Vec<WebSocket>, Arc<[common::Conn]>) {
    let (mut sockets, mut conns) = (Vec::new(), Vec::new());
    for _ in 0..n {
        sockets.push(server.websocket().await);
        conns.push(server.opened().await);
    }
    (sockets, conns.into())
}

/// Fills the sockets' buffers until something is queued.
fn block(conn: &common::Conn) -> usize {
    let chunk = EncodedMessage::binary(&vec![0; 64 * 1024]);
    let mut sent = 0;
    while conn.pending_bytes() == 0 {
        conn.send(&chunk).unwrap();
        sent += 1;
        assert!(sent < 1000);
    }
    sent
}

#[tokio::test]
async fn a_slow_consumer_is_disconnected_at_the_limit() {
    let mut server = Server::with(|config| config.limits.outbox_bytes = 256 * 1024).await;
    let (_sockets, conns) = clients(&mut server, 1).await;
    block(&conns[0]);
    let chunk = EncodedMessage::binary(&[0; 64 * 1024]);
    let error = loop {
        if let Err(error) = conns[0].send(&chunk) {
            break error;
        }
    };
    assert!(
        matches!(error, SendError::Full { limit: 262_144, .. }),
        "{error}"
    );
    assert_eq!(conns[0].send(&chunk), Err(SendError::Closed));
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn the_newest_can_be_dropped_instead() {
    let mut server = Server::with(|config| {
        config.limits.outbox_bytes = 256 * 1024;
        config.slow_consumer = SlowConsumer::DropNewest;
    })
    .await;
    let (mut sockets, conns) = clients(&mut server, 1).await;
    let mut sent = block(&conns[0]);
    let chunk = EncodedMessage::binary(&vec![0; 64 * 1024]);
    while conns[0].send(&chunk).is_ok() {
        sent += 1;
    }
    assert!(conns[0].is_open() && !conns[0].is_writable());
    assert_eq!(conns[0].send_volatile(&chunk), Ok(false));
    let waiting = tokio::spawn({
        let conn = conns[0].clone();
        async move { conn.ready().await }
    });
    // Everything that was accepted arrives whole, and then the outbox accepts messages again.
    for _ in 0..sent {
        assert_eq!(
            sockets[0].next().await,
            Frame::Binary(vec![0; 64 * 1024].into())
        );
    }
    waiting.await.unwrap().unwrap();
    conns[0].send(&EncodedMessage::text("room")).unwrap();
    assert_eq!(sockets[0].text().await, "4room");
}

#[tokio::test]
async fn ready_waits_while_more_than_half_of_the_packets_are_queued() {
    let mut server = Server::with(|config| config.limits.outbox_packets = 4).await;
    let sid = server.polling().await;
    let conn = server.opened().await;
    let small = EncodedMessage::text("x");
    (0..2).for_each(|_| conn.send(&small).unwrap());
    conn.ready().await.unwrap();
    conn.send(&small).unwrap();
    let mut ready = std::pin::pin!(conn.ready());
    assert_eq!(ready.as_mut().now_or_never(), None);
    let query = format!("EIO=4&transport=polling&sid={sid}");
    server.request("GET", &query, "", "").await;
    ready.await.unwrap();
}

#[tokio::test]
async fn packets_are_limited_as_bytes_are() {
    let mut server = Server::with(|config| {
        config.limits.outbox_packets = 3;
        config.limits.burst_packets = 0;
    })
    .await;
    server.polling().await;
    let conn = server.opened().await;
    let small = EncodedMessage::text("x");
    for _ in 0..3 {
        conn.send(&small).unwrap();
    }
    let full = conn.send(&small).unwrap_err();
    let expected = "the outbox is full: 3 packets are waiting, the limit is 3";
    assert_eq!(full.to_string(), expected);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

/// A handler that emits more than `outbox_bytes` while the client returns, as in `on_connect`, however often it polled.
#[tokio::test]
async fn a_burst_between_two_polls_disconnects_nobody() {
    let mut server = Server::with(|config| config.limits.outbox_bytes = 64 * 1024).await;
    let sid = server.polling().await;
    let conn = server.opened().await;
    let query = format!("EIO=4&transport=polling&sid={sid}");
    let message = EncodedMessage::text(&"x".repeat(10 * 1024));
    for _ in 0..5 {
        (0..20).for_each(|_| conn.send(&message).unwrap());
        let response = server.request("GET", &query, "", "").await;
        assert_eq!(response.body.split(|byte| *byte == 0x1e).count(), 20);
    }
    let error = (0..1000).find_map(|_| conn.send(&message).err());
    let limit = Limits::default().burst_bytes;
    assert!(
        matches!(error, Some(SendError::Full { limit: at, .. }) if at == limit),
        "{error:?}"
    );
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn one_message_is_always_taken() {
    let mut server = Server::with(|config| config.limits.outbox_bytes = 10).await;
    let sid = server.polling().await;
    let conn = server.opened().await;
    conn.send(&EncodedMessage::text(&"x".repeat(100))).unwrap();
    let response = server
        .request("GET", &format!("EIO=4&transport=polling&sid={sid}"), "", "")
        .await;
    assert_eq!(response.body.len(), 101);
}

#[tokio::test]
async fn a_ping_overtakes_what_is_queued() {
    let mut server = Server::with(|config| {
        config.ping_interval = Duration::from_millis(50);
        config.ping_timeout = Duration::from_secs(20);
    })
    .await;
    let (mut sockets, conns) = clients(&mut server, 1).await;
    let mut chunks = block(&conns[0]);
    let before = conns[0].pending_packets();
    while conns[0].pending_packets() == before {
        tokio::task::yield_now().await;
    }
    for _ in 0..4 {
        conns[0]
            .send(&EncodedMessage::binary(&vec![0; 64 * 1024]))
            .unwrap();
        chunks += 1;
    }
    let mut seen = 0;
    while let Frame::Binary(_) = sockets[0].next().await {
        seen += 1;
    }
    assert!(seen < chunks, "the ping came after {seen} of {chunks}");
}

#[tokio::test]
async fn a_batch_keeps_the_order_of_everything() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server, 3).await;
    let others: Arc<[common::Conn]> = vec![conns[1].clone(), conns[2].clone()].into();
    let text = |n: usize| EncodedMessage::text(&n.to_string());
    batch(|| {
        for n in 0..60 {
            match n % 6 {
                0..=2 => broadcast_all(&conns, &text(n)),
                3 => broadcast_all(&others, &text(n)),
                _ => {
                    for conn in conns.iter() {
                        conn.send_with(|buf| {
                            buf.text(|out| out.extend_from_slice(n.to_string().as_bytes()));
                        })
                        .unwrap();
                    }
                    continue;
                }
            };
        }
    });
    for (i, socket) in sockets.iter_mut().enumerate() {
        for n in 0..60 {
            if n % 6 != 3 || i > 0 {
                assert_eq!(socket.text().await, format!("4{n}"), "client {i}");
            }
        }
    }
}

#[tokio::test]
async fn the_handlers_own_answers_and_broadcasts_keep_their_order() {
    let all: Arc<std::sync::OnceLock<Arc<[common::Conn]>>> = Arc::default();
    let audience = all.clone();
    let handler: common::OnText = Box::new(move |conn, text| {
        let audience = audience.get().unwrap();
        conn.send(&EncodedMessage::text(&format!("{text}a")))
            .unwrap();
        broadcast_all(audience, &EncodedMessage::text(&format!("{text}b")));
        broadcast_all(audience, &EncodedMessage::text(&format!("{text}c")));
        conn.send(&EncodedMessage::text(&format!("{text}d")))
            .unwrap();
    });
    let mut server = Server::handling(|_| {}, Some(handler)).await;
    let (mut sockets, conns) = clients(&mut server, 2).await;
    all.set(conns).unwrap();
    let mut frames = Vec::new();
    for n in 0..20 {
        let text = format!("4{n}");
        fanfare_websocket::frame::encode_masked_into(
            &mut frames,
            fanfare_websocket::OpCode::Text,
            text.as_bytes(),
            [5; 4],
        );
    }
    sockets[0].send_bytes(&frames).await;
    for n in 0..20 {
        for letter in ['a', 'b', 'c', 'd'] {
            assert_eq!(sockets[0].text().await, format!("4{n}{letter}"));
            if letter == 'b' || letter == 'c' {
                assert_eq!(sockets[1].text().await, format!("4{n}{letter}"));
            }
        }
    }
}

#[tokio::test]
async fn a_volatile_broadcast_leaves_out_who_cannot_take_it() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server, 2).await;
    server.polling().await;
    let idle = server.opened().await;
    let audience: Arc<[common::Conn]> = conns.iter().cloned().chain([idle.clone()]).collect();
    broadcast(
        &audience,
        &EncodedMessage::text("now"),
        BroadcastOptions::default().volatile(true),
        None,
    );
    for socket in &mut sockets {
        assert_eq!(socket.text().await, "4now");
    }
    assert_eq!(idle.pending_bytes(), 0, "no GET waits");
    broadcast_all(&audience, &EncodedMessage::text("later"));
    assert_eq!(idle.pending_packets(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_audience_gets_everything_in_order() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server, 600).await;
    for n in 0..20 {
        let report = broadcast_all(&conns, &EncodedMessage::text(&n.to_string()));
        assert_eq!(report.full, 0);
        conns[0]
            .send(&EncodedMessage::text(&format!("own {n}")))
            .unwrap();
    }
    for n in 0..20 {
        assert_eq!(sockets[0].text().await, format!("4{n}"));
        assert_eq!(sockets[0].text().await, format!("4own {n}"));
    }
    for socket in &mut sockets[1..] {
        for n in 0..20 {
            assert_eq!(socket.text().await, format!("4{n}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_thread_keeps_its_order() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server, 1).await;
    let conn = conns[0].clone();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let conn = conn.clone();
            std::thread::spawn(move || {
                for n in 0..500 {
                    let text = EncodedMessage::text(&format!("{thread} {n}"));
                    if n % 3 == 0 {
                        batch(|| conn.send(&text)).unwrap();
                    } else {
                        conn.send(&text).unwrap();
                    }
                }
            })
        })
        .collect();
    let mut next = [0; 4];
    for _ in 0..2000 {
        let text = sockets[0].text().await;
        let (thread, n) = text[1..].split_once(' ').unwrap();
        let thread: usize = thread.parse().unwrap();
        assert_eq!(n.parse::<u32>().unwrap(), next[thread]);
        next[thread] += 1;
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn queued_volatile_messages_go_first() {
    let mut server = Server::with(|config| {
        config.limits.outbox_bytes = 256 * 1024;
        config.slow_consumer = SlowConsumer::DropVolatileFirst;
    })
    .await;
    let (mut sockets, conns) = clients(&mut server, 1).await;
    let sent = block(&conns[0]);
    let volatile = EncodedMessage::binary(&vec![1; 64 * 1024]);
    let kept = EncodedMessage::binary(&vec![0; 64 * 1024]);
    for _ in 0..2 {
        assert_eq!(conns[0].send_volatile(&volatile), Ok(true));
    }
    let targets: Arc<[_]> = conns.iter().cloned().collect();
    let options = BroadcastOptions::default().volatile(true);
    broadcast(&targets, &EncodedMessage::text("tick"), options, None);
    for _ in 0..3 {
        conns[0].send(&kept).unwrap();
    }
    assert!(conns[0].is_open());
    for _ in 0..sent + 3 {
        assert_eq!(
            sockets[0].next().await,
            Frame::Binary(vec![0; 64 * 1024].into())
        );
    }
    // What fits arrives, even if something waits before it.
    block(&conns[0]);
    assert_eq!(
        conns[0].send_volatile(&EncodedMessage::text("last")),
        Ok(true)
    );
    loop {
        match sockets[0].next().await {
            Frame::Binary(data) => assert_eq!(data, vec![0; 64 * 1024]),
            other => {
                assert_eq!(other, Frame::Text("4last".into()));
                break;
            }
        }
    }
    // A volatile message that does not fit is dropped; a reliable one closes the connection.
    block(&conns[0]);
    while conns[0].pending_bytes() + kept.len() <= 256 * 1024 {
        conns[0].send(&kept).unwrap();
    }
    assert_eq!(conns[0].send_volatile(&volatile), Ok(false));
    assert!(conns[0].is_open());
    assert!(matches!(conns[0].send(&kept), Err(SendError::Full { .. })));
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn who_has_not_polled_yet_is_no_slow_reader() {
    for (messages, len) in [(200, 10_000), (5000, 10)] {
        let mut server = Server::start().await;
        let sid = server.polling().await;
        let conn = server.opened().await;
        let query = format!("EIO=4&transport=polling&sid={sid}");
        let message = EncodedMessage::text(&"x".repeat(len));
        let burst = || (0..messages).for_each(|_| conn.send(&message).unwrap());
        burst();
        let response = server.request("GET", &query, "", "").await;
        assert_eq!(response.text().split('\u{1e}').count(), messages);
        // Neither is one that waits for the response to a poll.
        let mut get = server.http().await;
        get.ask("GET", &query, "", "").await;
        while !conn.is_writable() {
            tokio::task::yield_now().await;
        }
        burst();
        let response = get.response().await;
        assert_eq!(response.text().split('\u{1e}').count(), messages);
    }
}

#[tokio::test]
async fn who_is_upgrading_is_no_slow_reader() {
    let mut server = Server::start().await;
    let sid = server.polling().await;
    let conn = server.opened().await;
    let query = format!("EIO=4&transport=polling&sid={sid}");
    for _ in 0..3 {
        conn.send(&EncodedMessage::text("before")).unwrap();
        server.request("GET", &query, "", "").await;
    }
    let probe = format!("EIO=4&transport=websocket&sid={sid}");
    let mut ws = server.connect(&probe, "").await.unwrap();
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    let big = EncodedMessage::text(&"x".repeat(10_000));
    for _ in 0..200 {
        conn.send(&big).unwrap();
    }
    ws.send("5").await;
    // The client reads, so what is sent meanwhile adds to what waits.
    let mut got = 0;
    for n in 0..400 {
        if n < 200 {
            conn.send(&big).unwrap();
        }
        assert_eq!(ws.text().await.len(), 10_001);
        got += 1;
    }
    assert_eq!(got, 400);
    assert!(conn.is_open());
}
