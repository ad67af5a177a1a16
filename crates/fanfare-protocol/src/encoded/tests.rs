use bytes::Bytes;
use proptest::prelude::*;

use super::{EncodedEvent, EncodedValue};
use crate::socket::{AllArgs, DecodeError, encode_event};
use crate::{Limits, Value, msgpack};

fn bytes(data: &'static [u8]) -> Bytes {
    Bytes::from_static(data)
}

#[test]
fn both_encodings_come_from_one_serialization() {
    use serde::{Serialize, Serializer};
    use std::cell::Cell;

    struct Counting(Cell<usize>);
    impl Serialize for Counting {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.0.set(self.0.get() + 1);
            serializer.serialize_str("value")
        }
    }

    for msgpack in [false, true] {
        let value = Counting(Cell::new(0));
        let event = match msgpack {
            false => EncodedEvent::new("e", &&value).unwrap(),
            true => EncodedEvent::new_msgpack("e", &&value).unwrap(),
        };
        assert_eq!(event.data().json(), r#"["e","value"]"#);
        assert_eq!(event.data().msgpack()[..], *b"\x92\xa1e\xa5value");
        assert_eq!(event.args().unwrap().decode::<String>().unwrap(), "value");
        assert_eq!(value.0.get(), 1);
    }
}

#[test]
fn packets_are_spliced() {
    let text = |event: &EncodedEvent, namespace, ack, last| {
        let mut out = Vec::new();
        event.write_text(&mut out, namespace, ack, last);
        String::from_utf8(out).unwrap()
    };
    let event = EncodedEvent::from_json(" [ \"e\" , 1 ]\n", Vec::new()).unwrap();
    assert_eq!(text(&event, "/", None, None), "2[ \"e\" , 1 ]");
    assert_eq!(text(&event, "/a", Some(7), None), "2/a,7[ \"e\" , 1 ]");
    assert_eq!(
        text(&event, "/", None, Some("x\"1")),
        "2[ \"e\" , 1 ,\"x\\\"1\"]"
    );
    let event = EncodedEvent::from_msgpack(&b"\x92\xa1e\xc4\x01x"[..]).unwrap();
    let placeholder = r#"["e",{"_placeholder":true,"num":0}]"#;
    assert_eq!(
        text(&event, "/a", Some(7), None),
        format!("51-/a,7{placeholder}")
    );
    assert_eq!(event.data().attachments(), [bytes(b"x")]);

    let mut out = Vec::new();
    event.write_msgpack(&mut out, "/a", None, Some("1-0"));
    let limits = Limits::default();
    let crate::socket::Packet::Event(read) = msgpack::decode(&out, &limits).unwrap() else {
        panic!("no event");
    };
    assert_eq!((read.namespace, &*read.name), ("/a", "e"));
    let (data, offset): (Bytes, String) = read.args.decode().unwrap();
    assert_eq!((data, offset.as_str()), (bytes(b"x"), "1-0"));
}

#[test]
fn arrays_of_any_length_take_one_more_element() {
    for count in [0, 14, 15, 65_534, 65_535] {
        let args = AllArgs(vec![Value::Null; count]);
        let event = EncodedEvent::new("e", &args).unwrap();
        let mut out = Vec::new();
        event.write_msgpack(&mut out, "/", None, Some("p"));
        let mut direct = Vec::new();
        let mut args = args.0;
        args.push(Value::String("p".to_owned()));
        msgpack::encode_event(&mut direct, "/", None, "e", &AllArgs(args)).unwrap();
        assert!(out == direct, "{count}");
    }
}

#[test]
fn what_javascript_writes_is_understood() {
    let json = |message: &'static [u8]| {
        let value = EncodedValue::from_msgpack(message).unwrap();
        value.json().to_owned()
    };
    // `undefined`, dates of both libraries, numbers that JSON lacks, keys that are numbers.
    assert_eq!(json(b"\x92\xd4\x00\x00\xc0"), "[null,null]");
    assert_eq!(
        json(b"\xd7\x00\0\0\0\0\0\0\0\x01"),
        r#""1970-01-01T00:00:00.001Z""#
    );
    assert_eq!(json(b"\xd6\xff\0\0\0\x02"), r#""1970-01-01T00:00:02.000Z""#);
    assert_eq!(
        json(b"\xd7\xff\x00\x7a\x12\x00\0\0\0\x02"),
        r#""1970-01-01T00:00:02.002Z""#
    );
    assert_eq!(
        json(b"\xc7\x0c\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"),
        r#""1969-12-31T23:59:59.000Z""#
    );
    assert_eq!(json(b"\xcb\x7f\xf0\0\0\0\0\0\0"), "null");
    assert_eq!(json(b"\x81\x07\xa1\""), r#"{"7":"\""}"#);
    let lone = EncodedEvent::from_json(r#"["e","\ud800"]"#, Vec::new()).unwrap();
    assert_eq!(
        lone.data().msgpack()[..],
        "\u{fffd}"
            .bytes()
            .fold(b"\x92\xa1e\xa3".to_vec(), |mut all, byte| {
                all.push(byte);
                all
            })
    );
    let number = EncodedEvent::from_json("[1.0,2]", Vec::new()).unwrap();
    assert_eq!(number.name(), "1");
    assert_eq!(
        EncodedEvent::from_msgpack(&b"\x91\x07"[..]).unwrap().name(),
        "7"
    );
}

#[test]
fn what_would_break_clients_is_rejected() {
    let invalid = |json: &str, attachments: usize| {
        EncodedEvent::from_json(json, vec![bytes(b"x"); attachments]).unwrap_err()
    };
    let one = r#"{"_placeholder":true,"num":0}"#;
    assert_eq!(
        invalid(&format!(r#"["e",{one},{one}]"#), 1),
        DecodeError::AttachmentReused { num: 0 }
    );
    assert_eq!(
        invalid(r#"["e",{"_placeholder":true,"num":1}]"#, 1),
        DecodeError::IllegalAttachments
    );
    assert_eq!(
        invalid(r#"["e",{"_placeholder":true,"num":-1}]"#, 1),
        DecodeError::IllegalAttachments
    );
    assert!(matches!(invalid("[]", 0), DecodeError::InvalidPayload(_)));
    assert!(matches!(invalid("{}", 0), DecodeError::Json { .. }));
    assert!(matches!(
        invalid("[null]", 0),
        DecodeError::InvalidPayload(_)
    ));
    assert!(matches!(invalid("[\"e\",]", 0), DecodeError::Json { .. }));
    let deep = format!("[\"e\",{}{}]", "[".repeat(600), "]".repeat(600));
    assert!(matches!(invalid(&deep, 0), DecodeError::TooDeep { .. }));
    assert!(matches!(
        invalid("[\"e\"]", 4097),
        DecodeError::TooManyAttachments { .. }
    ));

    let invalid = |message: &[u8]| EncodedEvent::from_msgpack(message.to_vec()).unwrap_err();
    assert!(matches!(
        invalid(b"\x91\xc0"),
        DecodeError::InvalidPayload(_)
    ));
    assert!(matches!(invalid(b"\x80"), DecodeError::InvalidPayload(_)));
    assert!(matches!(invalid(b"\x92\xa1e"), DecodeError::Msgpack { .. }));
    assert!(matches!(
        invalid(b"\x91\xa1e\x00"),
        DecodeError::Msgpack { .. }
    ));
    assert!(matches!(
        invalid(b"\x92\xa1e\x81\x90\x00"),
        DecodeError::Msgpack { .. }
    ));
    assert!(matches!(
        invalid(b"\xdd\xff\xff\xff\xff\xa1e"),
        DecodeError::Msgpack { .. }
    ));
    let deep = [b"\x92\xa1e".to_vec(), vec![0x91; 600], vec![0xc0]].concat();
    assert!(matches!(invalid(&deep), DecodeError::TooDeep { .. }));
    let many = [b"\xdc\x10\x02\xa1e".to_vec(), b"\xc4\x00".repeat(4097)].concat();
    assert!(matches!(
        invalid(&many),
        DecodeError::TooManyAttachments { .. }
    ));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Number(n.into())),
        any::<u64>().prop_map(|n| Value::Number(n.into())),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| Value::Number(serde_json::Number::from_f64(n).unwrap())),
        any::<String>().prop_map(Value::String),
        any::<Vec<u8>>().prop_map(|data| Value::Binary(data.into())),
    ];
    leaf.prop_recursive(6, 64, 20, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec((any::<String>(), inner), 0..20).prop_map(Value::Object),
        ]
    })
}

/// Arrays and maps of the values that grow most.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop::sample::select(vec![
        &b"\xc0"[..],
        b"\xc2",
        b"\xc4\x00",
        b"\xa1\x01",
        b"\xa1\xff",
        b"\xff",
        b"\xca\x7f\x7f\xff\xff",
        b"\xcb\xff\xef\xff\xff\xff\xff\xff\xff",
        b"\xd7\x00\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xd4\x05\x00",
    ]);
    let leaf = leaf.prop_map(<[u8]>::to_vec);
    leaf.prop_recursive(4, 64, 15, |inner| {
        let values = prop::collection::vec(inner, 0..15);
        (values, any::<bool>()).prop_map(|(values, map)| {
            let head = if map { 0x80 } else { 0x90 } | values.len() as u8;
            let mut message = vec![head];
            for value in values {
                if map {
                    message.push(0xc0);
                }
                message.extend(value);
            }
            message
        })
    })
}

proptest! {
    /// A conversion gives the bytes that the encoder gives directly, in both directions.
    #[test]
    fn conversions_agree_with_the_encoders(values in prop::collection::vec(value(), 0..5)) {
        let args = AllArgs(values);
        let json = EncodedEvent::new("e", &args).unwrap();
        let direct = EncodedEvent::new_msgpack("e", &args).unwrap();
        prop_assert_eq!(json.data().msgpack(), direct.data().msgpack());
        prop_assert_eq!(json.data().json(), direct.data().json());
        prop_assert_eq!(json.data().attachments(), direct.data().attachments());
        prop_assert_eq!(json.data().has_binary(), direct.data().has_binary());
        let received = EncodedEvent::from_msgpack(direct.data().msgpack().clone()).unwrap();
        prop_assert_eq!(&received, &json);
        let again = EncodedEvent::from_json(json.data().json(), json.data().attachments().to_vec());
        prop_assert_eq!(&again.unwrap(), &json);
        let AllArgs(read) = json.args().unwrap().decode::<AllArgs<Value>>().unwrap();
        prop_assert_eq!(read, args.0);
        let (mut text, mut attachments) = (Vec::new(), Vec::new());
        encode_event(&mut text, "/n", Some(3), "e", &AllArgs(received.args().unwrap().decode::<AllArgs<Value>>().unwrap().0), &mut attachments).unwrap();
        let mut spliced = Vec::new();
        json.write_text(&mut spliced, "/n", Some(3), None);
        prop_assert_eq!(text, spliced);
    }

    /// A conversion makes at most eight bytes of one, and 48 of a binary value.
    #[test]
    fn conversions_are_bounded(message in messages()) {
        let value = EncodedValue::from_msgpack(message.clone()).unwrap();
        let binaries = value.attachments().len();
        prop_assert!(value.json().len() <= 8 * message.len() + 48 * binaries);
        let again = EncodedValue::from_json(value.json(), value.attachments().to_vec()).unwrap();
        let inside: usize = value.attachments().iter().map(Bytes::len).sum();
        prop_assert!(again.msgpack().len() <= 8 * value.json().len() + inside);
    }

    /// Every message is rejected or can be used.
    #[test]
    fn no_message_causes_a_panic(message in any::<Vec<u8>>(), json in any::<String>()) {
        if let Ok(event) = EncodedValue::from_msgpack(message) {
            let _ = (event.json().len(), event.args());
            prop_assert!(EncodedValue::from_json(event.json(), event.attachments().to_vec()).is_ok());
        }
        if let Ok(value) = EncodedValue::from_json(json, Vec::new()) {
            prop_assert!(EncodedValue::from_msgpack(value.msgpack().clone()).is_ok());
        }
    }
}
