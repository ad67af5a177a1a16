//! Deadlines: their presence, their effect, and operations that have none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fanfare::engine::EngineConnectionEvent;
use fanfare::extract::EventName;
use fanfare::limits::{ConnectionLimits, RateLimits};
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Ack, Data, Namespace, SocketIo};
use fanfare_protocol::Limits;
use fanfare_testing::Received;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::support::{Peer, Server, answer, until, within};

const QUERY: &str = "/socket.io/?EIO=4&transport=polling";
const BINARY: &str = r#"52-["b",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;

pub(crate) async fn ask(stream: &mut TcpStream, line: &str, body: &str) -> String {
    let len = body.len();
    let request = format!("{line} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    answer(stream).await.1
}

/// Opens a session on long-polling that has joined the main namespace.
pub(crate) async fn polling(stream: &mut TcpStream) -> String {
    let open = ask(stream, &format!("GET {QUERY}"), "").await;
    let (_, sid) = open.split_once(r#""sid":""#).unwrap();
    let path = format!("{QUERY}&sid={}", &sid[..20]);
    assert_eq!(ask(stream, &format!("POST {path}"), "40").await, "ok");
    let joined = ask(stream, &format!("GET {path}"), "").await;
    assert!(joined.starts_with("40{\"sid\""), "{joined}");
    path
}

#[tokio::test]
async fn a_packet_that_was_begun_has_a_deadline() {
    let mut limits = Limits::default();
    limits.packet_timeout = Duration::from_millis(300);
    let namespace = Namespace::new("/").on("b", async |Data(()): Data<()>| Ack("b"));
    let server = Server::start(SocketIo::builder().limits(limits).namespace(namespace)).await;
    let (mut slow, mut other) = (server.joined().await, server.joined().await);
    // Completed packets have no effect, however many there are.
    for _ in 0..3 {
        other.send(BINARY).await;
        other.send_binary(b"1").await;
        other.send_binary(b"2").await;
    }
    slow.send(BINARY).await;
    slow.send_binary(b"1").await;
    assert_eq!(slow.until_closed().await, []);
    until("it is counted", || server.io.clients_count() == 1).await;
    // By now the deadline of the other peer has passed as well.
    other.send(BINARY).await;
    other.send_binary(b"1").await;
    other.send_binary(b"2").await;
    assert_eq!(
        other.until_closed_or_alive().await,
        Received::Text("alive".into())
    );
    // A second packet has a separate deadline.
    other.send(BINARY).await;
    assert_eq!(other.until_closed().await, []);
}

impl Peer {
    /// Joins a namespace that does not exist, to which the server responds.
    async fn until_closed_or_alive(&mut self) -> Received {
        self.send("0/nowhere,").await;
        match self.next().await {
            Received::Text(text) if text.starts_with("4/nowhere") => Received::Text("alive".into()),
            other => other,
        }
    }
}

#[tokio::test]
async fn a_packet_has_its_time_while_the_connection_is_read() {
    let mut limits = Limits::default();
    limits.packet_timeout = Duration::from_millis(300);
    // One event may be pending. While its handler begins, it is counted a second time for its middleware.
    limits.max_handler_backlog_bytes = Limits::EVENT_OVERHEAD * 3 / 2;
    let (admit, finish) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (middleware, handler) = (admit.clone(), finish.clone());
    let namespace = Namespace::new("/")
        .packet_middleware(move |EventName(name): EventName| {
            let gate = middleware.clone();
            async move {
                if name == "wait" {
                    gate.acquire().await.unwrap().forget();
                }
                Ok::<_, fanfare::EventError>(())
            }
        })
        .on("wait", move || {
            let gate = handler.clone();
            async move {
                gate.acquire().await.unwrap().forget();
                Ack("done")
            }
        })
        .on("b", async |Data((a, b)): Data<(Bytes, Bytes)>| {
            Ack(a.len() + b.len())
        });
    let attachments = Arc::new(AtomicUsize::new(0));
    let counting = attachments.clone();
    let builder = SocketIo::builder().limits(limits).namespace(namespace);
    let builder = builder.on_conn_event(move |_, event| {
        if let EngineConnectionEvent::Message { binary: true, .. } = event {
            counting.fetch_add(1, Ordering::SeqCst);
        }
    });
    let server = Server::start(builder).await;
    let (mut peer, mut other) = (server.joined().await, server.joined().await);
    peer.send(r#"27["wait"]"#).await;
    peer.send(&BINARY.replacen("-[", "-8[", 1)).await;
    peer.send_binary(b"1").await;
    until("it is begun", || attachments.load(Ordering::SeqCst) == 1).await;
    // Its handler begins: from now on nothing is read.
    admit.add_permits(1);
    until("it waits", || admit.available_permits() == 0).await;
    peer.send_binary(b"23").await;
    // A packet that begins later is abandoned, so that the time of the first has passed as well.
    other.send(BINARY).await;
    assert_eq!(other.until_closed().await, []);
    assert_eq!(attachments.load(Ordering::SeqCst), 1);
    finish.add_permits(1);
    peer.expect(r#"37["done"]"#).await;
    peer.expect("38[3]").await;
    // When reading resumes, the time of the packet restarts, and ends.
    peer.send(BINARY).await;
    assert_eq!(peer.until_closed().await, []);
}

#[tokio::test]
async fn draining_does_not_wait_for_a_polling_client_that_is_gone() {
    let server = Server::start(SocketIo::builder()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    polling(&mut stream).await;
    server.io.emit("never", "fetched").unwrap();
    let report = within("the drain", server.io.drain(Duration::from_secs(60))).await;
    assert!(report.is_complete(), "{report:?}");
    assert_eq!(report.closed, 1);
}

#[tokio::test]
async fn draining_lets_a_polling_client_fetch_what_waits() {
    let server = Server::start(SocketIo::builder()).await;
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    let path = polling(&mut stream).await;
    server.io.emit("last", "word").unwrap();
    let io = server.io.clone();
    let draining = tokio::spawn(async move { io.drain(Duration::from_secs(60)).await });
    until("it is sent away", || {
        server.io.clients_count() == 0 || !server.io.is_ready()
    })
    .await;
    let last = ask(&mut stream, &format!("GET {path}"), "").await;
    assert_eq!(last, r#"42["last","word"]"#);
    let close = ask(&mut stream, &format!("GET {path}"), "").await;
    assert_eq!(close, "1");
    let report = within("the drain", draining).await.unwrap();
    assert!(report.is_complete() && report.closed == 1, "{report:?}");
}

/// Returns a namespace whose disconnect handlers are slow, and the number of those that have ended.
fn slow_farewell() -> (Namespace, Arc<AtomicUsize>) {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let namespace = Namespace::new("/").on_disconnect(move || {
        let count = count.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (namespace, ended)
}

#[tokio::test]
async fn serve_returns_when_the_handlers_of_disconnects_have_ended() {
    let (namespace, ended) = slow_farewell();
    let io = SocketIo::builder().namespace(namespace).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(fanfare::serve(io.clone()).listener(listener));
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = Peer::open(addr).await;
        peer.join("/").await;
        peers.push(peer);
    }
    // The future is not awaited, as in a signal handler that continues with other work.
    tokio::spawn(async move { io.close().await });
    within("the end of serve", serving).await.unwrap().unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn serve_does_what_is_left_of_a_close_that_was_given_up() {
    let (namespace, ended) = slow_farewell();
    let io = SocketIo::builder().namespace(namespace).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(fanfare::serve(io.clone()).listener(listener));
    let mut peer = Peer::open(addr).await;
    peer.join("/").await;
    let _ = tokio::time::timeout(Duration::ZERO, io.close()).await;
    within("the end of serve", serving).await.unwrap().unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn serving_one_connection_ends_as_serve_does() {
    let (namespace, ended) = slow_farewell();
    let io = SocketIo::builder().namespace(namespace).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (theirs, address) = listener.accept().await.unwrap();
    let serving = tokio::spawn(fanfare::serve(io.clone()).connection(theirs, address));
    polling(&mut stream).await;
    let closing = tokio::spawn(async move { io.close().await });
    within("the end", serving).await.unwrap();
    assert_eq!(ended.load(Ordering::SeqCst), 1);
    within("closing", closing).await.unwrap();
}

/// The events of a connection are reported one after the other: its close after the handler of the event before it has
/// ended.
///
/// Without the `reported().await` in `SocketIo::close`, `close` returns at once and the test fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn close_returns_when_all_ends_have_been_told() {
    let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let told = Arc::new(AtomicUsize::new(0));
    let namespace = Namespace::new("/").on("blocks", move || {
        begins.send(()).unwrap();
        released.lock().unwrap().recv().unwrap();
        std::future::ready(())
    });
    let count = told.clone();
    let builder = SocketIo::builder()
        .namespace(namespace)
        .on_conn_event(move |_, event| {
            let ends = matches!(event, EngineConnectionEvent::Close { .. });
            count.fetch_add(usize::from(ends), Ordering::SeqCst);
        });
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    peer.send(r#"2["blocks"]"#).await;
    within("the handler", begun.recv()).await.unwrap();
    let io = server.io.clone();
    let mut closing = tokio::spawn(async move { io.close().await });
    // If it does not wait, it has nothing else to do.
    let early = tokio::time::timeout(Duration::from_millis(200), &mut closing).await;
    assert!(early.is_err(), "told of {}", told.load(Ordering::SeqCst));
    release.send(()).unwrap();
    within("closing", closing).await.unwrap();
    assert_eq!(told.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_longest_times_are_never() {
    let mut limits = Limits::default();
    for time in [
        &mut limits.connect_timeout,
        &mut limits.packet_timeout,
        &mut limits.upgrade_timeout,
    ] {
        *time = Duration::MAX;
    }
    let recovery = ConnectionStateRecovery::new().max_disconnection_duration(Duration::MAX);
    let namespace = Namespace::new("/").on("b", async |Data((a, b)): Data<(Bytes, Bytes)>| {
        Ack(a.len() + b.len())
    });
    let io = SocketIo::builder()
        .limits(limits)
        .ping_interval(Duration::MAX)
        .ping_timeout(Duration::MAX)
        .ack_timeout(Duration::MAX)
        .engine(|config| config.close_timeout = Duration::MAX)
        .connection_state_recovery(recovery)
        .admission(
            ConnectionLimits::new()
                .connections_per_second(1000)
                .burst(Duration::MAX)
                .retry_after(Duration::MAX),
        )
        .rate_limits(
            RateLimits::new()
                .events_per_second(1000)
                .burst(Duration::MAX),
        )
        .namespace(namespace)
        .build()
        .unwrap();
    let serve = fanfare::serve(io.clone())
        .header_timeout(Duration::MAX)
        .write_timeout(Duration::MAX)
        .shutdown_timeout(Duration::MAX);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(serve.listener(listener));

    let mut peer = Peer::open(addr).await;
    // Both together fit into a timer of JavaScript.
    assert_eq!(peer.handshake()["pingInterval"], (1 << 30) - 1);
    assert_eq!(peer.handshake()["pingTimeout"], (1 << 30) - 1);
    peer.join("/").await;
    peer.send(&BINARY.replacen("-[", "-7[", 1)).await;
    peer.send_binary(b"1").await;
    peer.send_binary(b"23").await;
    peer.expect("37[3]").await;
    // Recovery has a session to keep.
    peer.vanish();
    until("it is noticed", || io.clients_count() == 0).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let path = polling(&mut stream).await;
    drop(stream);
    // The part of the server that hyper handles: HTTP/1.0, and HTTP/2.
    for request in [
        "GET /socket.io/ HTTP/1.0\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut some = [0; 8];
        let read = tokio::io::AsyncReadExt::read(&mut stream, &mut some);
        assert!(within("an answer", read).await.unwrap() > 0, "{request}");
    }
    let io2 = io.clone();
    let draining = tokio::spawn(async move { io2.drain(Duration::MAX).await });
    let mut stream = TcpStream::connect(addr).await.unwrap();
    until("it is draining", || !io.is_ready()).await;
    while !ask(&mut stream, &format!("GET {path}"), "")
        .await
        .contains("code")
    {}
    let report = within("the drain", draining).await.unwrap();
    assert!(report.is_complete(), "{report:?}");
    within("the end of serve", serving).await.unwrap().unwrap();
}
