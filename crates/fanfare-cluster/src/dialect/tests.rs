use std::time::Duration;

use fanfare_protocol::{EncodedEvent, EncodedValue, Value};
use proptest::prelude::*;

use super::*;
use crate::{
    Broadcast, ClusterAnswer, ClusterFlags, ClusterOptions, DisconnectSockets, FetchSockets,
    HandshakeData, PeerRequest, ServerSideEmit, SocketData, SocketsJoin, SocketsLeave,
};

fn read(payload: &[u8]) -> Result<AdapterMessage, DialectError> {
    Envelope::read(&Bytes::copy_from_slice(payload))?.decode()
}

fn broadcast(payload: &str) -> Broadcast {
    match read(payload.as_bytes()).unwrap() {
        AdapterMessage::Message(ClusterMessage::Broadcast(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn null_counts_as_absent() {
    let message = broadcast(
        r#"{"type":3,"data":{"packet":{"type":2,"data":["a"]},"requestId":null,"opts":{"rooms":null,"flags":{"volatile":null,"compress":null,"timeout":null}}},"uid":"u","nsp":null}"#,
    );
    assert_eq!(message.request_id, None);
    assert_eq!(message.options, ClusterOptions::default());
    let answer = br#"{"type":12,"data":{"requestId":"r"},"uid":"u"}"#;
    let AdapterMessage::Response(response) = read(answer).unwrap() else {
        panic!("not an answer");
    };
    let null = EncodedValue::new(&()).unwrap();
    assert_eq!(response.answer, ClusterAnswer::Ack(null));
}

#[test]
fn flags_are_taken_as_javascript_takes_them() {
    for (written, volatile, compress) in [
        (r#"{"volatile":1,"compress":0}"#, true, Some(false)),
        (r#"{"volatile":"","compress":[]}"#, false, Some(true)),
        (r#"{"volatile":{"a":[1]},"compress":""}"#, true, Some(false)),
        (r#"{"volatile":0.0,"compress":-1}"#, false, Some(true)),
    ] {
        let payload = format!(
            r#"{{"type":3,"data":{{"packet":{{"type":2,"data":["a"]}},"opts":{{"flags":{written}}}}},"uid":"u"}}"#
        );
        let flags = broadcast(&payload).options.flags;
        assert_eq!((flags.volatile, flags.compress), (volatile, compress));
    }
}

#[test]
fn timeouts_have_a_maximum() {
    for (written, expected) in [
        ("1500.5", Duration::from_micros(1_500_500)),
        ("-3", Duration::ZERO),
        ("1e300", Duration::from_millis(2_147_483_647)),
    ] {
        let payload = format!(
            r#"{{"type":3,"data":{{"packet":{{"type":2,"data":["a"]}},"opts":{{"flags":{{"timeout":{written}}}}}}},"uid":"u"}}"#
        );
        assert_eq!(broadcast(&payload).options.flags.timeout, Some(expected));
    }
}

#[test]
fn names_of_rooms_are_read_as_those_of_events() {
    let message = broadcast(
        r#"{"type":3,"data":{"packet":{"type":2,"data":["a"]},"opts":{"rooms":[1,-2,1.5,"a\n","\ud800"],"except":[1e+21]}},"uid":"u"}"#,
    );
    assert_eq!(message.options.rooms, ["1", "-2", "1.5", "a\n", "\u{fffd}"]);
    assert_eq!(message.options.except, ["1e+21"]);
    // A selection that is not understood selects no socket, rather than all.
    for rooms in ["[null]", "[{}]", "[[\"a\"]]", "\"a\"", "{}"] {
        let payload = format!(r#"{{"type":6,"data":{{"opts":{{"rooms":{rooms}}}}},"uid":"u"}}"#);
        assert!(read(payload.as_bytes()).is_err(), "{rooms}");
    }
}

#[test]
fn what_is_missing_or_of_another_type_is_an_error() {
    for payload in [
        "",
        "{",
        "[]",
        "{}",
        r#"{"type":"3","uid":"u"}"#,
        r#"{"type":3,"uid":"u"}"#,
        r#"{"type":3,"data":{"opts":{}},"uid":"u"}"#,
        r#"{"type":3,"data":{"packet":{"type":2,"data":["a"]}},"uid":"u"}"#,
        r#"{"type":3,"data":{"packet":{"type":1,"data":["a"]},"opts":{}},"uid":"u"}"#,
        r#"{"type":3,"data":{"packet":{"type":2,"data":"a"},"opts":{}},"uid":"u"}"#,
        r#"{"type":4,"data":{"opts":{}},"uid":"u"}"#,
        r#"{"type":7,"data":{"opts":{}},"uid":"u"}"#,
        r#"{"type":8,"data":{"requestId":"r"},"uid":"u"}"#,
        r#"{"type":11,"data":{"requestId":"r","clientCount":-1},"uid":"u"}"#,
        r#"{"type":1,"uid":"u"} "x""#,
    ] {
        assert!(read(payload.as_bytes()).is_err(), "{payload}");
    }
    for payload in [
        &b"\x81\xa4type\x01\x00"[..],
        b"\x81\xa4type\x91\x01",
        b"\x82\xa4type\x01\xa3uid\x90",
        b"\xdf\xff\xff\xff\xff\xa4type\x01",
        b"\x82\xa4type\x04\xa4data\x82\xa4opts\x81\xa5rooms\xdd\xff\xff\xff\xff\xa1a",
    ] {
        assert!(read(payload).is_err(), "{payload:x?}");
    }
}

#[test]
fn ids_are_bounded() {
    let long = "x".repeat(MAX_ID_BYTES + 1);
    for payload in [
        format!(r#"{{"type":1,"uid":"{long}"}}"#),
        format!(r#"{{"type":12,"data":{{"requestId":"{long}"}},"uid":"u"}}"#),
    ] {
        let error = read(payload.as_bytes()).unwrap_err();
        assert!(matches!(error, DialectError::IdTooLong(257)), "{error}");
    }
}

/// Depth is bounded where anything recurses, and what no member needs is only skipped.
#[test]
fn nesting_is_bounded() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    for depth in [600, 200_000] {
        for payload in [
            format!(
                r#"{{"type":9,"data":{{"packet":["a",{}]}},"uid":"u"}}"#,
                deep(depth)
            ),
            format!(
                r#"{{"type":12,"data":{{"requestId":"r","packet":{}}},"uid":"u"}}"#,
                deep(depth)
            ),
            format!(
                r#"{{"type":8,"data":{{"requestId":"r","sockets":[{{"id":"a","handshake":{{}},"rooms":[],"data":{}}}]}},"uid":"u"}}"#,
                deep(depth)
            ),
        ] {
            assert!(read(payload.as_bytes()).is_err());
        }
        let mut message = b"\x82\xa4type\x0c\xa4data\x82\xa9requestId\xa1r\xa6packet".to_vec();
        message.extend(vec![0x91; depth]);
        message.push(0xc0);
        assert!(read(&message).is_err());
    }
    let unknown = format!(r#"{{"type":99,"data":{},"uid":"u"}}"#, deep(100_000));
    assert_eq!(
        read(unknown.as_bytes()).unwrap(),
        AdapterMessage::Unknown(99)
    );
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,6}", any::<String>()]
}

fn options() -> impl Strategy<Value = ClusterOptions> {
    let rooms = || proptest::collection::vec(name(), 0..20);
    let timeout = proptest::option::of(0..100_000u64);
    let number = proptest::option::of(0..1u64 << 53);
    let flags = (any::<bool>(), any::<Option<bool>>(), timeout, number);
    (rooms(), rooms(), flags).prop_map(|(rooms, except, (volatile, compress, timeout, number))| {
        let flags = ClusterFlags::default()
            .volatile(volatile)
            .compress(compress)
            .timeout(timeout.map(Duration::from_millis))
            .event_id(number);
        ClusterOptions::new(rooms).except(except).flags(flags)
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|number| Value::Number(number.into())),
        any::<u64>().prop_map(|number| Value::Number(number.into())),
        any::<String>().prop_map(Value::String),
        any::<Vec<u8>>().prop_map(|bytes| Value::Binary(bytes.into())),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::vec((any::<String>(), inner), 0..5).prop_map(Value::Object),
        ]
    })
}

fn socket() -> impl Strategy<Value = SocketData> {
    (name(), proptest::collection::vec(name(), 0..5), name()).prop_map(|(id, rooms, text)| {
        let mut socket = SocketData::new(id, HandshakeData::default());
        socket.rooms = rooms;
        let data = serde_json::json!({"text": text, "list": [1, null]});
        socket.set_data(&data).unwrap();
        socket
    })
}

fn message() -> impl Strategy<Value = AdapterMessage> {
    let event = || {
        ("[a-z]{1,5}", value(), any::<bool>()).prop_map(|(name, value, msgpack)| {
            match msgpack {
                true => EncodedEvent::new_msgpack(&name, &value),
                false => EncodedEvent::new(&name, &value),
            }
            .unwrap()
        })
    };
    let id = || "[0-9a-f]{16}";
    let rooms = || proptest::collection::vec(name(), 0..20);
    let answer = prop_oneof![
        proptest::collection::vec(socket(), 0..4).prop_map(ClusterAnswer::Sockets),
        value().prop_map(|v| ClusterAnswer::ServerSideEmit(EncodedValue::new(&v).unwrap())),
        value().prop_map(|v| ClusterAnswer::Ack(EncodedValue::new(&v).unwrap())),
        value().prop_map(|v| ClusterAnswer::Peer(EncodedValue::new(&v).unwrap())),
        any::<u32>().prop_map(|count| ClusterAnswer::ClientCount(count as usize)),
    ];
    prop_oneof![
        Just(AdapterMessage::InitialHeartbeat),
        Just(AdapterMessage::Heartbeat),
        Just(AdapterMessage::Close),
        (event(), options(), proptest::option::of(id())).prop_map(|(event, options, id)| {
            let mut message = Broadcast::new(event, options);
            message.request_id = id;
            message.into()
        }),
        (options(), rooms()).prop_map(|(options, rooms)| SocketsJoin::new(options, rooms).into()),
        (options(), rooms()).prop_map(|(options, rooms)| SocketsLeave::new(options, rooms).into()),
        (options(), any::<bool>())
            .prop_map(|(options, close)| DisconnectSockets::new(options, close).into()),
        (options(), id()).prop_map(|(options, id)| FetchSockets::new(options, id).into()),
        (event(), proptest::option::of(id())).prop_map(|(event, id)| {
            let mut message = ServerSideEmit::new(event);
            message.request_id = id;
            message.into()
        }),
        (value(), id())
            .prop_map(|(v, id)| PeerRequest::new(EncodedValue::new(&v).unwrap(), id).into()),
        (id(), answer).prop_map(|(id, answer)| ClusterResponse::new(id, answer).into()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn messages_go_through_both_dialects(message in message(), namespace in name(), given: bool) {
        let namespace = given.then_some(&*namespace);
        let encoded = message.encode("0123456789abcdef", namespace);
        let is_json = matches!(encoded, Encoded::Json(_));
        prop_assert_eq!(is_json, !message.has_binary());
        for payload in [encoded.into_bytes(), message.encode_msgpack("0123456789abcdef", namespace)] {
            let payload = Bytes::from(payload);
            let envelope = Envelope::read(&payload).unwrap();
            prop_assert_eq!(envelope.uid(), "0123456789abcdef");
            prop_assert_eq!(envelope.namespace(), namespace);
            prop_assert_eq!(&envelope.decode().unwrap(), &message);
        }
        if let Some(data) = message.encode_data() {
            let data = Bytes::from(data.into_bytes());
            let decoded = AdapterMessage::decode(message.message_type(), Some(&data)).unwrap();
            prop_assert_eq!(&decoded, &message);
        }
    }
}

#[test]
fn announcements_are_read_in_both_dialects() {
    let node = crate::NodeInfo::new("0f").name("web 1").clients(3);
    let announcement = crate::NodeAnnouncement::new(node).hello();
    let message = AdapterMessage::from(announcement);
    let json = r#"{"type":101,"data":{"id":"0f","name":"web 1","clients":3,"hello":true},"uid":"0f","nsp":"/"}"#;
    assert_eq!(message.encode("0f", Some("/")).as_bytes(), json.as_bytes());
    let msgpack = message.encode_msgpack("0f", Some("/"));
    for payload in [Bytes::from(json), msgpack.into()] {
        let envelope = Envelope::read(&payload).unwrap();
        assert_eq!(envelope.decode().unwrap(), message);
    }
    let long = format!(
        r#"{{"type":101,"uid":"a","data":{{"id":"{}"}}}}"#,
        "x".repeat(5000)
    );
    let long = Bytes::from(long);
    assert!(Envelope::read(&long).unwrap().decode().is_err());
}
