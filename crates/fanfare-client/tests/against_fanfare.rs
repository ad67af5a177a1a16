//! Tests of the client against Fanfare's own server.

#![allow(clippy::unwrap_used)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fanfare::{Ack, ConnectError, Data, Namespace, Socket, SocketIo};
use fanfare_client::event::{ManagerEvent, SocketEvent};
use fanfare_client::options::Parser;
use fanfare_client::socket::OutgoingEvent;
use fanfare_client::{AckError, DisconnectReason, StartError, Transport, connect};
use fanfare_testing::TestServer;
use serde_json::{Value, json};

async fn soon<F: IntoFuture>(future: F) -> F::Output {
    fanfare_testing::within("what a test waits for", future).await
}

fn io() -> SocketIo {
    let main = Namespace::new("/")
        .on("echo", async |Data(value): Data<Value>| Ack(value))
        .on("bytes", async |Data(data): Data<Bytes>| Ack(data))
        .on("say", async |socket: Socket, Data(n): Data<u32>| {
            socket.emit("said", n)
        })
        .on("question", async |socket: Socket| {
            let answer: u32 = socket
                .timeout(Duration::from_secs(5))
                .emit_with_ack("question", (20, 22))
                .await?;
            Ok::<_, fanfare::AckError>(Ack(answer))
        })
        .on(
            "leave word",
            async |io: SocketIo, Data(id): Data<String>| io.emit("left", &id),
        )
        .on("kick", async |socket: Socket| socket.disconnect(false));
    let other = Namespace::new("/other").on("echo", async |Data(value): Data<Value>| Ack(value));
    let admin = Namespace::new("/admin").middleware(async |Data(auth): Data<Value>| {
        if auth["token"] == "secret" {
            Ok(())
        } else {
            Err(ConnectError::new("no").with_data(json!({ "code": 7 })))
        }
    });
    let io = SocketIo::builder()
        .namespace(main)
        .namespace(other)
        .namespace(admin);
    io.build().unwrap()
}

fn server() -> TestServer {
    TestServer::start(io())
}

/// Starts a server on a port, for a runtime that is not the client's.
async fn listening() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(fanfare::serve(io()).listener(listener));
    url
}

#[tokio::test(start_paused = true)]
async fn everything_over_every_transport() {
    let server = server();
    let io = server.io();
    for transports in [
        vec![Transport::WebSocket],
        vec![Transport::Polling],
        vec![Transport::Polling, Transport::WebSocket],
    ] {
        let upgrade = transports.len() > 1;
        let socket = soon(server.client().transports(transports).upgrade(upgrade).on(
            "question",
            |fanfare_client::Data((a, b)): fanfare_client::Data<(u32, u32)>| async move {
                fanfare_client::Ack(a + b)
            },
        ))
        .await
        .unwrap();
        let mut said = socket.listen::<u32>("said");
        let value: Value = soon(socket.emit_with_ack("echo", json!({ "a": [1] })))
            .await
            .unwrap();
        assert_eq!(value, json!({ "a": [1] }));
        let data = Bytes::from(vec![3; 10_000]);
        let back: Bytes = soon(socket.emit_with_ack("bytes", &data)).await.unwrap();
        assert!(back == data);
        let answer: u32 = soon(socket.emit_with_ack("question", ())).await.unwrap();
        assert_eq!(answer, 42);
        for n in 0..200 {
            socket.emit("say", n).unwrap();
        }
        for n in 0..200 {
            assert_eq!(soon(said.next()).await.unwrap().unwrap(), n);
        }
        let mut events = socket.events();
        socket.emit("kick", ()).unwrap();
        let SocketEvent::Disconnect { reason, .. } = soon(events.next()).await.unwrap() else {
            panic!()
        };
        assert_eq!(reason, DisconnectReason::IoServerDisconnect);
    }
    let refused = soon(server.client().namespace("/admin")).await.unwrap_err();
    let StartError::Connect(fanfare_client::ConnectError::Rejected { message, data }) = refused
    else {
        panic!()
    };
    assert_eq!(
        (message.as_str(), data.as_deref()),
        ("no", Some(r#"{"code":7}"#))
    );
    let admin = soon(
        server
            .client()
            .namespace("/admin")
            .auth(json!({ "token": "secret" })),
    )
    .await
    .unwrap();
    // The server stops: the client keeps retrying.
    let mut events = admin.events();
    io.close().await;
    let SocketEvent::Disconnect { reason, .. } = soon(events.next()).await.unwrap() else {
        panic!()
    };
    assert_eq!(reason, DisconnectReason::TransportClose);
    assert!(admin.is_active());
}

/// Polls a future up to this number of times, or until it is ready, and drops it.
async fn poll_times<F: Future + Unpin>(mut future: F, times: u32) -> Option<F::Output> {
    for _ in 0..times {
        let mut once = std::pin::pin!(std::future::poll_fn(|cx| {
            std::task::Poll::Ready(std::pin::Pin::new(&mut future).poll(cx))
        }));
        if let std::task::Poll::Ready(output) = once.as_mut().await {
            return Some(output);
        }
        tokio::time::sleep(Duration::from_micros(300)).await;
    }
    None
}

#[tokio::test]
async fn futures_can_be_dropped_at_any_time() {
    // On a separate runtime, so that all tasks of this one are the client's.
    let (elsewhere, url) = tokio::task::spawn_blocking(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let url = runtime.block_on(listening());
        (runtime, url)
    })
    .await
    .unwrap();
    let socket = soon(connect(&url)).await.unwrap();
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };

    // Acknowledgements: callers that still wait get the right one, and the others leave no state behind.
    let mut answered = 0;
    for n in 0..100_u32 {
        let request = socket.emit_with_ack::<u32>("echo", n);
        if let Some(answer) = poll_times(request, n % 7).await {
            assert_eq!(answer.unwrap(), n);
            answered += 1;
        }
        assert_eq!(socket.pending_acks(), 0, "after {n}");
    }
    let last: u32 = soon(socket.emit_with_ack("echo", 7)).await.unwrap();
    assert_eq!(last, 7);
    assert!(answered < 100, "no future was dropped");

    // Streams: dropping `next` loses nothing.
    let (mut said, mut events) = (socket.listen::<u32>("said"), socket.events());
    for n in 0..300_u32 {
        socket.emit("say", n).unwrap();
    }
    for n in 0..300_u32 {
        let mut next = None;
        while next.is_none() {
            next = poll_times(Box::pin(said.next()), 1).await;
        }
        assert_eq!(next.unwrap().unwrap().unwrap(), n);
        let mut next = None;
        while next.is_none() {
            next = poll_times(Box::pin(events.next()), 1).await;
        }
        let Some(Some(SocketEvent::Event(event))) = next else {
            panic!("{next:?}")
        };
        assert_eq!(event.data::<u32>().unwrap(), n);
    }

    // Disconnecting continues without its future, and flushes.
    let before = socket.id().unwrap();
    let observer = soon(connect(&url)).await.unwrap();
    let mut observed = observer.listen::<String>("left");
    socket.emit("leave word", before.to_string()).unwrap();
    let _ = poll_times(Box::pin(socket.disconnect()), 1).await;
    let left = soon(observed.next()).await.unwrap().unwrap();
    assert_eq!(left, before.to_string());
    assert!(!socket.is_active());
    drop(socket);
    drop((said, events));

    // A connection attempt is aborted with its future, at any stage.
    soon(observer.disconnect()).await;
    drop((observer, observed));
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", silent.local_addr().unwrap());
    for times in 0..8 {
        for url in [&url, &nobody] {
            drop(poll_times(connect(url).into_future(), times).await);
        }
    }
    soon(async {
        while tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    elsewhere.shutdown_background();
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_connection_can_be_given_up() {
    let server = server();
    let socket = server.client().build().unwrap();
    for times in 0..5 {
        drop(poll_times(Box::pin(socket.connected_or_failed()), times).await);
        let _ = poll_times(Box::pin(socket.flushed(Duration::from_secs(9))), times).await;
    }
    socket.connect();
    soon(socket.connected_or_failed()).await.unwrap();
    let pending = socket.emit_with_ack::<u32>("echo", 1);
    assert_eq!(soon(pending).await.unwrap(), 1);
    assert!(socket.flushed(Duration::from_secs(9)).await);
    let lost = socket.emit_with_ack::<u32>("nobody answers", 1);
    soon(socket.disconnect()).await;
    assert_eq!(soon(lost).await.unwrap_err(), AckError::Disconnected);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_stops_neither_pings_nor_other_namespaces() {
    let server = server();
    let manager = server.manager().build().unwrap();
    let started = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = started.clone();
    let main = soon(manager.socket("/").on(
        "said",
        move |fanfare_client::Data(_): fanfare_client::Data<u32>| {
            counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            std::future::pending::<()>()
        },
    ))
    .await
    .unwrap();
    let other = soon(manager.socket("/other")).await.unwrap();
    let mut below = manager.events();
    // More than may run concurrently.
    for n in 0..3000 {
        main.emit("say", n).unwrap();
    }
    let answer: Value = soon(main.emit_with_ack("echo", 1)).await.unwrap();
    assert_eq!(answer, 1);
    let mut pings = 0;
    while pings < 5 {
        if let ManagerEvent::Ping = soon(below.next()).await.unwrap() {
            pings += 1;
            let answer: Value = soon(other.emit_with_ack("echo", pings)).await.unwrap();
            assert_eq!(answer, pings);
        }
    }
    assert!(started.load(std::sync::atomic::Ordering::SeqCst) >= 1024);
    assert!(main.is_connected() && other.is_connected());
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn note(&self, entry: impl Into<String>) {
        self.0.lock().unwrap().push(entry.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    /// Adds a listener that records sent events.
    fn sent(
        &self,
        label: &'static str,
    ) -> impl Fn(&fanfare_client::Socket, &OutgoingEvent) + Send + Sync + 'static {
        let log = self.clone();
        move |_, event| {
            let args: Value = event.data().unwrap();
            log.note(format!("{label} {} {args}", event.name()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn catch_alls_come_first_in_order_and_go() {
    let server = server();
    let log = Log::default();
    let says = |label: &'static str| {
        let log = log.clone();
        move |event: fanfare_client::event::Event| {
            let log = log.clone();
            async move { log.note(format!("{label} {}", event.name())) }
        }
    };
    let socket = soon(server.client().on_any(says("second"))).await.unwrap();
    let own = socket.on("said", says("own"));
    let first = socket.prepend_any(says("first"));
    let third = socket.on_any(says("third"));
    assert_eq!(socket.listeners("said"), [own]);
    assert!(socket.listeners("unsaid").is_empty());
    let any = socket.listeners_any();
    assert_eq!((any[0], any[2], any.len()), (first, third, 3));

    // Events of the server have passed all listeners when a later one has.
    let mut said = socket.listen::<u32>("said");
    let (seen, mut handled) = tokio::sync::mpsc::unbounded_channel();
    socket.on("said", move || {
        seen.send(()).unwrap();
        async {}
    });
    let mut said_one = async || {
        socket.emit("say", 1).unwrap();
        soon(said.next()).await.unwrap().unwrap();
        soon(handled.recv()).await.unwrap();
        log.take()
    };
    let all = ["first said", "second said", "third said", "own said"];
    assert_eq!(said_one().await, all);
    assert!(socket.off(first) && !socket.off(first));
    assert_eq!(said_one().await, all[1..]);
    assert_eq!(socket.off_any(), 2);
    assert!(socket.listeners_any().is_empty());
    assert_eq!(said_one().await, all[3..]);
}

#[tokio::test(start_paused = true)]
async fn catch_alls_may_acknowledge() {
    let server = server();
    let socket = soon(server.client().on_any(
        |fanfare_client::extract::EventName(name): fanfare_client::extract::EventName| async move {
            assert_eq!(&*name, "question");
            fanfare_client::Ack(7)
        },
    ))
    .await
    .unwrap();
    socket.on("question", || async { fanfare_client::Ack(8) });
    let answer: u32 = soon(socket.emit_with_ack("question", ())).await.unwrap();
    assert_eq!(answer, 7, "the first answer counts");
}

#[tokio::test(start_paused = true)]
async fn outgoing_events_are_seen_when_they_leave() {
    for parser in [Parser::Json, Parser::Msgpack] {
        let io = SocketIo::builder().namespace(
            Namespace::new("/")
                .on("echo", async |Data(value): Data<Value>| Ack(value))
                .on("ask", async |socket: Socket| {
                    let answer: u32 = socket.emit_with_ack("question", ()).await?;
                    Ok::<_, fanfare::AckError>(Ack(answer))
                }),
        );
        let io = match parser {
            Parser::Msgpack => io.parser(fanfare::parser::MsgpackParser),
            _ => io,
        };
        let server = TestServer::start(io.build().unwrap());

        let log = Log::default();
        let socket = server
            .client()
            .parser(parser)
            .on("question", || async { fanfare_client::Ack(42) })
            .on_any_outgoing(log.sent("b"))
            .build()
            .unwrap();
        let a = socket.prepend_any_outgoing(log.sent("a"));
        let c = socket.on_any_outgoing(log.sent("c"));
        let listeners = socket.listeners_any_outgoing();
        assert_eq!((listeners[0], listeners[2], listeners.len()), (a, c, 3));
        // Neither buffered events before they are sent, nor dropped ones.
        socket.emit("echo", 1).unwrap();
        socket.volatile().emit("echo", 2).unwrap();
        assert_eq!(socket.buffered().0, 1);
        assert!(log.take().is_empty());
        socket.connect();
        let three: u32 = soon(socket.emit_with_ack("echo", 3)).await.unwrap();
        assert_eq!(three, 3);
        let expected = ["a echo 1", "b echo 1", "c echo 1"];
        let later = ["a echo 3", "b echo 3", "c echo 3"];
        assert_eq!(log.take(), [expected, later].concat());
        // At once while connected; acknowledgements are not reported.
        assert!(socket.off(c) && !socket.off(c));
        socket.emit("echo", 4).unwrap();
        assert_eq!(log.take(), ["a echo 4", "b echo 4"]);
        let answer: u32 = soon(socket.emit_with_ack("ask", ())).await.unwrap();
        assert_eq!(answer, 42);
        assert_eq!(log.take(), ["a ask null", "b ask null"]);
        // With its attachments.
        let noted = log.clone();
        assert_eq!(socket.off_any_outgoing(), 2);
        socket.on_any_outgoing(move |socket, event| {
            let (n, data): (u8, Bytes) = event.data().unwrap();
            assert!(socket.is_connected());
            noted.note(format!("{n} {} {}", event.arg_count(), data.len()));
        });
        socket
            .emit("echo", (5, Bytes::from_static(b"abc")))
            .unwrap();
        assert_eq!(log.take(), ["5 2 3"]);
        assert_eq!(socket.off_any_outgoing(), 1);
        socket.emit("echo", 6).unwrap();
        assert!(log.take().is_empty());
    }
}

/// The server waits for an answer, so it must not wait for its timeout.
#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_answers_with_an_error() {
    let server = server();
    let io = server.io();
    let socket = soon(
        server
            .client()
            .on("at once", async || -> () { panic!("at once") })
            .on("later", async || -> () {
                tokio::task::yield_now().await;
                panic!("later")
            })
            .on("not the value", async || {
                fanfare_client::Ack(Unserializable)
            }),
    )
    .await
    .unwrap();
    let peer = io.of("/").sockets().pop().unwrap();
    for event in ["at once", "later", "not the value"] {
        let answer = soon(peer.emit_with_ack::<Value>(event, ())).await.unwrap();
        let expected = json!({ "error": { "message": "internal error" } });
        assert_eq!(answer, expected, "{event}");
    }
    assert!(socket.is_connected());
}

/// Value whose serialization fails.
struct Unserializable;

impl serde::Serialize for Unserializable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
}

#[tokio::test(start_paused = true)]
async fn listeners_for_what_is_sent_may_emit_panic_and_end_the_socket() {
    let server = server();
    let log = Log::default();
    let socket = soon(server.client().on_any_outgoing(|socket, event| {
        if event.name() == "say" {
            socket.emit("echo", "said").unwrap();
            assert_ne!(event.data::<u32>().unwrap(), 1, "a panic");
        }
    }))
    .await
    .unwrap();
    socket.on_any_outgoing(log.sent("sent"));
    socket.emit("say", 1).unwrap();
    socket.emit("say", 2).unwrap();
    // In the order in which they were sent.
    let order = ["say 1", "echo \"said\"", "say 2", "echo \"said\""].map(|e| format!("sent {e}"));
    assert_eq!(log.take(), order);

    // A listener may hold the last handle of a socket of the same connection.
    let other = soon(socket.manager().socket("/other")).await.unwrap();
    let mut events = other.events();
    let held = Mutex::new(Some(other));
    socket.on_any_outgoing(move |_, _| drop(held.lock().unwrap().take()));
    socket.emit("say", 3).unwrap();
    while soon(events.next()).await.is_some() {}

    // So may a listener that is removed.
    let other = soon(socket.manager().socket("/other")).await.unwrap();
    let mut events = other.events();
    socket.on_any_outgoing(move |_, _| assert!(other.is_connected()));
    socket.emit("say", 4).unwrap();
    assert_eq!(socket.off_any_outgoing(), 4);
    while soon(events.next()).await.is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_several_threads_send_is_told_in_the_order_in_which_it_leaves() {
    let server = server();
    let log = Log::default();
    let socket = soon(server.client()).await.unwrap();
    let mut said = socket.listen::<u32>("said");
    socket.on_any_outgoing(log.sent("sent"));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let socket = &socket;
            scope.spawn(move || {
                for n in 0..250 {
                    socket.emit("say", thread * 250 + n).unwrap();
                }
            });
        }
    });
    let told = log.take();
    assert_eq!(told.len(), 1000);
    for told in told {
        let n = soon(said.next()).await.unwrap().unwrap();
        assert_eq!(told, format!("sent say {n}"));
    }
}
