//! Limits on the memory that a server can make the client use.

use super::*;

/// Connects over polling with a small limit for messages; the socket of `/` is connected.
fn polling(max_message: usize) -> (Driver, ConnectionId) {
    let mut config = polling_only();
    config.limits.max_payload = max_message;
    let mut d = Driver::new(config);
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::Get { connection, .. } = d.next() else {
        panic!()
    };
    payload(&mut d, connection, OPEN.into());
    d.input(connection, Input::Post(Ok(())));
    payload(&mut d, connection, r#"40{"sid":"a"}"#.into());
    assert_eq!(d.log(), ["connect a"]);
    d.actions.clear();
    (d, connection)
}

fn payload(d: &mut Driver, connection: ConnectionId, body: String) {
    d.input(connection, Input::Get(Ok(body.into())));
}

#[test]
fn a_message_in_a_payload_has_the_limit_of_messages() {
    let text = |bytes: usize| format!(r#"42["{}"]"#, "x".repeat(bytes - 6));
    for (body, fits) in [
        (text(1000), true),
        // Several messages may come in one payload.
        (format!("{}\x1e{}", text(1000), text(1000)), true),
        (text(1001), false),
        (format!("{}\x1e{}", text(9), text(1001)), false),
        (format!("b{}", "A".repeat(1336)), false),
    ] {
        let (mut d, connection) = polling(1000);
        payload(&mut d, connection, body);
        let log = d.log();
        assert_eq!(log.iter().all(|line| line.starts_with("event")), fits);
    }
    // The one that fits is rejected for another reason: the client expected no binary message.
    for (bytes, why) in [(1000, "expected"), (1001, "limit 1000")] {
        let (mut d, connection) = polling(1000);
        let base64 = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            vec![7_u8; bytes],
        );
        payload(&mut d, connection, format!("b{base64}"));
        let events = d.take_events();
        let details = events.iter().find_map(|event| match event {
            Event::Socket(_, SocketEvent::Disconnect { details, .. }) => details.clone(),
            _ => None,
        });
        let text = details.unwrap().to_string();
        assert_eq!(text.contains("limit 1000"), why == "limit 1000", "{text}");
    }
}

#[test]
fn many_heartbeats_are_answered_once() {
    let (mut d, connection) = polling(1 << 20);
    let pings = vec!["2"; 100_000].join("\x1e");
    payload(&mut d, connection, pings);
    let mut answers = 0;
    loop {
        d.run();
        match d.actions.pop_front() {
            Some(Action::Post { body, .. }) => {
                answers += body.iter().filter(|byte| **byte == b'3').count();
                d.input(connection, Input::Post(Ok(())));
            }
            Some(_) => {}
            None => break,
        }
    }
    assert!((1..=2).contains(&answers), "{answers}");
}

#[test]
fn a_giant_open_packet_is_refused() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::OpenWebSocket { connection, .. } = d.next() else {
        panic!()
    };
    d.input(connection, Input::Open);
    let upgrades = vec![r#""""#; 50_000].join(",");
    let open = format!(
        r#"0{{"sid":"s","upgrades":[{upgrades}],"pingInterval":25000,"pingTimeout":20000}}"#
    );
    d.input(connection, Input::Text(open.into()));
    assert!(d.log()[0].starts_with("connect_error parse error"));
}

#[test]
fn ids_of_the_server_are_short() {
    let long = "x".repeat(2000);
    for answer in [
        format!(r#"40{{"sid":"{long}"}}"#),
        format!(r#"40{{"sid":"a","pid":"{long}"}}"#),
    ] {
        let mut d = Driver::new(websocket_only());
        let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
        d.manager.connect(d.now, id);
        d.open_websocket();
        d.text(&answer);
        let log = d.log();
        assert!(log[0].starts_with("connect_error parse error"), "{log:?}");
    }
    // A text longer than an offset can be is not taken as one.
    let (mut d, _) = Driver::connected();
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    d.text(r#"40{"sid":"a","pid":"p"}"#);
    d.text(r#"42["x","o1"]"#);
    d.text(&format!(r#"42["x","{long}"]"#));
    d.written();
    d.lose();
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    assert_eq!(d.written(), [r#"40{"pid":"p","offset":"o1"}"#]);
}

/// A payload is processed as its events are taken, so that one of small packets does not take many times its size.
#[test]
fn the_events_of_a_payload_are_made_as_they_are_taken() {
    let (mut d, connection) = polling(1 << 20);
    let events = vec![r#"42["x"]"#; 50_000].join("\x1e");
    d.manager
        .handle(d.now, connection, Input::Get(Ok(events.into())));
    let mut most = 0;
    let mut count = 0;
    while let Some(event) = d.manager.poll_event() {
        most = most.max(d.manager.queued_events());
        count += usize::from(matches!(event, Event::Socket(_, SocketEvent::Event(_))));
    }
    assert_eq!(count, 50_000);
    assert!(most <= 2000, "{most} at once");
    // The next poll starts when this payload is done.
    assert!(matches!(d.next(), Action::Get { .. }));
}

/// No packet, emit or timer accesses sockets that it does not concern.
#[test]
fn thousands_of_namespaces_cost_no_more_than_one() {
    let (mut d, main) = Driver::connected();
    for n in 0..4000 {
        let id = d
            .manager
            .add_socket(&format!("/{n}"), SocketConfig::default())
            .unwrap();
        d.manager.connect(d.now, id);
    }
    d.run();
    for n in 0..4000 {
        d.text(&format!(r#"40/{n},{{"sid":"s"}}"#));
    }
    d.manager.sockets_visited();
    d.text(r#"42/3999,["x"]"#);
    d.emit(main, r#"["x"]"#);
    d.emit_ack(main, r#"["x"]"#, Some(secs(1)));
    d.advance(secs(2));
    assert_eq!(
        d.log().last().unwrap(),
        "ack error: operation has timed out"
    );
    let visited = d.manager.sockets_visited();
    assert!(visited < 40, "{visited} sockets were looked at");
}

const BEGUN: &str = r#"452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#;

#[test]
fn a_packet_that_was_begun_has_a_deadline() {
    let (mut d, _) = Driver::connected();
    d.log();
    let connection = d.connection();
    let attachment = |d: &mut Driver| d.input(connection, Input::Binary(Bytes::from_static(b"1")));
    // Completed late, but in time.
    d.text(BEGUN);
    d.advance(secs(30));
    attachment(&mut d);
    d.text("2");
    d.advance(secs(29));
    attachment(&mut d);
    assert_eq!(d.log().len(), 1);
    for _ in 0..10 {
        d.text("2");
        d.advance(secs(20));
    }
    assert_eq!(d.log(), [""; 0]);
    // A second one has a separate deadline. Neither attachments nor heartbeats extend it.
    d.text("2");
    d.text(BEGUN);
    d.advance(secs(40));
    d.text("2");
    attachment(&mut d);
    d.advance(secs(19));
    assert_eq!(d.log(), [""; 0]);
    d.advance(secs(1));
    let events = d.take_events();
    let details = events.iter().find_map(|event| match event {
        Event::Socket(_, SocketEvent::Disconnect { details, .. }) => details.clone(),
        _ => None,
    });
    let text = details.expect("a disconnection").to_string();
    assert!(text.contains("not completed within 60s"), "{text}");
    // The next connection is independent of it.
    d.actions.clear();
    d.advance(secs(1));
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    d.advance(secs(40));
    d.text("2");
    d.advance(secs(40));
    assert_eq!(d.log(), ["connect b"]);
}

#[test]
fn the_offline_buffer_can_be_cleared() {
    for retries in [None, Some(2)] {
        let socket = SocketConfig {
            retries,
            ..SocketConfig::default()
        };
        let mut d = Driver::new(websocket_only());
        let id = d.manager.add_socket("/", socket).unwrap();
        d.manager.connect(d.now, id);
        d.emit(id, r#"["stale"]"#);
        d.emit_ack(id, r#"["stale"]"#, None);
        assert_eq!(d.manager.clear_buffer(d.now, id), 2);
        assert_eq!(
            d.log(),
            ["ack error: event dropped from the offline buffer"]
        );
        assert_eq!(d.manager.buffered(id), (0, 0));
        d.emit(id, r#"["fresh"]"#);
        d.open_websocket();
        d.text(r#"40{"sid":"a"}"#);
        let written = d.written();
        assert_eq!(written.len(), 2);
        assert!(written[1].ends_with(r#"["fresh"]"#), "{written:?}");
    }
}
