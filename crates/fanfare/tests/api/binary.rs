//! Attachments.

use bytes::Bytes;
use fanfare::{Ack, AllArgs, Data, Namespace, Socket, SocketIo, Value};
use fanfare_testing::Received;
use serde::{Deserialize, Serialize};

use crate::support::Server;

#[derive(Debug, Serialize, Deserialize)]
struct File {
    name: String,
    parts: Vec<Bytes>,
}

#[tokio::test]
async fn binary_anywhere_in_both_directions() {
    let server = Server::with(Namespace::new("/").on(
        "file",
        async |socket: Socket, Data(file): Data<File>| {
            socket.emit("copy", (&file, Bytes::from_static(b"end")))?;
            Ok::<_, fanfare::EmitError>(Ack(file.parts.into_iter().next()))
        },
    ))
    .await;
    let mut peer = server.joined().await;
    let args =
        r#"{"name":"f","parts":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}"#;
    peer.send(&format!(r#"52-7["file",{args}]"#)).await;
    peer.send_binary(b"\0first").await;
    peer.send_binary(b"").await;
    peer.expect(&format!(
        r#"53-["copy",{args},{{"_placeholder":true,"num":2}}]"#
    ))
    .await;
    for part in [&b"\0first"[..], b"", b"end"] {
        assert_eq!(
            peer.next().await,
            Received::Binary(Bytes::copy_from_slice(part))
        );
    }
    peer.expect(r#"61-7[{"_placeholder":true,"num":0}]"#).await;
    assert_eq!(
        peer.next().await,
        Received::Binary(Bytes::from_static(b"\0first"))
    );
}

#[tokio::test]
async fn untyped_arguments_keep_their_bytes() {
    let server = Server::with(
        Namespace::new("/").on("any", async |Data(all): Data<AllArgs<Value>>| Ack(all)),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"51-1["any",{"z":1,"a":{"_placeholder":true,"num":0}},"x"]"#)
        .await;
    peer.send_binary(b"bytes").await;
    peer.expect(r#"61-1[{"z":1,"a":{"_placeholder":true,"num":0}},"x"]"#)
        .await;
    assert_eq!(
        peer.next().await,
        Received::Binary(Bytes::from_static(b"bytes"))
    );
}

#[tokio::test]
async fn a_broadcast_carries_its_attachments() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peers = [server.joined().await, server.joined().await];
    server.io.emit("b", Bytes::from_static(b"1")).unwrap();
    server.io.emit("t", ()).unwrap();
    for peer in &mut peers {
        peer.expect(r#"51-["b",{"_placeholder":true,"num":0}]"#)
            .await;
        assert_eq!(
            peer.next().await,
            Received::Binary(Bytes::from_static(b"1"))
        );
        peer.expect(r#"2["t"]"#).await;
    }
}

#[tokio::test]
async fn attachments_that_lie_close_the_connection() {
    let server = Server::start(SocketIo::builder()).await;
    // A binary message that was not announced.
    let mut peer = server.joined().await;
    peer.send_binary(b"x").await;
    assert_eq!(peer.until_closed().await, []);
    // A text message in place of an attachment.
    let mut peer = server.joined().await;
    peer.send(r#"51-["x",{"_placeholder":true,"num":0}]"#).await;
    peer.send(r#"2["y"]"#).await;
    assert_eq!(peer.until_closed().await, []);
    // More attachments than the limit.
    let mut peer = server.joined().await;
    peer.send(r#"511-["x"]"#).await;
    assert_eq!(peer.until_closed().await, []);
}

#[tokio::test]
async fn a_binary_packet_without_attachments_is_an_event() {
    let server = Server::with(Namespace::new("/").on("x", async || Ack("x"))).await;
    let mut peer = server.joined().await;
    peer.send(r#"50-1["x"]"#).await;
    peer.expect(r#"31["x"]"#).await;
    peer.send(r#"22["x"]"#).await;
    peer.expect(r#"32["x"]"#).await;
}
