//! The client against Fanfare's own server.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;
use fanfare::{Ack, ConnectError, Data, Namespace, Socket, SocketIo};
use fanfare_client::{DisconnectReason, SocketEvent, StartError, Transport, connect};
use serde_json::{Value, json};

async fn soon<F: IntoFuture>(future: F) -> F::Output {
    let patience = Duration::from_secs(20);
    tokio::time::timeout(patience, future.into_future())
        .await
        .expect("did not happen in time")
}

async fn server() -> (SocketIo, String) {
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
        .on("kick", async |socket: Socket| socket.disconnect(false));
    let admin = Namespace::new("/admin").middleware(async |Data(auth): Data<Value>| {
        if auth["token"] == "secret" {
            Ok(())
        } else {
            Err(ConnectError::new("no").with_data(json!({ "code": 7 })))
        }
    });
    let io = SocketIo::builder()
        .namespace(main)
        .namespace(admin)
        .build()
        .unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(fanfare::serve_listener(listener, io.clone()));
    (io, url)
}

#[tokio::test]
async fn everything_over_every_transport() {
    let (io, url) = server().await;
    for transports in [
        vec![Transport::WebSocket],
        vec![Transport::Polling],
        vec![Transport::Polling, Transport::WebSocket],
    ] {
        let upgrade = transports.len() > 1;
        let socket = soon(connect(&url).transports(transports).upgrade(upgrade).on(
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
    let refused = soon(connect(format!("{url}/admin"))).await.unwrap_err();
    let StartError::Connect(fanfare_client::ConnectError::Refused { message, data }) = refused
    else {
        panic!()
    };
    assert_eq!(
        (message.as_str(), data.as_deref()),
        ("no", Some(r#"{"code":7}"#))
    );
    let admin = soon(connect(format!("{url}/admin")).auth(json!({ "token": "secret" })))
        .await
        .unwrap();
    // The server goes away: the client keeps trying.
    let mut events = admin.events();
    io.close().await;
    let SocketEvent::Disconnect { reason, .. } = soon(events.next()).await.unwrap() else {
        panic!()
    };
    assert_eq!(reason, DisconnectReason::TransportClose);
    assert!(admin.active());
}
