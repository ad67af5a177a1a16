//! Acknowledgements in both directions.

use std::time::Duration;

use fanfare::ack::{AckSender, BroadcastAckError};
use fanfare::{Ack, AckError, Data, EventError, Namespace, SocketIo};

use tokio::net::TcpStream;

use crate::support::{Server, within};
use crate::time::{ask, polling};

#[tokio::test]
async fn the_client_answers() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    let one = socket.emit_with_ack::<u8>("q", "x");
    let two = socket.emit_with_ack::<(u8, String)>("q", ());
    let none = socket.emit_with_ack::<()>("q", ());
    peer.expect(r#"20["q","x"]"#).await;
    peer.expect(r#"21["q"]"#).await;
    peer.expect(r#"22["q"]"#).await;
    peer.send(r#"31[2,"b","c"]"#).await;
    peer.send("32[]").await;
    peer.send("30[1]").await;
    peer.send("30[9]").await; // a second answer is ignored
    assert_eq!(one.await.unwrap(), 1);
    assert_eq!(two.await.unwrap(), (2, "b".into()));
    none.await.unwrap();
}

#[tokio::test]
async fn answers_have_a_deadline_a_type_and_a_limit() {
    let mut limits = fanfare::Limits::default();
    limits.max_pending_acks = 2;
    let server = Server::start(SocketIo::builder().limits(limits)).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    let late = socket
        .timeout(Duration::from_millis(20))
        .emit_with_ack::<u8>("q", ());
    let error = late.await.unwrap_err();
    assert_eq!(error.to_string(), "operation has timed out after 20ms");
    peer.expect(r#"20["q"]"#).await;
    let wrong = socket.emit_with_ack::<u8>("q", ());
    let gone = socket.emit_with_ack::<u8>("q", ());
    let over = socket.emit_with_ack::<u8>("q", ());
    assert!(matches!(
        over.await,
        Err(AckError::TooManyPending { limit: 2 })
    ));
    peer.expect(r#"21["q"]"#).await;
    peer.send(r#"31["text"]"#).await;
    assert!(matches!(wrong.await, Err(AckError::Args(_))));
    peer.vanish();
    assert!(matches!(gone.await, Err(AckError::Disconnected)));
    assert!(matches!(
        socket.emit_with_ack::<u8>("q", ()).await,
        Err(AckError::Disconnected)
    ));
}

#[tokio::test]
async fn a_forgotten_question_frees_its_place() {
    let mut limits = fanfare::Limits::default();
    limits.max_pending_acks = 1;
    let server = Server::start(SocketIo::builder().limits(limits)).await;
    let peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    for _ in 0..3 {
        drop(socket.emit_with_ack::<u8>("q", ()));
    }
    let last = socket
        .timeout(Duration::from_millis(1))
        .emit_with_ack::<u8>("q", ());
    assert!(matches!(last.await, Err(AckError::Timeout(_))));
}

#[tokio::test]
async fn errors_reach_the_client_that_waits() {
    let server = Server::with(
        Namespace::new("/")
            .on("fail", async || {
                Err::<(), _>(EventError::new("no luck").with_data("why"))
            })
            .on("parse", async |Data(text): Data<String>| {
                text.parse::<u8>().map_err(EventError::public)?;
                Ok::<_, EventError>(())
            })
            .on("early", async |ack: AckSender| {
                let wanted = ack.is_wanted();
                ack.send((wanted, 1)).unwrap();
            }),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"20["fail"]"#).await;
    peer.expect(r#"30[{"error":{"message":"no luck","data":"why"}}]"#)
        .await;
    peer.send(r#"21["parse","x"]"#).await;
    peer.expect(r#"31[{"error":{"message":"invalid digit found in string"}}]"#)
        .await;
    peer.send(r#"2["early"]"#).await;
    peer.send(r#"22["early"]"#).await;
    peer.expect("32[true,1]").await;
}

#[tokio::test]
async fn a_broadcast_gathers_the_answers() {
    let server = Server::start(SocketIo::builder()).await;
    let (mut a, mut b) = (server.joined().await, server.joined().await);
    let all = server
        .io
        .timeout(Duration::from_secs(10))
        .emit_with_ack::<u8>("vote", "?");
    for (peer, vote) in [(&mut a, 1), (&mut b, 2)] {
        peer.expect(r#"20["vote","?"]"#).await;
        peer.send(&format!("30[{vote}]")).await;
    }
    let mut votes = all.await.unwrap();
    votes.sort_unstable();
    assert_eq!(votes, [1, 2]);

    let some = server
        .io
        // Long enough for the answer of the first.
        .timeout(Duration::from_secs(1))
        .emit_with_ack::<u8>("vote", ());
    a.expect(r#"21["vote"]"#).await;
    a.send("31[7]").await;
    match some.await {
        Err(BroadcastAckError::Timeout {
            responses,
            missing: 1,
            ..
        }) => assert_eq!(responses, [7]),
        other => panic!("{other:?}"),
    }

    let nobody = server.io.to("empty room").emit_with_ack::<u8>("vote", ());
    assert_eq!(nobody.await.unwrap(), Vec::<u8>::new());
}

#[tokio::test]
async fn a_broadcast_does_not_wait_for_those_who_leave() {
    let server = Server::start(SocketIo::builder()).await;
    let (mut a, b) = (server.joined().await, server.joined().await);
    let votes = server
        .io
        .timeout(Duration::from_secs(10))
        .emit_with_ack::<u8>("vote", ());
    a.expect(r#"20["vote"]"#).await;
    a.send("30[1]").await;
    b.vanish();
    assert_eq!(votes.await.unwrap(), [1]);
}

/// Answers are kept until the last has arrived, or until the timeout.
#[tokio::test]
async fn answers_that_wait_to_be_taken_are_bounded_in_bytes() {
    let mut limits = fanfare::Limits::default();
    limits.ack_bytes = 10_000;
    let server = Server::start(SocketIo::builder().limits(limits)).await;
    let mut peers = [
        server.joined().await,
        server.joined().await,
        server.joined().await,
    ];
    for id in 0..3 {
        let answers = server.io.local().emit_with_ack::<String>("q", ());
        for peer in &mut peers {
            peer.expect(&format!(r#"2{id}["q"]"#)).await;
            let answer = "x".repeat(4000);
            peer.send(&format!(r#"3{id}["{answer}"]"#)).await;
        }
        match answers.await {
            Err(BroadcastAckError::AnswersNotKept {
                responses,
                not_kept: 1,
                missing: 0,
                limit: 10_000,
                ..
            }) => assert_eq!(responses, ["x".repeat(4000), "x".repeat(4000)]),
            other => panic!("{other:?}"),
        }
    }
    let socket = server.io.of("/").socket(peers[0].sid()).unwrap();
    let answer = socket.emit_with_ack::<String>("q", ());
    peers[0].expect(r#"23["q"]"#).await;
    let long = "x".repeat(10_001);
    peers[0].send(&format!(r#"33["{long}"]"#)).await;
    let error = answer.await.unwrap_err();
    assert!(
        matches!(error, AckError::AnswerNotKept { limit: 10_000, .. }),
        "{error}"
    );
}

/// Panics without printing a message.
fn bug() -> ! {
    std::panic::resume_unwind(Box::new("as expected"))
}

#[tokio::test]
async fn a_handler_that_panics_answers_with_an_error() {
    struct Breaks;

    impl serde::Serialize for Breaks {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            bug()
        }
    }

    async fn at_once() {
        bug();
    }
    async fn later() {
        tokio::task::yield_now().await;
        bug();
    }
    async fn after_its_answer(ack: AckSender) {
        ack.send("answered").unwrap();
        bug();
    }
    async fn after_an_optional_answer(ack: Option<AckSender>) {
        if let Some(ack) = ack {
            ack.send("answered").unwrap();
        }
        tokio::task::yield_now().await;
        bug();
    }
    let server = Server::with(
        Namespace::new("/")
            .on("at once", at_once)
            .on("later", later)
            .on("not a future", || -> std::future::Ready<()> { bug() })
            .on("in the answer", async || Ack(Breaks))
            .on("in an early answer", async |ack: AckSender| {
                ack.send(&Breaks).unwrap();
            })
            .on("not serializable", async || {
                Ack(std::collections::HashMap::from([((), ())]))
            })
            .on("after its answer", after_its_answer)
            .on("after an optional answer", after_an_optional_answer)
            .on("first of two", at_once)
            .on("first of two", async || {
                tokio::task::yield_now().await;
                Ack("too late")
            })
            .on("echo", async || Ack(())),
    )
    .await;
    let mut peer = server.joined().await;
    let error = r#"{"error":{"message":"internal error"}}"#;
    for (event, answer) in [
        ("at once", error),
        ("later", error),
        ("not a future", error),
        ("in the answer", error),
        ("in an early answer", error),
        ("not serializable", error),
        ("after its answer", r#""answered""#),
        ("after an optional answer", r#""answered""#),
        ("first of two", error),
    ] {
        peer.send(&format!(r#"21["{event}"]"#)).await;
        peer.expect(&format!("31[{answer}]")).await;
        peer.quiet().await; // one answer, and none to events without acknowledgement
        peer.send(&format!(r#"2["{event}"]"#)).await;
        if !event.starts_with("after an") {
            peer.quiet().await;
        }
    }
    assert_eq!(server.io.stats().panics, 14);
}

/// The futures are dropped when their runtime ends: here that of a second listener, on which the client's events
/// arrive.
#[tokio::test]
async fn handlers_and_middlewares_that_are_dropped_answer_with_an_error() {
    let (tx, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let begins = tx.clone();
    let main = Namespace::new("/").on("waits", move || {
        begins.send(()).unwrap();
        std::future::pending::<()>()
    });
    let guarded = Namespace::new("/guarded").packet_middleware(move || {
        tx.send(()).unwrap();
        std::future::pending::<Result<(), EventError>>()
    });
    let server = Server::start(SocketIo::builder().namespace(main).namespace(guarded)).await;
    let other = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let io = server.io.clone();
    other.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        fanfare::serve(io).listener(listener).await
    });
    let mut gets = TcpStream::connect(server.addr).await.unwrap();
    let mut posts = TcpStream::connect(addr).await.unwrap();
    let path = polling(&mut gets).await;
    let (get, post) = (format!("GET {path}"), format!("POST {path}"));
    assert_eq!(ask(&mut posts, &post, "40/guarded,").await, "ok");
    assert!(ask(&mut gets, &get, "").await.starts_with("40/guarded,{"));
    let events = "421[\"waits\"]\u{1e}42/guarded,2[\"waits\"]";
    assert_eq!(ask(&mut posts, &post, events).await, "ok");
    for _ in 0..2 {
        within("they begin", begun.recv()).await.unwrap();
    }
    other.shutdown_background();
    let mut answers = Vec::new();
    while answers.len() < 2 {
        let body = ask(&mut gets, &get, "").await;
        answers.extend(body.split('\u{1e}').map(str::to_owned));
    }
    answers.sort();
    let error = r#"[{"error":{"message":"internal error"}}]"#;
    assert_eq!(
        answers,
        [format!("43/guarded,2{error}"), format!("431{error}")]
    );
}
