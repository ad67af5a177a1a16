//! How packets are written: what may be compressed, and bytes as text.

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
    // What the reconnection began with.
    d.actions
        .retain(|action| matches!(action, Action::OpenWebSocket { .. }));
    while d.actions.len() > 1 {
        d.actions.pop_front();
    }
    d.open_websocket();
    d.text(r#"40{"sid":"b"}"#);
    assert_eq!(d.written()[1..], [r#"plain 42["kept"]"#, r#"42["too"]"#]);

    // In the queue of `retries`, each time that it is sent.
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
    // Bytes of the server come as text, or as they are.
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
