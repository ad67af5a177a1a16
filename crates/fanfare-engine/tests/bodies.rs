//! Bodies of requests that arrive later than their heads.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Ask, Server};
use fanfare_engine::{CloseReason, EncodedMessage};
use fanfare_testing::wire::Http;
use futures_util::FutureExt;

/// Returns the head of a POST with a body of this length.
fn head(sid: &str, length: usize) -> String {
    format!(
        "POST /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
    )
}

/// Starts a server and opens its only session, which polls; returns the session's id too.
async fn session() -> (Server, String) {
    let mut server = Server::start().await;
    let sid = server.polling().await;
    server.opened().await;
    (server, sid)
}

/// Waits until the server has read what was sent: it answers another connection only afterwards, or at the same time,
/// and then the kernel has received it already.
async fn seen(server: &Server) {
    server.request("GET", "EIO=4", "", "").await;
}

#[tokio::test]
async fn the_body_may_come_in_any_pieces() {
    let (mut server, sid) = session().await;
    let body = "4first\u{1e}4second";
    let request = format!("{}{body}", head(&sid, body.len()));
    let mut http = server.http().await;
    for split in 1..request.len() {
        let (first, second) = request.as_bytes().split_at(split);
        http.send(first).await;
        seen(&server).await;
        http.send(second).await;
        let response = http.response().await;
        assert_eq!((response.status, response.text()), (200, "ok"), "{split}");
        assert_eq!(server.text().await, "first", "{split}");
        assert_eq!(server.text().await, "second", "{split}");
    }
}

#[tokio::test]
async fn a_long_body_comes_whole() {
    let (mut server, sid) = session().await;
    let text = "abcdefgh".repeat(100_000);
    let mut http = server.http().await;
    http.send(head(&sid, text.len() + 1).as_bytes()).await;
    seen(&server).await;
    http.send(format!("4{text}").as_bytes()).await;
    assert_eq!(http.response().await.text(), "ok");
    assert!(server.text().await == text);
    // The connection stays usable.
    http.ask(
        "POST",
        &format!("EIO=4&transport=polling&sid={sid}"),
        "",
        "4next",
    )
    .await;
    assert_eq!(http.response().await.text(), "ok");
    assert_eq!(server.text().await, "next");
}

#[tokio::test]
async fn what_follows_a_body_is_the_next_request() {
    let (mut server, sid) = session().await;
    let mut http = server.http().await;
    http.send(format!("{}4o", head(&sid, 4)).as_bytes()).await;
    seen(&server).await;
    http.send(format!("ne{}4two", head(&sid, 4)).as_bytes())
        .await;
    assert_eq!(http.response().await.text(), "ok");
    assert_eq!(http.response().await.text(), "ok");
    assert_eq!(server.text().await, "one");
    assert_eq!(server.text().await, "two");
}

#[tokio::test]
async fn a_client_gone_within_a_body_has_lost_its_session() {
    let (mut server, sid) = session().await;
    let mut http = server.http().await;
    http.send(format!("{}4a", head(&sid, 100)).as_bytes()).await;
    seen(&server).await;
    drop(http);
    assert_eq!(server.closed().await, CloseReason::TransportError);
}

/// Sends the head of a rejected request, then the rest of its body and another request.
async fn refused(server: &Server, http: &mut Http, length: usize) {
    http.send(head("unknown", length).as_bytes()).await;
    let response = http.response().await;
    assert_eq!(response.status, 400, "{}", response.text());
    seen(server).await;
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_no_request() {
    let server = Server::start().await;
    let mut http = server.http().await;
    let next = "GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: test\r\n\r\n";
    refused(&server, &mut http, next.len() + 10).await;
    http.send(format!("0123456789{next}{next}").as_bytes())
        .await;
    let response = http.response().await;
    assert_eq!(response.status, 200);
    seen(&server).await;
    assert!(
        http.response().now_or_never().is_none(),
        "one request, one answer"
    );
    assert_eq!(server.engine.connections(), 1);
}

#[tokio::test]
async fn nobody_reads_a_long_body_for_nothing() {
    let server = Server::start().await;
    let mut http = server.http().await;
    http.send(head("unknown", 900_000).as_bytes()).await;
    let response = http.response().await;
    assert_eq!(
        (response.status, response.header("connection")),
        (400, Some("close"))
    );
    http.read_to_end().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_before_it_comes() {
    let (mut server, sid) = session().await;
    let mut http = server.http().await;
    http.send(head(&sid, 1_000_001).as_bytes()).await;
    assert_eq!(http.response().await.status, 413);
    http.read_to_end().await;
    // As in Node, the session stays open.
    server.no_event();
}

#[tokio::test]
async fn a_poll_may_have_a_body_for_all_we_care() {
    let mut server = Server::start().await;
    let sid = server.polling().await;
    let conn = server.opened().await;
    let mut http = server.http().await;
    let length = 100_000;
    http.send(head(&sid, length).replace("POST", "GET").as_bytes())
        .await;
    http.send(&vec![b'x'; length]).await;
    seen(&server).await;
    conn.send(&EncodedMessage::text("here")).unwrap();
    assert_eq!(http.response().await.text(), "4here");
    http.ask("GET", &format!("EIO=4&transport=polling&sid={sid}"), "", "")
        .await;
    conn.send(&EncodedMessage::text("again")).unwrap();
    assert_eq!(http.response().await.text(), "4again");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_comes_costs_the_session() {
    let mut server = Server::in_memory(|_| {});
    let sid = server.polling().await;
    server.opened().await;
    let mut http = server.http().await;
    http.send(format!("{}4a", head(&sid, 10)).as_bytes()).await;
    let reason = server.closed().await;
    assert!(
        matches!(
            reason,
            CloseReason::PingTimeout | CloseReason::TransportError
        ),
        "{reason:?}"
    );
    http.read_to_end().await;
}
