//! Captured messages with random changes: each is read as a message or rejected, and what is read is written again.
//! `fuzz/fuzz_targets/cluster_messages.rs` does the same with guidance.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

use std::sync::LazyLock;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use fanfare_cluster::dialect::Envelope;
use proptest::prelude::*;
use serde_json::Value;

static CAPTURED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(captured);

fn captured() -> Vec<Vec<u8>> {
    let lines = include_str!("golden/sharded.jsonl").lines();
    let lines = lines.chain(include_str!("golden/postgres.jsonl").lines());
    let payloads = lines.map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        match (line["text"].as_str(), line["base64"].as_str()) {
            (Some(text), _) => text.as_bytes().to_vec(),
            (_, Some(base64)) => BASE64_STANDARD.decode(base64).unwrap(),
            _ => panic!("an empty line"),
        }
    });
    payloads.collect()
}

#[derive(Debug, Clone)]
enum Change {
    Replace(u8),
    Remove(usize),
    /// Repeats a part.
    Repeat(usize),
    Truncate,
}

fn change() -> impl Strategy<Value = (prop::sample::Index, Change)> {
    let change = prop_oneof![
        any::<u8>().prop_map(Change::Replace),
        (1..20usize).prop_map(Change::Remove),
        (1..20usize).prop_map(Change::Repeat),
        Just(Change::Truncate),
    ];
    (any::<prop::sample::Index>(), change)
}

fn apply(payload: &mut Vec<u8>, at: usize, change: &Change) {
    match change {
        Change::Replace(byte) => payload[at] = *byte,
        Change::Remove(len) => drop(payload.drain(at..(at + len).min(payload.len()))),
        Change::Repeat(len) => {
            let part = payload[at..(at + len).min(payload.len())].to_vec();
            payload.splice(at..at, part);
        }
        Change::Truncate => payload.truncate(at),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn changed_messages_are_read_or_rejected(
        which in any::<prop::sample::Index>(),
        changes in proptest::collection::vec(change(), 0..4),
    ) {
        let mut payload = which.get(&CAPTURED).clone();
        for (at, change) in &changes {
            if !payload.is_empty() {
                let at = at.index(payload.len());
                apply(&mut payload, at, change);
            }
        }
        let payload = Bytes::from(payload);
        let envelope = Envelope::read(&payload);
        // A message whose contents are stored elsewhere consists of the envelope only.
        if envelope.as_ref().is_ok_and(|envelope| envelope.attachment_id().is_some()) {
            return Ok(());
        }
        let decoded = envelope.and_then(|envelope| envelope.decode());
        prop_assert!(decoded.is_ok() || !changes.is_empty());
        if let Ok(message) = decoded {
            let again = Bytes::from(message.encode("u", Some("/")).into_bytes());
            let again = Envelope::read(&again).unwrap().decode().unwrap();
            prop_assert_eq!(again.message_type(), message.message_type());
        }
    }
}
