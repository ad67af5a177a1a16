//! Broadcasts of one batch to the same audience, which outboxes share as shared segments.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;

use common::Server;
use fanfare_engine::{
    BroadcastOptions, DeliveryReport, EncodedMessage, SlowConsumer, batch, broadcast,
};
use fanfare_testing::wire::{Frame, WebSocket};
use parking_lot::Mutex;

type Conns = Arc<[common::Conn]>;

const MEMBERS: usize = 12;

async fn clients(server: &mut Server) -> (Vec<WebSocket>, Conns) {
    let (mut sockets, mut conns) = (Vec::new(), Vec::new());
    for _ in 0..MEMBERS {
        sockets.push(server.websocket().await);
        conns.push(server.opened().await);
    }
    (sockets, conns.into())
}

fn emit(targets: &Conns, text: &str, skip: Option<&common::Conn>) -> DeliveryReport {
    let options = BroadcastOptions::default();
    broadcast(targets, &EncodedMessage::text(text), options, skip)
}

#[tokio::test]
async fn a_batch_of_broadcasts_and_messages_keeps_its_order() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server).await;
    let half: Conns = conns[..MEMBERS / 2 + 3].to_vec().into();
    let mut expected = vec![Vec::new(); MEMBERS];
    batch(|| {
        for n in 0..60 {
            let skipped = n % MEMBERS;
            let text = format!("{n}");
            match n % 7 {
                0 => {
                    conns[skipped].send(&EncodedMessage::text(&text)).unwrap();
                    expected[skipped].push(text);
                }
                1 => {
                    assert_eq!(emit(&half, &text, None).recipients, half.len());
                    let half = &mut expected[..half.len()];
                    half.iter_mut().for_each(|e| e.push(text.clone()));
                }
                2 => {
                    let skip = &conns[skipped];
                    assert_eq!(emit(&conns, &text, Some(skip)).recipients, MEMBERS - 1);
                    for (_, e) in expected
                        .iter_mut()
                        .enumerate()
                        .filter(|(i, _)| *i != skipped)
                    {
                        e.push(text.clone());
                    }
                }
                _ => {
                    assert_eq!(emit(&conns, &text, None).recipients, MEMBERS);
                    expected.iter_mut().for_each(|e| e.push(text.clone()));
                }
            }
        }
    });
    for (socket, expected) in sockets.iter_mut().zip(expected) {
        for text in expected {
            assert_eq!(socket.next().await, Frame::Text(format!("4{text}")));
        }
    }
}

/// Checks the guarantee of `docs/decisions/0002-order-across-threads.md` for broadcasts that are appended to a shared
/// segment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_emitted_under_one_lock_has_one_order() {
    const ROUNDS: usize = 400;
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server).await;
    let number = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..3)
        .map(|thread| {
            let (conns, number) = (conns.clone(), number.clone());
            tokio::task::spawn_blocking(move || {
                for round in 0..ROUNDS {
                    batch(|| {
                        for step in 0..=(round + thread) % 4 {
                            let mut number = number.lock();
                            let text = EncodedMessage::text(&number.to_string());
                            if step == 2 {
                                // The same for every recipient, without a shared segment.
                                for conn in conns.iter() {
                                    conn.send(&text).unwrap();
                                }
                            } else {
                                broadcast(&conns, &text, BroadcastOptions::default(), None);
                            }
                            *number += 1;
                        }
                    });
                }
            })
        })
        .collect();
    let reading: Vec<_> = sockets
        .drain(..)
        .map(|mut socket| {
            tokio::spawn(async move {
                for n in 0..3 * ROUNDS * 10 / 4 {
                    assert_eq!(socket.next().await, Frame::Text(format!("4{n}")));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.await.unwrap();
    }
    assert_eq!(*number.lock(), 3 * ROUNDS * 10 / 4);
    for reading in reading {
        reading.await.unwrap();
    }
}

#[tokio::test]
async fn a_run_grows_no_further_than_the_fullest_outbox() {
    const LIMIT: usize = 4096;
    let mut server = Server::with(|config| {
        config.limits.outbox_bytes = LIMIT;
        config.slow_consumer = SlowConsumer::DropNewest;
    })
    .await;
    let (mut sockets, conns) = clients(&mut server).await;
    let mut accepted = 0;
    batch(|| {
        // One outbox has less capacity left than the others.
        conns[0]
            .send(&EncodedMessage::text(&"x".repeat(1000)))
            .unwrap();
        for n in 0..100 {
            let report = emit(&conns, &format!("{n:0>97}"), None);
            assert_eq!(report.recipients, MEMBERS);
            if report.full == 0 {
                assert_eq!(
                    accepted, n,
                    "what comes later may not fit where more did not"
                );
                accepted += 1;
            }
            for conn in conns.iter() {
                assert!(conn.pending_bytes() <= LIMIT, "{}", conn.pending_bytes());
            }
        }
    });
    assert_eq!(accepted, (LIMIT - 1005) / 100);
    assert_eq!(
        sockets[0].next().await,
        Frame::Text(format!("4{}", "x".repeat(1000)))
    );
    for socket in &mut sockets {
        for n in 0..accepted {
            assert_eq!(socket.next().await, Frame::Text(format!("4{n:0>97}")));
        }
    }
}

#[tokio::test]
async fn a_connection_that_closes_within_the_batch_holds_nobody_up() {
    let mut server = Server::start().await;
    let (mut sockets, conns) = clients(&mut server).await;
    batch(|| {
        emit(&conns, "a", None);
        conns[3].close(
            fanfare_engine::CloseMode::Discard,
            fanfare_engine::CloseReason::ForcedClose,
        );
        emit(&conns, "b", None);
    });
    for (n, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(socket.next().await, Frame::Text("4a".to_owned()));
        if n == 3 {
            assert_eq!(socket.next().await, Frame::Close(1005));
        } else {
            assert_eq!(socket.next().await, Frame::Text("4b".to_owned()));
        }
    }
}
