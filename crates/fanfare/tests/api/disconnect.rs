//! Every way in which a socket disconnects, and the reason that its handlers get.

use std::time::Duration;

use fanfare::{DisconnectReason, Namespace, Socket, SocketIo, SocketIoBuilder};
use fanfare_testing::Received;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::support::{Server, within};

/// Returns namespaces `/` and `/other` that report disconnections.
fn watched() -> (
    SocketIoBuilder,
    UnboundedReceiver<(String, DisconnectReason)>,
) {
    let (tx, rx) = unbounded_channel();
    let namespace = |name: &str| {
        let tx = tx.clone();
        Namespace::new(name)
            .on("kick", async |socket: Socket| socket.disconnect(false))
            .on("kick out", async |socket: Socket| socket.disconnect(true))
            .on_disconnect(move |socket: Socket, reason: DisconnectReason| {
                let tx = tx.clone();
                async move {
                    tx.send((socket.namespace_name().to_owned(), reason))
                        .unwrap();
                }
            })
    };
    (
        SocketIo::builder()
            .namespace(namespace("/"))
            .namespace(namespace("/other")),
        rx,
    )
}

async fn reason(rx: &mut UnboundedReceiver<(String, DisconnectReason)>) -> (String, &'static str) {
    let (namespace, reason) = within("a disconnection", rx.recv()).await.unwrap();
    (namespace, reason.as_str())
}

#[tokio::test]
async fn the_client_leaves_a_namespace() {
    let (builder, mut rx) = watched();
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    peer.join("/other").await;
    peer.send("1/other,").await;
    assert_eq!(
        reason(&mut rx).await,
        ("/other".into(), "client namespace disconnect")
    );
    peer.send(r#"2["kick"]"#).await; // the other socket stays connected
    peer.expect("1").await;
    assert_eq!(
        reason(&mut rx).await,
        ("/".into(), "server namespace disconnect")
    );
}

#[tokio::test]
async fn the_server_disconnects_one_namespace_or_all() {
    let (builder, mut rx) = watched();
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    peer.join("/other").await;
    peer.send(r#"2/other,["kick"]"#).await;
    peer.expect("1/other,").await;
    assert_eq!(
        reason(&mut rx).await,
        ("/other".into(), "server namespace disconnect")
    );
    peer.join("/other").await;
    peer.send(r#"2["kick out"]"#).await;
    peer.expect("1").await;
    peer.expect("1/other,").await;
    assert_eq!(peer.until_closed().await, []);
    assert_eq!(
        reason(&mut rx).await,
        ("/".into(), "server namespace disconnect")
    );
    assert_eq!(
        reason(&mut rx).await,
        ("/other".into(), "server namespace disconnect")
    );
}

#[tokio::test]
async fn the_connection_goes() {
    let (builder, mut rx) = watched();
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    peer.join("/other").await;
    peer.vanish();
    assert_eq!(reason(&mut rx).await, ("/".into(), "transport close"));
    assert_eq!(reason(&mut rx).await, ("/other".into(), "transport close"));
    within("forgetting the connection", async {
        while server.io.clients_count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_client_breaks_the_protocol() {
    let (builder, mut rx) = watched();
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    peer.send("garbage").await;
    assert_eq!(peer.until_closed().await, []);
    assert_eq!(reason(&mut rx).await, ("/".into(), "forced close"));
    let mut peer = server.joined().await;
    peer.send(r#"2/other,["out of turn"]"#).await;
    assert_eq!(peer.until_closed().await, []);
    assert_eq!(reason(&mut rx).await, ("/".into(), "forced server close"));
}

#[tokio::test]
async fn the_client_does_not_answer_the_heartbeat() {
    let (builder, mut rx) = watched();
    let ms = Duration::from_millis;
    let server = Server::start(builder.ping_interval(ms(500)).ping_timeout(ms(500))).await;
    let _silent = server.joined().await; // does not read, so does not answer
    assert_eq!(reason(&mut rx).await, ("/".into(), "ping timeout"));
}

#[tokio::test]
async fn the_server_closes() {
    let (builder, mut rx) = watched();
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    peer.join("/other").await;
    within("closing", server.io.close()).await;
    // No DISCONNECT packet: clients treat this as a lost connection and reconnect.
    assert_eq!(peer.until_closed().await, Vec::<Received>::new());
    assert_eq!(reason(&mut rx).await, ("/".into(), "server shutting down"));
    assert_eq!(
        reason(&mut rx).await,
        ("/other".into(), "server shutting down")
    );
    within("closing again", server.io.close()).await;
}

#[tokio::test]
async fn a_message_over_the_limit_closes_the_connection() {
    let (builder, mut rx) = watched();
    let server = Server::start(builder.max_payload(1000)).await;
    let mut peer = server.joined().await;
    peer.send(&format!(r#"2["x","{}"]"#, "x".repeat(1000)))
        .await;
    assert_eq!(peer.until_closed().await, []);
    assert_eq!(reason(&mut rx).await, ("/".into(), "transport error"));
}
