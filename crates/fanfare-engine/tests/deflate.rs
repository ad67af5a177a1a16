//! Compression of connections with permessage-deflate (RFC 7692).
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;

use common::{Conn, Server};
use fanfare_engine::{
    BroadcastOptions, CloseReason, EncodedMessage, MessageBuilder, PerMessageDeflate, batch,
    broadcast,
};
use fanfare_testing::wire::{Frame, WebSocket};
use fanfare_websocket::OpCode;

const QUERY: &str = "EIO=4&transport=websocket";
/// First byte of a frame with a compressed text, and of one with a plain text.
const COMPRESSED: u8 = 0xC1;
const PLAIN: u8 = 0x81;

/// Compression without context takeover.
const ALONE: PerMessageDeflate = PerMessageDeflate::new()
    .server_no_context_takeover(true)
    .client_no_context_takeover(true)
    .server_max_window_bits(15)
    .client_max_window_bits(15)
    .level(6)
    .threshold(1024);
/// Compression with context takeover, for messages of every length.
const TAKEOVER: PerMessageDeflate = ALONE
    .server_no_context_takeover(false)
    .client_no_context_takeover(false)
    .threshold(0);

async fn start(config: PerMessageDeflate) -> Server {
    Server::with(|c| c.per_message_deflate = Some(config)).await
}

async fn connect(server: &mut Server, config: &PerMessageDeflate) -> (WebSocket, Conn) {
    let mut ws = server
        .deflating(QUERY, config)
        .await
        .expect("the server wants deflate");
    ws.text().await;
    (ws, server.opened().await)
}

/// Returns text that has little in common with that of another seed.
fn text(seed: u32, len: usize) -> String {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            char::from(b'a' + (state % 26) as u8)
        })
        .collect()
}

#[tokio::test]
async fn it_is_off_unless_asked_for() {
    let server = Server::start().await;
    assert!(server.deflating(QUERY, &ALONE).await.is_none());
    // A compressed message from a client that did not negotiate compression breaks the protocol.
    let mut ws = server.websocket().await;
    ws.send_bytes(b"\xc1\x81\x01\x02\x03\x04\x00").await;
    assert_eq!(ws.next().await, Frame::Close(1002));
}

#[tokio::test]
async fn long_messages_are_compressed_both_ways() {
    let mut server = start(ALONE).await;
    let (mut ws, conn) = connect(&mut server, &ALONE).await;
    let long = "a long message ".repeat(500);
    conn.send(&EncodedMessage::text(&long)).unwrap();
    conn.send(&EncodedMessage::text("short")).unwrap();
    conn.send_with(|buf| buf.text(|out| out.extend_from_slice(long.as_bytes())))
        .unwrap();
    conn.send(&EncodedMessage::binary(&[7; 5000])).unwrap();
    conn.send(&EncodedMessage::text(&long).uncompressed())
        .unwrap();
    conn.send_with(|buf| {
        buf.uncompressed();
        buf.text(|out| out.extend_from_slice(long.as_bytes()));
    })
    .unwrap();
    let text = |text: &str| Frame::Text(format!("4{text}"));
    for (expected, head, bytes) in [
        (text(&long), COMPRESSED, ..200),
        (text("short"), PLAIN, ..200),
        (text(&long), COMPRESSED, ..200),
        (Frame::Binary(vec![7; 5000].into()), 0xC2, ..200),
        (text(&long), PLAIN, ..long.len() + 12),
        (text(&long), PLAIN, ..long.len() + 12),
    ] {
        assert_eq!(ws.next().await, expected);
        assert_eq!(ws.last_first_byte(), head);
        assert!(bytes.contains(&ws.last_frame_bytes()), "{expected:?}");
    }

    ws.send_compressed(OpCode::Text, format!("4{long}").as_bytes())
        .await;
    ws.send("4plain").await;
    ws.send_compressed(OpCode::Text, b"4tiny").await;
    for expected in [long.as_str(), "plain", "tiny"] {
        assert_eq!(server.text().await, expected);
    }
}

#[tokio::test]
async fn with_context_takeover_what_was_said_before_costs_nothing() {
    let mut server = start(TAKEOVER).await;
    let (mut ws, conn) = connect(&mut server, &TAKEOVER).await;
    let once = text(1, 3000);
    for _ in 0..3 {
        conn.send(&EncodedMessage::text(&once)).unwrap();
        // An uncompressed message does not disturb the context.
        conn.send(&EncodedMessage::text(&once).uncompressed())
            .unwrap();
    }
    let mut sizes = Vec::new();
    for n in 0..6 {
        assert_eq!(ws.text().await, format!("4{once}"));
        if n % 2 == 0 {
            sizes.push(ws.last_frame_bytes());
        }
    }
    assert!(
        sizes[0] > 1500 && sizes[1] < 100 && sizes[2] < 100,
        "{sizes:?}"
    );
    for _ in 0..2 {
        ws.send_compressed(OpCode::Text, format!("4{once}").as_bytes())
            .await;
        assert_eq!(server.text().await, once);
    }
}

#[tokio::test]
async fn a_smaller_window_is_kept_to() {
    let config = TAKEOVER.server_max_window_bits(9);
    let mut server = start(config).await;
    let (mut ws, conn) = connect(&mut server, &TAKEOVER).await;
    // A distance of 600 bytes is outside a window of 512.
    let message = format!("{0}{1}{0}", text(1, 300), text(2, 600));
    for _ in 0..2 {
        conn.send(&EncodedMessage::text(&message)).unwrap();
        assert_eq!(ws.text().await, format!("4{message}"));
    }
    assert!(ws.last_frame_bytes() > 600);
    // A window that zlib does not support: nothing is compressed.
    let tiny = TAKEOVER.server_max_window_bits(8);
    let (mut ws, conn) = connect(&mut server, &tiny).await;
    conn.send(&EncodedMessage::text(&message)).unwrap();
    assert_eq!(ws.text().await, format!("4{message}"));
    assert_eq!(ws.last_first_byte(), PLAIN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_send_at_once_do_not_spoil_the_context() {
    const THREADS: u32 = 4;
    const EACH: u32 = 200;
    let mut server = Server::with(|config| {
        config.per_message_deflate = Some(TAKEOVER);
        config.limits.outbox_bytes = usize::MAX;
        config.limits.outbox_packets = usize::MAX;
    })
    .await;
    let (mut ws, conn) = connect(&mut server, &TAKEOVER).await;
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let conn = conn.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    let message =
                        EncodedMessage::text(&format!("{thread} {n} {}", text(thread, 400)));
                    match n % 3 {
                        0 => conn.send(&message).unwrap(),
                        1 => batch(|| conn.send(&message).unwrap()),
                        _ => {
                            let targets: Arc<[Conn]> = Arc::new([conn.clone()]);
                            let report =
                                broadcast(&targets, &message, BroadcastOptions::default(), None);
                            assert_eq!(report.full, 0);
                        }
                    }
                }
            })
        })
        .collect();
    let mut next = [0; THREADS as usize];
    for _ in 0..THREADS * EACH {
        let got = ws.text().await;
        let mut parts = got[1..].split(' ');
        let thread: u32 = parts.next().unwrap().parse().unwrap();
        let n: u32 = parts.next().unwrap().parse().unwrap();
        assert_eq!(n, next[thread as usize], "in the order of each thread");
        assert_eq!(parts.next(), Some(text(thread, 400).as_str()));
        next[thread as usize] += 1;
    }
    threads.into_iter().for_each(|t| t.join().unwrap());
}

#[tokio::test]
async fn a_broadcast_reaches_everybody_in_the_form_they_understand() {
    let mut server = Server::with(|config| {
        config.per_message_deflate = Some(ALONE.server_no_context_takeover(false));
        config.allow_eio3 = true;
    })
    .await;
    let (mut own, a) = connect(&mut server, &TAKEOVER).await;
    let (mut alone, b) = connect(&mut server, &ALONE).await;
    let small = ALONE.server_max_window_bits(10);
    let (mut small, c) = connect(&mut server, &small).await;
    let mut plain = server.websocket().await;
    let d = server.opened().await;
    let sid = server.polling().await;
    let e = server.opened().await;
    let v3 = "EIO=3&transport=websocket";
    let mut old = server.deflating(v3, &ALONE).await.unwrap();
    old.text().await;
    let f = server.opened().await;
    let targets: Arc<[Conn]> = Arc::new([a, b, c, d, e, f]);
    let long = "to everybody ".repeat(200);
    let mut buf = MessageBuilder::default();
    buf.text(|out| out.extend_from_slice(long.as_bytes()));
    buf.binary(&[9; 2000]);
    let message = buf.finish();
    for compress in [true, false] {
        let options = BroadcastOptions::default().compress(compress);
        let report = broadcast(&targets, &message, options, None);
        assert_eq!((report.recipients, report.full), (6, 0));
        for (ws, deflated, v3) in [
            (&mut own, true, false),
            (&mut alone, true, false),
            (&mut small, true, false),
            (&mut plain, false, false),
            (&mut old, true, true),
        ] {
            let bit = if deflated && compress { 0x40 } else { 0 };
            assert_eq!(ws.text().await, format!("4{long}"));
            assert_eq!(ws.last_first_byte(), PLAIN | bit);
            let mut binary = vec![9; 2000];
            if v3 {
                binary.insert(0, 4);
            }
            assert_eq!(ws.next().await, Frame::Binary(binary.into()));
            assert_eq!(ws.last_first_byte(), 0x82 | bit);
        }
        let query = format!("EIO=4&transport=polling&sid={sid}");
        let answer = server.request("GET", &query, "", "").await;
        assert!(answer.text().starts_with(&format!("4{long}\u{1e}b")));
    }
}

#[tokio::test]
async fn an_upgrade_negotiates_it_too() {
    let mut server = start(ALONE).await;
    let sid = server.polling().await;
    let conn = server.opened().await;
    let long = "upgraded ".repeat(300);
    let query = format!("{QUERY}&sid={sid}");
    let mut ws = server.deflating(&query, &ALONE).await.unwrap();
    ws.send("2probe").await;
    assert_eq!(ws.text().await, "3probe");
    conn.send(&EncodedMessage::text(&long)).unwrap();
    ws.send("5").await;
    assert!(matches!(server.event().await, common::Event::Upgraded));
    conn.send(&EncodedMessage::text(&long)).unwrap();
    for head in [PLAIN, COMPRESSED] {
        assert_eq!(ws.text().await, format!("4{long}"));
        assert_eq!(ws.last_first_byte(), head, "what waited was not compressed");
    }
}

#[tokio::test]
async fn a_bomb_ends_its_connection_at_the_limit() {
    for (config, limit) in [(ALONE, 100_000), (TAKEOVER, 100_000)] {
        let mut server = Server::with(|c| {
            c.per_message_deflate = Some(config);
            c.limits.max_payload = limit;
        })
        .await;
        let (mut ws, conn) = connect(&mut server, &config).await;
        let mut most = vec![b'x'; limit];
        most[0] = b'4';
        ws.send_compressed(OpCode::Text, &most).await;
        assert_eq!(server.text().await.len(), limit - 1, "just fits");
        most.push(b'x');
        ws.send_compressed(OpCode::Text, &most).await;
        assert_eq!(ws.next().await, Frame::Close(1009));
        assert_eq!(server.closed().await, CloseReason::TransportError);
        assert!(!conn.is_open());
    }
}

#[tokio::test]
async fn garbage_ends_its_connection() {
    let mut server = start(ALONE).await;
    let (mut ws, _) = connect(&mut server, &ALONE).await;
    let mut out = Vec::new();
    fanfare_websocket::frame::encode_masked_rsv_into(
        &mut out,
        OpCode::Text,
        true,
        &[0xFF; 40],
        [1, 2, 3, 4],
    );
    ws.send_bytes(&out).await;
    assert_eq!(ws.next().await, Frame::Close(1007));
    assert_eq!(server.closed().await, CloseReason::TransportError);
}
