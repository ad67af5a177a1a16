//! The client with Engine.IO 3, against Fanfare's server. Against Node's, the command line does the same
//! (`crates/fanfare-cli/tests/cli/node.rs`).

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fanfare::{Ack, ConnectError, Data, Handshake, Namespace, Socket, SocketIo};
use fanfare_client::options::Protocol;
use fanfare_client::{DisconnectReason, Manager, StartError, Transport, connect};
use fanfare_client::{event::ManagerEvent, event::SocketEvent};
use serde_json::{Value, json};

const ALL: [&[Transport]; 3] = [
    &[Transport::WebSocket],
    &[Transport::Polling],
    &[Transport::Polling, Transport::WebSocket],
];

async fn soon<F: IntoFuture>(future: F) -> F::Output {
    let deadline = Duration::from_secs(60);
    tokio::time::timeout(deadline, future.into_future())
        .await
        .expect("did not happen in time")
}

async fn server() -> (SocketIo, String) {
    let main = Namespace::new("/")
        .middleware(
            async |handshake: Handshake| match handshake.query("token") {
                Some(token) if token == "refused" => {
                    Err(ConnectError::new("no").with_data(json!({ "code": 7 })))
                }
                _ => Ok(()),
            },
        )
        .on("echo", async |Data(value): Data<Value>| Ack(value))
        .on("bytes", async |Data(data): Data<Bytes>| Ack(data))
        .on("token", async |socket: Socket| {
            Ack(socket.handshake().query("token"))
        })
        .on("question", async |socket: Socket| {
            let answer: u32 = socket.emit_with_ack("question", (20, 22)).await?;
            Ok::<_, fanfare::AckError>(Ack(answer))
        })
        .on("kick", async |socket: Socket| socket.disconnect(false));
    let secret = Namespace::new("/secret")
        .middleware(
            async |Data(auth): Data<Value>| match auth["token"] == "a, b&c" {
                true => Ok(()),
                false => Err(ConnectError::new("no").with_data(json!({ "code": 7 }))),
            },
        )
        .on("echo", async |Data(value): Data<Value>| Ack(value));
    let io = SocketIo::builder()
        .namespace(main)
        .namespace(secret)
        .allow_eio3(true)
        .ping_interval(Duration::from_millis(200))
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(fanfare::serve(io.clone()).listener(listener));
    (io, url)
}

fn client(url: &str, transports: &[Transport]) -> fanfare_client::options::ManagerBuilder {
    Manager::builder(url)
        .protocol(Protocol::V3)
        .transports(transports.iter().copied())
        .upgrade(transports.len() > 1)
}

#[tokio::test]
async fn events_acknowledgements_bytes_and_heartbeats_over_every_transport() {
    let (_io, url) = server().await;
    for transports in ALL {
        let manager = client(&url, transports).build().unwrap();
        let mut below = manager.events();
        let socket = soon(manager.socket("/").on(
            "question",
            |fanfare_client::Data((a, b)): fanfare_client::Data<(u32, u32)>| async move {
                fanfare_client::Ack(a + b)
            },
        ))
        .await
        .unwrap();
        assert_eq!(socket.id(), manager.session_id(), "as in Node");
        let text: String = soon(socket.emit_with_ack("echo", "€😀")).await.unwrap();
        assert_eq!(text, "€😀");
        let data = Bytes::from(vec![7; 70_000]);
        let back: Bytes = soon(socket.emit_with_ack("bytes", &data)).await.unwrap();
        assert_eq!(back, data);
        let answer: u32 = soon(socket.emit_with_ack("question", ())).await.unwrap();
        assert_eq!(answer, 42);
        // Several heartbeats are answered, over the transport at the end.
        let (mut pings, mut upgraded) = (0, transports.len() == 1);
        while pings < 3 || !upgraded {
            match soon(below.next()).await.unwrap() {
                ManagerEvent::Ping => pings += 1,
                ManagerEvent::Upgrade { .. } => upgraded = true,
                ManagerEvent::Open { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(manager.transport(), transports.last().copied());
        let text: String = soon(socket.emit_with_ack("echo", "end")).await.unwrap();
        assert_eq!(text, "end");
        soon(socket.disconnect()).await;
    }
}

#[tokio::test]
async fn credentials_are_queries_and_are_fetched_for_each_connection() {
    let (io, url) = server().await;
    for transports in ALL {
        let manager = client(&url, transports).build().unwrap();
        let secret = soon(manager.socket("/secret").auth(json!({ "token": "a, b&c" })));
        let secret = secret.await.unwrap();
        let session = manager.session_id().unwrap();
        assert_eq!(*secret.id().unwrap(), *format!("/secret#{session}"));
        soon(manager.close()).await;

        let fetched = Arc::new(AtomicU32::new(0));
        let manager = client(&url, transports).build().unwrap();
        let count = fetched.clone();
        let socket = manager.socket("/").auth_with(move || {
            let n = count.fetch_add(1, Ordering::Relaxed);
            async move { Ok::<_, std::io::Error>(json!({ "token": format!("{n}, &") })) }
        });
        let socket = soon(socket).await.unwrap();
        let token: String = soon(socket.emit_with_ack("token", ())).await.unwrap();
        assert_eq!(token, "0, &");
        let mut events = socket.events();
        io.disconnect_sockets(true);
        loop {
            match soon(events.next()).await.unwrap() {
                SocketEvent::Disconnect { reason, .. } if reason.reconnects() => {}
                SocketEvent::Disconnect { reason, .. } => {
                    assert_eq!(reason, DisconnectReason::IoServerDisconnect);
                    socket.connect();
                }
                SocketEvent::Connect { .. } => break,
                other => panic!("{other:?}"),
            }
        }
        let token: String = soon(socket.emit_with_ack("token", ())).await.unwrap();
        assert_eq!(token, "1, &");
        soon(manager.close()).await;
    }
}

#[tokio::test]
async fn rejections_have_their_data() {
    let (_io, url) = server().await;
    for (namespace, auth) in [
        ("/", json!({ "token": "refused" })),
        ("/secret", json!({ "token": "wrong" })),
    ] {
        let manager = client(&url, &[Transport::WebSocket]).build().unwrap();
        let refused = soon(manager.socket(namespace).auth(auth)).await;
        let Err(StartError::Connect(fanfare_client::ConnectError::Rejected { data, .. })) = refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!(data.as_deref(), Some(r#"{"code":7}"#));
    }
    let failing = connect(&url)
        .protocol(Protocol::V3)
        .auth_with(|| async { Err::<Value, _>(std::io::Error::other("no token")) })
        .fail_fast();
    let failed = soon(failing).await.unwrap_err().to_string();
    assert!(failed.contains("no token"), "{failed}");
}
