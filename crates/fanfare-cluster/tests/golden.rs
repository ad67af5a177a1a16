//! Messages captured from real servers on Node.js (`tests/cluster/capture.js`): each is read, and written again as the
//! same bytes where Node's form is determined.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use fanfare_cluster::{ClusterAnswer, ClusterMessage};
use serde::Deserialize;

#[derive(Deserialize)]
struct Captured {
    operation: String,
    to: String,
    text: Option<String>,
    base64: Option<String>,
}

impl Captured {
    fn payload(&self) -> Bytes {
        match (&self.text, &self.base64) {
            (Some(text), _) => text.clone().into(),
            (_, Some(base64)) => BASE64_STANDARD.decode(base64).unwrap().into(),
            _ => panic!("{} is empty", self.operation),
        }
    }
}

fn captured(golden: &str) -> Vec<Captured> {
    let lines = golden.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Whether the message has only one encoding. Rooms that are numbers become texts; `null` for `undefined` is
/// left out; Node's emitters write other members; binary in the data of sockets becomes `null`.
fn is_determined(operation: &str) -> bool {
    !operation.starts_with("emitter")
        && ![
            "broadcast number room",
            "broadcast acknowledged nothing",
            "fetch binary",
        ]
        .contains(&operation)
}

/// Reads messages and compares those that are written again. Returns the number of messages of each type, and how many
/// were compared.
fn round_trip(golden: &str) -> (BTreeMap<u64, usize>, usize) {
    let (mut kinds, mut compared) = (BTreeMap::new(), 0);
    for message in captured(golden) {
        let (what, payload) = (&message.operation, message.payload());
        if message.to.starts_with("XADD") {
            let fields: Vec<String> = serde_json::from_slice(&payload).unwrap();
            let [_, uid, _, namespace, _, kind, _, data] = &*fields else {
                panic!("{fields:?}");
            };
            assert_eq!((uid.len(), &**namespace), (16, "/"), "{what}");
            let kind = kind.parse().unwrap();
            let is_json = data.starts_with('{');
            let data = match is_json {
                true => Bytes::from(data.clone()),
                false => BASE64_STANDARD.decode(data).unwrap().into(),
            };
            let decoded = AdapterMessage::decode(kind, Some(&data)).unwrap();
            *kinds.entry(kind).or_default() += 1;
            let encoded = decoded.encode_data().unwrap();
            let again = AdapterMessage::decode(kind, Some(&encoded.as_bytes().to_vec().into()));
            assert_eq!(again.unwrap(), decoded, "{what}");
            if is_determined(what) {
                assert_eq!(encoded.as_bytes(), data, "{what}: {decoded:?}");
                compared += 1;
            }
            continue;
        }
        let envelope = Envelope::read(&payload).unwrap();
        *kinds.entry(envelope.message_type()).or_default() += 1;
        if envelope.attachment_id().is_some() {
            continue;
        }
        let decoded = envelope.decode().unwrap();
        assert_eq!(decoded.message_type(), envelope.message_type(), "{what}");
        let written = Bytes::from(decoded.encode("u", None).into_bytes());
        let again = Envelope::read(&written).unwrap().decode();
        assert_eq!(again.unwrap(), decoded, "{what}");
        // The order of names in objects of the application and of headers is not kept.
        if is_determined(what) && decoded.message_type() != 8 {
            let (uid, namespace) = (envelope.uid(), envelope.namespace());
            let is_json = payload.starts_with(b"{");
            let encoded = match is_json {
                true => decoded.encode(uid, namespace).into_bytes(),
                false => decoded.encode_msgpack(uid, namespace),
            };
            assert!(
                encoded == payload,
                "{what}:\n{:?}\n{:?}\n{decoded:?}",
                String::from_utf8_lossy(&encoded),
                String::from_utf8_lossy(&payload)
            );
            compared += 1;
        }
    }
    (kinds, compared)
}

#[test]
fn sharded_redis() {
    let (kinds, compared) = round_trip(include_str!("golden/sharded.jsonl"));
    let expected: Vec<u64> = (3..=12).collect();
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(compared, 28);
}

#[test]
fn redis_streams() {
    let (kinds, compared) = round_trip(include_str!("golden/streams.jsonl"));
    let expected: Vec<u64> = (3..=12).collect();
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), expected);
    assert_eq!(compared, 28);
}

#[test]
fn postgres() {
    let (kinds, compared) = round_trip(include_str!("golden/postgres.jsonl"));
    let expected: Vec<u64> = (1..=13).collect();
    assert_eq!(kinds.into_keys().collect::<Vec<_>>(), expected);
    assert!(compared > 30, "{compared}");
}

/// Finds the message of an operation.
fn one(golden: &str, operation: &str) -> AdapterMessage {
    let all = captured(golden);
    let found = all.iter().find(|message| message.operation == operation);
    let payload = found.unwrap().payload();
    Envelope::read(&payload).unwrap().decode().unwrap()
}

#[test]
fn rooms_that_are_numbers_become_texts() {
    let golden = include_str!("golden/sharded.jsonl");
    let AdapterMessage::Message(ClusterMessage::Broadcast(message)) =
        one(golden, "broadcast number room")
    else {
        panic!("not a broadcast");
    };
    assert_eq!(message.options.rooms, ["7", "r1"]);
}

#[test]
fn an_answer_without_a_value_is_null() {
    for golden in [
        include_str!("golden/sharded.jsonl"),
        include_str!("golden/postgres.jsonl"),
    ] {
        let all = captured(golden);
        let answers = all
            .iter()
            .filter(|message| message.operation == "broadcast acknowledged nothing")
            .filter_map(|message| {
                let payload = message.payload();
                match Envelope::read(&payload).unwrap().decode().unwrap() {
                    AdapterMessage::Response(response) => Some(response.answer),
                    _ => None,
                }
            });
        let values: Vec<_> = answers
            .filter_map(|answer| match answer {
                ClusterAnswer::Ack(value) => Some(value.json().to_owned()),
                _ => None,
            })
            .collect();
        assert_eq!(values, ["null"]);
    }
}

#[test]
fn sockets_with_binary_data_are_read() {
    let golden = include_str!("golden/sharded.jsonl");
    let all = captured(golden);
    let last = all
        .iter()
        .rfind(|message| message.operation == "fetch binary");
    let payload = last.unwrap().payload();
    let decoded = Envelope::read(&payload).unwrap().decode().unwrap();
    let AdapterMessage::Response(response) = decoded else {
        panic!("not an answer");
    };
    let ClusterAnswer::Sockets(sockets) = response.answer else {
        panic!("not sockets");
    };
    assert_eq!(sockets[0].id.len(), 20);
    assert_eq!(sockets[0].handshake().auth()["token"], "t");
    let data: serde_json::Value = sockets[0].data().unwrap();
    assert_eq!(data["name"], "Béa");
    assert!(data["picture"].is_null());
}
