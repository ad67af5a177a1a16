//! TypeScript declarations, AsyncAPI documents and samples of a contract with every kind of type. The files are in
//! `tests/contract`, whose tests read them with the compiler of TypeScript, the parser of AsyncAPI and a JSON Schema validator.

#![cfg(all(feature = "export", feature = "macros", feature = "validation"))]
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use fanfare_protocol::socket::{Args, IntoArgs, JsonArgs, Spread};
use fanfare_protocol::typed::export::{AsyncApi, Binary, TypeScript, assert_current};
use fanfare_protocol::typed::{Contract, Typed, TypedEvent};
use garde::Validate;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Says something in a room.
///
/// The first line is short, and this is */ not the end.
#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent, Validate)]
#[event(ack = Receipt)]
#[serde(rename_all = "camelCase")]
struct Say {
    /// The room.
    #[garde(length(chars, min = 1, max = 32), pattern("^[a-z ]+$"))]
    room_name: String,
    #[garde(length(chars, min = 1, max = 8))]
    text: String,
    #[garde(length(max = 3), inner(length(chars, max = 4)))]
    #[serde(default)]
    tags: Vec<String>,
    #[garde(range(min = 1, max = 5))]
    #[serde(default = "one")]
    priority: u8,
    #[garde(skip)]
    #[serde(default)]
    level: Level,
    #[garde(dive)]
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Picture>,
    #[garde(skip)]
    #[schemars(extend("deprecated" = true))]
    reply_to: Option<u64>,
}

fn one() -> u8 {
    1
}

/// Importance of a message.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Level {
    #[default]
    Info,
    Warning,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate)]
struct Picture {
    #[garde(range(min = 1))]
    width: u32,
    #[garde(length(max = 4))]
    #[schemars(with = "Binary")]
    #[serde(with = "serde_bytes")]
    data: Vec<u8>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, Validate)]
struct Receipt {
    #[garde(range(min = 1))]
    id: u64,
    #[garde(dive)]
    picture: Option<Picture>,
}

/// A message of another client.
#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(arguments(message_id, said))]
struct Said(u64, Said1);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Said1 {
    text: String,
    #[serde(default)]
    level: Level,
    #[serde(flatten)]
    by: By,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct By {
    author: String,
    at: f64,
}

/// One argument, which is a tuple.
#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(name = "moved to", ack = ())]
struct MovedTo((f64, f64));

#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent, Validate)]
#[event(ack = (bool, Vec<Level>))]
struct Vote(
    #[garde(length(chars, max = 4))] String,
    #[garde(range(max = 9))] u8,
);

/// Every kind of variant.
#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent, Validate)]
#[event(ack = [u8; 2])]
#[serde(rename_all = "camelCase")]
enum Step {
    /// Not at all.
    Stay,
    Turn(#[garde(range(min = -1.0, max = 1.0))] f64),
    To(#[garde(skip)] i32, #[garde(skip)] i32),
    Jump {
        #[garde(range(max = 3))]
        height: u8,
    },
}

/// Internally tagged.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Shape {
    Circle { radius: f64 },
    Point,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Key {
    Number(i64),
    Text(String),
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(ack = Option<Tree>)]
struct Find {
    key: Key,
    #[serde(rename = "class")]
    kind: Option<Shape>,
    by_name: BTreeMap<String, Shape>,
    by_number: BTreeMap<u32, bool>,
    anything: Value,
    grid: [[u8; 3]; 2],
}

/// It refers to itself.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Tree {
    value: String,
    children: Vec<Tree>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(name = "still there?", ack = String)]
struct StillThere;

#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
struct Refresh;

#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(name = "picture", arguments(r#type, data))]
struct PictureOf(String, #[schemars(with = "Binary")] Bytes);

/// Between servers.
#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(ack = u32)]
struct Count {
    room: String,
}

/// Only sent, and borrowed.
#[derive(Debug, Serialize, JsonSchema, TypedEvent)]
struct Joined<'a>(&'a str);

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Auth {
    token: String,
}

/// Its name is reserved in the declarations.
#[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
#[event(name = "rejection")]
struct Rejection {
    why: String,
}

#[derive(Contract)]
#[contract(
    namespace = "/every-{thing}",
    auth = Auth,
    from_clients(Say, MovedTo, Vote, Step, Find, Refresh, PictureOf),
    from_server(Said, StillThere, Vote, PictureOf, Joined<'_>, Rejection),
    between_servers(Count)
)]
struct Everything;

#[derive(Contract)]
#[contract(from_server(Refresh))]
struct Little;

fn file(name: &str) -> PathBuf {
    let root = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/contract/generated"
    );
    PathBuf::from(root).join(name)
}

#[test]
fn declarations_for_browsers() {
    assert_current(file("everything.d.ts"), &TypeScript::of::<Everything>());
}

#[test]
fn declarations_for_node() {
    let declarations = TypeScript::of::<Everything>()
        .binary("Buffer")
        .rejections(false);
    assert_current(file("everything-node.d.ts"), &declarations);
    assert_current(file("little.d.ts"), &TypeScript::of::<Little>());
}

#[test]
fn an_asyncapi_document() {
    let document = AsyncApi::new("Everything", "1.0.0")
        .description("A contract with every kind of type.")
        .contract::<Everything>()
        .contract::<Little>();
    assert_current(file("everything.asyncapi.json"), &document);
}

/// Arguments, and whether they are valid.
#[derive(Serialize)]
struct Sample {
    message: String,
    payload: Value,
    valid: bool,
}

/// Returns a sample of an event that arrives, validated in Rust.
fn received<E: TypedEvent + DeserializeOwned>(payload: Value) -> Sample {
    let text = payload.to_string();
    let args = Args::from_json(&text, 64).unwrap();
    Sample {
        message: format!("receive.{}", E::NAME.replace(' ', "-")),
        valid: args.decode::<Typed<E>>().is_ok(),
        payload,
    }
}

/// Returns a sample of arguments that the server sends, which are always valid.
fn sent(message: &str, args: &impl IntoArgs) -> Sample {
    let (mut out, mut attachments) = (b"[".to_vec(), Vec::new());
    args.write(&mut JsonArgs::new(&mut out, &mut attachments, false))
        .unwrap();
    out.push(b']');
    Sample {
        message: message.to_owned(),
        payload: serde_json::from_slice(&out).unwrap(),
        valid: true,
    }
}

fn samples() -> Vec<Sample> {
    let say = |change: Value| {
        let mut say = json!({ "roomName": "the lobby", "text": "hello" });
        for (key, value) in change.as_object().unwrap() {
            say[key] = value.clone();
        }
        received::<Say>(json!([say]))
    };
    let find = |change: Value| {
        let mut find = json!({
            "key": 1, "by_name": {}, "by_number": {}, "anything": null, "grid": [[1, 2, 3], [4, 5, 6]],
        });
        for (key, value) in change.as_object().unwrap() {
            find[key] = value.clone();
        }
        received::<Find>(json!([find]))
    };
    let said = Said(
        1,
        Said1 {
            text: "hello".into(),
            level: Level::Warning,
            by: By {
                author: "Ada".into(),
                at: 1.5,
            },
        },
    );
    vec![
        say(json!({})),
        say(json!({ "roomName": "" })),
        say(json!({ "roomName": "UPPER" })),
        say(json!({ "roomName": "x".repeat(33) })),
        say(json!({ "text": "ñandúñan" })),
        say(json!({ "text": "ñandúñand" })),
        // Characters, neither bytes nor UTF-16 units.
        say(json!({ "text": "🎺".repeat(8) })),
        say(json!({ "text": "🎺".repeat(9) })),
        say(json!({ "text": 5 })),
        say(json!({ "tags": ["a", "b", "c"] })),
        say(json!({ "tags": ["a", "b", "c", "d"] })),
        say(json!({ "tags": ["abcde"] })),
        say(json!({ "priority": 5 })),
        say(json!({ "priority": 0 })),
        say(json!({ "priority": 6 })),
        say(json!({ "priority": 1.5 })),
        say(json!({ "level": "warning" })),
        say(json!({ "level": "fatal" })),
        say(json!({ "replyTo": null })),
        say(json!({ "replyTo": 7 })),
        say(json!({ "replyTo": -7 })),
        received::<Say>(json!([{ "text": "no room" }])),
        received::<MovedTo>(json!([[1.5, 2]])),
        received::<MovedTo>(json!([[1.5]])),
        received::<MovedTo>(json!([1.5, 2])),
        received::<Vote>(json!(["yes", 9])),
        received::<Vote>(json!(["yes", 10])),
        received::<Vote>(json!(["maybe", 9])),
        received::<Step>(json!(["stay"])),
        received::<Step>(json!(["go"])),
        received::<Step>(json!([{ "turn": 1 }])),
        received::<Step>(json!([{ "to": [1, 2] }])),
        received::<Step>(json!([{ "to": [1] }])),
        received::<Step>(json!([{ "jump": { "height": 3 } }])),
        find(json!({})),
        find(json!({ "key": "a" })),
        find(json!({ "key": true })),
        find(json!({ "class": { "kind": "circle", "radius": 1 } })),
        find(json!({ "class": { "kind": "point" } })),
        find(json!({ "class": { "kind": "square" } })),
        find(json!({ "by_name": { "a": { "kind": "point" } } })),
        find(json!({ "by_name": { "a": 5 } })),
        find(json!({ "by_number": { "5": true } })),
        find(json!({ "by_number": { "5": 5 } })),
        find(json!({ "grid": [[1, 2, 3], [4, 5, 256]] })),
        find(json!({ "grid": [[1, 2, 3]] })),
        received::<Refresh>(json!([])),
        sent("send.said", &Typed(&said)),
        sent("send.still-there-", &Typed(&StillThere)),
        sent("send.joined", &Typed(&Joined("Ada"))),
        sent("send.vote", &Typed(&Vote("no".into(), 1))),
        sent(
            "receive.vote.ack",
            &Spread((true, vec![Level::Info, Level::Warning])),
        ),
        sent("receive.step.ack", &Spread([1u8, 2])),
        sent("receive.moved-to.ack", &Spread(())),
        sent("receive.find.ack", &Spread(None::<Tree>)),
        sent(
            "receive.find.ack",
            &Spread(Some(Tree {
                value: "a".into(),
                children: vec![Tree {
                    value: "b".into(),
                    children: vec![],
                }],
            })),
        ),
        sent(
            "receive.say.ack",
            &Spread(Receipt {
                id: 1,
                picture: None,
            }),
        ),
    ]
}

/// Read by `tests/contract/asyncapi.test.js`, which has a validator of JSON Schema.
#[test]
fn valid_and_invalid_samples() {
    let samples = samples();
    let text = serde_json::to_string_pretty(&samples).unwrap();
    assert_current(file("samples.json"), &format!("{text}\n"));
    let valid = samples.iter().filter(|sample| sample.valid).count();
    assert!(valid > 20 && samples.len() - valid > 15, "{valid}");
}

/// A contract in two versions, which differ in the name of a field.
macro_rules! version {
    ($name:ident, $field:ident) => {
        mod $name {
            use super::*;

            #[derive(Debug, Serialize, Deserialize, JsonSchema, TypedEvent)]
            struct Rename {
                $field: String,
            }

            #[derive(Contract)]
            #[contract(from_clients(Rename))]
            pub(super) struct Names;
        }
    };
}

version!(before, name);
version!(after, nickname);

#[test]
fn a_file_of_an_older_contract_is_found() {
    if std::env::var_os("FANFARE_UPDATE_CONTRACTS").is_some() {
        return; // it would be written
    }
    let folder = std::env::temp_dir().join(format!("fanfare-export-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let declarations = folder.join("names.d.ts");
    let document = folder.join("names.json");
    let old = AsyncApi::new("Names", "1.0.0").contract::<before::Names>();
    let new = AsyncApi::new("Names", "1.0.0").contract::<after::Names>();
    std::fs::write(&declarations, TypeScript::of::<before::Names>().to_string()).unwrap();
    std::fs::write(&document, old.to_string()).unwrap();
    assert_current(&declarations, &TypeScript::of::<before::Names>());
    assert_current(&document, &old);

    let message = |check: &dyn Fn()| {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(check));
        *caught.unwrap_err().downcast::<String>().unwrap()
    };
    let changed = message(&|| assert_current(&declarations, &TypeScript::of::<after::Names>()));
    let lines = "it has      name: string;\n  should be   nickname: string;";
    assert!(changed.contains(lines), "{changed}");
    let changed = message(&|| assert_current(&document, &new));
    assert!(changed.contains("\"nickname\""), "{changed}");
    std::fs::remove_dir_all(&folder).unwrap();
}
