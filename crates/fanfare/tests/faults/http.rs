//! Requests that are never finished, and sessions that are never used.

use std::net::SocketAddr;
use std::time::Duration;

use fanfare::serve::Serve;
use fanfare::{SocketIo, SocketIoBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::recorder::Sums;
use crate::support::{Peer, Server, answer, until, within};
use crate::{assert_served, echo, narrow, upgrade};

async fn open_session(stream: &mut TcpStream) -> String {
    let request = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let (_, body) = answer(stream).await;
    let (_, sid) = body.split_once(r#""sid":""#).unwrap();
    sid[..20].to_owned()
}

async fn serve(
    builder: SocketIoBuilder,
    options: impl FnOnce(Serve<SocketIo>) -> Serve<SocketIo>,
) -> (SocketIo, SocketAddr) {
    let io = builder.build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(options(fanfare::serve(io.clone())).listener(listener));
    (io, addr)
}

/// Starts a server with short timeouts.
async fn impatient(builder: SocketIoBuilder) -> (SocketIo, SocketAddr) {
    let timeout = Duration::from_millis(300);
    serve(builder, |serve| {
        serve.header_timeout(timeout).write_timeout(timeout)
    })
    .await
}

/// Writes as much as the server reads, and reads to the end.
async fn say(addr: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    // End of the stream, or a reset.
    let _ = within("the end", stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn connections_without_a_request_do_not_keep_others_out() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let (io, addr) = serve(SocketIo::builder().namespace(echo()), |serve| {
        serve
            .max_idle_connections(20)
            .header_timeout(Duration::from_secs(600))
    })
    .await;
    // These are not idle.
    let mut peer = Peer::open(addr).await;
    peer.join("/").await;
    let mut polling = TcpStream::connect(addr).await.unwrap();
    let sid = open_session(&mut polling).await;
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    polling.write_all(get.as_bytes()).await.unwrap();
    // Some wait for their first request, some for another one, some have half of one.
    let mut idle = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        match n % 3 {
            0 => {}
            1 => stream.write_all(b"GET / HT").await.unwrap(),
            _ => {
                let request = b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n";
                stream.write_all(request).await.unwrap();
                answer(&mut stream).await;
            }
        }
        idle.push(stream);
    }
    assert_served(&mut peer).await;
    Peer::open(addr).await.join("/").await;
    let cut = "fanfare_rejected_total{cause=idle_connections}";
    // Including those that arrived last, before their first request.
    until("all but the last are cut", || sums.get(cut) >= 180.0).await;
    // Approximately the oldest, and none that is not idle.
    for stream in &mut idle[..150] {
        let _ = within("the end", stream.read_to_end(&mut Vec::new())).await;
    }
    let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40");
    let mut posting = TcpStream::connect(addr).await.unwrap();
    posting.write_all(post.as_bytes()).await.unwrap();
    assert!(answer(&mut polling).await.1.starts_with("40{\"sid\""));
    assert_eq!(io.stats().rejected, sums.get(cut) as u64);
}

#[tokio::test]
async fn what_is_refused_below_the_engine_is_counted_by_its_cause() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let count = |cause: &str| sums.get(&format!("fanfare_rejected_total{{cause={cause}}}"));
    let (_io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let get = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n";
    let long = |len| format!("{get}X: {}\r\n\r\n", "y".repeat(len));
    assert!(say(addr, &long(20_000)).await.starts_with("HTTP/1.1 431"));
    assert!(say(addr, &long(200_000)).await.len() < 500);
    until("both are counted", || count("head_too_long") == 2.0).await;
    assert!(say(addr, "\x16\x03\x01\x02\0\x01\0").await.len() < 500);
    until("it is counted", || count("not_http") == 1.0).await;
    // A request whose rest does not arrive; a second one as well; none at all, for each version.
    let (_, whole) = (get, format!("{get}\r\n"));
    for start in [
        get,
        &format!("{whole}{get}"),
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        say(addr, start).await;
    }
    until("they are counted", || count("header_timeout") == 5.0).await;
    // This connection completes normally.
    assert!(say(addr, &whole).await.starts_with("HTTP/1.1 200"));
    assert_eq!(count("header_timeout"), 5.0);

    // The limit for the part of a session's request that is kept.
    let mut limits = fanfare::Limits::default();
    limits.max_header_bytes = 1000;
    let (_io, addr) = impatient(SocketIo::builder().limits(limits)).await;
    assert!(say(addr, &long(2000)).await.starts_with("HTTP/1.1 431"));
    until("it is counted", || count("head_too_long") == 3.0).await;

    let (_io, addr) = serve(SocketIo::builder(), |serve| {
        serve
            .proxy_protocol("127.0.0.0/8".parse().unwrap())
            .header_timeout(Duration::from_millis(300))
    })
    .await;
    assert_eq!(say(addr, &whole).await, "");
    until("it is counted", || count("proxy_header") == 1.0).await;
    assert_eq!(say(addr, "PROXY").await, "");
    until("it is counted", || count("header_timeout") == 6.0).await;
}

/// HTTP/2 has no timeouts by itself: a connection may answer pings forever.
#[tokio::test]
async fn an_http_2_connection_without_a_request_does_not_stay() {
    let (io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let stream = TcpStream::connect(addr).await.unwrap();
    let stream = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, stream)
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let request = hyper::Request::builder()
        .uri(format!("http://{addr}/socket.io/?EIO=4&transport=polling"))
        .body(axum::body::Body::empty())
        .unwrap();
    let answer = within("an answer", sender.send_request(request)).await;
    assert_eq!(answer.unwrap().status(), 200);
    within("the end", connection).await.unwrap().unwrap();
    assert_eq!((io.stats().opened, io.stats().rejected), (1, 0));
}

#[tokio::test]
async fn half_a_handshake() {
    let (io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for start in [
        "",
        "G",
        "P", // may become HTTP/2
        "GET /socket.io/?EIO=4",
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHo",
        &preface[..20],
        preface,
        &format!("{preface}\0\0\0\x04\0\0\0\0\0"), // settings, and no request
    ] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // End of the stream, or a reset.
        let end = stream.read_to_end(&mut rest);
        let _ = within(&format!("the end after {start:?}"), end).await;
    }
    // A connection that had a request does not stay forever either.
    let mut stream = TcpStream::connect(addr).await.unwrap();
    open_session(&mut stream).await;
    let _ = within("the end", stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(io.stats().opened, 1);
}

#[tokio::test]
async fn a_head_that_drips() {
    let (io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let start = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX-Drip: ";
    stream.write_all(start.as_bytes()).await.unwrap();
    drip_until_cut(&mut stream).await;
    assert_eq!(io.stats().opened, 0);
}

async fn drip_until_cut(stream: &mut TcpStream) {
    within("the end of the connection", async {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_that_drips() {
    let builder = SocketIo::builder()
        .namespace(echo())
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(300));
    let (io, addr) = impatient(builder).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let sid = open_session(&mut stream).await;
    let post = format!(
        "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n4"
    );
    stream.write_all(post.as_bytes()).await.unwrap();
    // The session ends with the heartbeat, and the request soon after it.
    drip_until_cut(&mut stream).await;
    assert_eq!((io.stats().closed, io.clients_count()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_does_not_read_the_answer_to_its_get() {
    let (io, addr) = impatient(SocketIo::builder().namespace(echo())).await;
    let mut stream = narrow(addr).await;
    let sid = open_session(&mut stream).await;
    let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
    let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40");
    stream.write_all(post.as_bytes()).await.unwrap();
    assert_eq!(answer(&mut stream).await.1, "ok");
    let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    stream.write_all(get.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.1.starts_with("40{\"sid\""));
    // The request is sent first, so that the time it takes to encode the message is not idle time.
    stream.write_all(get.as_bytes()).await.unwrap();
    // More than the buffers of the system hold. An outbox accepts one message of any length.
    assert_eq!(io.emit("big", "x".repeat(32 << 20)).unwrap().full, 0);
    drip_until_cut(&mut stream).await;
    until("it is counted", || io.stats().rejected == 1).await;
}

#[tokio::test]
async fn a_head_that_is_too_long() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    for head in [
        format!(
            "GET /socket.io/?EIO=4&transport=polling&x={} HTTP/1.1\r\n",
            "y".repeat(20_000)
        ),
        format!(
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nX: {}\r\n",
            "y".repeat(20_000)
        ),
        format!(
            "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\n{}",
            "X: y\r\n".repeat(1000)
        ),
    ] {
        let status = say(server.addr, &format!("{head}\r\n")).await;
        let refused = ["HTTP/1.1 431", "HTTP/1.1 414", "HTTP/1.1 400"];
        assert!(
            refused.iter().any(|s| status.starts_with(s)),
            "{status:.60}"
        );
    }
    assert_eq!(server.io.stats().opened, 0);
}

#[tokio::test]
async fn posts_that_are_never_finished() {
    let builder = SocketIo::builder()
        .namespace(echo())
        .ping_interval(Duration::from_millis(300))
        .ping_timeout(Duration::from_millis(300));
    let server = Server::start(builder).await;
    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let sid = open_session(&mut stream).await;
        let post = format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n4"
        );
        stream.write_all(post.as_bytes()).await.unwrap();
        streams.push(stream);
    }
    // Their sessions end with the heartbeat, even while bytes arrive slowly.
    until("the sessions are gone", || server.io.stats().closed == 50).await;
    let mut other = server.joined().await;
    other.send(r#"21["echo"]"#).await;
    other.expect("31[]").await;
    assert_eq!(server.io.clients_count(), 1);
}

#[tokio::test]
async fn a_client_that_vanishes_during_its_upgrade() {
    let server = Server::start(SocketIo::builder().namespace(echo())).await;
    for stage in 0..3 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let sid = open_session(&mut stream).await;
        let mut probe = TcpStream::connect(server.addr).await.unwrap();
        let upgrade = upgrade(&format!("&sid={sid}"), "");
        probe.write_all(upgrade.as_bytes()).await.unwrap();
        if stage > 0 {
            let mut head = [0; 12];
            within("the upgrade", probe.read_exact(&mut head))
                .await
                .unwrap();
            assert_eq!(&head, b"HTTP/1.1 101");
            // `2probe`, whole or half; the mask is zero.
            let frame = b"\x81\x86\0\0\0\x002probe";
            let len = if stage == 1 { 8 } else { frame.len() };
            probe.write_all(&frame[..len]).await.unwrap();
        }
        drop(probe);
        // The session continues on its old transport.
        let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        let post = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n40");
        stream.write_all(post.as_bytes()).await.unwrap();
        assert_eq!(answer(&mut stream).await.1, "ok", "stage {stage}");
        let mut polled = String::new();
        while !polled.contains("40{\"sid\"") {
            let get = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
            stream.write_all(get.as_bytes()).await.unwrap();
            polled = answer(&mut stream).await.1; // a noop, if the probe arrived
        }
    }
    assert_eq!(
        (server.io.stats().polling, server.io.stats().closed),
        (3, 0)
    );
}
