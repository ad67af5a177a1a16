//! Events to the server and to clients.

use fanfare::extract::{Event, EventName};
use fanfare::{Ack, AllArgs, Data, EmitError, EventError, Namespace, Socket, SocketIo, Value};
use fanfare_testing::Received;

use crate::support::Server;

#[tokio::test]
async fn arguments_are_typed() {
    #[derive(serde::Deserialize, serde::Serialize)]
    struct Point {
        x: i32,
        y: i32,
    }
    let server = Server::with(
        Namespace::new("/")
            .on("none", async |Data(()): Data<()>| Ack("none"))
            .on("one", async |Data(point): Data<Point>| Ack(point))
            .on("two", async |Data((point, n)): Data<(Point, i32)>| {
                Ack(point.x * n + point.y)
            })
            .on("optional", async |Data((a, b)): Data<(u8, Option<u8>)>| {
                Ack((a, b))
            })
            .on("all", async |Data(all): Data<AllArgs<Value>>| Ack(all)),
    )
    .await;
    let mut peer = server.joined().await;
    for (packet, answer) in [
        (r#"21["none",1,2]"#, r#"31["none"]"#),
        (r#"22["one",{"x":1,"y":-2}]"#, r#"32[{"x":1,"y":-2}]"#),
        (r#"23["two",{"x":5,"y":1},10]"#, r#"33[51]"#),
        (r#"24["optional",1]"#, r#"34[1,null]"#),
        (
            r#"25["all",1,"ü",[null,true],{"a":1.5}]"#,
            r#"35[1,"ü",[null,true],{"a":1.5}]"#,
        ),
        (r#"26["all"]"#, "36[]"),
    ] {
        peer.send(packet).await;
        peer.expect(answer).await;
    }
}

#[tokio::test]
async fn what_does_not_fit_is_answered_with_the_reason() {
    let server = Server::with(
        Namespace::new("/")
            .on("number", async |Data(n): Data<u8>| Ack(n))
            .on(
                "own",
                async |data: Result<Data<u8>, fanfare::extract::Rejection>| Ack(data.is_err()),
            ),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"27["number","text"]"#).await;
    let answer = peer.text().await;
    assert!(
        answer.starts_with(r#"37[{"error":{"message":""#)
            && answer.contains("argument 0 does not fit"),
        "{answer}"
    );
    peer.send(r#"2["number",300]"#).await; // the client does not wait: no answer is sent
    peer.send(r#"28["own","text"]"#).await;
    peer.expect("38[true]").await;
}

#[tokio::test]
async fn events_start_in_the_order_of_their_arrival() {
    let server = Server::with(Namespace::new("/").on(
        "n",
        async |socket: Socket, Data(n): Data<u32>| {
            socket.emit("n", n)?;
            tokio::task::yield_now().await; // like most handlers, it is pending at first
            Ok::<_, EmitError>(())
        },
    ))
    .await;
    let mut peer = server.joined().await;
    for n in 0..500 {
        peer.send(&format!(r#"2["n",{n}]"#)).await;
    }
    for n in 0..500 {
        peer.expect(&format!(r#"2["n",{n}]"#)).await;
    }
}

#[tokio::test]
async fn a_handler_that_waits_holds_nobody_up() {
    let server = Server::with(
        Namespace::new("/")
            .on("wait", async |socket: Socket| {
                let released = std::sync::Arc::new(tokio::sync::Notify::new());
                socket.extensions().insert(released.clone());
                released.notified().await;
                Ack("released")
            })
            .on("release", async |socket: Socket| {
                let released: std::sync::Arc<tokio::sync::Notify> =
                    socket.extensions().get().unwrap();
                released.notify_one();
                Ack("ok")
            }),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"21["wait"]"#).await;
    peer.send(r#"22["release"]"#).await;
    peer.expect(r#"32["ok"]"#).await;
    peer.expect(r#"31["released"]"#).await;
}

#[tokio::test]
async fn a_panic_is_contained() {
    let server = Server::with(
        Namespace::new("/")
            .on("now", async || -> () { panic!("a bug") })
            .on("later", async || -> () {
                tokio::task::yield_now().await;
                panic!("another")
            })
            .on("echo", async || Ack(())),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"2["now"]"#).await;
    peer.send(r#"2["later"]"#).await;
    peer.quiet().await;
}

#[tokio::test]
async fn emitted_arguments_reach_the_client_as_written() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    socket.emit("none", ()).unwrap();
    socket.emit("one", "a \"quoted\" ü \u{1F600}").unwrap();
    socket.emit("two", (1, &["x", "y"])).unwrap();
    socket.send(true).unwrap();
    peer.expect(r#"2["none"]"#).await;
    peer.expect(r#"2["one","a \"quoted\" ü 😀"]"#).await;
    peer.expect(r#"2["two",1,["x","y"]]"#).await;
    peer.expect(r#"2["message",true]"#).await;
}

#[tokio::test]
async fn reserved_names_and_unserializable_values_are_errors() {
    let server = Server::start(SocketIo::builder()).await;
    let peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    let error = socket.emit("disconnect", ()).unwrap_err();
    assert!(matches!(error, EmitError::NotSerializable(_)), "{error:?}");
    assert_eq!(error.to_string(), "\"disconnect\" is a reserved event name");
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        let expected = format!("{name:?} is a reserved event name");
        for result in [
            socket.emit(name, ()),
            socket.volatile().emit(name, ()),
            socket.broadcast().emit(name, ()).map(drop),
            server.io.emit(name, ()).map(drop),
            server.io.to("room").emit(name, ()).map(drop),
        ] {
            assert_eq!(result.unwrap_err().to_string(), expected);
        }
        let error = socket.emit_with_ack::<()>(name, ()).await.unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
        let error = server.io.to("room").emit_with_ack::<()>(name, ()).await;
        let error = error.unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
    }
    let broken = std::collections::HashMap::from([(vec![1], 1)]); // JSON keys are strings
    assert!(matches!(
        socket.emit("x", &broken),
        Err(EmitError::NotSerializable(_))
    ));
    let built = SocketIo::builder()
        .namespace(Namespace::new("/").on("connect", async || {}))
        .build();
    assert_eq!(
        built.unwrap_err().to_string(),
        "\"connect\" is a reserved event name"
    );
}

#[tokio::test]
async fn sending_to_a_socket_that_left_is_an_error() {
    let server = Server::with(Namespace::new("/")).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    peer.send("1").await;
    peer.send("0").await; // joins again, as another socket
    assert!(peer.text().await.starts_with("0{"));
    assert!(!socket.is_connected());
    assert!(matches!(socket.emit("x", ()), Err(EmitError::Disconnected)));
    assert!(socket.rooms().is_empty());
    socket.join("room").unwrap();
    assert!(server.io.of("/").rooms().is_empty());
}

#[tokio::test]
async fn catch_alls_fallback_and_several_handlers() {
    let server = Server::with(
        Namespace::new("/")
            .on("known", async |socket: Socket| socket.emit("first", ()))
            .on("known", async |socket: Socket| socket.emit("second", ()))
            .on_any(async |socket: Socket, event: Event| {
                socket.emit("any", (&event.name, &event.args))
            })
            .fallback(async |socket: Socket, EventName(name): EventName| {
                socket.emit("fallback", &name)
            }),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"2["known",1]"#).await;
    peer.expect(r#"2["any","known",[1]]"#).await;
    peer.expect(r#"2["first"]"#).await;
    peer.expect(r#"2["second"]"#).await;
    peer.send(r#"2["unknown"]"#).await;
    peer.expect(r#"2["any","unknown",[]]"#).await;
    peer.expect(r#"2["fallback","unknown"]"#).await;
}

#[tokio::test]
async fn handlers_of_one_socket() {
    let server = Server::with(Namespace::new("/").on("echo", async || Ack(())).on_connect(
        async |socket: Socket| {
            socket.once("once", async || Ack("once"));
            let always = socket.on("always", async || Ack("always"));
            socket.on("stop", move |socket: Socket| async move {
                Ack(socket.off(always))
            });
        },
    ))
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"21["once"]"#).await;
    peer.expect(r#"31["once"]"#).await;
    peer.send(r#"22["once"]"#).await;
    peer.send(r#"23["always"]"#).await;
    peer.expect(r#"33["always"]"#).await;
    peer.send(r#"24["stop"]"#).await;
    peer.expect("34[true]").await;
    peer.send(r#"25["always"]"#).await;
    peer.quiet().await;
}

#[tokio::test]
async fn packet_middlewares_stand_before_the_handlers() {
    let server = Server::with(
        Namespace::new("/")
            .packet_middleware(async |EventName(name): EventName| {
                tokio::task::yield_now().await;
                if name == "forbidden" {
                    Err(EventError::new("no").with_data(1))
                } else {
                    Ok(())
                }
            })
            .on("forbidden", async || Ack("reached"))
            .on("allowed", async |Data(n): Data<u8>| Ack(n)),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"21["forbidden"]"#).await;
    peer.expect(r#"31[{"error":{"message":"no","data":1}}]"#)
        .await;
    peer.send(r#"22["allowed",7]"#).await;
    peer.expect("32[7]").await;
}

#[tokio::test]
async fn a_slow_reader_is_reported_and_closed() {
    let server = Server::start(SocketIo::builder()).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    let big = "x".repeat(100_000);
    let error = loop {
        if let Err(error) = socket.emit("big", &big) {
            break error;
        }
    };
    assert!(
        matches!(
            error,
            EmitError::Full {
                limit: 1_048_576,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(socket.emit("big", &big).is_err());
    assert!(
        peer.until_closed()
            .await
            .iter()
            .all(|seen| matches!(seen, Received::Text(_)))
    );
}
