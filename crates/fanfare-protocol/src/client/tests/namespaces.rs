//! Several sockets over one connection.

use super::*;

fn two() -> (Driver, SocketId, SocketId) {
    let (mut d, main) = Driver::connected();
    let chat = d
        .manager
        .add_socket("/chat", SocketConfig::default())
        .unwrap();
    d.manager.connect(d.now, chat);
    d.text(r#"40/chat,{"sid":"c"}"#);
    assert_eq!(d.log(), ["connect a", "connect c"]);
    assert_eq!(d.written(), ["40", "40/chat,"]);
    (d, main, chat)
}

#[test]
fn events_go_to_their_namespace() {
    let (mut d, main, chat) = two();
    d.text(r#"42/chat,["x",1]"#);
    d.text(r#"42["y"]"#);
    d.text(r#"42/unknown,["z"]"#);
    let events = d.take_events();
    let names: Vec<(SocketId, &str)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Socket(id, SocketEvent::Event(event)) => Some((*id, &*event.name)),
            _ => None,
        })
        .collect();
    assert_eq!(names, [(chat, "x"), (main, "y")]);
    d.emit(chat, r#"["e"]"#);
    assert_eq!(d.written(), [r#"42/chat,["e"]"#]);
}

#[test]
fn a_namespace_has_one_socket_per_manager() {
    let (mut d, ..) = two();
    assert_eq!(d.manager.add_socket("/chat", SocketConfig::default()), None);
    assert_eq!(d.manager.add_socket("chat", SocketConfig::default()), None);
}

#[test]
fn the_connection_closes_with_its_last_socket() {
    let (mut d, main, chat) = two();
    d.manager.disconnect(d.now, chat);
    assert_eq!(d.written(), ["41/chat,"]);
    d.no_action();
    d.manager.disconnect(d.now, main);
    assert_eq!(d.written(), ["41"]);
    assert!(matches!(d.next(), Action::CloseWebSocket { .. }));
}

#[test]
fn a_refused_namespace_leaves_the_others_alone_and_is_not_retried() {
    let (mut d, main) = Driver::connected();
    let admin = d
        .manager
        .add_socket("/admin", SocketConfig::default())
        .unwrap();
    d.manager.connect(d.now, admin);
    d.text(r#"44/admin,{"message":"not allowed","data":{"code":7}}"#);
    assert_eq!(d.log(), ["connect a", "connect_error not allowed"]);
    assert!(!d.manager.is_active(admin) && d.manager.is_connected(main));
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.written();
    d.open_websocket();
    assert_eq!(d.written(), ["40"], "only the active socket comes back");
    // The application connects again.
    d.manager.connect(d.now, admin);
    assert_eq!(d.written(), ["40/admin,"]);
}

#[test]
fn a_refusal_of_the_only_namespace_closes_the_connection() {
    let mut d = Driver::new(websocket_only());
    let id = d
        .manager
        .add_socket("/nope", SocketConfig::default())
        .unwrap();
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.text(r#"44/nope,{"message":"Invalid namespace"}"#);
    assert!(matches!(d.next(), Action::CloseWebSocket { .. }));
    assert!(d.manager.is_idle());
    assert_eq!(d.log(), ["connect_error Invalid namespace"]);
}

#[test]
fn server_side_disconnect_is_final_until_connect() {
    let (mut d, main, chat) = two();
    d.text("41/chat,");
    assert_eq!(d.log(), ["disconnect io server disconnect"]);
    assert!(!d.manager.is_active(chat) && d.manager.is_connected(main));
    d.text("41");
    assert_eq!(d.log(), ["disconnect io server disconnect"]);
    assert!(matches!(d.next(), Action::CloseWebSocket { .. }));
    d.manager.connect(d.now, main);
    assert!(matches!(d.next(), Action::OpenWebSocket { .. }));
}

#[test]
fn disconnect_before_the_answer_waits_for_it() {
    let (mut d, _) = Driver::connected();
    let chat = d
        .manager
        .add_socket("/chat", SocketConfig::default())
        .unwrap();
    d.manager.connect(d.now, chat);
    d.run();
    d.manager.disconnect(d.now, chat);
    // A DISCONNECT now would make a Node server close the whole connection.
    assert_eq!(d.written(), ["40", "40/chat,"]);
    d.text(r#"40/chat,{"sid":"c"}"#);
    assert_eq!(d.written(), ["41/chat,"]);
    assert_eq!(d.log(), ["connect a"]);
    // And so does connect, disconnect, connect: only one CONNECT.
    d.manager.connect(d.now, chat);
    d.run();
    d.manager.disconnect(d.now, chat);
    d.manager.connect(d.now, chat);
    assert_eq!(d.written(), ["40/chat,"]);
    d.text(r#"40/chat,{"sid":"d"}"#);
    assert_eq!(d.log(), ["connect d"]);
}

#[test]
fn events_of_an_ended_session_are_not_taken_for_the_next_one() {
    let (mut d, _, chat) = two();
    d.manager.disconnect(d.now, chat);
    d.manager.connect(d.now, chat);
    d.text(r#"42/chat,["from the old session"]"#);
    d.text(r#"40/chat,{"sid":"d"}"#);
    d.text(r#"42/chat,["new"]"#);
    assert_eq!(
        d.log(),
        ["disconnect io client disconnect", "connect d", "event new "]
    );
}

#[test]
fn a_removed_socket_is_forgotten() {
    let (mut d, main, chat) = two();
    let key = d.emit_ack(chat, r#"["q"]"#, None);
    d.manager.remove_socket(d.now, chat);
    let events = d.take_events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Ack(k, Err(AckError::Disconnected)) if *k == key))
    );
    assert_eq!(
        d.manager
            .emit(d.now, chat, event("[\"x\"]"), EmitOptions::new())
            .unwrap_err(),
        EmitError::Closed
    );
    assert!(d.manager.is_connected(main));
    d.text(r#"42/chat,["x"]"#);
    assert_eq!(d.log(), [""; 0]);
}

#[test]
fn recovery_replays_before_connect_and_delivers_after() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.text(r#"40{"sid":"a","pid":"p"}"#);
    d.text(r#"42["x",1,"o1"]"#);
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    assert_eq!(d.written(), ["40", r#"40{"pid":"p","offset":"o1"}"#]);
    d.text(r#"42["x",2,"o2"]"#);
    // Interrupted: the replay starts over from the same offset, and nothing is delivered twice.
    d.lose();
    d.actions.clear();
    d.advance(secs(2));
    d.open_websocket();
    assert_eq!(d.written(), [r#"40{"pid":"p","offset":"o1"}"#]);
    d.text(r#"42["x",2,"o2"]"#);
    d.text(r#"42["x",3,"o3"]"#);
    d.text(r#"40{"sid":"a","pid":"p"}"#);
    assert_eq!(
        d.log(),
        [
            "connect a",
            "event x 1,\"o1\"",
            "disconnect transport close",
            "connect_error transport close: closed before the namespace was joined",
            "connect a recovered",
            "event x 2,\"o2\"",
            "event x 3,\"o3\""
        ]
    );
    assert!(d.manager.is_recovered(id));
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    assert_eq!(d.written(), [r#"40{"pid":"p","offset":"o3"}"#]);
    d.text(r#"40{"sid":"b","pid":"q"}"#);
    assert!(!d.manager.is_recovered(id));
}

#[test]
fn a_v2_server_is_recognised() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.text("40");
    assert!(d.log()[0].contains("v2.x"));
}

/// It joins the main namespace without a request: its packet may follow the handshake before the client has sent
/// CONNECT.
#[test]
fn a_v2_server_is_recognised_before_the_client_asks_to_join() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    d.run();
    let Action::OpenWebSocket { connection, .. } = d.next() else {
        panic!("no WebSocket is opened");
    };
    for input in [
        Input::Open,
        Input::Text(Bytes::from_static(OPEN.as_bytes())),
        Input::Text(Bytes::from_static(b"40")),
    ] {
        d.manager.handle(d.now, connection, input);
    }
    assert!(d.log()[0].contains("v2.x"));
}
