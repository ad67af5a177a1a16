//! Acknowledgements, offline buffer limits and the `retries` queue.

use super::*;

#[test]
fn answers_reach_the_one_who_asked() {
    let (mut d, id) = Driver::connected();
    d.written();
    let first = d.emit_ack(id, r#"["a"]"#, None);
    let second = d.emit_ack(id, r#"["b"]"#, None);
    assert_eq!(d.written(), [r#"420["a"]"#, r#"421["b"]"#]);
    d.text("431[2]");
    d.text("430[1]");
    d.text("430[99]");
    d.text("4399[99]");
    let acks: Vec<(AckKey, String)> = d
        .take_events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Ack(key, Ok(args)) => Some((key, args.as_args().raw_json().unwrap().to_owned())),
            _ => None,
        })
        .collect();
    assert_eq!(acks, [(second, "2".to_owned()), (first, "1".to_owned())]);
    assert_eq!(d.manager.pending_acks(id), 0);
}

#[test]
fn deadlines_pass_in_their_order() {
    let (mut d, id) = Driver::connected();
    d.log();
    d.emit_ack(id, r#"["a"]"#, Some(secs(3)));
    d.emit_ack(id, r#"["b"]"#, Some(secs(1)));
    d.advance(secs(2));
    assert_eq!(d.log(), ["ack error: operation has timed out"]);
    d.text("431[2]");
    assert_eq!(d.log(), [""; 0], "too late");
    d.advance(secs(1));
    assert_eq!(d.log(), ["ack error: operation has timed out"]);
}

#[test]
fn a_timed_out_event_leaves_the_offline_buffer() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.emit_ack(id, r#"["a"]"#, Some(secs(1)));
    let dropped = d.emit_ack(id, r#"["b"]"#, None);
    d.emit_ack(id, r#"["c"]"#, None);
    d.advance(secs(1));
    assert_eq!(d.log(), ["ack error: operation has timed out"]);
    // So does one whose future was dropped.
    d.manager.cancel_ack(d.now, id, dropped);
    assert_eq!(
        (d.manager.buffered(id).0, d.manager.pending_acks(id)),
        (1, 1)
    );
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.text(r#"40{"sid":"a"}"#);
    assert_eq!(d.written(), ["40", r#"422["c"]"#]);
}

#[test]
fn a_disconnection_fails_what_was_sent_and_keeps_what_is_buffered() {
    let (mut d, id) = Driver::connected();
    d.emit_ack(id, r#"["sent"]"#, None);
    d.lose();
    d.emit_ack(id, r#"["buffered"]"#, None);
    assert_eq!(
        d.log(),
        [
            "connect a",
            "disconnect transport close",
            "ack error: socket has been disconnected"
        ]
    );
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    d.text("431[7]");
    assert_eq!(d.log(), ["connect b", "ack 7"]);
    assert_eq!(d.manager.buffered(id), (0, 0));
}

#[test]
fn the_servers_events_are_acknowledged_on_their_connection_only() {
    let (mut d, id) = Driver::connected();
    d.written();
    d.text(r#"4212["q",1]"#);
    let event = d
        .take_events()
        .into_iter()
        .rev()
        .find_map(|event| match event {
            Event::Socket(_, SocketEvent::Event(event)) => Some(event),
            _ => None,
        });
    let (ack, epoch) = event
        .map(|event| (event.ack.unwrap(), event.epoch))
        .unwrap();
    assert_eq!(
        d.manager
            .ack(d.now, id, epoch, ack, &super::event("[true]")),
        Ok(true)
    );
    assert_eq!(d.written(), ["4312[true]"]);
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    d.written();
    assert_eq!(
        d.manager
            .ack(d.now, id, epoch, ack, &super::event("[true]")),
        Ok(false)
    );
    assert_eq!(d.written(), [""; 0]);
}

#[test]
fn binary_travels_as_attachments_both_ways() {
    let (mut d, id) = Driver::connected();
    d.written();
    let payload = Payload::from_json(
        r#"["up",{"_placeholder":true,"num":0}]"#,
        vec![Bytes::from_static(b"abc")],
    );
    d.manager
        .emit(d.now, id, payload, EmitOptions::new())
        .unwrap();
    assert_eq!(
        d.written(),
        [r#"451-["up",{"_placeholder":true,"num":0}]"#, "<3 bytes>"]
    );
    d.text(r#"452-["down",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]"#);
    let connection = d.connection();
    d.input(connection, Input::Binary(Bytes::from_static(b"xy")));
    d.input(connection, Input::Binary(Bytes::from_static(b"z")));
    let attachments = d
        .take_events()
        .into_iter()
        .rev()
        .find_map(|event| match event {
            Event::Socket(_, SocketEvent::Event(event)) => {
                Some(event.args.as_args().attachments().to_vec())
            }
            _ => None,
        });
    assert_eq!(
        attachments.unwrap(),
        [Bytes::from_static(b"xy"), Bytes::from_static(b"z")]
    );
    // No attachments: delivered at once, and the next packet is decoded normally.
    d.text(r#"450-["none"]"#);
    d.text(r#"42["next"]"#);
    assert_eq!(d.log(), ["event none ", "event next "]);
}

#[test]
fn volatile_events_are_dropped_when_not_writable() {
    let (mut d, id) = Driver::connected();
    d.written();
    d.auto_write = false;
    let volatile = EmitOptions::new().volatile(true);
    let (first, _) = d
        .manager
        .emit(d.now, id, event(r#"["1"]"#), volatile)
        .unwrap();
    d.run();
    let (second, key) = d
        .manager
        .emit(d.now, id, event(r#"["2"]"#), volatile.ack(None))
        .unwrap();
    assert_eq!((first, second), (Emitted::Sent, Emitted::Dropped));
    assert!(key.is_some());
    assert_eq!(d.log().last().unwrap(), "ack error: event dropped");
    d.lose();
    let (offline, _) = d
        .manager
        .emit(d.now, id, event(r#"["3"]"#), volatile)
        .unwrap();
    assert_eq!(offline, Emitted::Dropped);
    assert_eq!(d.manager.buffered(id).0, 0);
}

#[test]
fn volatile_events_wait_for_a_namespace_while_the_transport_is_writable() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.written();
    let volatile = EmitOptions::new().volatile(true);
    let emitted = d.manager.emit(d.now, id, event(r#"["1"]"#), volatile);
    assert_eq!(emitted.unwrap().0, Emitted::Buffered);
    d.text(r#"40{"sid":"a"}"#);
    assert_eq!(d.written(), [r#"42["1"]"#]);
}

#[test]
fn offline_buffer_limits() {
    let offline = |limits: BufferLimits| {
        let mut d = Driver::new(websocket_only());
        let id = d
            .manager
            .add_socket(
                "/",
                SocketConfig {
                    buffer: limits,
                    ..SocketConfig::default()
                },
            )
            .unwrap();
        (d, id)
    };
    let two = BufferLimits {
        count: 2,
        ..BufferLimits::default()
    };
    let emit = |d: &mut Driver, id| {
        d.manager
            .emit(d.now, id, event(r#"["x"]"#), EmitOptions::new().ack(None))
    };

    let (mut d, id) = offline(two.clone());
    emit(&mut d, id).unwrap();
    emit(&mut d, id).unwrap();
    assert_eq!(
        emit(&mut d, id).unwrap_err(),
        EmitError::Full {
            pending: 2,
            limit: 2
        }
    );
    assert_eq!(
        d.manager.pending_acks(id),
        2,
        "a refused event leaves nothing behind"
    );

    let (mut d, id) = offline(BufferLimits {
        policy: BufferPolicy::DropOldest,
        ..two
    });
    for _ in 0..5 {
        assert_eq!(emit(&mut d, id).unwrap().0, Emitted::Buffered);
    }
    assert_eq!(
        d.log(),
        ["ack error: event dropped from the offline buffer"; 3]
    );
    assert_eq!(
        (d.manager.buffered(id).0, d.manager.pending_acks(id)),
        (2, 2)
    );

    let (mut d, id) = offline(BufferLimits {
        policy: BufferPolicy::DropNewest,
        ..two
    });
    for _ in 0..2 {
        emit(&mut d, id).unwrap();
    }
    assert_eq!(emit(&mut d, id).unwrap().0, Emitted::Dropped);
    assert_eq!(d.log(), ["ack error: event dropped"]);

    let (mut d, id) = offline(BufferLimits {
        bytes: 12,
        ..BufferLimits::default()
    });
    emit(&mut d, id).unwrap();
    emit(&mut d, id).unwrap();
    assert_eq!(
        emit(&mut d, id).unwrap_err(),
        EmitError::Full {
            pending: 10,
            limit: 12
        }
    );

    let (mut d, id) = offline(BufferLimits {
        age: Some(secs(10)),
        ..BufferLimits::default()
    });
    emit(&mut d, id).unwrap();
    d.advance(secs(5));
    emit(&mut d, id).unwrap();
    d.advance(secs(5));
    assert_eq!(
        d.log(),
        ["ack error: event dropped from the offline buffer"]
    );
    assert_eq!(d.manager.buffered(id).0, 1);
}

#[test]
fn a_connection_that_does_not_drain_refuses_in_the_end() {
    let (mut d, id) = Driver::connected_with(
        Config {
            write_buffer: 100,
            ..websocket_only()
        },
        SocketConfig {
            max_pending_acks: 3,
            ..SocketConfig::default()
        },
    );
    d.auto_write = false;
    let payload = || Payload::from_json(format!("[\"{}\"]", "x".repeat(200)), Vec::new());
    // One message is always accepted.
    d.manager
        .emit(d.now, id, payload(), EmitOptions::new())
        .unwrap();
    let error = d
        .manager
        .emit(d.now, id, payload(), EmitOptions::new())
        .unwrap_err();
    assert!(matches!(error, EmitError::Full { limit: 100, .. }));
    let connection = d.connection();
    d.run();
    d.input(connection, Input::Written);
    d.auto_write = true;
    for _ in 0..3 {
        d.emit_ack(id, r#"["x"]"#, None);
    }
    let error = d
        .manager
        .emit(d.now, id, event(r#"["x"]"#), EmitOptions::new().ack(None))
        .unwrap_err();
    assert_eq!(error, EmitError::TooManyAcks { limit: 3 });
}

fn retries() -> SocketConfig {
    SocketConfig {
        retries: Some(2),
        ack_timeout: Some(secs(10)),
        ..SocketConfig::default()
    }
}

#[test]
fn retries_are_a_queue_with_one_in_flight() {
    let (mut d, id) = Driver::connected_with(websocket_only(), retries());
    d.written();
    d.log();
    d.emit_ack(id, r#"["a"]"#, None);
    d.emit(id, r#"["b"]"#);
    assert_eq!(d.written(), [r#"420["a"]"#]);
    d.advance(secs(10));
    assert_eq!(d.written(), [r#"421["a"]"#], "sent again under a new id");
    d.text("430[1]");
    assert_eq!(
        d.log(),
        [""; 0],
        "an answer to the first attempt is too late"
    );
    d.text("431[2]");
    assert_eq!(d.log(), ["ack 2"]);
    assert_eq!(d.written(), [r#"422["b"]"#]);
    d.text("432[]");
    assert_eq!(
        d.log(),
        [""; 0],
        "nobody asked for the acknowledgement of b"
    );
    assert_eq!(
        (d.manager.buffered(id), d.manager.pending_acks(id)),
        ((0, 0), 0)
    );
}

#[test]
fn the_queue_of_retries_has_the_limits_of_the_offline_buffer() {
    let with = |buffer: BufferLimits| {
        let socket = SocketConfig {
            buffer,
            ..retries()
        };
        let (mut d, id) = Driver::connected_with(websocket_only(), socket);
        d.written();
        d.log();
        (d, id)
    };
    // The oldest queued event is evicted; the one in flight stays.
    let (mut d, id) = with(BufferLimits {
        count: 2,
        policy: BufferPolicy::DropOldest,
        ..BufferLimits::default()
    });
    for json in [r#"["a"]"#, r#"["b"]"#, r#"["c"]"#] {
        d.emit_ack(id, json, None);
    }
    assert_eq!(
        d.log(),
        ["ack error: event dropped from the offline buffer"]
    );
    d.text("430[1]");
    assert_eq!(d.written(), [r#"420["a"]"#, r#"421["c"]"#]);
    d.text("431[2]");
    assert_eq!(d.log(), ["ack 1", "ack 2"]);

    let (mut d, id) = with(BufferLimits {
        age: Some(secs(15)),
        ..BufferLimits::default()
    });
    d.emit_ack(id, r#"["a"]"#, None);
    d.lose();
    d.emit_ack(id, r#"["b"]"#, None);
    d.manager.disconnect(d.now, id);
    d.advance(secs(14));
    assert_eq!(d.log(), ["disconnect transport close"]);
    assert_eq!(d.manager.buffered(id).0, 2);
    d.advance(secs(1));
    assert_eq!(
        d.log(),
        ["ack error: event dropped from the offline buffer"; 2]
    );
    assert_eq!(d.manager.buffered(id), (0, 0));
}

#[test]
fn retries_end() {
    let (mut d, id) = Driver::connected_with(websocket_only(), retries());
    d.written();
    d.log();
    d.emit_ack(id, r#"["a"]"#, None);
    d.emit_ack(id, r#"["b"]"#, None);
    d.advance(secs(29));
    assert_eq!(d.log(), [""; 0]);
    d.advance(secs(1));
    assert_eq!(d.log(), ["ack error: operation has timed out"]);
    assert_eq!(
        d.written(),
        [r#"420["a"]"#, r#"421["a"]"#, r#"422["a"]"#, r#"423["b"]"#]
    );
}

#[test]
fn the_head_of_the_queue_is_sent_again_on_reconnect() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", retries()).unwrap();
    d.emit_ack(id, r#"["a"]"#, None);
    d.emit_ack(id, r#"["b"]"#, None);
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.text(r#"40{"sid":"a"}"#);
    assert_eq!(d.written(), ["40", r#"420["a"]"#]);
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    assert_eq!(d.written(), ["40", r#"421["a"]"#]);
    d.text("431[]");
    assert_eq!(d.written(), [r#"422["b"]"#]);
    d.text("432[]");
    assert_eq!(
        d.log(),
        [
            "connect a",
            "disconnect transport close",
            "connect b",
            "ack ",
            "ack "
        ]
    );
}

#[test]
fn a_cancelled_head_lets_the_next_one_go() {
    let (mut d, id) = Driver::connected_with(websocket_only(), retries());
    d.written();
    let first = d.emit_ack(id, r#"["a"]"#, None);
    d.emit(id, r#"["b"]"#);
    d.manager.cancel_ack(d.now, id, first);
    assert_eq!(d.written(), [r#"420["a"]"#, r#"421["b"]"#]);
    d.text("430[]");
    assert_eq!(d.log(), ["connect a"]);
}
