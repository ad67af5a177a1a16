//! Opening, losing and reopening the connection.

use super::*;

#[test]
fn websocket_first_then_polling() {
    let mut d = Driver::new(config());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::OpenWebSocket { connection, .. } = d.next() else {
        panic!()
    };
    d.input(
        connection,
        Input::Closed(Err(TransportError::new("websocket error").with_status(400))),
    );
    assert_eq!(d.next(), Action::Abort { connection });
    let Action::Get {
        connection,
        sid: None,
    } = d.next()
    else {
        panic!()
    };
    assert_eq!(d.log(), [""; 0], "the fallback is silent");
    d.input(
        connection,
        Input::Get(Ok(Bytes::from(format!("{OPEN}\x1e2")))),
    );
    assert!(
        matches!(d.next(), Action::Post { body, .. } if body == "3"),
        "a ping in the first payload is answered"
    );
    assert!(matches!(d.next(), Action::Get { sid: Some(_), .. }));
    d.input(connection, Input::Post(Ok(())));
    assert!(matches!(d.next(), Action::Post { body, .. } if body == "40"));
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(br#"40{"sid":"a"}"#))),
    );
    assert_eq!(d.log(), ["connect a"]);
    assert_eq!(d.manager.transport(), Some(Transport::Polling));
}

#[test]
fn unreachable_host_is_not_tried_twice_per_attempt() {
    let mut d = Driver::new(config());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::OpenWebSocket { connection, .. } = d.next() else {
        panic!()
    };
    let refused = TransportError::new("websocket error")
        .with_description("refused")
        .unreachable();
    d.input(connection, Input::Closed(Err(refused)));
    assert_eq!(d.next(), Action::Abort { connection });
    d.no_action();
    assert_eq!(d.log(), ["connect_error websocket error: refused"]);
    assert!(d.manager.is_active(id));
}

#[test]
fn a_swallowed_websocket_falls_back_after_half_the_timeout() {
    let mut d = Driver::new(config());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    assert!(matches!(d.next(), Action::OpenWebSocket { .. }));
    d.advance(secs(10));
    assert!(matches!(d.next(), Action::Abort { .. }));
    assert!(matches!(d.next(), Action::Get { .. }));
    d.advance(secs(10));
    assert!(matches!(d.next(), Action::Abort { .. }));
    assert_eq!(d.log(), ["connect_error timeout"]);
}

#[test]
fn reconnects_for_ever_with_growing_delays() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let mut delays = Vec::new();
    for _ in 0..50 {
        let Action::OpenWebSocket { connection, .. } = d.next() else {
            panic!()
        };
        d.input(
            connection,
            Input::Closed(Err(TransportError::new("websocket error"))),
        );
        assert!(matches!(d.next(), Action::Abort { .. }));
        let before = d.now;
        let at = d.manager.poll_timeout().unwrap();
        d.advance(at - before);
        delays.push((at - before).as_secs());
    }
    assert_eq!(delays[..5], [1, 2, 4, 5, 5]);
    assert!(delays[5..].iter().all(|delay| *delay == 5));
    d.open_websocket();
    assert!(d.manager_log().contains(&"reconnect 50".to_owned()));
    // After a success the delays start over.
    d.text(r#"40{"sid":"a"}"#);
    d.lose();
    assert_eq!(d.manager.poll_timeout(), Some(d.now + secs(1)));
}

#[test]
fn gives_up_after_the_given_attempts_and_connect_starts_anew() {
    let mut d = Driver::new(Config {
        reconnection_attempts: Some(2),
        ..websocket_only()
    });
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    for _ in 0..3 {
        let Action::OpenWebSocket { connection, .. } = d.next() else {
            panic!()
        };
        d.input(
            connection,
            Input::Closed(Err(TransportError::new("websocket error"))),
        );
        assert!(matches!(d.next(), Action::Abort { .. }));
        d.advance(secs(5));
    }
    d.no_action();
    let log = d.manager_log();
    assert_eq!(
        log.iter()
            .filter(|line| line.starts_with("reconnect_attempt"))
            .count(),
        2
    );
    assert_eq!(log[log.len() - 2..], ["reconnect_failed", "idle"]);
    assert_eq!(d.manager.poll_timeout(), None);
    assert!(!d.manager.is_active(id));
    d.manager.connect(d.now, id);
    assert!(matches!(d.next(), Action::OpenWebSocket { .. }));
}

#[test]
fn without_reconnection_a_lost_connection_stays_lost() {
    let (mut d, id) = Driver::connected_with(
        Config {
            reconnection: false,
            ..websocket_only()
        },
        SocketConfig::default(),
    );
    d.lose();
    d.advance(secs(100));
    assert_eq!(d.log(), ["connect a", "disconnect transport close"]);
    assert!(!d.manager.is_active(id) && d.manager.is_idle());
}

#[test]
fn heartbeat_is_answered_and_missed() {
    let (mut d, id) = Driver::connected();
    d.written();
    d.advance(secs(25));
    d.text("2");
    assert_eq!(d.written(), ["3"]);
    d.advance(secs(44));
    assert!(d.manager.is_connected(id));
    // Only pings count: other packets do not postpone the deadline.
    d.text(r#"42["x"]"#);
    d.advance(secs(1));
    assert_eq!(d.log()[2..], ["disconnect ping timeout"]);
}

#[test]
fn a_heartbeat_overtakes_queued_data() {
    let (mut d, id) = Driver::connected();
    d.written();
    d.auto_write = false;
    for _ in 0..3 {
        d.emit(id, r#"["x"]"#);
    }
    assert_eq!(d.written().len(), 1, "one write at a time");
    d.text("2");
    let connection = d.connection();
    d.input(connection, Input::Written);
    assert_eq!(d.written(), ["3", r#"42["x"]"#, r#"42["x"]"#]);
}

#[test]
fn after_a_suspended_hour_an_emit_is_buffered_not_lost() {
    let (mut d, id) = Driver::connected();
    d.written();
    // The machine was suspended: no timer fired.
    d.now += secs(3600);
    assert_eq!(d.emit(id, r#"["late"]"#), Emitted::Buffered);
    assert_eq!(d.log(), ["connect a", "disconnect ping timeout"]);
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    assert_eq!(d.written(), ["40", r#"42["late"]"#]);
}

#[test]
fn offline_buffer_is_flushed_in_order_before_later_emits() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.emit(id, r#"["1"]"#);
    d.manager.connect(d.now, id);
    d.emit(id, r#"["2"]"#);
    d.open_websocket();
    d.emit(id, r#"["3"]"#);
    d.text(r#"40{"sid":"a"}"#);
    d.emit(id, r#"["4"]"#);
    assert_eq!(
        d.written(),
        ["40", r#"42["1"]"#, r#"42["2"]"#, r#"42["3"]"#, r#"42["4"]"#]
    );
}

#[test]
fn garbage_ends_the_connection_with_parse_error() {
    for garbage in [
        "",
        "9",
        "4",
        "4x",
        "42",
        "42{}",
        r#"42["x""#,
        "4[]",
        "451-[\"x\"]\x00",
    ] {
        let (mut d, _) = Driver::connected();
        d.text(garbage);
        assert_eq!(d.log()[1..], ["disconnect parse error"], "{garbage:?}");
        assert!(matches!(d.next(), Action::Abort { .. }));
    }
    let (mut d, _) = Driver::connected();
    let connection = d.connection();
    d.input(connection, Input::Text(Bytes::from_static(b"42[\"\xff\"]")));
    assert_eq!(d.log()[1..], ["disconnect parse error"]);
    let (mut d, _) = Driver::connected();
    let connection = d.connection();
    d.input(connection, Input::Binary(Bytes::from_static(b"x")));
    assert_eq!(d.log()[1..], ["disconnect parse error"]);
}

#[test]
fn bad_handshakes_are_errors_not_panics() {
    for handshake in [
        "",
        "0",
        "0{}",
        "1",
        "40",
        r#"0{"sid":"","pingInterval":1,"pingTimeout":1}"#,
        "0[]",
    ] {
        let mut d = Driver::new(websocket_only());
        let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
        d.manager.connect(d.now, id);
        let Action::OpenWebSocket { connection, .. } = d.next() else {
            panic!()
        };
        d.input(connection, Input::Open);
        d.input(
            connection,
            Input::Text(Bytes::copy_from_slice(handshake.as_bytes())),
        );
        assert!(
            d.log()[0].starts_with("connect_error parse error"),
            "{handshake:?}"
        );
    }
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::OpenWebSocket { connection, .. } = d.next() else {
        panic!()
    };
    d.input(connection, Input::Open);
    let huge = format!(
        r#"0{{"sid":"x","pingInterval":{0},"pingTimeout":{0},"maxPayload":0}}"#,
        u64::MAX
    );
    d.input(connection, Input::Text(huge.into()));
    assert!(d.manager.poll_timeout().is_some());
}

#[test]
fn inputs_of_an_older_connection_are_ignored() {
    let (mut d, _) = Driver::connected();
    let old = d.connection();
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    d.log();
    for input in [
        Input::Text(Bytes::from_static(br#"42["ghost"]"#)),
        Input::Get(Ok(Bytes::from_static(b"1"))),
        Input::Post(Err(TransportError::new("xhr post error"))),
        Input::Closed(Ok(None)),
        Input::Written,
    ] {
        d.input(old, input);
    }
    assert_eq!(d.log(), [""; 0]);
}

#[test]
fn polling_payloads_stay_below_max_payload_and_posts_do_not_overlap() {
    let mut d = Driver::new(polling_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::Get { connection, .. } = d.next() else {
        panic!()
    };
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(OPEN.as_bytes()))),
    );
    assert!(matches!(d.next(), Action::Get { .. }));
    assert!(matches!(d.next(), Action::Post { body, .. } if body == "40"));
    d.input(connection, Input::Post(Ok(())));
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(br#"40{"sid":"a"}"#))),
    );
    assert!(matches!(d.next(), Action::Get { .. }));
    for _ in 0..8 {
        d.emit(id, r#"["twenty-five bytes here"]"#);
    }
    let long = Payload::from_json(format!("[\"{}\"]", "x".repeat(300)), Vec::new());
    d.manager.emit(d.now, id, long, EmitOptions::new()).unwrap();
    let mut sizes = Vec::new();
    loop {
        d.run();
        match d.actions.pop_front() {
            Some(Action::Post { body, .. }) => sizes.push(body.len()),
            Some(other) => panic!("{other:?}"),
            None => break,
        }
        d.no_action();
        d.input(connection, Input::Post(Ok(())));
    }
    // The first is sent separately because the queue was empty then; three fit into 100 bytes; the long one is
    // separate.
    assert_eq!(sizes, [28, 86, 86, 28, 306]);
}

#[test]
fn polling_failures_have_the_official_texts() {
    let mut d = Driver::new(polling_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::Get { connection, .. } = d.next() else {
        panic!()
    };
    d.input(
        connection,
        Input::Get(Err(TransportError::new("xhr poll error").with_status(503))),
    );
    assert_eq!(d.log(), ["connect_error xhr poll error (status 503)"]);
}

#[test]
fn the_server_closes_a_polling_session() {
    let mut d = Driver::new(polling_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::Get { connection, .. } = d.next() else {
        panic!()
    };
    d.input(
        connection,
        Input::Get(Ok(Bytes::from(format!("{OPEN}\x1e40{{\"sid\":\"a\"}}")))),
    );
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(br#"40{"sid":"a"}"#))),
    );
    d.input(connection, Input::Get(Ok(Bytes::from_static(b"1"))));
    assert_eq!(d.log(), ["connect a", "disconnect transport close"]);
}

#[test]
fn disconnect_flushes_then_closes() {
    let (mut d, id) = Driver::connected();
    d.written();
    d.auto_write = false;
    d.emit(id, r#"["1"]"#);
    d.emit(id, r#"["2"]"#);
    let connection = d.connection();
    d.manager.disconnect(d.now, id);
    assert!(!d.manager.is_idle());
    d.no_action();
    for _ in 0..3 {
        d.input(connection, Input::Written);
    }
    // The last one is separate: a Node server drops events that it reads together with a DISCONNECT.
    assert_eq!(d.written(), [r#"42["1"]"#, r#"42["2"]"#, "41"]);
    assert_eq!(d.next(), Action::CloseWebSocket { connection });
    assert!(d.manager.is_idle());
    assert_eq!(d.log(), ["connect a", "disconnect io client disconnect"]);
    d.advance(secs(100));
    d.no_action();
}

#[test]
fn disconnect_does_not_wait_for_ever() {
    let (mut d, id) = Driver::connected();
    d.auto_write = false;
    d.emit(id, r#"["1"]"#);
    d.manager.disconnect(d.now, id);
    d.advance(secs(5));
    assert!(matches!(d.next(), Action::Abort { .. }));
    assert!(d.manager.is_idle());
}

#[test]
fn disconnect_over_polling_posts_a_close_packet() {
    let mut d = Driver::new(polling_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::Get { connection, .. } = d.next() else {
        panic!()
    };
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(OPEN.as_bytes()))),
    );
    d.actions.clear();
    d.manager.disconnect(d.now, id);
    d.input(connection, Input::Post(Ok(())));
    assert!(matches!(d.next(), Action::Post { body, .. } if body == "1"));
    d.input(connection, Input::Post(Ok(())));
    assert_eq!(d.next(), Action::Abort { connection });
    assert!(d.manager.is_idle());
}

#[test]
fn connect_right_after_disconnect_opens_a_new_connection() {
    let (mut d, id) = Driver::connected();
    d.manager.disconnect(d.now, id);
    d.manager.connect(d.now, id);
    d.run();
    d.actions
        .retain(|action| !matches!(action, Action::CloseWebSocket { .. }));
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    assert_eq!(
        d.log(),
        ["connect a", "disconnect io client disconnect", "connect b"]
    );
}

#[test]
fn disconnect_while_reconnecting_stops_it() {
    let (mut d, id) = Driver::connected();
    d.lose();
    d.manager.disconnect(d.now, id);
    d.actions.clear();
    d.advance(secs(1000));
    d.no_action();
    assert!(d.manager.is_idle());
    // The order of drop and disconnect does not matter.
    let (mut d, id) = Driver::connected();
    d.manager.disconnect(d.now, id);
    d.run();
    d.actions.clear();
    d.advance(secs(1000));
    d.no_action();
}

#[test]
fn auth_is_asked_for_at_each_connect_and_its_failure_is_retried() {
    let mut d = Driver::new(websocket_only());
    d.auth = Ok(Some(r#"{"token":1}"#.into()));
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.text(r#"40{"sid":"a","pid":"p"}"#);
    d.lose();
    d.actions.clear();
    d.auth = Err(AuthError("token server down".into()));
    d.advance(secs(1));
    d.open_websocket();
    assert_eq!(
        d.log(),
        [
            "connect a",
            "disconnect transport close",
            "connect_error auth payload not available: token server down"
        ]
    );
    d.auth = Ok(Some(r#"{"token":2}"#.into()));
    d.advance(secs(1));
    assert_eq!(
        d.written(),
        [r#"40{"token":1}"#, r#"40{"pid":"p","token":2}"#]
    );
    d.auth = Ok(Some("3".into()));
    d.lose();
    d.actions.clear();
    // It had not joined: the delays keep growing.
    d.advance(secs(2));
    d.open_websocket();
    assert!(d.log().last().unwrap().contains("JSON object"));
    assert!(d.manager.is_active(id));
}

#[test]
fn a_slow_auth_answer_for_a_lost_connection_is_ignored() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Some(Action::OpenWebSocket { connection, .. }) = d.manager.poll_action() else {
        panic!()
    };
    d.manager.handle(d.now, connection, Input::Open);
    d.manager.handle(
        d.now,
        connection,
        Input::Text(Bytes::from_static(OPEN.as_bytes())),
    );
    let Some(Action::Authenticate { socket, attempt }) = d.manager.poll_action() else {
        panic!()
    };
    d.manager.handle(d.now, connection, Input::Closed(Ok(None)));
    d.manager.authenticated(d.now, socket, attempt, Ok(None));
    assert!(matches!(
        d.manager.poll_action(),
        Some(Action::Abort { .. })
    ));
    d.run();
    assert!(d.written.is_empty());
}
