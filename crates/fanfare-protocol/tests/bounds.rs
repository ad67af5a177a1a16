//! Limits on the memory that a packet can make its recipient use, and on the texts of its errors.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use bytes::Bytes;
use fanfare_protocol::socket::{
    AllArgs, Args, ArgsBuf, ArgsError, DecodeError, Decoder, Packet, encode_event,
};
use fanfare_protocol::{Limits, Value, msgpack};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Decodes a JSON packet as far as its attachments; returns the label of the error, if any.
fn refused(text: &str) -> Option<&'static str> {
    let (mut decoder, limits) = (Decoder::new(), Limits::default());
    match decoder.text(text, &limits) {
        Ok(_) => None,
        Err(error) => Some(error.label()),
    }
}

fn msgpack_event(event: &str, args: &[Value]) -> Vec<u8> {
    let mut message = Vec::new();
    msgpack::encode_event(&mut message, "/", None, event, &AllArgs(args.to_vec())).unwrap();
    message
}

fn args_of_msgpack(message: &[u8]) -> ArgsBuf {
    match msgpack::decode(message, &Limits::default()).unwrap() {
        Packet::Event(event) => event.args.to_buf(),
        _ => panic!("not an event"),
    }
}

#[test]
fn an_attachment_is_used_at_most_once_in_a_packet() {
    let hole = r#"{"_placeholder":true,"num":0}"#;
    for twice in [
        format!(r#"51-["e",{hole},{hole}]"#),
        format!(r#"51-["e",[{hole},{{"a":{hole}}}]]"#),
        format!(r#"51-/chat,7["e",{hole},{hole}]"#),
        format!(r#"61-7[{hole},{hole}]"#),
        r#"51-["e",{"\u005fplaceholder":true,"num":0},{"num":0,"_placeholder":true}]"#.to_owned(),
        r#"51-["e",{"_placeholder":true,"n\u0075m":0,"x":{"_placeholder":true,"num":0}}]"#
            .to_owned(),
        format!(r#"51-["e",{{"_placeholder":false,"_placeholder":true,"num":7,"num":0}},{hole}]"#),
        format!(r#"51-["\ud800",1e999,"\ud800",{hole},{hole}]"#),
    ] {
        assert_eq!(refused(&twice), Some("attachment_reused"), "{twice}");
    }
    for once in [
        format!(r#"51-["e",{hole}]"#),
        // These are values like any other.
        format!(r#"51-["e",{hole},{{"_placeholder":false,"num":0}}]"#),
        format!(r#"51-["e",{hole},{{"_placeholder":true,"_placeholder":1,"num":0}}]"#),
        format!(r#"51-["e",{hole},{{"_placeholder":[true],"num":0}}]"#),
        format!(r#"51-["e",{hole},"{{\"_placeholder\":true,\"num\":0}}"]"#),
        format!(r#"51-["e",{hole},["_placeholder",true,"num",0]]"#),
        // The handler gets an error for placeholders without an attachment.
        format!(
            r#"51-["e",{hole},{{"_placeholder":true,"num":1}},{{"_placeholder":true,"num":1}}]"#
        ),
        format!(r#"51-["e",{hole},{{"_placeholder":true,"num":0.0}}]"#),
        format!(r#"52-["e",{hole},{{"_placeholder":true,"num":1}}]"#),
        format!(r#"50-["e",{hole},{hole}]"#),
        format!(r#"2["e",{hole},{hole}]"#),
    ] {
        assert_eq!(refused(&once), None, "{once}");
    }
}

#[test]
fn an_attachment_is_used_at_most_once_whoever_decodes() {
    let hole = r#"{"_placeholder":true,"num":0}"#;
    let json = format!("[{hole},{hole}]");
    let args = Args::from_json(&json, 8).unwrap();
    let attachments = [Bytes::from_static(b"x")];
    let error =
        fanfare_protocol::socket::decode_args::<AllArgs<Value>>(&args, &attachments).unwrap_err();
    assert_eq!(
        error.to_string(),
        "argument 1: illegal attachments: number 0 used twice"
    );
}

#[test]
fn the_number_of_arguments_is_bounded() {
    let limit = 4096;
    let list = |len: usize| vec!["0"; len].join(",");
    for (most, more) in [
        (
            format!(r#"2["e",{}]"#, list(limit)),
            format!(r#"2["e",{}]"#, list(limit + 1)),
        ),
        (
            format!("31[{}]", list(limit)),
            format!("31[{}]", list(limit + 1)),
        ),
        (
            format!(r#"51-["e",{}]"#, list(limit)),
            format!(r#"51-["e",{}]"#, list(limit + 1)),
        ),
    ] {
        assert_eq!(refused(&most), None);
        assert_eq!(refused(&more), Some("too_many_arguments"));
    }
    let values = |len: usize| msgpack_event("e", &vec![Value::Null; len]);
    let limits = Limits::default();
    assert!(msgpack::decode(&values(limit), &limits).is_ok());
    assert_eq!(
        msgpack::decode(&values(limit + 1), &limits).unwrap_err(),
        DecodeError::TooManyArguments { limit }
    );
    // An announced attachment that does not exist is neither allocated nor searched for.
    assert_eq!(
        DecodeError::TooManyArguments { limit }.to_string(),
        "too many arguments, limit 4096"
    );
}

#[derive(Debug, Deserialize)]
#[allow(dead_code)]
struct Login {
    user: String,
    age: u8,
    kind: Kind,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Guest,
    Member,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Strict {
    a: u8,
}

const SECRET: &str = "hunter2\\u001b[2J\\n";

/// Returns the error texts of arguments that do not fit.
fn complaints<T: DeserializeOwned>(json: &str) -> Vec<String> {
    let args = Args::from_json(json, 64).unwrap();
    let AllArgs(values) = args.decode::<AllArgs<Value>>().unwrap();
    let message = msgpack_event("e", &values);
    let long = format!("[{},\"{}\"]", &json[1..json.len() - 1], "x".repeat(70_000));
    let says = |result: Result<T, ArgsError>| match result {
        Ok(_) => panic!("{json} fits"),
        Err(error) => error.to_string(),
    };
    vec![
        says(args.decode::<T>()),
        says(args_of_msgpack(&message).decode::<T>()),
        says(Args::from_json(&long, 64).unwrap().decode::<T>()),
    ]
}

#[test]
fn an_error_names_type_path_and_length_but_no_value() {
    let secret = format!("\"{SECRET}\"");
    let all = [
        complaints::<u8>(&format!("[{secret}]")),
        complaints::<Kind>(&format!("[{secret}]")),
        complaints::<Strict>(&format!("[{{{secret}:1}}]")),
        complaints::<Login>(&format!(
            r#"[{{"user":"u","age":{secret},"kind":"guest"}}]"#
        )),
        complaints::<Login>(&format!(r#"[{{"user":"u","age":1,"kind":{secret}}}]"#)),
        complaints::<char>(&format!("[{secret}]")),
        complaints::<HashMap<String, u8>>(&format!(r#"[{{"a":{secret}}}]"#)),
        complaints::<HashMap<u8, u8>>(&format!("[{{{secret}:1}}]")),
        complaints::<(u8, u8)>(&format!("[1,{secret}]")),
        complaints::<u8>("[300]"),
        complaints::<bool>("[31337.25]"),
    ];
    for text in all.iter().flatten() {
        for value in ["hunter2", "300", "31337"] {
            // A name is part of the path.
            let path = text.split(": ").next().unwrap();
            let message = text.strip_prefix(path).unwrap();
            assert!(!message.contains(value), "{text}");
        }
        assert!(!text.chars().any(char::is_control), "{text:?}");
        assert!(text.len() < 300, "{text}");
    }
    assert_eq!(
        all[0][0],
        "argument 0: invalid type: string of 12 bytes, expected u8"
    );
    assert_eq!(all[0][1], all[0][0]);
    assert_eq!(
        all[3][0],
        "argument 0 at age: invalid type: string of 12 bytes, expected u8"
    );
    assert_eq!(
        all[4][0],
        "argument 0 at kind: unknown variant of 12 bytes, expected `guest` or `member`"
    );
    assert_eq!(all[9][0], "argument 0: invalid value: integer, expected u8");
    assert!(
        all[8].iter().all(|text| text.starts_with("argument 1")),
        "{:?}",
        all[8]
    );
}

#[test]
fn names_in_a_path_are_escaped_and_shortened() {
    let json = format!(r#"[{{"a\u001b\u009b\n{}":"x"}}]"#, "y".repeat(1000));
    let args = Args::from_json(&json, 8).unwrap();
    let error = args.decode::<HashMap<String, u8>>().unwrap_err();
    assert!(
        !error.path.chars().any(char::is_control),
        "{:?}",
        error.path
    );
    assert!(
        error.path.starts_with(r"a\u{1b}\u{9b}\n"),
        "{:?}",
        error.path
    );
    assert!(error.path.len() < 100, "{}", error.path.len());

    // At any depth: the outermost segments are dropped.
    #[derive(Debug, Deserialize)]
    struct Deep {
        #[allow(dead_code)]
        next_one_in_the_chain: Option<Box<Deep>>,
    }
    let deep = 500;
    let json = format!(
        "[{}7{}]",
        r#"{"next_one_in_the_chain":"#.repeat(deep),
        "}".repeat(deep)
    );
    let args = Args::from_json(&json, 512).unwrap();
    let error = args.decode::<Deep>().unwrap_err();
    assert!(error.path.starts_with('…'), "{}", error.path);
    assert!(error.path.len() < 1024, "{}", error.path.len());
}

#[test]
fn numbers_that_json_does_not_know_survive_a_value() {
    let numbers = [f64::INFINITY, f64::NEG_INFINITY, f64::NAN, 1.5, -0.0];
    let mut message = Vec::new();
    msgpack::encode_event(&mut message, "/", None, "e", &numbers.as_slice()).unwrap();
    let (value,): (Value,) = args_of_msgpack(&message).decode().unwrap();
    let mut again = Vec::new();
    msgpack::encode_event(&mut again, "/", None, "e", &(&value,)).unwrap();
    assert_eq!(again, message);
    let back: Vec<f64> = args_of_msgpack(&again).decode().unwrap();
    assert_eq!(format!("{back:?}"), format!("{numbers:?}"));

    // In JSON they are encoded as by `JSON.stringify`.
    let (mut text, mut attachments) = (Vec::new(), Vec::new());
    encode_event(&mut text, "/", None, "e", &(&value,), &mut attachments).unwrap();
    assert_eq!(
        String::from_utf8(text).unwrap(),
        r#"2["e",[null,null,null,1.5,-0.0]]"#
    );
}

#[test]
fn keys_that_are_numbers_are_the_names_that_javascript_makes_of_them() {
    // {1: "a", -2: "b", 1.5: "c", true: "d", nil: "e", NaN: "f"}
    let mut message = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\x86".to_vec();
    message.extend_from_slice(b"\x01\xa1a\xfe\xa1b\xca\x3f\xc0\0\0\xa1c\xc3\xa1d\xc0\xa1e");
    message.extend_from_slice(b"\xcb\x7f\xf8\0\0\0\0\0\0\xa1f");
    let args = args_of_msgpack(&message);
    let names = ["1", "-2", "1.5", "true", "null", "NaN"];

    let value: Value = args.decode().unwrap();
    let Value::Object(entries) = &value else {
        panic!("{value:?}")
    };
    let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, names);
    assert_eq!(value.get("1").and_then(Value::as_str), Some("a"));

    let json: serde_json::Value = args.decode().unwrap();
    assert_eq!(json["-2"], "b");
    let map: HashMap<String, String> = args.decode().unwrap();
    assert_eq!(map["NaN"], "f");

    // A number is not the position of a field.
    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Fields {
        zero: String,
        one: String,
    }
    assert_eq!(args.decode(), Ok(Fields::default()));

    let numbered: HashMap<i8, String> = {
        let message = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\x82\x01\xa1a\xfe\xa1b";
        args_of_msgpack(message).decode().unwrap()
    };
    assert_eq!(numbered, HashMap::from([(1, "a".into()), (-2, "b".into())]));
}
