//! More input than can be handled.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare::{Ack, Data, DisconnectReason, Limits, Namespace, SocketIo, SocketIoBuilder, State};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::recorder::Sums;
use crate::support::{Peer, Server, until, within};
use crate::{assert_served, echo, raw, text_frame, upgrade, write_until_cut};

fn few_handlers() -> Limits {
    let mut limits = Limits::default();
    limits.max_handler_backlog_bytes = 1 << 20;
    limits
}

/// Gate that handlers wait for, and the number that wait.
struct Gate {
    running: AtomicUsize,
    most: AtomicUsize,
    open: Semaphore,
}

impl Gate {
    fn closed() -> Arc<Self> {
        Arc::new(Self {
            running: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
            open: Semaphore::new(0),
        })
    }

    fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }

    async fn pass(&self) {
        let running = self.running.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(running, Ordering::Relaxed);
        self.open.acquire().await.unwrap().forget();
        self.running.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns a server whose event `wait` holds its argument until the gate is open.
fn waiting(gate: &Arc<Gate>) -> SocketIoBuilder {
    let namespace = echo().on(
        "wait",
        async |State(gate): State<Arc<Gate>>, value: Option<Data<serde_json::Value>>| {
            gate.pass().await;
            drop(value);
            Ack(())
        },
    );
    SocketIo::builder()
        .namespace(namespace)
        .state(gate.clone())
        .limits(few_handlers())
}

#[tokio::test]
async fn a_burst_is_read_as_it_is_handled_and_answered_in_full() {
    let gate = Gate::closed();
    let server = Server::start(waiting(&gate)).await;
    let mut other = server.joined().await;
    let mut peer = server.joined().await;
    for n in 0..5000 {
        peer.send(&format!(r#"2{n}["wait"]"#)).await;
    }
    until("as many run as may", || gate.most() >= 600).await;
    // No more is read than has been read by now.
    assert_served(&mut other).await;
    assert!(gate.most() < 1000, "{}", gate.most());
    gate.open();
    let mut answers: Vec<_> = (0..5000).map(|n| format!("3{n}[]")).collect();
    let mut came = Vec::new();
    for _ in 0..answers.len() {
        came.push(peer.text().await);
    }
    answers.sort();
    came.sort();
    assert_eq!(came, answers);
    assert!(gate.most() < 1000, "{}", gate.most());
}

#[tokio::test]
async fn what_arguments_hold_counts_and_not_what_they_are_on_the_wire() {
    let gate = Gate::closed();
    let server = Server::start(waiting(&gate)).await;
    let mut other = server.joined().await;
    let mut peer = server.joined().await;
    // 1.4 KB, of which a `serde_json::Value` makes 140 KB.
    let objects = vec![r#"{"":0}"#; 200].join(",");
    for n in 0..100 {
        peer.send(&format!(r#"2{n}["wait",[{objects}]]"#)).await;
    }
    until("as many run as may", || gate.most() >= 5).await;
    assert_served(&mut other).await;
    assert!(gate.most() < 10, "{}", gate.most());
    gate.open();
    for _ in 0..100 {
        assert!(peer.text().await.ends_with("[]"));
    }
}

/// Sends one long-polling request; returns the body of the response.
async fn request(addr: SocketAddr, method: &str, query: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let head = format!(
        "{method} /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", stream.read_to_string(&mut answer))
        .await
        .unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// Opens a session of long-polling that has joined the main namespace, and returns its id.
async fn polling(addr: SocketAddr) -> String {
    let open = request(addr, "GET", "", "").await;
    let open: serde_json::Value = serde_json::from_str(&open[1..]).unwrap();
    let sid = open["sid"].as_str().unwrap();
    let session = format!("&sid={sid}");
    assert_eq!(request(addr, "POST", &session, "40").await, "ok");
    let joined = request(addr, "GET", &session, "").await;
    assert!(joined.starts_with("40{"), "{joined}");
    sid.to_owned()
}

#[tokio::test]
async fn a_burst_in_one_post_is_handled_as_handlers_end() {
    let gate = Gate::closed();
    let server = Server::start(waiting(&gate)).await;
    let mut other = server.joined().await;
    let session = format!("&sid={}", polling(server.addr).await);

    let events: Vec<_> = (0..5000).map(|n| format!(r#"42{n}["wait"]"#)).collect();
    let (addr, query) = (server.addr, session.clone());
    let post =
        tokio::spawn(async move { request(addr, "POST", &query, &events.join("\u{1e}")).await });
    until("as many run as may", || gate.most() >= 600).await;
    assert_served(&mut other).await;
    assert!(gate.most() < 1000, "{}", gate.most());
    assert!(!post.is_finished());
    gate.open();
    let mut answers = 0;
    while answers < 5000 {
        let body = request(server.addr, "GET", &session, "").await;
        answers += body
            .split('\u{1e}')
            .filter(|packet| packet.starts_with("43"))
            .count();
    }
    assert_eq!(post.await.unwrap(), "ok");
    assert!(gate.most() < 1000, "{}", gate.most());
}

/// Opens a WebSocket that asks to take over a session of long-polling.
async fn probing(addr: SocketAddr, sid: &str) -> Peer {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request = upgrade(&format!("&sid={sid}"), "");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("the answer", stream.read_u8()).await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101 "));
    Peer::probing(stream)
}

/// The POST is answered late. Official clients wait for that before they move to the WebSocket that they have probed;
/// if the server abandoned the probe meanwhile, they would neither poll nor move.
#[tokio::test]
async fn a_session_whose_post_is_held_back_can_be_upgraded() {
    for waits in [true, false] {
        let gate = Gate::closed();
        let builder = waiting(&gate).upgrade_timeout(Duration::from_millis(300));
        let server = Server::start(builder).await;
        let sid = polling(server.addr).await;
        let events: Vec<_> = (0..2000).map(|n| format!(r#"42{n}["wait"]"#)).collect();
        let (addr, query) = (server.addr, format!("&sid={sid}"));
        let post =
            tokio::spawn(
                async move { request(addr, "POST", &query, &events.join("\u{1e}")).await },
            );
        until("as many run as may", || gate.most() >= 600).await;
        let mut probe = probing(server.addr, &sid).await;
        probe.send_engine("2probe").await;
        probe.expect_engine("3probe").await;
        if !waits {
            probe.send_engine("5").await;
        }
        // Another session, which nothing delays, shows that the time for an upgrade has passed.
        let idle = polling(server.addr).await;
        let mut idle = probing(server.addr, &idle).await;
        assert_eq!(idle.until_closed().await, []);
        assert!(!post.is_finished());
        gate.open();
        assert_eq!(post.await.unwrap(), "ok");
        if waits {
            probe.send_engine("5").await;
        }
        for _ in 0..2000 {
            assert!(probe.text().await.starts_with('3'));
        }
        assert_served(&mut probe).await;
    }
}

#[tokio::test]
async fn handlers_that_never_end_cost_the_connection() {
    let (sums, (left, mut reasons)) = (Sums::default(), tokio::sync::mpsc::unbounded_channel());
    let _local = metrics::set_default_local_recorder(&sums);
    let namespace = Namespace::new("/")
        .on("wait", async || pending::<()>().await)
        .on_disconnect(move |reason: DisconnectReason| {
            left.send(reason).unwrap();
            std::future::ready(())
        });
    let server = Server::start(
        SocketIo::builder()
            .namespace(namespace)
            .ping_interval(Duration::from_millis(300))
            .ping_timeout(Duration::from_millis(300))
            .limits(few_handlers()),
    )
    .await;
    let mut flood = raw(server.addr).await;
    let frames = text_frame(r#"42["wait"]"#).repeat(1000);
    write_until_cut(&mut flood, &frames).await;
    assert_eq!(reasons.recv().await, Some(DisconnectReason::ForcedClose));
    assert_eq!(sums.get("fanfare_rejected_total{cause=handlers}"), 1.0);
    server.io.publish_metrics();
    let running = sums.get("fanfare_handlers_running{}");
    assert!((700.0..1000.0).contains(&running), "{running}");
}

#[tokio::test]
async fn events_whose_middlewares_wait_are_bounded_as_well() {
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let namespace = Namespace::new("/").packet_middleware(async || {
        pending::<()>().await;
        Ok::<_, fanfare::EventError>(())
    });
    let server = Server::start(
        SocketIo::builder()
            .namespace(namespace)
            .ping_interval(Duration::from_millis(300))
            .ping_timeout(Duration::from_millis(300))
            .limits(few_handlers()),
    )
    .await;
    let mut flood = raw(server.addr).await;
    // Long ones: their bytes are counted as they are kept and as they may be deserialized.
    let frame = text_frame(&format!(r#"42["wait","{}"]"#, "x".repeat(60_000)));
    write_until_cut(&mut flood, &frame).await;
    assert_eq!(sums.get("fanfare_rejected_total{cause=handlers}"), 1.0);
    server.io.publish_metrics();
    let running = sums.get("fanfare_handlers_running{}");
    assert!((8.0..10.0).contains(&running), "{running}");
}

#[tokio::test]
async fn handlers_that_finish_make_room() {
    let namespace = Namespace::new("/").on("soon", async || {
        tokio::task::yield_now().await;
        Ack(())
    });
    let mut limits = Limits::default();
    limits.max_handler_backlog_bytes = Limits::EVENT_OVERHEAD + 100;
    let server = Server::start(SocketIo::builder().namespace(namespace).limits(limits)).await;
    let mut peer = server.joined().await;
    for _ in 0..100 {
        peer.send(r#"21["soon","and with an argument"]"#).await;
        peer.expect("31[]").await;
    }
    // One that exceeds the limit passes alone.
    peer.send(&format!(r#"22["soon","{}"]"#, "x".repeat(5000)))
        .await;
    peer.expect("32[]").await;
}
