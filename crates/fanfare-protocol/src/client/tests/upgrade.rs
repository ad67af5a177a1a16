//! Upgrade from polling to WebSocket.

use super::*;

fn polling_first() -> Config {
    Config {
        transports: vec![Transport::Polling, Transport::WebSocket],
        ..config()
    }
}

/// Connects over polling, with a GET in flight and the WebSocket being opened.
fn probing() -> (Driver, SocketId, ConnectionId) {
    probing_with(polling_first())
}

fn probing_with(config: Config) -> (Driver, SocketId, ConnectionId) {
    let mut d = Driver::new(config);
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::Get { connection, .. } = d.next() else {
        panic!()
    };
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(OPEN_UPGRADE.as_bytes()))),
    );
    let Action::OpenWebSocket { sid: Some(sid), .. } = d.next() else {
        panic!()
    };
    assert_eq!(&*sid, "s1");
    assert!(matches!(d.next(), Action::Get { .. }));
    assert!(matches!(d.next(), Action::Post { body, .. } if body == "40"));
    d.input(connection, Input::Post(Ok(())));
    d.input(
        connection,
        Input::Get(Ok(Bytes::from_static(br#"40{"sid":"a"}"#))),
    );
    assert!(matches!(d.next(), Action::Get { .. }));
    (d, id, connection)
}

#[test]
fn in_every_order_of_get_post_and_pong_nothing_is_lost() {
    // When the probe is answered, a GET is in flight and a POST may be; they end in either order.
    for post_in_flight in [false, true] {
        for get_first in [false, true] {
            let (mut d, id, connection) = probing();
            d.input(connection, Input::Open);
            assert_eq!(d.written(), ["2probe"]);
            if post_in_flight {
                d.emit(id, r#"["1"]"#);
                assert!(matches!(d.next(), Action::Post { body, .. } if body == r#"42["1"]"#));
            }
            d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
            d.emit(id, r#"["2"]"#);
            d.no_action();
            let noop = Input::Get(Ok(Bytes::from_static(b"42[\"x\"]\x1e6")));
            let mut inputs = vec![noop];
            if post_in_flight {
                inputs.insert(usize::from(get_first), Input::Post(Ok(())));
            }
            for input in inputs {
                assert_eq!(d.written(), [""; 0], "not before both requests ended");
                d.input(connection, input);
            }
            d.no_action();
            assert_eq!(d.written(), ["5", r#"42["2"]"#]);
            assert_eq!(d.manager.transport(), Some(Transport::WebSocket));
            d.text(r#"42["y"]"#);
            assert_eq!(d.log(), ["connect a", "event x ", "event y "]);
        }
    }
}

#[test]
fn a_failed_probe_leaves_the_connection_on_polling() {
    for (name, input) in [
        ("closed", Input::Closed(Ok(None))),
        (
            "failed",
            Input::Closed(Err(TransportError::new("websocket error"))),
        ),
        ("nonsense", Input::Text(Bytes::from_static(b"3nope"))),
    ] {
        let (mut d, id, connection) = probing();
        d.input(connection, Input::Open);
        d.input(connection, input);
        assert_eq!(d.next(), Action::CloseWebSocket { connection }, "{name}");
        d.emit(id, r#"["1"]"#);
        assert!(matches!(d.next(), Action::Post { .. }), "{name}");
        assert!(d.manager.is_connected(id));
        assert!(
            d.manager_log()
                .iter()
                .any(|line| line.starts_with("upgrade_error"))
        );
        // Later messages from that WebSocket are ignored.
        d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
        d.input(connection, Input::Closed(Ok(None)));
        assert!(d.manager.is_connected(id));
    }
}

#[test]
fn a_probe_that_nobody_answers_times_out() {
    let (mut d, id, connection) = probing();
    d.input(connection, Input::Open);
    d.advance(secs(10));
    assert_eq!(d.next(), Action::CloseWebSocket { connection });
    assert!(d.manager.is_connected(id));
}

#[test]
fn losses_during_the_upgrade_end_the_connection_once() {
    for input in [
        Input::Closed(Ok(None)),
        Input::Get(Err(TransportError::new("xhr poll error"))),
    ] {
        let (mut d, _, connection) = probing();
        d.input(connection, Input::Open);
        d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
        d.input(connection, input);
        let log = d.log();
        assert_eq!(log.len(), 2, "{log:?}");
        assert!(log[1].starts_with("disconnect transport"));
    }
    // The polling request never ends.
    let (mut d, _, connection) = probing();
    d.input(connection, Input::Open);
    d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
    d.advance(secs(10));
    assert_eq!(d.log()[1..], ["disconnect transport error"]);
}

#[test]
fn disconnect_during_the_upgrade() {
    // Before the probe was answered: the upgrade is abandoned.
    let (mut d, id, connection) = probing();
    d.input(connection, Input::Open);
    d.manager.disconnect(d.now, id);
    assert!(matches!(d.next(), Action::Post { body, .. } if body == "41"));
    assert_eq!(d.next(), Action::CloseWebSocket { connection });
    d.input(connection, Input::Post(Ok(())));
    assert!(matches!(d.next(), Action::Post { body, .. } if body == "1"));
    d.input(connection, Input::Post(Ok(())));
    assert_eq!(d.next(), Action::Abort { connection });

    // After: the upgrade is completed first.
    let (mut d, id, connection) = probing();
    d.input(connection, Input::Open);
    d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
    d.written();
    d.manager.disconnect(d.now, id);
    d.input(connection, Input::Get(Ok(Bytes::from_static(b"6"))));
    assert_eq!(d.written(), ["5", "41"]);
    assert_eq!(d.next(), Action::CloseWebSocket { connection });
    assert!(d.manager.is_idle());
}

#[test]
fn a_probe_answered_before_its_write_is_confirmed() {
    let (mut d, _, connection) = probing();
    d.auto_write = false;
    d.input(connection, Input::Open);
    d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
    d.input(connection, Input::Get(Ok(Bytes::from_static(b"6"))));
    assert_eq!(d.written(), ["2probe"]);
    d.input(connection, Input::Written);
    assert_eq!(d.written(), ["5"]);
}

#[test]
fn an_upgrade_is_remembered_until_websocket_fails() {
    for remember_upgrade in [false, true] {
        let (mut d, _, connection) = probing_with(Config {
            remember_upgrade,
            ..polling_first()
        });
        d.input(connection, Input::Open);
        d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
        d.input(connection, Input::Get(Ok(Bytes::from_static(b"6"))));
        assert_eq!(d.manager.transport(), Some(Transport::WebSocket));
        d.lose();
        d.actions.clear();
        d.advance(secs(1));
        if !remember_upgrade {
            assert!(matches!(d.next(), Action::Get { sid: None, .. }));
            continue;
        }
        let Action::OpenWebSocket {
            connection,
            sid: None,
        } = d.next()
        else {
            panic!()
        };
        // It fails, then polling does: the next attempt starts with the first transport again.
        let failed = TransportError::new("websocket error");
        d.input(connection, Input::Closed(Err(failed.clone())));
        assert!(matches!(d.next(), Action::Abort { .. }));
        let Action::Get {
            connection,
            sid: None,
        } = d.next()
        else {
            panic!()
        };
        d.input(connection, Input::Get(Err(failed)));
        d.actions.clear();
        d.advance(secs(5));
        assert!(matches!(d.next(), Action::Get { sid: None, .. }));
    }
}
