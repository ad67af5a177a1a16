//! Namespaces that come and go.

use fanfare::{Ack, Namespace, Socket, SocketIo};

use crate::support::{Server, within};

#[tokio::test]
async fn a_pattern_makes_namespaces_that_go_when_empty() {
    let server = Server::start(
        SocketIo::builder()
            .namespace(
                Namespace::pattern("/orders-{id}").on("where", async |socket: Socket| {
                    Ack(socket.namespace().to_owned())
                }),
            )
            .namespace(Namespace::new("/orders-fixed").on("where", async || Ack("fixed"))),
    )
    .await;
    let (mut a, mut b) = (server.peer().await, server.peer().await);
    a.join("/orders-1").await;
    b.join("/orders-2").await;
    a.send(r#"2/orders-1,0["where"]"#).await;
    a.expect(r#"3/orders-1,0["/orders-1"]"#).await;
    a.join("/orders-fixed").await;
    a.send(r#"2/orders-fixed,0["where"]"#).await;
    a.expect(r#"3/orders-fixed,0["fixed"]"#).await;
    let parent = server.io.parent("/orders-{id}").unwrap();
    assert_eq!(parent.children().len(), 2);
    assert_eq!(parent.emit("all", ()).unwrap().recipients, 2);
    a.expect(r#"2/orders-1,["all"]"#).await;
    b.expect(r#"2/orders-2,["all"]"#).await;
    b.send("1/orders-2,").await;
    within("the namespace's end", async {
        while parent.children().len() > 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(server.io.namespace("/orders-2").is_none());
    assert!(server.io.namespace("/orders-fixed").is_some());
}

#[tokio::test]
async fn a_predicate_sees_the_auth_and_refusals_leave_nothing_behind() {
    let server = Server::start(
        SocketIo::builder().namespace(
            Namespace::dynamic("/tenants", |name, auth| {
                auth["tenant"]
                    .as_str()
                    .is_some_and(|t| name == format!("/{t}"))
            })
            .middleware(async |socket: Socket| {
                if socket.namespace() == "/banned" {
                    Err(fanfare::ConnectError::new("banned"))
                } else {
                    Ok(())
                }
            }),
        ),
    )
    .await;
    let mut peer = server.peer().await;
    peer.send(r#"0/acme,{"tenant":"other"}"#).await;
    peer.expect(r#"4/acme,{"message":"Invalid namespace"}"#)
        .await;
    peer.send(r#"0/banned,{"tenant":"banned"}"#).await;
    peer.expect(r#"4/banned,{"message":"banned"}"#).await;
    assert!(server.io.namespace("/banned").is_none());
    peer.send(r#"0/acme,{"tenant":"acme"}"#).await;
    assert!(peer.text().await.starts_with("0/acme,"));
    assert!(server.io.namespace("/acme").is_some());
}

#[tokio::test]
async fn of_creates_a_namespace_that_clients_may_join() {
    let server = Server::start(SocketIo::builder()).await;
    assert!(server.io.namespace("later").is_none());
    assert_eq!(server.io.of("later").name(), "/later");
    let mut peer = server.peer().await;
    peer.join("/later").await;
    assert_eq!(server.io.of("/later").len(), 1);
    assert_eq!(server.io.namespaces().len(), 2);
}
