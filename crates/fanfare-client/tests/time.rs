//! Timeouts, heartbeats and reconnection of the client, in virtual time.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use fanfare::{Namespace, SocketIo};
use fanfare_client::ack::AckSender;
use fanfare_client::event::{ManagerEvent, SocketEvent};
use fanfare_client::{Data, DisconnectReason, Socket, Transport};
use fanfare_testing::wire::Http;
use fanfare_testing::{Flow, Link, TestServer, within};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

async fn soon<F: IntoFuture>(future: F) -> F::Output {
    within("what a test waits for", future).await
}

fn server() -> TestServer {
    let namespace = Namespace::new("/")
        .on(
            "burst",
            async |socket: fanfare::Socket, fanfare::Data(count): fanfare::Data<u32>| {
                (0..count).try_for_each(|n| socket.emit("burst", n))
            },
        )
        .on("question", async |socket: fanfare::Socket| {
            let answer = socket.emit_with_ack::<String>("question", ());
            answer.await.map(fanfare::Ack)
        })
        .on("echo", async |fanfare::Data(n): fanfare::Data<u32>| {
            fanfare::Ack(n)
        });
    TestServer::start(SocketIo::builder().namespace(namespace).build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_polling_request_that_is_not_answered_ends_the_connection_in_time() {
    let timeout = Duration::from_secs(30);
    let server = server();
    let link = server.link();
    let client = link
        .client()
        .transports([Transport::Polling])
        .upgrade(false);
    let client = client.request_timeout(timeout).reconnection(false);
    let socket = client.build().unwrap();
    let (mut events, mut below) = (socket.events(), socket.manager().events());
    socket.connect();
    soon(socket.connected_or_failed()).await.unwrap();
    // Requests that are answered in time continue beyond the timeout: a ping comes every 25 s.
    let mut pings = 0;
    while pings < 15 {
        let event = soon(below.next()).await.unwrap();
        pings += u32::from(matches!(event, ManagerEvent::Ping));
    }
    assert!(socket.is_connected());
    link.stall(Flow::ToClient);
    let before = Instant::now();
    assert!(matches!(
        soon(events.next()).await.unwrap(),
        SocketEvent::Connect { .. }
    ));
    let SocketEvent::Disconnect { reason, details } = soon(events.next()).await.unwrap() else {
        panic!()
    };
    assert!(before.elapsed() <= timeout, "{:?}", before.elapsed());
    assert_eq!(reason, DisconnectReason::TransportError);
    let details = details.unwrap().to_string();
    let expected = "within the request timeout of 30s";
    assert!(details.ends_with(expected), "{details}");
}

#[tokio::test(start_paused = true)]
async fn the_request_timeout_is_for_the_whole_answer() {
    // The first server never answers, and the second answers a byte at a time.
    let silent = Link::to(|stream, _| async move {
        Http::new(stream).read_to_end().await;
    });
    let dripping = Link::to(|stream, _| async move {
        let mut http = Http::new(stream);
        http.request().await.unwrap();
        http.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            .await;
        while http.write_all(b"0").await.is_ok() {
            sleep(Duration::from_millis(100)).await;
        }
    });
    for server in [silent, dripping] {
        let client = server.client().transports([Transport::Polling]);
        let client = client
            .upgrade(false)
            .request_timeout(Duration::from_secs(5));
        let before = Instant::now();
        let error = soon(client.fail_fast()).await.unwrap_err().to_string();
        assert_eq!(before.elapsed().as_secs(), 5);
        assert_eq!(
            error,
            "xhr poll error: no whole answer within the request timeout of 5s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn slow_and_panicking_handlers_disturb_no_other() {
    let (tx, mut rx) = mpsc::unbounded_channel();
    let server = server();
    let socket = soon(
        server
            .client()
            .on("burst", move |Data(n): Data<u32>, socket: Socket| {
                let tx = tx.clone();
                async move {
                    if n == 3 {
                        panic!("contained");
                    }
                    let _ = tx.send(n);
                    // Longer than the heartbeat timeout, and an acknowledgement inside a handler.
                    sleep(Duration::from_secs(55)).await;
                    let _: u32 = socket.emit_with_ack("echo", n).await.unwrap();
                    let _ = tx.send(100 + n);
                }
            })
            .on("question", |ack: AckSender| async move {
                let _ = ack.send("early");
            }),
    )
    .await
    .unwrap();
    let mut events = socket.events();
    socket.emit("burst", 5).unwrap();
    for n in [0, 1, 2, 4] {
        assert_eq!(soon(rx.recv()).await.unwrap(), n, "handlers start in order");
    }
    let answer: String = soon(socket.emit_with_ack("question", ())).await.unwrap();
    assert_eq!(answer, "early");
    let mut ends = Vec::new();
    for _ in 0..4 {
        ends.push(soon(rx.recv()).await.unwrap());
    }
    ends.sort_unstable();
    assert_eq!(ends, [100, 101, 102, 104]);
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        assert!(
            !matches!(event, SocketEvent::Disconnect { .. }),
            "the connection lived on"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn every_event_of_the_manager() {
    let delay = Duration::from_secs(4);
    let server = server();
    let link = server.link();
    let socket = link
        .client()
        .transports([Transport::Polling, Transport::WebSocket])
        .reconnection_attempts(3)
        .reconnection_delay(delay, delay)
        .randomization_factor(0.0)
        .report_packets(true)
        .build()
        .unwrap();
    let mut events = socket.manager().events();
    let mut seen = Vec::new();
    let mut wait = async |wanted: &str| loop {
        let event = soon(events.next()).await.unwrap();
        let name = match event {
            ManagerEvent::Open { transport } => format!("open {transport}"),
            ManagerEvent::Upgrade { transport } => format!("upgrade {transport}"),
            ManagerEvent::Close { reason, .. } => format!("close {reason}"),
            ManagerEvent::Packet { kind, namespace } => format!("packet {kind} {namespace}"),
            ManagerEvent::ReconnectAttempt(n) => format!("reconnect_attempt {n}"),
            ManagerEvent::Reconnect(n) => format!("reconnect {n}"),
            ManagerEvent::Error(error) => format!("error {}", error.message),
            ManagerEvent::ReconnectError(error) => format!("reconnect_error {}", error.message),
            ManagerEvent::Ping => "ping".to_owned(),
            ManagerEvent::ReconnectFailed => "reconnect_failed".to_owned(),
            _ => continue,
        };
        seen.push(name.clone());
        if name == wanted {
            return;
        }
        assert!(seen.len() < 1000, "no {wanted} in {seen:?}");
    };
    socket.connect();
    wait("open polling").await;
    wait("packet 0 /").await;
    wait("upgrade websocket").await;
    wait("ping").await;
    let before = Instant::now();
    link.refuse();
    link.cut();
    wait("close transport error").await;
    wait("reconnect_attempt 1").await;
    assert_eq!(before.elapsed().as_secs(), 4);
    wait("error xhr poll error").await;
    wait("reconnect_error xhr poll error").await;
    link.accept();
    wait("reconnect_attempt 2").await;
    assert_eq!(before.elapsed().as_secs(), 8);
    wait("open polling").await;
    // The attempt counter restarts with a join.
    wait("packet 0 /").await;
    let before = Instant::now();
    link.refuse();
    link.cut();
    for n in 1..=3 {
        wait(&format!("reconnect_attempt {n}")).await;
    }
    wait("reconnect_failed").await;
    assert_eq!(before.elapsed().as_secs(), 12);
    assert!(!socket.is_active());
    assert!(seen.contains(&"reconnect 2".to_owned()), "{seen:?}");
}
