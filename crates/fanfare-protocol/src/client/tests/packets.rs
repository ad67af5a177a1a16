//! Encoding of packets: compression flags, and bytes as text.

use super::*;

fn with_bytes() -> Payload {
    let placeholder = r#"["b",{"_placeholder":true,"num":0}]"#;
    Payload::from_json(placeholder, vec![Bytes::from_static(&[0, 255, 62])])
}

#[test]
fn what_must_not_be_compressed_stays_so_while_it_waits() {
    let plain = EmitOptions::new().compress(false);
    let (mut d, id) = Driver::connected();
    d.written();
    d.emit(id, r#"["a"]"#);
    d.manager.emit(d.now, id, with_bytes(), plain).unwrap();
    let bytes = r#"451-["b",{"_placeholder":true,"num":0}]"#;
    assert_eq!(
        d.written(),
        [r#"42["a"]"#, &format!("plain {bytes}"), "plain <3 bytes>"]
    );
    // In the offline buffer.
    d.lose();
    d.manager
        .emit(d.now, id, event(r#"["kept"]"#), plain)
        .unwrap();
    d.emit(id, r#"["too"]"#);
    d.advance(secs(60));
    // First actions of the reconnection.
    d.actions
        .retain(|action| matches!(action, Action::OpenWebSocket { .. }));
    while d.actions.len() > 1 {
        d.actions.pop_front();
    }
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    assert_eq!(d.written()[1..], [r#"plain 42["kept"]"#, r#"42["too"]"#]);

    // In the queue of `retries`, at each attempt.
    let retries = SocketConfig {
        retries: Some(1),
        ack_timeout: Some(secs(1)),
        ..SocketConfig::default()
    };
    let (mut d, id) = Driver::connected_with(websocket_only(), retries);
    d.written();
    d.manager.emit(d.now, id, event(r#"["q"]"#), plain).unwrap();
    assert_eq!(d.written(), [r#"plain 420["q"]"#]);
    d.advance(secs(1));
    assert_eq!(d.written(), [r#"plain 421["q"]"#]);
}

#[test]
fn bytes_are_text_over_websocket_if_forced() {
    let force = Config {
        force_base64: true,
        ..websocket_only()
    };
    let (mut d, id) = Driver::connected_with(force, SocketConfig::default());
    d.written();
    d.log();
    let plain = EmitOptions::new().compress(false);
    d.manager.emit(d.now, id, with_bytes(), plain).unwrap();
    assert_eq!(
        d.written(),
        [
            r#"plain 451-["b",{"_placeholder":true,"num":0}]"#,
            "plain bAP8+"
        ]
    );
    assert_eq!(d.manager.pending_bytes(), 0);
    // Bytes from the server come as base64 text or as binary messages.
    for _ in 0..2 {
        d.text(r#"451-["b",{"_placeholder":true,"num":0}]"#);
        assert_eq!(d.log(), [""; 0]);
        d.text("bAP8+");
        assert_eq!(d.log().len(), 1);
    }
    d.text(r#"451-["b",{"_placeholder":true,"num":0}]"#);
    d.input(d.connection(), Input::Binary(Bytes::from_static(b"x")));
    assert_eq!(d.log().len(), 1);
}

#[test]
fn base64_over_websocket_is_read_without_being_forced_and_nonsense_refused() {
    let (mut d, _) = Driver::connected();
    d.log();
    d.text(r#"451-["b",{"_placeholder":true,"num":0}]"#);
    d.text("bAP8+");
    assert_eq!(d.log().len(), 1);
    d.text("b*");
    assert_eq!(d.log(), ["disconnect parse error"]);
}

/// Returns the events that are reported as sent, in addition to the texts written.
fn outgoing(d: &mut Driver) -> Vec<String> {
    d.take_events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Socket(_, SocketEvent::Outgoing(payload)) => {
                let (name, args) = payload.decode().unwrap();
                let bytes: usize = args.as_args().attachments().iter().map(Bytes::len).sum();
                let json = args.as_args().raw_json().unwrap_or("?").to_owned();
                Some(format!("{name} {json} {bytes}"))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn events_are_reported_when_they_are_sent_to_those_who_ask() {
    let mut d = Driver::new(websocket_only());
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.emit(id, r#"["kept",1]"#);
    d.manager.report_outgoing(id, true);
    d.emit_ack(id, r#"["kept","x"]"#, None);
    let volatile = EmitOptions::new().volatile(true);
    let (emitted, _) = d
        .manager
        .emit(d.now, id, event(r#"["dropped"]"#), volatile)
        .unwrap();
    assert_eq!(emitted, Emitted::Dropped);
    assert_eq!(outgoing(&mut d), [""; 0], "before they leave");
    d.manager.connect(d.now, id);
    d.open_websocket();
    d.text(r#"40{"sid":"a"}"#);
    assert_eq!(outgoing(&mut d), ["kept 1 0", r#"kept "x" 0"#]);
    d.emit(id, r#"["now",[2]]"#);
    assert_eq!(outgoing(&mut d), ["now [2] 0"]);
    // Acknowledgements are no events.
    d.text(r#"427["q"]"#);
    assert!(d.manager.ack(d.now, id, 1, 7, &event("[1]")).unwrap());
    assert_eq!(outgoing(&mut d), [""; 0]);
    d.manager.report_outgoing(id, false);
    d.emit(id, r#"["unheard"]"#);
    assert_eq!(outgoing(&mut d), [""; 0]);
    assert_eq!(d.written().last().unwrap(), r#"42["unheard"]"#);
}

#[test]
fn every_try_of_the_queue_is_reported() {
    let socket = SocketConfig {
        retries: Some(1),
        ack_timeout: Some(secs(1)),
        ..SocketConfig::default()
    };
    let (mut d, id) = Driver::connected_with(websocket_only(), socket);
    d.manager.report_outgoing(id, true);
    d.emit(id, r#"["first"]"#);
    d.emit(id, r#"["second"]"#);
    assert_eq!(outgoing(&mut d), ["first  0"]);
    d.advance(secs(1));
    assert_eq!(outgoing(&mut d), ["first  0"]);
    d.text("431[]");
    assert_eq!(outgoing(&mut d), ["second  0"]);
}

#[test]
fn payloads_say_what_they_hold() {
    let args = ("text", (Bytes::from_static(b"abc"), 7));
    for parser in [Parser::Json, Parser::Msgpack] {
        let payload = Payload::event(parser, "e", &args).unwrap();
        let (name, decoded) = payload.decode().unwrap();
        assert_eq!(&*name, "e");
        let (text, (bytes, n)): (String, (Bytes, u8)) = decoded.decode().unwrap();
        assert_eq!((text.as_str(), &bytes[..], n), ("text", &b"abc"[..], 7));
        // Deeper and more than the client accepts from a server.
        let many = vec![Bytes::from_static(b"x"); 50];
        let payload = Payload::event(parser, "e", &(&many,)).unwrap();
        let (many_again,): (Vec<Bytes>,) = payload.decode().unwrap().1.decode().unwrap();
        assert_eq!(many_again, many);
    }
}
