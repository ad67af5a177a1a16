//! Owners of the shares of resources that all clients share. All clients here have one address.

use fanfare::ack::BroadcastAckError;
use fanfare::{ConnectError, Data, Limits, Namespace, Socket, SocketIo, SocketIoBuilder};
use serde_json::{Value, json};

use crate::recovery::{Client, main_namespace, recovering};
use crate::support::{Peer, Server, until};

#[derive(Clone)]
struct User(String);

/// Trusts the user name in the client's `auth`.
async fn authenticate(socket: Socket, Data(auth): Data<Value>) -> Result<(), ConnectError> {
    if let Some(user) = auth["user"].as_str() {
        socket.extensions().insert(User(user.to_owned()));
    }
    Ok(())
}

fn by_user(builder: SocketIoBuilder) -> SocketIoBuilder {
    builder.share_key(|socket| socket.extensions().get::<User>().map(|user| user.0))
}

async fn joined(server: &Server, user: &str) -> Peer {
    let mut peer = server.peer().await;
    peer.send(&format!(r#"0{{"user":"{user}"}}"#)).await;
    assert!(peer.text().await.starts_with(r#"0{"sid""#));
    peer
}

/// Connects a client of this user, and disconnects it.
async fn passer_by(server: &Server, user: &str) -> Value {
    let auth = json!({"user": user});
    let client = Client::connect(server, auth, None).await.unwrap();
    client.vanish(server).await.auth
}

/// Limits sessions for recovery: the user that holds most loses its oldest.
#[tokio::test]
async fn one_user_does_not_throw_out_the_sessions_of_others() {
    let mut limits = Limits::default();
    limits.recovery_session_bytes = 16 * 1024;
    let builder = recovering(main_namespace().middleware(authenticate)).limits(limits);
    let server = Server::start(by_user(builder)).await;
    let quiet = passer_by(&server, "quiet").await;
    let first = passer_by(&server, "loud").await;
    for _ in 0..100 {
        passer_by(&server, "loud").await;
    }
    for (auth, recovered) in [(quiet, true), (first, false)] {
        let back = Client::connect(&server, auth, None).await.unwrap();
        assert_eq!(back.socket(&server).is_recovered(), recovered);
    }
}

/// Limits acknowledgements that wait to be read.
#[tokio::test]
async fn one_user_does_not_use_up_what_answers_may_take() {
    let mut limits = Limits::default();
    limits.ack_bytes = 20_000;
    let namespace = Namespace::new("/").middleware(authenticate);
    let builder = SocketIo::builder().namespace(namespace).limits(limits);
    let server = Server::start(by_user(builder)).await;
    let mut peers = Vec::new();
    for user in ["loud", "loud", "loud", "quiet"] {
        peers.push(joined(&server, user).await);
    }
    let answers = server.io.local().emit_with_ack::<String>("q", ());
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.expect(r#"20["q"]"#).await;
        let answer = n.to_string().repeat(6000);
        peer.send(&format!(r#"30["{answer}"]"#)).await;
    }
    let Err(BroadcastAckError::AnswersNotKept {
        responses,
        not_kept,
        ..
    }) = answers.await
    else {
        panic!("all were kept");
    };
    assert_eq!(not_kept, 1);
    assert_eq!(responses.last().unwrap(), &"3".repeat(6000));
}

/// Limits dynamic namespaces, which are created before the middlewares have run.
#[tokio::test]
async fn one_user_does_not_use_up_the_dynamic_namespaces() {
    let mut limits = Limits::default();
    limits.max_dynamic_namespaces = 20;
    let builder = SocketIo::builder()
        .namespace(Namespace::pattern("/n-{id}").middleware(authenticate))
        .limits(limits);
    let server = Server::start(by_user(builder)).await;
    let (mut loud, mut quiet) = (server.joined().await, server.joined().await);
    let mut made = 0;
    for n in 0..20 {
        loud.send(&format!(r#"0/n-{n},{{"user":"loud"}}"#)).await;
        let answer = loud.text().await;
        if !answer.starts_with('0') {
            assert!(answer.ends_with(r#",{"message":"too many namespaces"}"#));
            continue;
        }
        made += 1;
    }
    assert_eq!(made, 11, "half of them and one");
    until("refused ones are gone", || {
        server.io.namespaces().len() == 12
    })
    .await;
    // Clients without a user use the share of their address.
    for auth in [r#"{"user":"quiet"}"#, ""] {
        for n in 0..3 {
            quiet.send(&format!("0/n-{n}-{},{auth}", auth.len())).await;
            let answer = quiet.text().await;
            assert!(answer.starts_with('0'), "{answer}");
        }
    }
}

/// Events in these namespaces are counted for the owner of the namespaces.
#[tokio::test]
async fn packets_of_namespaces_that_one_user_made_are_its_own() {
    let mut limits = Limits::default();
    limits.recovery_bytes = 64 * 1024;
    let builder = recovering(main_namespace())
        .namespace(Namespace::pattern("/n-{id}").middleware(authenticate))
        .limits(limits);
    let server = Server::start(by_user(builder)).await;
    let (mut loud, mut quiet) = (server.joined().await, server.joined().await);
    quiet.send(r#"0/n-quiet,{"user":"quiet"}"#).await;
    let welcome = quiet.text().await;
    let (_, welcome) = welcome.split_once(',').unwrap();
    let welcome: Value = serde_json::from_str(welcome).unwrap();
    server.io.of("/n-quiet").emit("e", "for quiet").unwrap();
    let event = quiet.text().await;
    let (_, event) = event.split_once(',').unwrap();
    let event: Value = serde_json::from_str(event).unwrap();
    quiet.vanish();
    until("quiet is gone", || server.io.of("/n-quiet").is_empty()).await;
    // More than in each of the other user's namespaces, and less than in all of them.
    let long = "x".repeat(1000);
    for n in 0..15 {
        let missed = (n, &long);
        server.io.of("/n-quiet").emit("e", missed).unwrap();
    }
    for n in 0..8 {
        loud.send(&format!(r#"0/n-{n},{{"user":"loud"}}"#)).await;
        assert!(loud.text().await.starts_with('0'));
        for _ in 0..8 {
            server.io.of(&format!("/n-{n}")).emit("e", &long).unwrap();
            loud.text().await;
        }
    }
    let mut back = server.joined().await;
    let auth = json!({"user": "quiet", "pid": welcome["pid"], "offset": event[2]});
    back.send(&format!("0/n-quiet,{auth}")).await;
    let again = back.text().await;
    assert!(again.contains(welcome["sid"].as_str().unwrap()), "{again}");
    assert!(back.text().await.starts_with(r#"2/n-quiet,["e",0,"x"#));
}
