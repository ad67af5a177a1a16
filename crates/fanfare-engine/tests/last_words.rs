//! Replies of the application to a valid packet reach the client, however the connection ends right behind that packet.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Ask, Conn, OnText, Server, sid_of};
use fanfare_engine::{CloseMode, CloseReason, EncodedMessage, serve};
use fanfare_testing::wire::{Http, UPGRADE_HEADERS};
use fanfare_testing::within;
use fanfare_websocket::{OpCode, frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Returns an echo handler in which some messages end the connection.
fn echo() -> OnText {
    Box::new(|conn: &Conn, text: &str| {
        let _ = conn.send(&EncodedMessage::text(text));
        match text {
            "discard" => conn.close(CloseMode::Discard, CloseReason::ForcedClose),
            "flush" => conn.close(CloseMode::Flush, CloseReason::ForcedClose),
            "abort" => conn.close(CloseMode::Discard, CloseReason::TransportError),
            _ => {}
        }
    })
}

fn masked(opcode: OpCode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_masked_into(&mut out, opcode, payload, [1, 2, 3, 4]);
    out
}

/// Opens a WebSocket, sends the valid packet and the end of the connection in one piece, and reads to the end.
async fn read_to_end(mut stream: impl AsyncRead + AsyncWrite + Unpin, end: &[u8]) -> Vec<u8> {
    let query = "/engine.io/?EIO=4&transport=websocket";
    let request = format!("GET {query} HTTP/1.1\r\nHost: test\r\n{UPGRADE_HEADERS}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut input = Vec::new();
    while !input.windows(12).any(|w| w == b"\"maxPayload\"") {
        assert!(stream.read_buf(&mut input).await.unwrap() > 0);
    }
    let mut out = masked(OpCode::Text, b"4hello");
    out.extend_from_slice(end);
    stream.write_all(&out).await.unwrap();
    while stream.read_buf(&mut input).await.is_ok_and(|n| n > 0) {}
    input
}

#[tokio::test]
async fn an_answer_leaves_before_the_end_of_its_websocket() {
    let server = Server::handling(|_| {}, Some(echo())).await;
    let ends = [
        ("a close frame", masked(OpCode::Close, &[3, 232])),
        ("a frame without a mask", b"\x81\x01x".to_vec()),
        ("text that is not UTF-8", masked(OpCode::Text, b"4\xFF")),
        ("a close packet", masked(OpCode::Text, b"1")),
        ("no packet", masked(OpCode::Text, b"x")),
        (
            "a ping, which clients may not send",
            masked(OpCode::Text, b"2"),
        ),
        ("engine.close", masked(OpCode::Text, b"4discard")),
        ("close", masked(OpCode::Text, b"4flush")),
        ("a bound that was reached", masked(OpCode::Text, b"4abort")),
    ];
    for (what, end) in &ends {
        let tcp = TcpStream::connect(server.address()).await.unwrap();
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let service = server.engine.service();
        tokio::spawn(serve(service).connection(theirs, None));
        let both = async { tokio::join!(read_to_end(tcp, end), read_to_end(ours, end)) };
        let (tcp, other) = within(what, both).await;
        for got in [tcp, other] {
            let text = String::from_utf8_lossy(&got);
            let answer = got.windows(8).position(|w| w == b"\x81\x064hello");
            let answer = answer.unwrap_or_else(|| panic!("{what}: no answer in {text:?}"));
            let close = got[answer..].contains(&0x88);
            assert!(close, "{what}: no close frame in {text:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_is_for_the_get_that_waits_when_its_session_ends() {
    let server = Server::handling(|_| {}, Some(echo())).await;
    for end in ["1", "x", "2", "4discard", "4abort"] {
        let sid = sid_of(
            server
                .request("GET", "EIO=4&transport=polling", "", "")
                .await
                .text(),
        );
        let query = format!("EIO=4&transport=polling&sid={sid}");
        let (mut get, mut post) = (server.http().await, server.http().await);
        get.ask("GET", &query, "", "").await;
        waits(&server, &sid).await;
        post.ask("POST", &query, "", &format!("4hello\x1e{end}"))
            .await;
        assert_eq!(post.response().await.text(), "ok");
        let got = get.response().await;
        assert_eq!(got.status, 200);
        assert!(got.text().starts_with("4hello"), "{end}: {:?}", got.text());
        let after = server.request("GET", &query, "", "").await;
        assert_eq!(after.status, 400, "{end}");
    }
}

/// Waits until a GET of the session waits.
async fn waits(server: &Server, sid: &str) {
    let mut conn = None;
    server.engine.for_each(|one| {
        if one.sid() == sid {
            conn = Some(one.clone());
        }
    });
    let conn = conn.unwrap();
    let writable = async {
        while !conn.is_writable() {
            tokio::task::yield_now().await;
        }
    };
    within("a GET that waits", writable).await;
}

#[tokio::test]
async fn a_post_that_was_read_counts_although_its_client_has_gone() {
    let mut server = Server::handling(|_| {}, Some(echo())).await;
    let sid = server.polling().await;
    server.opened().await;
    let mut post: Http = server.http().await;
    let query = format!("EIO=4&transport=polling&sid={sid}");
    post.ask("POST", &query, "", "4last\x1e1").await;
    drop(post);
    assert_eq!(server.text().await, "last");
    assert_eq!(server.closed().await, CloseReason::TransportClose);
}
