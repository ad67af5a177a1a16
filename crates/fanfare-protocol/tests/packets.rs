//! Socket.IO packets on the wire.

#![allow(clippy::unwrap_used)]

use fanfare_protocol::Limits;
use fanfare_protocol::socket::{
    ConnectErrorBody, DecodeError, Decoder, Header, JsonErrorKind, Packet, PacketType, decode,
    encode_connect, encode_connect_error, encode_connect_reply, encode_disconnect, v4,
};

fn limits() -> Limits {
    Limits::default()
}

fn event(text: &str) -> (String, String, Option<u64>, Vec<String>) {
    match decode(text, &limits()) {
        Ok(Packet::Event(event)) => (
            event.namespace.to_owned(),
            event.name.into_owned(),
            event.ack,
            (0..event.args.len())
                .map(|i| event.args.get(i).unwrap().to_owned())
                .collect(),
        ),
        other => panic!("{text}: {other:?}"),
    }
}

fn error(text: &str) -> DecodeError {
    match decode(text, &limits()) {
        Err(error) => error,
        Ok(packet) => panic!("{text}: {packet:?}"),
    }
}

#[test]
fn headers() {
    let parse = |text| Header::parse(text, &limits()).unwrap();
    let header = Header {
        kind: PacketType::BinaryEvent,
        attachments: 2,
        namespace: "/admin",
        ack: Some(12),
        data: "[1]",
    };
    assert_eq!(parse("52-/admin,12[1]"), header);
    assert_eq!(parse("2/admin?a=b,c[1]").namespace, "/admin?a=b");
    assert_eq!(parse("0/admin").namespace, "/admin");
    assert_eq!(parse("1/admin,").data, "");
    assert_eq!(parse("2/,[]").namespace, "/");
    assert_eq!(parse("3123[]").ack, Some(123));
    assert_eq!(parse("30").ack, Some(0));
}

#[test]
fn events() {
    let owned = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
    assert_eq!(
        event(r#"2["hello"]"#),
        ("/".into(), "hello".into(), None, vec![])
    );
    assert_eq!(
        event(r#"2/chat,17["hello", {"a":[1,"]"]} ,null]"#),
        (
            "/chat".into(),
            "hello".into(),
            Some(17),
            owned(&[r#"{"a":[1,"]"]}"#, "null"])
        )
    );
    assert_eq!(event("2[ \"e\"\n,\t1 ] ").3, ["1"]);
    assert_eq!(event(r#"2["é\u00e9\ud83d\ude00\n"]"#).1, "éé😀\n");
    assert_eq!(event(r#"2["\ud800"]"#).1, "\u{fffd}");
    assert_eq!(event(r#"2[""]"#).1, "");
    // Node delivers a binary packet without attachments, and so do we.
    assert_eq!(event(r#"50-["e",1]"#).3, ["1"]);
    assert_eq!(event(r#"5-["e",1]"#).3, ["1"]);
}

#[test]
fn an_event_name_may_be_a_number() {
    for (written, name) in [
        ("1", "1"),
        ("0", "0"),
        ("-0", "0"),
        ("-5", "-5"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("1.5", "1.5"),
        ("123456789012345678", "123456789012345680"),
    ] {
        assert_eq!(event(&format!("2[{written},0]")).1, name);
    }
}

#[test]
fn events_that_are_refused() {
    for bad in [
        "2[]",
        "2{}",
        "2[null]",
        "2[{}]",
        "2[[\"e\"]]",
        "2[true]",
        "2",
        "25",
        "2\"e\"",
        "5-",
        "50-{}",
    ] {
        assert!(
            matches!(error(bad), DecodeError::InvalidPayload(_)),
            "{bad}: {:?}",
            error(bad)
        );
    }
    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        assert_eq!(
            error(&format!("2[\"{name}\"]")),
            DecodeError::ReservedEvent(name_of(name))
        );
        assert_eq!(
            error(&format!(
                "2/a,1[\"\\u00{:x}{}\",1]",
                name.as_bytes()[0],
                &name[1..]
            )),
            DecodeError::ReservedEvent(name_of(name))
        );
    }
    assert_eq!(event(r#"2["connection"]"#).1, "connection");
    for bad in [
        "2[",
        "2[\"e\"",
        "2[\"e\",",
        "2[\"e\",]",
        "2[\"e\"]]",
        "2[\"e\" 1]",
        "2[\"e\",1 2]",
        "2[nul]",
        "2x",
        "2[\"e\",01]",
        "2[\"e\",.5]",
        "2[\"e\",+1]",
        "2[\"e\",1.]",
        "2[\"e\",'x']",
        "2[\"e\",\"\\x\"]",
        "2[\"e\",\"\\u12\"]",
        "2[\"e\",\"\u{1}\"]",
        "2[\"e\",{a:1}]",
        "2[\"e\",{\"a\"}]",
        "2[\"e\",{\"a\":}]",
        "2[\"e\",{\"a\":1,}]",
        "2[\"e\",[1,]]",
        "2[\"e\",[,1]]",
        "2[\"e\",{]}]",
        "2[\"e\",NaN]",
        "2[\"e\",undefined]",
        "2\u{a0}[\"e\"]",
    ] {
        assert!(
            matches!(error(bad), DecodeError::Json { .. }),
            "{bad}: {:?}",
            error(bad)
        );
    }
    assert_eq!(
        error("2[\"a"),
        DecodeError::Json {
            at: 3,
            kind: JsonErrorKind::UnexpectedEnd
        }
    );
}

fn name_of(name: &str) -> &'static str {
    fanfare_protocol::socket::RESERVED_EVENTS
        .into_iter()
        .find(|&n| n == name)
        .unwrap()
}

#[test]
fn other_packets() {
    let connect = |text| match decode(text, &limits()) {
        Ok(Packet::Connect(connect)) => (
            connect.namespace,
            connect.payload.map(|json| json.into_owned()),
        ),
        other => panic!("{text}: {other:?}"),
    };
    assert_eq!(connect("0"), ("/", None));
    assert_eq!(connect("0/admin"), ("/admin", None));
    assert_eq!(connect("0/admin,"), ("/admin", None));
    assert_eq!(
        connect(r#"0/admin,{"token":"\ud800"}"#),
        ("/admin", Some(r#"{"token":"\ufffd"}"#.into()))
    );
    for bad in ["0[]", "0\"a\"", "01{}1", "0null", "0/a,[]"] {
        error(bad);
    }

    assert!(matches!(
        decode("1", &limits()),
        Ok(Packet::Disconnect("/"))
    ));
    assert!(matches!(
        decode("1/admin,", &limits()),
        Ok(Packet::Disconnect("/admin"))
    ));
    assert_eq!(
        error("1{}"),
        DecodeError::InvalidPayload(PacketType::Disconnect)
    );

    match decode("3/a,7[1,[2]]", &limits()) {
        Ok(Packet::Ack(ack)) => {
            assert_eq!((ack.namespace, ack.id, ack.args.len()), ("/a", 7, 2));
            assert_eq!(ack.args.decode(), Ok((1, vec![2])));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(decode("30[]", &limits()), Ok(Packet::Ack(_))));
    assert_eq!(error("3[]"), DecodeError::InvalidAckId);
    assert_eq!(error("399999999999999999999[]"), DecodeError::InvalidAckId);
    assert_eq!(error("31{}"), DecodeError::InvalidPayload(PacketType::Ack));
    assert_eq!(error("31"), DecodeError::InvalidPayload(PacketType::Ack));

    let refused = |text| match decode(text, &limits()) {
        Ok(Packet::ConnectError(error)) => error.body(),
        other => panic!("{text}: {other:?}"),
    };
    let body = |message: &str, data: Option<&str>| ConnectErrorBody {
        message: message.into(),
        data: data.map(Into::into),
    };
    assert_eq!(
        refused(r#"4/a,{"message":"no","data":{"x":1}}"#),
        body("no", Some(r#"{"x":1}"#))
    );
    assert_eq!(refused(r#"4{"message":"no"}"#), body("no", None));
    assert_eq!(refused(r#"4"no""#), body("no", None));
    assert_eq!(refused(r#"4{"code":1}"#), body("", Some(r#"{"code":1}"#)));
    assert_eq!(refused("4"), body("", None));
    assert_eq!(
        error("4[1]"),
        DecodeError::InvalidPayload(PacketType::ConnectError)
    );

    assert_eq!(error(""), DecodeError::Empty);
    assert_eq!(error("7"), DecodeError::UnknownType('7'));
    assert_eq!(error("é"), DecodeError::UnknownType('é'));
}

#[test]
fn limits_hold() {
    let mut limits = limits();
    limits.max_namespace_len = 4;
    limits.max_event_name_len = 5;
    limits.max_json_depth = 3;
    limits.max_attachments = 2;
    limits.max_attachment_bytes = 3;
    let error = |text| decode(text, &limits).unwrap_err();
    assert_eq!(
        error("0/abcd,"),
        DecodeError::NamespaceTooLong { len: 5, limit: 4 }
    );
    assert_eq!(
        error(r#"2["abcd"]"#),
        DecodeError::EventNameTooLong { len: 6, limit: 5 }
    );
    decode(r#"2["abc",[[1]]]"#, &limits).unwrap();
    assert_eq!(
        error(r#"2["abc",[[[1]]]]"#),
        DecodeError::TooDeep { limit: 3 }
    );
    assert_eq!(
        error(r#"2["abc",[{"a":{}}]]"#),
        DecodeError::TooDeep { limit: 3 }
    );
    assert_eq!(
        error(r#"0{"a":{"a":{"a":{}}}}"#),
        DecodeError::TooDeep { limit: 3 }
    );
    assert_eq!(
        error("53-"),
        DecodeError::TooManyAttachments { count: 3, limit: 2 }
    );
    assert!(matches!(
        error("599999999999999999999999-"),
        DecodeError::TooManyAttachments { .. }
    ));
    assert!(matches!(
        error("5184467440737095516150-"),
        DecodeError::TooManyAttachments { .. }
    ));

    let mut decoder = Decoder::new();
    assert!(decoder.text(r#"52-["a"]"#, &limits).unwrap().is_none());
    assert!(decoder.binary(b"12", &limits).unwrap().is_none());
    assert_eq!(
        decoder.binary(b"34", &limits).unwrap_err(),
        DecodeError::AttachmentsTooLong { len: 4, limit: 3 }
    );
}

#[test]
fn attachment_counts_must_be_written_well() {
    for bad in [
        "5",
        "51",
        "5[\"a\"]",
        "51[\"a\"]",
        "5x-[\"a\"]",
        "5-1-[\"a\"]",
        "51.5-[\"a\"]",
        "6/a,1[]",
    ] {
        assert!(
            matches!(
                error(bad),
                DecodeError::IllegalAttachments
                    | DecodeError::InvalidPayload(_)
                    | DecodeError::Json { .. }
            ),
            "{bad}: {:?}",
            error(bad)
        );
    }
}

#[test]
fn messages_unexpected_packet_are_errors() {
    let (mut decoder, limits) = (Decoder::new(), limits());
    assert_eq!(
        decoder.binary(b"x", &limits).unwrap_err(),
        DecodeError::UnexpectedBinary
    );
    assert!(
        decoder
            .text(r#"51-["a",{"_placeholder":true,"num":0}]"#, &limits)
            .unwrap()
            .is_none()
    );
    assert_eq!(decoder.missing(), 1);
    assert!(decoder.pending_bytes() > 0);
    assert_eq!(
        decoder.text("1", &limits).unwrap_err(),
        DecodeError::UnexpectedText { missing: 1 }
    );
    assert_eq!(decoder.missing(), 0);
    // A binary packet without attachments leaves the decoder idle.
    assert!(decoder.text(r#"50-["a"]"#, &limits).unwrap().is_some());
    assert!(decoder.text(r#"2["a"]"#, &limits).unwrap().is_some());
    assert!(
        decoder
            .text(r#"61-/n,4[{"_placeholder":true,"num":0}]"#, &limits)
            .unwrap()
            .is_none()
    );
    let done = decoder.binary(b"xyz", &limits).unwrap().unwrap();
    let Packet::Ack(ack) = done.packet() else {
        panic!()
    };
    assert_eq!((ack.namespace, ack.id), ("/n", 4));
    assert_eq!(ack.args.decode::<bytes::Bytes>().unwrap(), "xyz");
    assert_eq!(size_of::<Decoder>(), size_of::<usize>());
}

#[test]
fn encoded_control_packets() {
    let text = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        text(&|out| encode_connect_reply(out, "/", "abc", None)),
        r#"0{"sid":"abc"}"#
    );
    assert_eq!(
        text(&|out| encode_connect_reply(out, "/a", "abc", Some("p"))),
        r#"0/a,{"sid":"abc","pid":"p"}"#
    );
    assert_eq!(
        text(&|out| encode_connect(out, "/a", None::<&()>).unwrap()),
        "0/a,"
    );
    assert_eq!(
        text(&|out| encode_connect(out, "/", Some(&serde_json::json!({"t": 1}))).unwrap()),
        r#"0{"t":1}"#
    );
    assert_eq!(text(&|out| encode_disconnect(out, "/")), "1");
    assert_eq!(text(&|out| encode_disconnect(out, "/a")), "1/a,");
    assert_eq!(
        text(&|out| encode_connect_error(out, "/a", "Invalid namespace", None::<&()>).unwrap()),
        r#"4/a,{"message":"Invalid namespace"}"#
    );
    assert_eq!(
        text(&|out| encode_connect_error(out, "/", "a\"b", Some(&[1])).unwrap()),
        r#"4{"message":"a\"b","data":[1]}"#
    );
}

#[test]
fn protocol_4() {
    let mut out = Vec::new();
    v4::encode_connect_reply(&mut out, "/");
    out.push(b' ');
    v4::encode_connect_reply(&mut out, "/a");
    out.push(b' ');
    v4::encode_error(&mut out, "/a", "Not authorized", None::<&()>).unwrap();
    out.push(b' ');
    v4::encode_error(&mut out, "/", "x", Some(&serde_json::json!({"code": 1}))).unwrap();
    assert_eq!(out, br#"0 0/a, 4/a,"Not authorized" 4{"code":1}"#);

    let Ok(Packet::Connect(connect)) = decode("0/admin?token=a%20b&x=1,", &limits()) else {
        panic!()
    };
    assert_eq!(
        v4::split_query(connect.namespace),
        ("/admin", Some("token=a%20b&x=1"))
    );
    assert_eq!(v4::split_query("/admin"), ("/admin", None));

    for (query, auth) in [
        ("", "{}"),
        ("token=a%20b&x=1", r#"{"token":"a b","x":"1"}"#),
        ("x=1&x=2&x=3&&y&=z", r#"{"":"z","x":"3","y":""}"#),
        ("a+b=%C3%A9%zz%4&c==d%", r#"{"a b":"é%zz%4","c":"=d%"}"#),
        ("a=%ff", "{\"a\":\"\u{fffd}\"}"),
    ] {
        // The order of the names depends on how `serde_json` was built.
        let parse = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(parse(&v4::auth_from_query(query)), parse(auth));
    }
}
