//! Virtual time: heartbeats, timeouts, and reconnection, over WebSocket and long-polling.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::time::Duration;

use fanfare::{Ack, Data, DisconnectReason, Namespace, SocketIo, SocketIoBuilder};
use fanfare_client::Transport;
use fanfare_testing::{Flow, Received, TestServer, until, within};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

const TRANSPORTS: [Transport; 2] = [Transport::WebSocket, Transport::Polling];

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Returns a server that reports ends of sockets, with their virtual times.
fn reporting(builder: SocketIoBuilder) -> (TestServer, mpsc::UnboundedReceiver<(Instant, String)>) {
    let (sender, ends) = mpsc::unbounded_channel();
    let namespace = Namespace::new("/")
        .on("length", async |Data(text): Data<String>| Ack(text.len()))
        .on_disconnect(move |reason: DisconnectReason| {
            let _ = sender.send((Instant::now(), reason.to_string()));
            std::future::ready(())
        });
    let io = builder.namespace(namespace).build().unwrap();
    (TestServer::start(io), ends)
}

#[tokio::test(start_paused = true)]
async fn an_hour_of_heartbeats_takes_no_time() {
    for transport in TRANSPORTS {
        let (server, mut ends) = reporting(SocketIo::builder());
        let client = server.client().transports([transport]).upgrade(false);
        let socket = client.await.unwrap();
        let id = socket.id();
        let (begin, real) = (Instant::now(), std::time::Instant::now());
        sleep(secs(3600)).await;
        assert!(begin.elapsed() >= secs(3600));
        // Some milliseconds; the limit only tells virtual time from real time.
        assert!(real.elapsed() < secs(60), "{:?}", real.elapsed());
        assert_eq!(socket.id(), id, "{transport:?}");
        assert!(ends.try_recv().is_err());
        let length: usize = socket.emit_with_ack("length", "four").await.unwrap();
        assert_eq!(length, 4);
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_sees_a_ping_per_interval_for_an_hour() {
    let (server, _ends) = reporting(SocketIo::builder().ping_interval(secs(24)));
    let mut peer = server.peer().await;
    peer.join("/").await;
    let begin = Instant::now();
    for n in 1..=150 {
        peer.expect_engine("2").await;
        assert_eq!(begin.elapsed(), n * secs(24));
        peer.send_engine("3").await;
    }
    assert_eq!(begin.elapsed(), secs(3600));
}

/// Pings are due at `ping_interval` and sent later by at most 60 ms; the timeout starts when they are due.
#[tokio::test(start_paused = true)]
async fn a_stalled_client_is_gone_after_interval_and_timeout_to_the_millisecond() {
    for flow in [Flow::ToServer, Flow::Both] {
        for (interval, timeout) in [(25_000, 20_000), (24_000, 18_000), (1001, 777)] {
            let [interval, timeout] = [interval, timeout].map(Duration::from_millis);
            let builder = SocketIo::builder();
            let builder = builder.ping_interval(interval).ping_timeout(timeout);
            let (server, mut ends) = reporting(builder);
            let link = server.link();
            let begin = Instant::now();
            let _socket = link.client().await.unwrap();
            assert_eq!(begin.elapsed(), Duration::ZERO);
            link.stall(flow);
            let (end, reason) = ends.recv().await.unwrap();
            assert_eq!(reason, "ping timeout");
            let expected = interval + timeout;
            assert_eq!(end - begin, expected, "{interval:?}, {timeout:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_polling_client_is_gone_after_interval_and_timeout() {
    let (server, mut ends) = reporting(SocketIo::builder());
    let link = server.link();
    let client = link
        .client()
        .transports([Transport::Polling])
        .upgrade(false);
    let _socket = client.await.unwrap();
    let begin = Instant::now();
    link.stall(Flow::Both);
    let (end, reason) = ends.recv().await.unwrap();
    assert_eq!(reason, "ping timeout");
    assert_eq!(end - begin, secs(45));
}

#[tokio::test(start_paused = true)]
async fn the_client_misses_pings_after_interval_and_timeout() {
    let (server, _ends) = reporting(SocketIo::builder());
    let link = server.link();
    let socket = link.client().await.unwrap();
    let begin = Instant::now();
    link.stall(Flow::ToClient);
    link.refuse();
    until("the client notices", || !socket.is_connected()).await;
    let took = begin.elapsed();
    assert!(took >= secs(45) && took < secs(46), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_join_is_closed_in_virtual_time() {
    let (server, _ends) = reporting(SocketIo::builder());
    let mut peer = server.peer().await;
    let begin = Instant::now();
    assert_eq!(peer.until_closed().await, []);
    // `connect_timeout`, rounded up to the ticks of heartbeats.
    let took = begin.elapsed();
    assert!(took >= secs(45) && took < secs(46), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_time_out_in_virtual_time() {
    let (server, _ends) = reporting(SocketIo::builder());
    let mut peer = server.peer().await;
    peer.join("/").await;
    let socket = server.io().of("/").socket(peer.sid()).unwrap();
    let begin = Instant::now();
    let asked = socket.timeout(secs(10)).emit_with_ack::<()>("question", ());
    let (answer, packet) = tokio::join!(asked, peer.next());
    assert!(answer.is_err());
    assert_eq!(packet, Received::Text(r#"20["question"]"#.into()));
    assert_eq!(begin.elapsed(), secs(10));
}

#[test]
fn the_clock_is_read_outside_of_a_runtime_although_another_has_paused_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(tokio::time::advance(secs(1)));
    // Servers read the clock when they are built.
    SocketIo::builder().build().unwrap();
}

#[tokio::test(start_paused = true)]
async fn reconnection_waits_in_virtual_time() {
    let (server, _ends) = reporting(SocketIo::builder());
    let link = server.link();
    let client = link.client().reconnection_delay(secs(600), secs(600));
    let socket = client.randomization_factor(0.0).await.unwrap();
    let begin = Instant::now();
    link.cut();
    within("the end", async {
        while socket.is_connected() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let early = timeout(secs(599), socket.connected_or_failed()).await;
    assert!(early.is_err(), "{early:?}");
    socket.connected_or_failed().await.unwrap();
    assert_eq!(begin.elapsed(), secs(600));
}
