//! Acknowledgements in both directions.

use std::time::Duration;

use fanfare::{AckError, AckSender, BroadcastAckError, Data, EventError, Namespace, SocketIo};

use crate::support::Server;

#[tokio::test]
async fn the_client_answers() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(&peer.sid).unwrap();
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
    let socket = server.io.of("/").socket(&peer.sid).unwrap();
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
    let socket = server.io.of("/").socket(&peer.sid).unwrap();
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
                text.parse::<u8>()?;
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
