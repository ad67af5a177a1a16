//! Validation rules of typed events, on values that arrive.

#![cfg(all(feature = "macros", feature = "validation"))]
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use fanfare_protocol::msgpack;
use fanfare_protocol::socket::{Args, ArgsError};
use fanfare_protocol::typed::{NoAck, Typed, TypedEvent};
use garde::Validate;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent, Validate)]
#[event(ack = (Receipt, u8, Vec<Receipt>))]
struct Say {
    #[garde(length(chars, min = 1, max = 5))]
    text: String,
    #[garde(inner(length(chars, max = 2)))]
    #[serde(default)]
    tags: Vec<String>,
    #[garde(dive)]
    #[serde(default)]
    author: Option<Author>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Author {
    #[garde(pattern("^[a-z]+$"))]
    name: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, Validate)]
struct Receipt {
    #[garde(range(min = 1))]
    id: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent, Validate)]
#[event(ack = Receipt)]
struct Moved(
    #[garde(range(min = -1.0, max = 1.0))] f64,
    #[garde(skip)] String,
    #[garde(dive)] Vec<Author>,
);

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent, Validate)]
struct Names(#[garde(length(max = 3), inner(length(chars, max = 2)))] Vec<String>);

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent, Validate)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Left,
    Steps(#[garde(range(max = 3))] u8),
}

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent, Validate)]
#[garde(allow_unvalidated)]
struct Picture {
    #[garde(range(max = 9))]
    width: u8,
    data: Bytes,
}

/// Its rule is implemented by hand, so the derive sees no attribute of `garde`.
#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
struct Even(u8);

impl Validate for Even {
    type Context = ();

    fn validate_into(
        &self,
        (): &(),
        parent: &mut dyn FnMut() -> garde::Path,
        report: &mut garde::Report,
    ) {
        if !self.0.is_multiple_of(2) {
            report.append(parent(), garde::Error::new("is odd"));
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize, TypedEvent)]
#[event(ack = String)]
struct Free(String);

fn decode<E: TypedEvent + DeserializeOwned>(json: &str) -> Result<E, ArgsError> {
    let Typed(event) = Args::from_json(json, 128).unwrap().decode()?;
    Ok(event)
}

/// Returns the message that the peer gets.
fn rejected<E: TypedEvent + DeserializeOwned + std::fmt::Debug>(json: &str) -> String {
    let error = decode::<E>(json).unwrap_err();
    assert!(error.is_rule(), "{error}");
    error.public_message()
}

#[test]
fn valid_values_arrive() {
    let say: Say = decode(r#"[{"text":"ñandú","tags":["ab"],"author":{"name":"ada"}}]"#).unwrap();
    assert_eq!(say.text, "ñandú");
    decode::<Moved>(r#"[1,"",[{"name":"ada"}]]"#).unwrap();
    decode::<Names>(r#"[["a","b"]]"#).unwrap();
    assert_eq!(decode::<Even>("[2]").unwrap(), Even(2));
    assert_eq!(decode::<Direction>(r#"["left"]"#).unwrap(), Direction::Left);
    decode::<Free>(r#"["anything"]"#).unwrap();
}

#[test]
fn a_message_has_the_rule_and_its_place() {
    for (json, told) in [
        (
            r#"[{"text":""}]"#,
            "argument 0 is not valid at text: length is lower than 1",
        ),
        (
            r#"[{"text":"ñandús"}]"#,
            "argument 0 is not valid at text: length is greater than 5",
        ),
        (
            r#"[{"text":"a","tags":["a","b","abc"]}]"#,
            "argument 0 is not valid at tags[2]: length is greater than 2",
        ),
        (
            r#"[{"text":"a","author":{"name":"S3CRET"}}]"#,
            "argument 0 is not valid at author.name: does not match pattern /^[a-z]+$/",
        ),
    ] {
        assert_eq!(rejected::<Say>(json), told);
    }
    for (json, told) in [
        (r#"[-2,"",[]]"#, "argument 0 is not valid: lower than -1"),
        (
            r#"[0,"",[{"name":"ada"},{"name":""}]]"#,
            "argument 2 is not valid at [1].name: does not match pattern /^[a-z]+$/",
        ),
    ] {
        assert_eq!(rejected::<Moved>(json), told);
    }
    assert_eq!(
        rejected::<Names>(r#"[["a","b","c","d"]]"#),
        "argument 0 is not valid: length is greater than 3"
    );
    assert_eq!(
        rejected::<Names>(r#"[["a","bcd"]]"#),
        "argument 0 is not valid at [1]: length is greater than 2"
    );
    assert_eq!(
        rejected::<Direction>(r#"[{"steps":4}]"#),
        "argument 0 is not valid at [0]: greater than 3"
    );
    assert_eq!(rejected::<Even>("[3]"), "argument 0 is not valid: is odd");
}

#[test]
fn another_type_is_not_a_broken_rule() {
    let error = decode::<Say>(r#"[{"text":5}]"#).unwrap_err();
    assert!(!error.is_rule());
    assert_eq!(error.public_message(), "argument 0 does not fit at text");
}

#[test]
fn attachments_and_msgpack() {
    let placeholder = r#"[{"width":10,"data":{"_placeholder":true,"num":0}}]"#;
    let args = Args::from_json(placeholder, 8).unwrap();
    let attachments = [Bytes::from_static(b"\x01")];
    let error =
        fanfare_protocol::socket::decode_args::<Typed<Picture>>(&args, &attachments).unwrap_err();
    let told = "argument 0 is not valid at width: greater than 9";
    assert_eq!(error.public_message(), told);

    let picture = Picture {
        width: 10,
        data: Bytes::from_static(b"\x01"),
    };
    let mut out = Vec::new();
    msgpack::encode_event(&mut out, "/", None, Picture::NAME, &Typed(&picture)).unwrap();
    let limits = fanfare_protocol::Limits::default();
    let packet = msgpack::decode(&out, &limits).unwrap();
    let fanfare_protocol::socket::Packet::Event(arrived) = packet else {
        panic!("no event: {packet:?}")
    };
    let error = arrived.args.decode::<Typed<Picture>>().unwrap_err();
    assert_eq!(error.public_message(), told);
}

#[test]
fn rules_of_acknowledgements() {
    let receipt = |id| Receipt { id };
    let told = |result: Result<(), ArgsError>| result.unwrap_err().public_message();
    Say::check_ack(&(receipt(1), 0, vec![receipt(2)])).unwrap();
    assert_eq!(
        told(Say::check_ack(&(receipt(0), 0, vec![]))),
        "argument 0 is not valid at id: lower than 1"
    );
    assert_eq!(
        told(Say::check_ack(&(
            receipt(1),
            0,
            vec![receipt(1), receipt(0)]
        ))),
        "argument 2 is not valid at [1].id: lower than 1"
    );
    assert_eq!(
        told(Moved::check_ack(&receipt(0))),
        "argument 0 is not valid at id: lower than 1"
    );
    Free::check_ack(&String::new()).unwrap();
}

#[test]
fn messages_are_bounded_and_escaped() {
    /// Its rule quotes the value, which rules should not.
    #[derive(Debug, Deserialize)]
    struct Quoting(String);
    impl TypedEvent for Quoting {
        const NAME: &'static str = "quoting";
        type Ack = NoAck;
        fn check(&self) -> Result<(), ArgsError> {
            Err(ArgsError::rule(0, &self.0, &self.0))
        }
    }
    let long = format!("[\"\\u0000\\n{}\"]", "x".repeat(100_000));
    let told = rejected::<Quoting>(&long);
    assert!(told.len() < 1200, "{}", told.len());
    assert!(told.contains(r"at \0\nxxx"), "{told}");
    assert!(!told.contains(['\n', '\0']), "{told}");
}

#[test]
fn other_deserializers_have_a_message() {
    let error = serde_json::from_str::<Typed<Even>>("3").unwrap_err();
    assert!(error.to_string().contains("argument 0: is odd"), "{error}");
}
