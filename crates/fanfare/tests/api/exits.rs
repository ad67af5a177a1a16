//! A disconnected socket leaves nothing behind, for every way of disconnecting.

use std::future::pending;
use std::sync::Arc;

use fanfare::{ConnectError, Namespace, Socket, SocketIo};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{Peer, Server, until, within};

/// Counts the references that remain.
type Token = Arc<()>;

/// Makes a socket refer to itself and to the token in every possible way.
fn entangle(socket: &Socket, token: &Token) {
    let held = || (socket.clone(), token.clone());
    let own = held();
    socket.on("event", move || {
        let _ = &own;
        async {}
    });
    let own = held();
    socket.once("event", move || {
        let _ = &own;
        async {}
    });
    let own = held();
    socket.prepend_any(move || {
        let _ = &own;
        async {}
    });
    let own = held();
    socket.on_any_outgoing(move |_, _| {
        let _ = &own;
    });
    socket.join(["a", "b"]).unwrap();
}

/// Starts a server whose middleware entangles each socket, reports it, and then does as `then` specifies.
async fn server<F>(
    token: &Token,
    then: impl Fn(Socket) -> F + Send + Sync + 'static,
) -> (Server, UnboundedReceiver<Socket>)
where
    F: Future<Output = Result<(), ConnectError>> + Send + 'static,
{
    let (entered, entries): (UnboundedSender<Socket>, _) = unbounded_channel();
    let token = Arc::downgrade(token);
    let then = Arc::new(then);
    let namespace = Namespace::pattern("/of-{id}").middleware(move |socket: Socket| {
        let (entered, token, then) = (entered.clone(), token.clone(), then.clone());
        async move {
            let token = token.upgrade().unwrap();
            entangle(&socket, &token);
            socket.extensions().insert((socket.clone(), token));
            entered.send(socket.clone()).unwrap();
            then(socket).await
        }
    });
    let namespace = namespace.on_connect(async |socket: Socket| {
        socket.extensions().remove::<(Socket, Token)>();
    });
    (
        Server::start(SocketIo::builder().namespace(namespace)).await,
        entries,
    )
}

async fn nothing_is_left(server: &Server, token: &Token) {
    until("everything is freed", || Arc::strong_count(token) == 1).await;
    until("the namespace is gone", || {
        server.io.namespace("/of-1").is_none()
    })
    .await;
    server.io.close().await; // no middleware is running either
}

async fn entry(entries: &mut UnboundedReceiver<Socket>) {
    within("the middleware", entries.recv()).await.unwrap();
}

async fn still_works(peer: &mut Peer) {
    peer.join("/").await;
}

#[tokio::test]
async fn refused() {
    let token = Token::default();
    let (server, _entries) = server(&token, async |_| Err(ConnectError::new("no"))).await;
    let mut peer = server.peer().await;
    for _ in 0..20 {
        peer.send("0/of-1,").await;
        peer.expect(r#"4/of-1,{"message":"no"}"#).await;
    }
    drop(_entries);
    nothing_is_left(&server, &token).await;
}

#[tokio::test]
async fn a_middleware_panics() {
    let token = Token::default();
    let (server, entries) = server(&token, async |_| {
        std::panic::resume_unwind(Box::new("as expected")) // without the message
    })
    .await;
    let mut peer = server.peer().await;
    peer.send("0/of-1,").await;
    peer.expect(r#"4/of-1,{"message":"internal error"}"#).await;
    drop(entries);
    still_works(&mut peer).await;
    nothing_is_left(&server, &token).await;
}

#[tokio::test]
async fn the_client_leaves_while_a_middleware_runs() {
    let token = Token::default();
    let go = Arc::new(tokio::sync::Notify::new());
    let (late, waits) = (Arc::downgrade(&token), go.clone());
    let (server, mut entries) = server(&token, move |socket| {
        let (late, waits) = (late.clone(), waits.clone());
        async move {
            waits.notified().await;
            entangle(&socket, &late.upgrade().unwrap()); // it is disconnected already
            Ok(())
        }
    })
    .await;
    let mut peer = server.peer().await;
    peer.send("0/of-1,").await;
    entry(&mut entries).await;
    peer.send("1/of-1,").await;
    still_works(&mut peer).await;
    go.notify_one();
    nothing_is_left(&server, &token).await;
}

#[tokio::test]
async fn the_connection_is_lost_while_a_middleware_runs() {
    let token = Token::default();
    let (server, mut entries) = server(&token, async |socket: Socket| {
        until("the loss", || socket.io().clients_count() == 0).await;
        Ok(())
    })
    .await;
    let mut peer = server.peer().await;
    peer.send("0/of-1,").await;
    entry(&mut entries).await;
    peer.vanish();
    nothing_is_left(&server, &token).await;
}

#[tokio::test]
async fn the_server_closes_while_a_middleware_runs() {
    let token = Token::default();
    let (server, mut entries) = server(&token, async |socket: Socket| {
        until("the close", || socket.io().clients_count() == 0).await;
        Err(ConnectError::new("too late"))
    })
    .await;
    let mut peer = server.peer().await;
    peer.send("0/of-1,").await;
    entry(&mut entries).await;
    nothing_is_left_after(server.io.close(), &server, &token).await;
}

async fn nothing_is_left_after(end: impl Future<Output = ()>, server: &Server, token: &Token) {
    end.await;
    nothing_is_left(server, token).await;
}

#[tokio::test]
async fn a_later_connect_takes_its_place() {
    let token = Token::default();
    let go = Arc::new(tokio::sync::Notify::new());
    let waits = go.clone();
    let (server, mut entries) = server(&token, move |socket: Socket| {
        let waits = waits.clone();
        async move {
            let auth: serde_json::Value = socket.handshake().auth().unwrap();
            if auth["n"] == 1 {
                waits.notified().await;
            }
            Ok(())
        }
    })
    .await;
    let mut peer = server.peer().await;
    peer.send(r#"0/of-1,{"n":1}"#).await;
    entry(&mut entries).await;
    peer.send(r#"0/of-1,{"n":2}"#).await;
    let reply = peer.text().await;
    assert!(reply.starts_with(r#"0/of-1,{"sid":"#), "{reply}");
    entry(&mut entries).await;
    peer.send("1/of-1,").await;
    still_works(&mut peer).await;
    go.notify_one();
    nothing_is_left(&server, &token).await;
}

#[tokio::test]
async fn kicked_in_on_connect() {
    let token = Token::default();
    let weak = Arc::downgrade(&token);
    let namespace = Namespace::pattern("/of-{id}").on_connect(move |socket: Socket| {
        let token = weak.upgrade().unwrap();
        async move {
            entangle(&socket, &token);
            socket.disconnect(false);
            entangle(&socket, &token); // it is disconnected already
        }
    });
    let server = Server::start(SocketIo::builder().namespace(namespace)).await;
    let mut peer = server.peer().await;
    peer.join("/of-1").await;
    peer.expect("1/of-1,").await;
    nothing_is_left(&server, &token).await;
}

#[tokio::test]
async fn an_acknowledgement_that_is_waited_for_fails_when_the_socket_goes() {
    let token = Token::default();
    let (ended, mut ends) = unbounded_channel();
    let weak = Arc::downgrade(&token);
    let namespace = Namespace::pattern("/of-{id}").on("ask", move |socket: Socket| {
        let (ended, token) = (ended.clone(), weak.upgrade());
        async move {
            let answer = socket.emit_with_ack::<u8>("question", ()).await;
            ended.send(answer.is_err()).unwrap();
            drop(token);
        }
    });
    let server = Server::start(SocketIo::builder().namespace(namespace)).await;
    let mut peer = server.peer().await;
    peer.join("/of-1").await;
    peer.send(r#"2/of-1,["ask"]"#).await;
    let question = peer.text().await;
    assert!(question.contains("question"), "{question}");
    peer.send("1/of-1,").await;
    assert_eq!(within("the failure", ends.recv()).await, Some(true));
    nothing_is_left(&server, &token).await;
}

#[tokio::test]
async fn middlewares_that_never_end_are_bounded_for_each_connection() {
    let mut limits = fanfare::Limits::default();
    limits.max_namespaces_per_client = 3;
    let namespace = Namespace::new("/slow").middleware(pending::<()>);
    let builder = SocketIo::builder().namespace(namespace).limits(limits);
    let server = Server::start(builder).await;
    let mut peer = server.peer().await;
    for _ in 0..4 {
        peer.send("0/slow,").await;
    }
    peer.expect(r#"4/slow,{"message":"too many namespaces: the limit is 3"}"#)
        .await;
    peer.send("1/slow,").await;
    peer.send("0/slow,").await; // leaving does not end them
    peer.expect(r#"4/slow,{"message":"too many namespaces: the limit is 3"}"#)
        .await;
    let mut other = server.peer().await;
    other.send("0/slow,").await;
    still_works(&mut other).await;
}
