//! Connections that break, stall, and are partitioned.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::io::ErrorKind;
use std::time::Duration;

use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Ack, Data, Handshake, Namespace, Socket, SocketIo};
use fanfare_client::{Socket as Client, Transport};
use fanfare_testing::{Flow, Link, PIPE_BYTES, TestServer, until, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

const TRANSPORTS: [Transport; 2] = [Transport::WebSocket, Transport::Polling];

/// Returns a server with connection state recovery.
fn recovering() -> TestServer {
    let namespace = Namespace::new("/")
        .on("length", async |Data(text): Data<String>| Ack(text.len()))
        .on("join", async |socket: Socket, Data(room): Data<String>| {
            socket.join(room).map(Ack)
        });
    let io = SocketIo::builder()
        .connection_state_recovery(ConnectionStateRecovery::default())
        .namespace(namespace)
        .build();
    TestServer::start(io.unwrap())
}

async fn connect(link: &Link, transport: Transport) -> Client {
    let client = link.client().transports([transport]).upgrade(false);
    client.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn after_a_cut_the_client_recovers_what_it_missed_in_order() {
    for transport in TRANSPORTS {
        let server = recovering();
        let (link, other) = (server.link(), server.link());
        let socket = connect(&link, transport).await;
        let bystander = connect(&other, transport).await;
        let mut news = socket.listen::<u32>("news");
        let () = socket.emit_with_ack("join", "readers").await.unwrap();
        let (id, others_id) = (socket.id(), bystander.id());
        server.io().to("readers").emit("news", 0).unwrap();
        assert_eq!(news.next().await.unwrap().unwrap(), 0);

        link.refuse();
        link.cut();
        until("the server notices", || server.io().clients_count() == 1).await;
        for n in 1..=100 {
            server.io().to("readers").emit("news", n).unwrap();
        }
        assert!(!socket.is_connected() && bystander.is_connected());
        link.accept();
        for n in 1..=100 {
            let next = within("an event", news.next()).await;
            assert_eq!(next.unwrap().unwrap(), n, "{transport:?}");
        }
        assert!(socket.is_recovered());
        assert_eq!(socket.id(), id);
        assert_eq!(bystander.id(), others_id);
        // It is in its room, and receives nothing twice.
        server.io().to("readers").emit("news", 101).unwrap();
        assert_eq!(news.next().await.unwrap().unwrap(), 101);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_after_two_minutes_of_virtual_time() {
    for (minutes, recovers) in [(1, true), (3, false)] {
        let server = recovering();
        let link = server.link();
        let client = link.client().transports([Transport::WebSocket]);
        let delay = Duration::from_secs(60 * minutes);
        let client = client.reconnection_delay(delay, delay);
        let socket = client.randomization_factor(0.0).await.unwrap();
        let mut news = socket.listen::<u32>("news");
        server.io().emit("news", 1).unwrap();
        assert_eq!(news.next().await.unwrap().unwrap(), 1);
        link.cut();
        until("the end", || !socket.is_connected()).await;
        socket.connected_or_failed().await.unwrap();
        assert_eq!(socket.is_recovered(), recovers, "{minutes} minutes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_short_partition_is_not_noticed() {
    for transport in TRANSPORTS {
        let server = recovering();
        let link = server.link();
        let socket = connect(&link, transport).await;
        let id = socket.id();
        let begin = Instant::now();
        link.partition();
        let answer = socket.emit_with_ack::<usize>("length", "four");
        let answer = tokio::spawn(answer.into_future());
        sleep(Duration::from_secs(10)).await;
        assert!(!answer.is_finished());
        link.heal();
        assert_eq!(answer.await.unwrap().unwrap(), 4);
        assert_eq!(begin.elapsed(), Duration::from_secs(10));
        assert_eq!(socket.id(), id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_partition_heals() {
    for transport in TRANSPORTS {
        let server = recovering();
        let sockets = [
            connect(&server.link(), transport).await,
            connect(&server.link(), transport).await,
        ];
        server.network().partition();
        sleep(Duration::from_secs(300)).await;
        assert_eq!(server.io().clients_count(), 0);
        assert!(sockets.iter().all(|socket| !socket.is_connected()));
        server.network().heal();
        for socket in &sockets {
            within("the connection", socket.connected_or_failed())
                .await
                .unwrap();
            let length: usize = socket.emit_with_ack("length", "four").await.unwrap();
            assert_eq!(length, 4);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_the_network_includes_links_that_are_healed() {
    let server = recovering();
    let link = server.link();
    server.network().partition();
    link.partition();
    link.heal();
    let opening = timeout(Duration::from_secs(1), link.connect()).await;
    assert!(opening.is_err());
    server.network().heal();
    link.connect().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_pipe_holds_a_bounded_number_of_bytes_and_loses_none() {
    let server = recovering();
    let link = server.link();
    link.stall(Flow::ToServer);
    let mut stream = link.connect().await.unwrap();
    let mut written = 0;
    let filling = async {
        loop {
            written += stream.write(&[b'\n'; 1000]).await.unwrap();
        }
    };
    let filled: Result<(), _> = timeout(Duration::from_secs(1), filling).await;
    assert!(filled.is_err());
    assert_eq!(written, PIPE_BYTES);
    // The other direction is open, but the server has nothing to answer.
    assert_eq!(link.connections(), 1);
    link.cut();
    let error = stream.write(b"x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(link.connections(), 0);
    drop(stream);

    link.resume();
    let mut stream = link.connect().await.unwrap();
    link.stall(Flow::Both);
    let request = b"GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut first = [0; 12];
    let early = timeout(Duration::from_secs(1), stream.read_exact(&mut first)).await;
    assert!(early.is_err());
    link.resume();
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 404");
}

#[tokio::test(start_paused = true)]
async fn one_direction_may_stall_alone() {
    let server = recovering();
    let link = server.link();
    let mut peer = link.peer().await;
    peer.join("/").await;
    link.stall(Flow::ToClient);
    peer.send(r#"21["join","here"]"#).await;
    until("it arrived", || server.io().to("here").sockets().len() == 1).await;
    let early = timeout(Duration::from_secs(1), peer.next_engine()).await;
    assert!(early.is_err());
    link.resume();
    peer.expect("31[]").await;
}

#[tokio::test(start_paused = true)]
async fn refused_connections_fail_at_once() {
    let server = recovering();
    let (link, other) = (server.link(), server.link());
    link.refuse();
    let error = link.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    assert!(link.client().fail_fast().await.is_err());
    assert!(other.client().fail_fast().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn links_have_addresses() {
    let namespace = Namespace::new("/").on("who", async |handshake: Handshake| {
        Ack(handshake.address().map(|address| address.ip().to_string()))
    });
    let io = SocketIo::builder().namespace(namespace).build();
    let server = TestServer::start(io.unwrap());
    let fixed = server.link().with_address("192.0.2.7".parse().unwrap());
    let (a, b) = (server.link(), server.link());
    assert_ne!(a.address(), b.address());
    for link in [a, b, fixed] {
        let socket = link.client().await.unwrap();
        let who: String = socket.emit_with_ack("who", ()).await.unwrap();
        assert_eq!(who, link.address().to_string());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_may_run() {
    let server = recovering();
    let socket = server.client().await.unwrap();
    server.network().cut();
    until("it is back", || {
        socket.is_connected() && socket.is_recovered()
    })
    .await;
}
