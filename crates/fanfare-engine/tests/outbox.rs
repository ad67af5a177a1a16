//! Order, limits, batches and broadcasts.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Got, Server, WebSocket};
use fanfare_engine::{
    BroadcastOptions, BroadcastReport, CloseReason, Connection, Prepared, SendError, SlowConsumer,
    batch, broadcast,
};

/// Sends to every one of `targets`, without options.
fn broadcast_all<S: Send + Sync + 'static>(
    targets: &Arc<[Arc<Connection<S>>]>,
    message: &Prepared,
) -> BroadcastReport {
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
    let chunk = Prepared::binary(&vec![0; 64 * 1024]);
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
    let chunk = Prepared::binary(&[0; 64 * 1024]);
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
    let chunk = Prepared::binary(&vec![0; 64 * 1024]);
    while conns[0].send(&chunk).is_ok() {
        sent += 1;
    }
    assert!(conns[0].is_open() && !conns[0].is_writable());
    assert_eq!(conns[0].send_volatile(&chunk), Ok(false));
    let waiting = tokio::spawn({
        let conn = conns[0].clone();
        async move { conn.ready().await }
    });
    // All that was taken arrives whole, and then there is room again.
    for _ in 0..sent {
        assert_eq!(sockets[0].got().await, Got::Binary(vec![0; 64 * 1024]));
    }
    waiting.await.unwrap().unwrap();
    conns[0].send(&Prepared::text("room")).unwrap();
    assert_eq!(sockets[0].text().await, "4room");
}

#[tokio::test]
async fn packets_are_limited_as_bytes_are() {
    let mut server = Server::with(|config| config.limits.outbox_packets = 3).await;
    server.polling().await;
    let conn = server.opened().await;
    let small = Prepared::text("x");
    for _ in 0..3 {
        conn.send(&small).unwrap();
    }
    assert!(matches!(conn.send(&small), Err(SendError::Full { .. })));
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

#[tokio::test]
async fn one_message_is_always_taken() {
    let mut server = Server::with(|config| config.limits.outbox_bytes = 10).await;
    let sid = server.polling().await;
    let conn = server.opened().await;
    conn.send(&Prepared::text(&"x".repeat(100))).unwrap();
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
            .send(&Prepared::binary(&vec![0; 64 * 1024]))
            .unwrap();
        chunks += 1;
    }
    let mut seen = 0;
    while let Got::Binary(_) = sockets[0].got().await {
        seen += 1;
    }
    assert!(seen < chunks, "the ping came after {seen} of {chunks}");
}

#[tokio::test]
async fn a_batch_keeps_the_order_of_everything() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server, 3).await;
    let others: Arc<[common::Conn]> = vec![conns[1].clone(), conns[2].clone()].into();
    let text = |n: usize| Prepared::text(&n.to_string());
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
        conn.send(&Prepared::text(&format!("{text}a"))).unwrap();
        broadcast_all(audience, &Prepared::text(&format!("{text}b")));
        broadcast_all(audience, &Prepared::text(&format!("{text}c")));
        conn.send(&Prepared::text(&format!("{text}d"))).unwrap();
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
    sockets[0].http.raw(&frames).await;
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
        &Prepared::text("now"),
        BroadcastOptions::default().volatile(true),
        None,
    );
    for socket in &mut sockets {
        assert_eq!(socket.text().await, "4now");
    }
    assert_eq!(idle.pending_bytes(), 0, "no GET waits");
    broadcast_all(&audience, &Prepared::text("later"));
    assert_eq!(idle.pending_packets(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_audience_gets_everything_in_order() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server, 600).await;
    for n in 0..20 {
        let report = broadcast_all(&conns, &Prepared::text(&n.to_string()));
        assert_eq!(report.full, 0);
        conns[0].send(&Prepared::text(&format!("own {n}"))).unwrap();
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
                    let text = Prepared::text(&format!("{thread} {n}"));
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
