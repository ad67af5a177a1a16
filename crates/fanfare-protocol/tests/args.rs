//! Round trips of arguments: from the handler's types to the wire and back.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use bytes::Bytes;
use fanfare_protocol::Limits;
use fanfare_protocol::socket::{
    AllArgs, Args, ArgsError, Decoder, EncodeError, IntoArgs, Packet, RawArgs, encode_ack,
    encode_event,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn args(json: &str) -> Args<'_> {
    Args::from_json(json, 128).unwrap()
}

fn decode<T: DeserializeOwned>(json: &str) -> Result<T, ArgsError> {
    args(json).decode()
}

fn encode(args: &impl IntoArgs) -> (String, Vec<Bytes>) {
    let (mut out, mut attachments) = (Vec::new(), Vec::new());
    encode_event(&mut out, "/", None, "e", args, &mut attachments).unwrap();
    (String::from_utf8(out).unwrap(), attachments)
}

#[derive(Debug, Serialize, Deserialize, PartialEq, Clone)]
struct Message {
    room: String,
    text: String,
}

fn message() -> Message {
    Message {
        room: "lobby".into(),
        text: "hi".into(),
    }
}

#[test]
fn a_reference_is_one_argument_and_a_tuple_several() {
    assert_eq!(
        encode(&&message()).0,
        r#"2["e",{"room":"lobby","text":"hi"}]"#
    );
    assert_eq!(
        encode(&(1, "two", message())).0,
        r#"2["e",1,"two",{"room":"lobby","text":"hi"}]"#
    );
    assert_eq!(encode(&&(1, 2)).0, r#"2["e",[1,2]]"#);
    assert_eq!(encode(&()).0, r#"2["e"]"#);
    assert_eq!(encode(&&()).0, r#"2["e",null]"#);
    assert_eq!(encode(&"text").0, r#"2["e","text"]"#);
    assert_eq!(encode(&String::from("text")).0, r#"2["e","text"]"#);
    assert_eq!(encode(&vec![1, 2]).0, r#"2["e",[1,2]]"#);
    assert_eq!(encode(&None::<u8>).0, r#"2["e",null]"#);
    assert_eq!(encode(&json!({"a": [true]})).0, r#"2["e",{"a":[true]}]"#);
    assert_eq!(
        encode(&(1, 2, 3, 4, 5, 6, 7, 8)).0,
        r#"2["e",1,2,3,4,5,6,7,8]"#
    );
    assert_eq!(encode(&RawArgs("1,[2]")).0, r#"2["e",1,[2]]"#);
    assert_eq!(encode(&RawArgs("")).0, r#"2["e"]"#);
}

#[test]
fn an_acknowledgement_without_arguments_is_an_empty_array() {
    let (mut out, mut attachments) = (b"kept".to_vec(), Vec::new());
    encode_ack(&mut out, "/", 3, &(), &mut attachments).unwrap();
    encode_ack(&mut out, "/admin", 12, &(1, "x"), &mut attachments).unwrap();
    assert_eq!(out, b"kept33[]3/admin,12[1,\"x\"]");
}

#[test]
fn bytes_anywhere_become_attachments() {
    #[derive(Serialize)]
    struct File {
        name: &'static str,
        data: Bytes,
        parts: Vec<Bytes>,
    }
    let file = File {
        name: "f",
        data: Bytes::from_static(&[1, 2]),
        parts: vec![Bytes::from_static(&[3]), Bytes::new()],
    };
    let (text, attachments) = encode(&(&file, Bytes::from_static(&[4])));
    assert_eq!(
        text,
        concat!(
            r#"54-["e",{"name":"f","data":{"_placeholder":true,"num":0},"#,
            r#""parts":[{"_placeholder":true,"num":1},{"_placeholder":true,"num":2}]},{"_placeholder":true,"num":3}]"#
        )
    );
    assert_eq!(attachments, [&[1u8, 2][..], &[3], &[], &[4]]);

    let (mut out, mut attachments) = (b"x".to_vec(), vec![Bytes::from_static(b"other packet")]);
    encode_ack(
        &mut out,
        "/n",
        7,
        &Bytes::from_static(b"!"),
        &mut attachments,
    )
    .unwrap();
    assert_eq!(out, br#"x61-/n,7[{"_placeholder":true,"num":0}]"#);
    assert_eq!(attachments.len(), 2);
}

#[test]
fn a_failed_encoding_leaves_the_buffers_as_they_were() {
    let bad: HashMap<Vec<u8>, u8> = HashMap::from([(vec![1], 1)]);
    let (mut out, mut attachments) = (b"before".to_vec(), vec![Bytes::from_static(b"a")]);
    let error = encode_event(
        &mut out,
        "/",
        None,
        "e",
        &(Bytes::from_static(b"b"), &bad),
        &mut attachments,
    );
    assert!(
        matches!(error, Err(EncodeError::NotSerializable { argument: 1, .. })),
        "{error:?}"
    );
    assert_eq!((out.as_slice(), attachments.len()), (&b"before"[..], 1));

    for name in [
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ] {
        let error = encode_event(&mut out, "/", None, name, &(), &mut attachments);
        assert_eq!(error, Err(EncodeError::ReservedEvent(name.into())));
    }
    assert_eq!(out, b"before");
}

#[test]
fn arguments_are_taken_by_the_shape_of_the_type() {
    let json = r#"[{"room":"lobby","text":"hi"}, 7 ,"x",[1,2]]"#;
    assert_eq!(decode(json), Ok(message()));
    assert_eq!(decode(json), Ok((message(), 7u8)));
    assert_eq!(
        decode(json),
        Ok((message(), 7i64, String::from("x"), vec![1, 2]))
    );
    assert_eq!(decode(json), Ok(()));
    assert_eq!(decode("[]"), Ok(()));
    assert_eq!(decode("[]"), Ok(None::<u8>));
    assert_eq!(decode("[]"), Ok(Value::Null));
    assert_eq!(decode("[1]"), Ok((1, None::<Message>, Value::Null)));
    assert_eq!(
        decode(r#"[1,"two"]"#),
        Ok(AllArgs(vec![json!(1), json!("two")]))
    );
    assert_eq!(decode("[]"), Ok(AllArgs::<Value>(vec![])));

    #[derive(Debug, Deserialize, PartialEq)]
    struct Pair(u8, u8);
    #[derive(Debug, Deserialize, PartialEq)]
    struct New(u8);
    #[derive(Debug, Deserialize, PartialEq)]
    enum Choice {
        Unit,
        Newtype(u8),
        Tuple(u8, u8),
        Struct { a: u8 },
    }
    assert_eq!(decode("[[1,2],3]"), Ok(Pair(1, 2)));
    assert_eq!(decode("[1]"), Ok(New(1)));
    assert_eq!(decode(r#"["Unit"]"#), Ok(Choice::Unit));
    assert_eq!(decode(r#"[{"Newtype":1}]"#), Ok(Choice::Newtype(1)));
    assert_eq!(decode(r#"[{"Tuple":[1,2]}]"#), Ok(Choice::Tuple(1, 2)));
    assert_eq!(
        decode(r#"[{"Struct":{"a":1}}]"#),
        Ok(Choice::Struct { a: 1 })
    );
    assert_eq!(decode(r#"[{"1":true}]"#), Ok(HashMap::from([(1u32, true)])));
}

#[test]
fn an_error_says_which_argument_and_where() {
    #[derive(Debug, Deserialize, PartialEq)]
    #[allow(dead_code)]
    struct Outer {
        list: Vec<Message>,
    }
    let error =
        decode::<(u8, Outer)>(r#"[1,{"list":[{"room":"a","text":"b"},{"room":"a","text":5}]}]"#)
            .unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 1 at list[1].text: invalid type: integer, expected a string"
    );
    assert_eq!(
        decode::<(u8, String)>("[1]").unwrap_err().to_string(),
        "argument 1: is missing"
    );
    assert_eq!(
        decode::<Message>("[]").unwrap_err().to_string(),
        "argument 0: is missing"
    );
    assert_eq!(
        decode::<Message>(r#"[{"room":"x"}]"#)
            .unwrap_err()
            .to_string(),
        "argument 0: missing field `text`"
    );
    assert_eq!(
        decode::<u8>("[300]").unwrap_err().to_string(),
        "argument 0: invalid value: integer, expected u8"
    );
}

#[test]
fn strings_are_the_same_with_and_without_escapes_elsewhere() {
    let both = |json| decode::<(String, Option<String>)>(json).unwrap();
    let pair = |a: &str, b: &str| (a.to_owned(), Some(b.to_owned()));
    assert_eq!(both(r#"["plain","ä 😀"]"#), pair("plain", "ä 😀"));
    assert_eq!(both(r#"["plain","\""]"#), pair("plain", "\""));
    assert_eq!(both(r#"["","\\"]"#), pair("", "\\"));
    assert_eq!(both(r#"["\u0061","b"]"#), pair("a", "b"));
    assert_eq!(both(r#"["\ud800","b"]"#), pair("\u{fffd}", "b"));
    assert_eq!(decode(r#"["\"",1]"#), Ok((json!("\""), 1)));
    assert_eq!(decode(r#"["plain",1]"#), Ok((json!("plain"), 1)));
    assert_eq!(
        decode::<u8>(r#"["7"]"#).unwrap_err().to_string(),
        "argument 0: invalid type: string of 1 byte, expected u8"
    );
}

#[test]
fn lone_surrogates_are_read_as_the_replacement_character() {
    assert_eq!(
        decode(r#"["a\ud800b\udc00\\ud800 \ud83d\ude00"]"#),
        Ok(String::from("a\u{fffd}b\u{fffd}\\ud800 😀"))
    );
    assert_eq!(
        decode(r#"["\ud800\ud800\udc00\ud800"]"#),
        Ok(String::from("\u{fffd}\u{10000}\u{fffd}"))
    );
    assert_eq!(decode(r#"[{"\udfff":1}]"#), Ok(json!({"\u{fffd}": 1})));
}

fn binary<T: DeserializeOwned>(json: &str, attachments: &[&[u8]]) -> Result<T, ArgsError> {
    let (mut decoder, limits) = (Decoder::new(), Limits::default());
    let text = format!("5{}-{json}", attachments.len());
    assert!(decoder.text(&text, &limits).unwrap().is_none());
    for (i, attachment) in attachments.iter().enumerate() {
        assert_eq!(decoder.missing(), attachments.len() - i);
        if let Some(done) = decoder.binary(attachment, &limits).unwrap() {
            assert_eq!(i, attachments.len() - 1);
            let Packet::Event(event) = done.packet() else {
                panic!("no event")
            };
            assert_eq!(event.name, "e");
            return event.args.decode();
        }
    }
    panic!("no packet")
}

#[test]
fn attachments_are_put_in_place_anywhere() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct File {
        name: String,
        data: Bytes,
        #[serde(with = "serde_bytes")]
        more: Vec<u8>,
        plain: Vec<u8>,
        maybe: Option<Bytes>,
        nested: HashMap<String, Vec<Bytes>>,
    }
    let json = r#"["e",{"name":"n","more":{"_placeholder":true,"num":1},"data":{"num":0,"_placeholder":true},
        "plain":{"_placeholder":true,"num":2},"maybe":{ "_placeholder" : true , "num" : 3 },
        "nested":{"k":[{"_placeholder":true,"num":4}]}},5]"#;
    let (file, five): (File, u8) = binary(json, &[b"a", b"b", &[1, 2], b"", b"d"]).unwrap();
    assert_eq!(five, 5);
    assert_eq!(
        file,
        File {
            name: "n".into(),
            data: Bytes::from_static(b"a"),
            more: b"b".to_vec(),
            plain: vec![1, 2],
            maybe: Some(Bytes::new()),
            nested: HashMap::from([("k".into(), vec![Bytes::from_static(b"d")])]),
        }
    );

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Binary { data: Bytes },
    }
    let json = r#"["e",{"data":{"_placeholder":true,"num":0}},"t"]"#;
    let both: (Either, Either) = binary(json, &[b"x"]).unwrap();
    assert_eq!(
        both,
        (
            Either::Binary {
                data: Bytes::from_static(b"x")
            },
            Either::Text("t".into())
        )
    );
}

#[test]
fn a_value_shows_the_placeholder_of_an_attachment() {
    let json = r#"["e",{"a":{"_placeholder":true,"num":0}}]"#;
    assert_eq!(
        binary(json, &[b"x"]),
        Ok(json!({"a": {"_placeholder": true, "num": 0}}))
    );
    let error = binary::<Message>(
        r#"["e",{"room":{"_placeholder":true,"num":0},"text":""}]"#,
        &[b"x"],
    )
    .unwrap_err();
    assert_eq!(error.path, "room");
    assert_eq!(
        error.message,
        "invalid type: byte array of 1 byte, expected a string"
    );
}

#[test]
fn placeholders_cannot_lie() {
    let illegal = |json: &str| {
        let error = binary::<AllArgs<Value>>(json, &[b"x"]).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        illegal(r#"["e",1,{"_placeholder":true,"num":1}]"#),
        "argument 1: illegal attachments: number 1 of 1"
    );
    for num in ["-1", "1.5", "\"0\"", "null"] {
        let json = format!(r#"["e",{{"_placeholder":true,"num":{num}}}]"#);
        assert!(illegal(&json).contains("illegal attachments"), "{num}");
    }
    assert!(illegal(r#"["e",{"_placeholder":true}]"#).contains("without number"));
    // Not a placeholder, and an unused attachment: both are accepted.
    assert_eq!(
        binary(r#"["e",{"_placeholder":1,"num":0}]"#, &[b"x"]),
        Ok(json!({"_placeholder": 1, "num": 0}))
    );
    // Text packets have none.
    assert_eq!(
        decode(r#"[{"_placeholder":true,"num":9}]"#),
        Ok(json!({"_placeholder": true, "num": 9}))
    );
}

#[test]
fn kept_arguments_are_the_same() {
    let json = r#"[ "e" , {"a":"\ud800"} , 2 ]"#;
    let all = args(json);
    assert_eq!(all.raw_json(), Some(r#""e" , {"a":"\ud800"} , 2"#));
    let kept = all.skip(1).to_buf();
    assert_eq!(kept.decode(), Ok((json!({"a": "\u{fffd}"}), 2)));
    assert_eq!(kept.as_args().raw_json(), Some(r#"{"a":"\ud800"} , 2"#));
    assert_eq!(all.without_last().len(), 2);
    assert_eq!(all.skip(9).len(), 0);
    assert_eq!(all.skip(9).to_buf().as_args().raw_json(), Some(""));
    assert_eq!(all.get(2), Some("2"));
    assert_eq!(all.get(3), None);
}

#[test]
fn arguments_of_any_allowed_depth_are_deserialized() {
    let mut limits = Limits::default();
    limits.max_json_depth = 100_000;
    let depth = Limits::JSON_DEPTH_CEILING;
    let json = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let args = Args::from_json(&json, limits.json_depth()).unwrap();
    args.decode::<Value>().unwrap();
    args.decode::<Message>().unwrap_err();
    let json = format!("[{json}]");
    Args::from_json(&json, limits.json_depth()).unwrap_err();
}
