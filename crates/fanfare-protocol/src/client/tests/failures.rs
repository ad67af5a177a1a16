//! Connections that open but never become usable: every attempt ends, is reported, and counts.

use super::*;

fn one(config: Config) -> (Driver, SocketId) {
    let mut d = Driver::new(config);
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    (d, id)
}

/// Advances to the next attempt; returns the delay in seconds.
fn next_attempt(d: &mut Driver) -> u64 {
    d.run();
    d.actions.clear();
    let before = d.now;
    let at = d.manager.poll_timeout().unwrap();
    d.advance(at - before);
    (at - before).as_secs()
}

#[test]
fn a_server_that_closes_before_the_join_uses_up_the_attempts() {
    let (mut d, id) = one(Config {
        reconnection_attempts: Some(3),
        ..websocket_only()
    });
    let mut delays = Vec::new();
    for attempt in 0..4 {
        d.open_websocket();
        d.lose();
        assert_eq!(
            d.log(),
            ["connect_error transport close: closed before the namespace was joined"]
        );
        if attempt < 3 {
            delays.push(next_attempt(&mut d));
        }
    }
    assert_eq!(delays, [1, 2, 4]);
    assert!(!d.manager.is_active(id) && d.manager.is_idle());
    assert_eq!(d.manager.poll_timeout(), None);
}

#[test]
fn a_server_with_another_parser_uses_up_the_attempts() {
    let (mut d, id) = one(Config {
        reconnection_attempts: Some(1),
        ..websocket_only()
    });
    for attempt in 0..2 {
        let connection = d.open_websocket();
        d.input(connection, Input::Binary(Bytes::from_static(b"\x84")));
        let log = d.log();
        assert!(log[0].starts_with("connect_error parse error"), "{log:?}");
        if attempt == 0 {
            next_attempt(&mut d);
        }
    }
    assert!(!d.manager.is_active(id));
}

#[test]
fn the_delays_start_over_after_a_join() {
    let (mut d, _) = one(websocket_only());
    for delay in [1, 2, 4] {
        d.open_websocket();
        d.lose();
        assert_eq!(next_attempt(&mut d), delay);
    }
    d.open_websocket();
    d.text(r#"40{"sid":"a"}"#);
    d.lose();
    assert_eq!(next_attempt(&mut d), 1);
}

#[test]
fn a_failing_auth_callback_backs_off_and_gives_up() {
    let (mut d, id) = one(Config {
        reconnection_attempts: Some(4),
        ..websocket_only()
    });
    d.auth = Err(AuthError("no".into()));
    d.open_websocket();
    let mut delays = Vec::new();
    for _ in 0..4 {
        assert_eq!(d.log().len(), 1);
        delays.push(next_attempt(&mut d));
    }
    assert_eq!(delays, [1, 2, 4, 5]);
    assert_eq!(d.log(), ["connect_error auth payload not available: no"]);
    assert!(!d.manager.is_active(id), "it has had its attempts");
    // Another call of `connect` starts again.
    d.auth = Ok(None);
    d.manager.connect(d.now, id);
    d.run();
    d.actions
        .retain(|action| matches!(action, Action::OpenWebSocket { .. }));
    d.open_websocket();
    d.text(r#"40{"sid":"a"}"#);
    assert_eq!(d.log(), ["connect a"]);
}

#[test]
fn a_namespace_that_never_answers_has_a_deadline() {
    let (mut d, _) = one(websocket_only());
    d.open_websocket();
    d.advance(secs(20));
    d.text("2");
    d.advance(secs(24));
    assert_eq!(d.log(), [""; 0]);
    d.advance(secs(1));
    assert_eq!(
        d.log(),
        ["connect_error the namespace did not answer within 45s"]
    );
    // No other socket uses the connection.
    assert!(matches!(d.next(), Action::Abort { .. }));
    d.advance(secs(1));
    assert!(matches!(d.next(), Action::OpenWebSocket { .. }));
}

#[test]
fn a_namespace_that_never_answers_disturbs_no_other() {
    let (mut d, main) = Driver::connected_with(
        Config {
            reconnection_attempts: Some(1),
            ..websocket_only()
        },
        SocketConfig::default(),
    );
    let config = SocketConfig {
        join_timeout: secs(10),
        ..SocketConfig::default()
    };
    let silent = d.manager.add_socket("/silent", config).unwrap();
    d.manager.connect(d.now, silent);
    d.log();
    d.advance(secs(10));
    let told = "connect_error the namespace did not answer within 10s";
    assert_eq!(d.log(), [told]);
    assert!(d.manager.is_active(silent), "a late answer counts");
    d.advance(secs(10));
    assert_eq!(d.log(), [told]);
    assert!(!d.manager.is_active(silent), "it has had its attempts");
    assert!(d.manager.is_connected(main));
    d.written();
    d.text(r#"40/silent,{"sid":"s"}"#);
    assert_eq!(d.written(), ["41/silent,"], "nobody waits any more");
}

#[test]
fn what_a_recovery_replays_puts_the_deadline_off() {
    let (mut d, id) = one(websocket_only());
    d.open_websocket();
    d.text(r#"40{"sid":"a","pid":"p"}"#);
    d.lose();
    next_attempt(&mut d);
    d.open_websocket();
    for n in 0..3 {
        d.advance(secs(20));
        d.text("2");
        d.text(&format!(r#"42["x",{n},"{n}"]"#));
    }
    d.text(r#"40{"sid":"a","pid":"p"}"#);
    assert!(d.manager.is_recovered(id));
}
