//! The server's state of a namespace, independent of the socket that requested it.

use super::*;

/// Creates a manager whose socket of `/` is connected, so that the connection stays open when others leave.
fn shared() -> Driver {
    let (mut d, _) = Driver::connected();
    d.log();
    d.written();
    d
}

fn add(d: &mut Driver, namespace: &str) -> SocketId {
    d.manager
        .add_socket(namespace, SocketConfig::default())
        .unwrap()
}

/// Returns the pending requests for `auth`.
fn asked(d: &mut Driver) -> Vec<(SocketId, u64)> {
    d.run();
    d.actions
        .drain(..)
        .filter_map(|action| match action {
            Action::Authenticate { socket, attempt } => Some((socket, attempt)),
            _ => None,
        })
        .collect()
}

fn token(name: &str) -> Result<Option<String>, AuthError> {
    Ok(Some(format!(r#"{{"token":"{name}"}}"#)))
}

#[test]
fn credentials_of_a_removed_socket_reach_no_other() {
    let mut d = shared();
    d.auto_auth = false;
    let first = add(&mut d, "/first");
    d.manager.connect(d.now, first);
    let [(socket, attempt)] = asked(&mut d)[..] else {
        panic!()
    };
    d.manager.remove_socket(d.now, first);
    let second = add(&mut d, "/second");
    d.manager.connect(d.now, second);
    let mine = asked(&mut d)[0];
    assert_ne!(first, second, "an id is never given twice");
    d.manager
        .authenticated(d.now, socket, attempt, token("first"));
    assert_eq!(d.written(), [""; 0]);
    d.manager
        .authenticated(d.now, mine.0, mine.1, token("second"));
    assert_eq!(d.written(), [r#"40/second,{"token":"second"}"#]);
}

#[test]
fn an_acknowledgement_by_a_removed_socket_reaches_no_other() {
    let mut d = shared();
    let first = add(&mut d, "/first");
    d.manager.connect(d.now, first);
    d.text(r#"40/first,{"sid":"f"}"#);
    d.text(r#"42/first,7["q"]"#);
    let Some(Event::Socket(_, SocketEvent::Event(question))) = d.take_events().pop() else {
        panic!()
    };
    d.manager.remove_socket(d.now, first);
    let second = add(&mut d, "/second");
    d.manager.connect(d.now, second);
    d.text(r#"40/second,{"sid":"s"}"#);
    d.text(r#"42/second,7["q"]"#);
    d.written();
    let answer = event(r#"["for the first"]"#);
    let sent = d
        .manager
        .ack(d.now, first, question.epoch, question.ack.unwrap(), &answer);
    assert!(!sent.unwrap());
    assert_eq!(d.written(), [""; 0]);
}

/// A handler of the previous session may answer after the next one of the same namespace has started.
#[test]
fn an_answer_to_a_removed_socket_settles_no_other() {
    let mut d = shared();
    let first = add(&mut d, "/chat");
    d.manager.connect(d.now, first);
    d.text(r#"40/chat,{"sid":"1"}"#);
    d.emit_ack(first, r#"["q"]"#, None);
    d.manager.remove_socket(d.now, first);
    let second = add(&mut d, "/chat");
    d.manager.connect(d.now, second);
    d.run();
    d.text(r#"40/chat,{"sid":"2"}"#);
    d.emit_ack(second, r#"["q"]"#, None);
    d.log();
    d.text(r#"43/chat,0["too late"]"#);
    assert_eq!(d.log(), [""; 0]);
    d.text(r#"43/chat,1["yes"]"#);
    assert_eq!(d.log(), [r#"ack "yes""#]);
}

#[test]
fn a_socket_removed_before_the_answer_leaves_when_it_comes() {
    for disconnect_first in [false, true] {
        let mut d = shared();
        let chat = add(&mut d, "/chat");
        d.manager.connect(d.now, chat);
        d.run();
        if disconnect_first {
            d.manager.disconnect(d.now, chat);
        }
        d.manager.remove_socket(d.now, chat);
        // A DISCONNECT now would make a Node server close the connection.
        assert_eq!(d.written(), ["40/chat,"]);
        d.text(r#"40/chat,{"sid":"c"}"#);
        assert_eq!(d.written(), ["41/chat,"]);
        assert_eq!(d.log(), [""; 0]);
    }
}

#[test]
fn a_connect_that_is_not_answered_is_not_sent_twice() {
    let mut d = shared();
    let first = add(&mut d, "/chat");
    d.manager.connect(d.now, first);
    d.run();
    d.manager.remove_socket(d.now, first);
    let second = add(&mut d, "/chat");
    d.manager.connect(d.now, second);
    d.run();
    assert_eq!(d.written(), ["40/chat,"], "with the same credentials, too");
    d.text(r#"40/chat,{"sid":"c"}"#);
    assert_eq!(d.log(), ["connect c"]);
    assert_eq!(d.written(), [""; 0]);
}

#[test]
fn rejoining_waits_until_the_server_has_read_the_disconnect() {
    let mut d = shared();
    let chat = add(&mut d, "/chat");
    d.manager.connect(d.now, chat);
    d.text(r#"40/chat,{"sid":"c"}"#);
    d.written();
    d.auto_pong = false;
    d.manager.disconnect(d.now, chat);
    d.manager.connect(d.now, chat);
    assert_eq!(d.written(), ["41/chat,"]);
    // Others do not wait for it.
    let other = add(&mut d, "/other");
    d.manager.connect(d.now, other);
    assert_eq!(d.written(), ["40/other,"]);
    d.pong();
    assert_eq!(d.written(), ["40/chat,"]);
    d.text(r#"40/chat,{"sid":"d"}"#);
    assert!(d.manager.is_connected(chat));
}

/// Checks the same for another socket of the namespace.
#[test]
fn rejoining_with_another_socket_waits_too() {
    let mut d = shared();
    let chat = add(&mut d, "/chat");
    d.manager.connect(d.now, chat);
    d.text(r#"40/chat,{"sid":"c"}"#);
    d.written();
    d.auto_pong = false;
    d.manager.remove_socket(d.now, chat);
    let chat = add(&mut d, "/chat");
    d.manager.connect(d.now, chat);
    assert_eq!(d.written(), ["41/chat,"]);
    d.pong();
    assert_eq!(d.written(), ["40/chat,"]);
}

#[test]
fn rejoining_over_polling_takes_a_request_of_its_own() {
    let mut d = Driver::new(polling_only());
    let main = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    let chat = add(&mut d, "/chat");
    d.manager.connect(d.now, main);
    d.manager.connect(d.now, chat);
    let Action::Get { connection, .. } = d.next() else {
        panic!()
    };
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(OPEN.as_bytes()))),
    );
    d.input(connection, Input::Post(Ok(())));
    d.input(connection, Input::Post(Ok(())));
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(
            b"40{\"sid\":\"a\"}\x1e40/chat,{\"sid\":\"c\"}",
        ))),
    );
    assert!(d.manager.is_connected(chat));
    d.actions.clear();
    // A packet is in flight, so that all later ones wait for its completion.
    d.emit(main, r#"["x"]"#);
    d.manager.disconnect(d.now, chat);
    d.manager.connect(d.now, chat);
    let mut bodies = Vec::new();
    loop {
        d.run();
        match d.actions.pop_front() {
            Some(Action::Post { body, .. }) => bodies.push(body),
            Some(_) => continue,
            None => break,
        }
        d.input(connection, Input::Post(Ok(())));
    }
    assert_eq!(bodies, [r#"42["x"]"#, "41/chat,", "40/chat,"]);
}

#[test]
fn connect_disconnect_connect_uses_the_newest_credentials() {
    let mut d = shared();
    let chat = add(&mut d, "/chat");
    d.auth = token("old");
    d.manager.connect(d.now, chat);
    d.run();
    d.manager.disconnect(d.now, chat);
    d.auth = token("new");
    d.manager.connect(d.now, chat);
    d.run();
    assert_eq!(d.written(), [r#"40/chat,{"token":"old"}"#]);
    d.text(r#"40/chat,{"sid":"old"}"#);
    assert_eq!(d.written(), ["41/chat,", r#"40/chat,{"token":"new"}"#]);
    d.text(r#"40/chat,{"sid":"new"}"#);
    assert_eq!(d.log(), ["connect new"]);
}

/// The old credentials are rejected: there is no namespace to leave.
#[test]
fn new_credentials_go_out_when_the_old_ones_are_refused() {
    let mut d = shared();
    let chat = add(&mut d, "/chat");
    d.auth = token("old");
    d.manager.connect(d.now, chat);
    d.run();
    d.manager.disconnect(d.now, chat);
    d.auth = token("new");
    d.manager.connect(d.now, chat);
    d.run();
    d.written();
    d.text(r#"44/chat,{"message":"no"}"#);
    assert_eq!(d.written(), [r#"40/chat,{"token":"new"}"#]);
    assert_eq!(d.log(), [""; 0]);
}
