//! Servers of Socket.IO 2: Engine.IO 3. Their bytes were captured from `socket.io` 2.5 on Node.

use super::*;
use crate::engine::Protocol;

const POLLED: &str = "96:0{\"sid\":\"dDigNlt91YLmS3nvAAAA\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":5000}2:40";
const OPENED: &str =
    r#"0{"sid":"x3xbHM9B-rK_roqfAAAB","upgrades":[],"pingInterval":25000,"pingTimeout":5000}"#;

fn legacy(config: Config) -> Config {
    Config {
        protocol: Protocol::V3,
        ..config
    }
}

/// Starts a client of these namespaces whose WebSocket is open, and has received the server's handshake.
fn open(namespaces: &[&str]) -> (Driver, Vec<SocketId>) {
    let mut d = Driver::new(legacy(websocket_only()));
    let ids: Vec<SocketId> = namespaces
        .iter()
        .filter_map(|name| d.manager.add_socket(name, SocketConfig::default()))
        .collect();
    for id in &ids {
        d.manager.connect(d.now, *id);
    }
    handshake(&mut d);
    (d, ids)
}

fn handshake(d: &mut Driver) {
    let Action::OpenWebSocket {
        connection,
        sid: None,
    } = d.next()
    else {
        panic!()
    };
    d.input(connection, Input::Open);
    d.text(OPENED);
}

fn binary(d: &mut Driver, data: &'static [u8]) {
    let connection = d.connection();
    d.input(connection, Input::Binary(Bytes::from_static(data)));
}

/// Takes the first pending action of a kind.
fn take(d: &mut Driver, kind: fn(&Action) -> bool) -> Action {
    d.run();
    let at = d.actions.iter().position(kind).expect("such an action");
    d.actions.remove(at).expect("it is there")
}

fn polled(d: &mut Driver, body: &'static str) {
    let Action::Get { connection, .. } = take(d, |action| matches!(action, Action::Get { .. }))
    else {
        panic!()
    };
    let body = Bytes::from_static(body.as_bytes());
    d.input(connection, Input::Get(Ok(body)));
}

fn posted(d: &mut Driver) -> String {
    let Action::Post {
        connection, body, ..
    } = take(d, |action| matches!(action, Action::Post { .. }))
    else {
        panic!()
    };
    d.input(connection, Input::Post(Ok(())));
    String::from_utf8(body.to_vec()).unwrap()
}

/// Starts a client that polls, and has received the handshake.
fn poll(config: Config) -> (Driver, SocketId) {
    let mut d = Driver::new(legacy(config));
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    polled(&mut d, POLLED);
    (d, id)
}

#[test]
fn the_server_joins_the_main_namespace_unasked() {
    let (mut d, ids) = open(&["/"]);
    d.emit(ids[0], r#"["early"]"#);
    assert_eq!(d.written(), [""; 0], "nothing before the server's CONNECT");
    d.text("40");
    assert_eq!(d.log(), ["connect x3xbHM9B-rK_roqfAAAB"]);
    assert_eq!(d.written(), [r#"42["early"]"#]);
    d.text(r#"451-["hello","€😀",{"_placeholder":true,"num":0}]"#);
    binary(&mut d, b"\x04\x01\x02\x03");
    assert_eq!(d.log().len(), 1);

    let key = d.emit_ack(ids[0], r#"["echo",1]"#, None);
    assert_eq!(d.written(), [r#"420["echo",1]"#]);
    d.text("430[1]");
    let acked = d.take_events().into_iter().any(
        |event| matches!(event, Event::Ack(of, Ok(args)) if of == key && args.as_args().raw_json() == Some("1")),
    );
    assert!(acked);
    d.text("41");
    assert_eq!(d.log(), ["disconnect io server disconnect"]);
}

#[test]
fn bytes_begin_with_the_type_of_the_packet() {
    let (mut d, ids) = open(&["/"]);
    d.text("40");
    let payload = || {
        Payload::from_json(
            r#"["echo",{"_placeholder":true,"num":0}]"#,
            vec![Bytes::from_static(&[10, 255])],
        )
    };
    let emit = |d: &mut Driver, id| {
        let options = EmitOptions::new();
        d.manager.emit(d.now, id, payload(), options).unwrap();
        d.run();
    };
    emit(&mut d, ids[0]);
    assert_eq!(
        d.written(),
        [r#"451-["echo",{"_placeholder":true,"num":0}]"#, "<3 bytes>"]
    );
    let (mut d, id) = poll(polling_only());
    emit(&mut d, id);
    assert_eq!(
        posted(&mut d),
        r#"42:451-["echo",{"_placeholder":true,"num":0}]6:b4Cv8="#
    );
    let config = Config {
        force_base64: true,
        ..websocket_only()
    };
    let mut d = Driver::new(legacy(config));
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    handshake(&mut d);
    d.text("40");
    emit(&mut d, id);
    assert_eq!(d.written()[1], "b4Cv8=");
    d.text(r#"451-["x",{"_placeholder":true,"num":0}]"#);
    d.text("b4AQID");
    assert_eq!(d.log().len(), 2, "also as text over WebSocket");
}

#[test]
fn payloads_of_polling_have_lengths_in_utf16_units() {
    let (mut d, id) = poll(polling_only());
    assert_eq!(d.log(), ["connect dDigNlt91YLmS3nvAAAA"]);
    polled(
        &mut d,
        "49:451-[\"hello\",\"€😀\",{\"_placeholder\":true,\"num\":0}]6:b4AQID0:1:6",
    );
    let events = d.take_events();
    let Some(Event::Socket(_, SocketEvent::Event(event))) = events.first() else {
        panic!("{events:?}")
    };
    assert_eq!(&*event.name, "hello");
    let args = event.args.as_args();
    assert_eq!(
        args.raw_json(),
        Some(r#""€😀",{"_placeholder":true,"num":0}"#)
    );
    assert_eq!(args.attachments(), [Bytes::from_static(&[1, 2, 3])]);

    d.emit(id, r#"["€😀"]"#);
    assert_eq!(posted(&mut d), r#"9:42["€😀"]"#);
    d.manager.disconnect(d.now, id);
    d.run();
    assert_eq!(posted(&mut d), "2:41");
    assert_eq!(posted(&mut d), "1:1");
    assert!(d.manager.is_idle());
}

#[test]
fn a_post_is_small_where_the_server_announces_no_maximum() {
    let (mut d, id) = poll(polling_only());
    d.emit(id, r#"["first"]"#);
    let long: &'static str = format!(r#"["{}"]"#, "x".repeat(60_000)).leak();
    for payload in [long, long, r#"["last"]"#] {
        d.emit(id, payload);
    }
    assert_eq!(posted(&mut d), r#"11:42["first"]"#);
    let lengths = [posted(&mut d), posted(&mut d)].map(|body| body.len());
    assert_eq!(lengths, [60_012, 60_012 + 13]);
    let post = |action: &Action| matches!(action, Action::Post { .. });
    assert!(!d.actions.iter().any(post));
}

#[test]
fn invalid_payloads_end_the_connection() {
    for body in [
        "",
        "40",
        "3:40",
        "x:40",
        ":40",
        "-1:4",
        "2:",
        "1:😀",
        "1:€€",
        "99999999999999999999:4",
        "1:9",
        "3:b4x",
        "2:bx",
        "1:b",
    ] {
        let (mut d, _) = poll(polling_only());
        d.log();
        polled(&mut d, body);
        assert_eq!(d.log(), ["disconnect parse error"], "{body:?}");
    }
    for data in [&b""[..], b"\x09x"] {
        let (mut d, _) = open(&["/"]);
        d.text("40");
        d.log();
        binary(&mut d, data);
        assert_eq!(d.log(), ["disconnect parse error"], "{data:?}");
    }
    // Of another type than a message.
    let (mut d, _) = open(&["/"]);
    d.text("40");
    d.log();
    binary(&mut d, b"\x06x");
    assert_eq!(d.log(), [""; 0]);
}

#[test]
fn the_client_sends_the_heartbeats() {
    let (mut d, _) = open(&["/"]);
    d.text("40");
    d.log();
    for _ in 0..3 {
        d.advance(secs(25) - Duration::from_millis(1));
        assert_eq!(d.written(), [""; 0]);
        d.advance(Duration::from_millis(1));
        assert_eq!(d.written(), ["2"]);
        d.text("3");
    }
    // Any packet proves the server alive.
    d.advance(secs(25));
    d.advance(secs(4));
    d.text("6");
    d.advance(secs(4));
    assert_eq!(d.log(), [""; 0]);
    // A heartbeat of the server is none.
    d.written();
    d.text("2");
    assert_eq!(d.written(), [""; 0]);
    d.advance(secs(30));
    assert_eq!(d.log(), ["disconnect ping timeout"]);
}

#[test]
fn a_heartbeat_without_an_answer_ends_the_connection() {
    let (mut d, _) = open(&["/"]);
    d.text("40");
    d.log();
    d.advance(secs(30) - Duration::from_millis(1));
    assert_eq!(d.log(), [""; 0]);
    d.advance(Duration::from_millis(1));
    assert_eq!(d.log(), ["disconnect ping timeout"]);
}

#[test]
fn a_server_cannot_ask_for_a_flood_of_heartbeats() {
    let mut d = Driver::new(legacy(websocket_only()));
    let id = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, id);
    let Action::OpenWebSocket { connection, .. } = d.next() else {
        panic!()
    };
    d.input(connection, Input::Open);
    d.text(r#"0{"sid":"a","pingInterval":0,"pingTimeout":60000}"#);
    d.text("40");
    d.advance(secs(1));
    assert_eq!(d.written().len(), 10);
    // While the server does not read, only one waits.
    d.auto_write = false;
    d.advance(secs(10));
    assert!(
        d.manager.pending_bytes() <= 2,
        "{}",
        d.manager.pending_bytes()
    );
}

#[test]
fn heartbeats_overtake_data_that_wait() {
    let (mut d, id) = poll(polling_only());
    d.emit(id, r#"["1"]"#);
    d.emit(id, r#"["2"]"#);
    d.advance(secs(25));
    assert_eq!(posted(&mut d), r#"7:42["1"]"#);
    assert_eq!(posted(&mut d), r#"1:27:42["2"]"#);
}

#[test]
fn an_upgrade_to_websocket() {
    let config = Config {
        transports: vec![Transport::Polling, Transport::WebSocket],
        ..config()
    };
    let (mut d, id) = poll(config);
    let Action::OpenWebSocket {
        connection,
        sid: Some(sid),
    } = d.next()
    else {
        panic!()
    };
    assert_eq!(&*sid, "dDigNlt91YLmS3nvAAAA");
    d.input(connection, Input::Open);
    assert_eq!(d.written(), ["2probe"]);
    d.input(connection, Input::Text(Bytes::from_static(b"3probe")));
    d.emit(id, r#"["x"]"#);
    assert_eq!(d.written(), [""; 0], "not before the poll has ended");
    polled(&mut d, "1:6");
    assert_eq!(d.written(), ["5", r#"42["x"]"#]);
    assert_eq!(d.manager.transport(), Some(Transport::WebSocket));
    binary(&mut d, b"\x04x");
    assert_eq!(
        d.log().last().map(String::as_str),
        Some("disconnect parse error"),
        "no attachment is awaited"
    );
}

#[test]
fn namespaces_are_joined_after_the_main_one_with_their_credentials_as_query() {
    let mut d = Driver::new(legacy(websocket_only()));
    d.auth = Ok(Some(r#"{"n":{"x":1},"token":"a,b c"}"#.into()));
    let id = d
        .manager
        .add_socket("/secret", SocketConfig::default())
        .unwrap();
    d.manager.connect(d.now, id);
    handshake(&mut d);
    assert_eq!(d.written(), [""; 0]);
    d.text("40");
    let query = "?n=%7B%22x%22%3A1%7D&token=a%2Cb%20c";
    assert_eq!(d.written(), [format!("40/secret{query},")]);
    assert_eq!(d.log(), [""; 0], "the main namespace has no socket");
    d.text("40/secret,");
    assert_eq!(d.log(), ["connect /secret#x3xbHM9B-rK_roqfAAAB"]);
    d.text(r#"42/secret,["welcome",1]"#);
    assert_eq!(d.log(), ["event welcome 1"]);

    // A socket of the main namespace finds it joined.
    let main = d.manager.add_socket("/", SocketConfig::default()).unwrap();
    d.manager.connect(d.now, main);
    assert_eq!(d.log(), ["connect x3xbHM9B-rK_roqfAAAB"]);
    assert_eq!(d.written(), [""; 0]);
}

#[test]
fn rejections_are_any_json_and_may_repeat_the_query() {
    for (answer, expected, data) in [
        (
            r#"44/secret,{"hint":"token"}"#,
            "",
            Some(r#"{"hint":"token"}"#),
        ),
        (
            r#"44/secret,"Invalid namespace""#,
            "Invalid namespace",
            None,
        ),
        (r#"44/secret?token=x,"no""#, "no", None),
    ] {
        let (mut d, ids) = open(&["/secret"]);
        d.text("40");
        d.text(answer);
        let refused = d.take_events().into_iter().find_map(|event| match event {
            Event::Socket(
                _,
                SocketEvent::ConnectError(ConnectError::Rejected { message, data }),
            ) => Some((message, data)),
            _ => None,
        });
        assert_eq!(refused, Some((expected.into(), data.map(Into::into))));
        assert!(!d.manager.is_active(ids[0]));
    }
    // Nothing can be joined where the main namespace rejects.
    let (mut d, _) = open(&["/secret", "/"]);
    d.text(r#"44"no""#);
    assert_eq!(d.log(), ["connect_error no", "connect_error no"]);
    assert_eq!(d.written(), [""; 0]);
    assert!(d.manager.is_idle());
}

#[test]
fn the_main_namespace_is_requested_again_after_it_was_left() {
    let (mut d, ids) = open(&["/", "/a", "/b"]);
    d.text("40");
    d.text("40/a,");
    assert_eq!(d.written(), ["40/a,", "40/b,"]);
    d.text("40/b,");
    d.manager.disconnect(d.now, ids[2]);
    d.manager.disconnect(d.now, ids[0]);
    d.run();
    assert_eq!(d.written(), ["41/b,", "41"]);
    d.log();
    d.manager.connect(d.now, ids[2]);
    d.run();
    assert_eq!(d.written(), ["40"], "without it no other is joined");
    d.manager.connect(d.now, ids[0]);
    d.text("40");
    assert_eq!(d.written(), ["40/b,"]);
    d.text("40/b,");
    let sid = "x3xbHM9B-rK_roqfAAAB";
    assert_eq!(
        d.log(),
        [format!("connect {sid}"), format!("connect /b#{sid}")]
    );
}

#[test]
fn a_server_that_joins_nothing_is_given_up() {
    for namespace in ["/", "/a"] {
        let (mut d, _) = open(&[namespace]);
        d.advance(secs(25));
        d.text("3");
        d.advance(secs(20));
        let log = d.log();
        assert_eq!(
            log,
            ["connect_error the namespace did not answer within 45s"]
        );
    }
}

proptest::proptest! {
    #[test]
    fn any_input_is_survived_in_bounded_memory(inputs in proptest::collection::vec(
        (0..4_u8, "([0-9]{0,3}:?(4?[0-6]|b4|2|3|6)[/a-z,\\[\\]\"€]{0,8}){0,4}"), 0..8,
    )) {
        let mut d = match inputs.len() % 2 {
            0 => open(&["/", "/a"]).0,
            _ => poll(polling_only()).0,
        };
        for (kind, text) in inputs {
            let Some(connection) = d.manager.current_connection() else { break };
            let bytes = Bytes::from(text);
            match kind {
                0 => d.input(connection, Input::Get(Ok(bytes))),
                1 => d.input(connection, Input::Text(bytes)),
                2 => d.input(connection, Input::Binary(bytes)),
                _ => d.advance(secs(20)),
            }
            proptest::prop_assert!(d.manager.pending_bytes() < 4096);
        }
    }
}

#[test]
fn a_lost_connection_is_opened_again_and_sends_what_was_kept() {
    let (mut d, ids) = open(&["/"]);
    d.text("40");
    let asked = d.emit_ack(ids[0], r#"["ask"]"#, None);
    d.written();
    d.lose();
    let events = d.take_events();
    let failed = |event: &Event| matches!(event, Event::Ack(key, Err(AckError::Disconnected)) if *key == asked);
    assert!(events.iter().any(failed), "{events:?}");
    d.emit(ids[0], r#"["kept"]"#);
    d.actions.clear();
    d.advance(secs(1));
    handshake(&mut d);
    d.text("40");
    assert_eq!(d.log(), ["connect x3xbHM9B-rK_roqfAAAB"]);
    assert_eq!(d.written(), [r#"42["kept"]"#]);
}
