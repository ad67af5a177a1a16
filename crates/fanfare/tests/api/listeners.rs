//! Listeners for outgoing events, for every event, and for rooms.

use std::sync::{Arc, Mutex};

use fanfare::ack::AckSender;
use fanfare::extract::EventName;
use fanfare::namespace::RoomEvent;
use fanfare::socket::OutgoingEvent;
use fanfare::{Ack, EventError, Namespace, Socket};

use crate::support::Server;

#[tokio::test]
async fn outgoing_events_are_seen_broadcasts_included_and_acknowledgements_not() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let of_namespace = seen.clone();
    let server = Server::with(
        Namespace::new("/")
            .on("echo", async || Ack(()))
            .on_any_outgoing(move |socket: &Socket, event: &OutgoingEvent| {
                let n: u8 = event.data().unwrap();
                let entry = (socket.id().to_string(), event.name().to_owned(), n);
                of_namespace.lock().unwrap().push(entry);
            }),
    )
    .await;
    let (mut a, b) = (server.joined().await, server.joined().await);
    let x = server.io.of("/").socket(a.sid()).unwrap();
    let own = Arc::new(Mutex::new(Vec::new()));
    let of_socket = own.clone();
    x.on_any_outgoing(move |_, event| of_socket.lock().unwrap().push(event.name().to_owned()));
    x.emit("one", 1).unwrap();
    server.io.emit("two", 2).unwrap();
    server.io.except(a.sid()).emit("three", 3).unwrap();
    drop(x.emit_with_ack::<()>("four", 4));
    a.expect(r#"2["one",1]"#).await;
    a.expect(r#"2["two",2]"#).await;
    a.expect(r#"20["four",4]"#).await;
    a.quiet().await;
    assert_eq!(*own.lock().unwrap(), ["one", "two", "four"]);
    let mut seen = std::mem::take(&mut *seen.lock().unwrap());
    seen.sort_by_key(|(_, _, n)| *n);
    let entry = |id: &str, name: &str, n| (id.to_owned(), name.to_owned(), n);
    assert_eq!(seen.len(), 5);
    assert_eq!(seen[0], entry(a.sid(), "one", 1));
    assert!(seen.contains(&entry(b.sid(), "two", 2)));
    assert_eq!(seen[3], entry(b.sid(), "three", 3));
    assert_eq!(seen[4], entry(a.sid(), "four", 4));
    assert_eq!(x.off_any_outgoing(), 1);
    x.emit("five", 5).unwrap();
    assert_eq!(own.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn listeners_for_every_event_come_in_order_and_go() {
    let server = Server::with(Namespace::new("/").on_connect(async |socket: Socket| {
        let log = |label: &'static str| {
            move |socket: Socket, EventName(name): EventName| async move {
                socket.emit("seen", (label, name))
            }
        };
        socket.on("e", log("e"));
        socket.on_any(log("second"));
        socket.prepend_any(log("first"));
        socket.on("off any", async |socket: Socket| Ack(socket.off_any()));
        socket.on("off e", async |socket: Socket| Ack(socket.off_event("e")));
    }))
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"2["e"]"#).await;
    peer.expect(r#"2["seen","first","e"]"#).await;
    peer.expect(r#"2["seen","second","e"]"#).await;
    peer.expect(r#"2["seen","e","e"]"#).await;
    peer.send(r#"20["off any"]"#).await;
    peer.expect(r#"2["seen","first","off any"]"#).await;
    peer.expect(r#"2["seen","second","off any"]"#).await;
    peer.expect("30[2]").await;
    peer.send(r#"21["off e"]"#).await;
    peer.expect("31[1]").await;
    peer.send(r#"2["e"]"#).await;
    peer.send(r#"22["off any"]"#).await;
    peer.expect("32[0]").await;
}

#[tokio::test]
async fn rooms_tell_what_happens_to_them() {
    let server = Server::with(Namespace::new("/")).await;
    let mut events = server.io.of("/").room_events();
    let peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    let id = socket.id();
    socket.join("a").unwrap();
    socket.join("a").unwrap();
    socket.leave("b");
    socket.leave("a");
    socket.join("c").unwrap();
    socket.disconnect(true);
    let own = || id.to_string();
    for expected in [
        RoomEvent::Created(own()),
        RoomEvent::Joined(own(), id.clone()),
        RoomEvent::Created("a".into()),
        RoomEvent::Joined("a".into(), id.clone()),
        RoomEvent::Left("a".into(), id.clone()),
        RoomEvent::Deleted("a".into()),
        RoomEvent::Created("c".into()),
        RoomEvent::Joined("c".into(), id.clone()),
        RoomEvent::Left("c".into(), id.clone()),
        RoomEvent::Deleted("c".into()),
        RoomEvent::Left(own(), id.clone()),
        RoomEvent::Deleted(own()),
    ] {
        assert_eq!(events.recv().await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn catch_alls_come_before_middlewares_and_handlers() {
    let say = |label: &'static str| {
        move |socket: Socket, EventName(name): EventName| async move {
            socket.emit("seen", (label, name))
        }
    };
    let server = Server::with(
        Namespace::new("/")
            .packet_middleware(async |socket: Socket, EventName(name): EventName| {
                socket.emit("seen", ("middleware", &name))?;
                if name == "refused" {
                    return Err(EventError::new("refused"));
                }
                Ok(())
            })
            .on("e", say("handler"))
            .on_any(say("any"))
            .on_any(async |socket: Socket, EventName(name): EventName| {
                if name == "kick" {
                    socket.disconnect(false);
                }
            })
            .on_connect(move |socket: Socket| async move {
                socket.on("e", say("own handler"));
                socket.on_any(say("own any"));
            }),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"2["e"]"#).await;
    for label in ["any", "own any", "middleware", "handler", "own handler"] {
        peer.expect(&format!(r#"2["seen","{label}","e"]"#)).await;
    }
    peer.send(r#"2["refused"]"#).await;
    for label in ["any", "own any", "middleware"] {
        peer.expect(&format!(r#"2["seen","{label}","refused"]"#))
            .await;
    }
    // A disconnected socket receives nothing of an event.
    peer.send(r#"2["kick"]"#).await;
    peer.expect(r#"2["seen","any","kick"]"#).await;
    peer.expect("1").await;
    peer.join("/").await;
    peer.send(r#"2["e"]"#).await;
    peer.expect(r#"2["seen","any","e"]"#).await;
}

#[tokio::test]
async fn the_first_of_several_answers_counts() {
    let server = Server::with(
        Namespace::new("/")
            .on("question", async || Ack("first"))
            .on("question", async || Ack("second"))
            .on("late", async || {
                tokio::task::yield_now().await;
                Ack("late")
            })
            .on("late", async |ack: AckSender| ack.send("early"))
            .on("echo", async || Ack(()))
            .on_connect(async |socket: Socket| {
                socket.on("question", async || Ack("third"));
                socket.on("echo", async || Ack("too late"));
            }),
    )
    .await;
    let mut peer = server.joined().await;
    peer.send(r#"20["question"]"#).await;
    peer.expect(r#"30["first"]"#).await;
    peer.send(r#"21["late"]"#).await;
    peer.expect(r#"31["early"]"#).await;
    peer.send(r#"22["question"]"#).await;
    peer.expect(r#"32["first"]"#).await;
    peer.quiet().await;
}

#[tokio::test]
async fn listeners_are_told_and_taken_off_one_by_one() {
    let server = Server::with(Namespace::new("/").on("echo", async || Ack(()))).await;
    let mut peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    assert!(socket.listeners("e").is_empty());
    assert!(socket.listeners_any().is_empty());
    assert!(socket.listeners_any_outgoing().is_empty());
    let e = [socket.on("e", async || ()), socket.once("e", async || ())];
    let second = socket.on_any(async || ());
    let first = socket.prepend_any(async || ());
    assert_eq!(socket.listeners("e"), e);
    assert_eq!(socket.listeners_any(), [first, second]);
    assert!(socket.off(first) && !socket.off(first));
    assert_eq!(socket.listeners_any(), [second]);

    let log = Arc::new(Mutex::new(Vec::new()));
    let listener = |label: &'static str| {
        let log = log.clone();
        move |_: &Socket, _: &OutgoingEvent| log.lock().unwrap().push(label)
    };
    let b = socket.on_any_outgoing(listener("b"));
    let a = socket.prepend_any_outgoing(listener("a"));
    assert_eq!(socket.listeners_any_outgoing(), [a, b]);
    socket.emit("x", ()).unwrap();
    assert!(socket.off(b) && !socket.off(b));
    server.io.emit("y", ()).unwrap();
    assert!(socket.off(a));
    socket.emit("z", ()).unwrap();
    assert_eq!(*log.lock().unwrap(), ["a", "b", "a"]);
    for name in ["x", "y", "z"] {
        peer.expect(&format!(r#"2["{name}"]"#)).await;
    }
}

#[tokio::test]
async fn a_listener_of_one_socket_is_none_of_another() {
    let server = Server::with(Namespace::new("/")).await;
    let (a, b) = (server.joined().await, server.joined().await);
    let [first, second] = [&a, &b].map(|peer| server.io.of("/").socket(peer.sid()).unwrap());
    let (mine, other) = (first.on("x", async || {}), second.on("x", async || {}));
    assert!(!first.off(other));
    assert!(first.off(mine));
}

/// Removes all handlers of a socket when it is dropped.
struct RemovesAll(Socket);

impl Drop for RemovesAll {
    fn drop(&mut self) {
        self.0.off_any();
    }
}

#[tokio::test]
async fn dropping_a_handler_may_remove_others() {
    let server = Server::with(Namespace::new("/")).await;
    let peer = server.joined().await;
    let socket = server.io.of("/").socket(peer.sid()).unwrap();
    let add = || {
        let removes = RemovesAll(socket.clone());
        socket.on("x", move || {
            let _ = &removes;
            async {}
        })
    };
    let (done, ended) = tokio::sync::oneshot::channel();
    let (id, _) = (add(), add());
    let other = socket.clone();
    // On a separate thread: if the handler is dropped under the lock, this waits forever.
    std::thread::spawn(move || {
        let _ = done.send((other.off(id), other.off_event("x")));
    });
    let Ok(removed) = tokio::time::timeout(crate::support::DEADLINE, ended).await else {
        // Dropping the server would wait for the lock, too.
        eprintln!("a handler was dropped under the lock");
        std::process::abort();
    };
    assert_eq!(removed, Ok((true, 1)));
}
