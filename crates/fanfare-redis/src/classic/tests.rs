//! The wire, against messages captured from real servers on Node.js (`tests/cluster/capture.js`).

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use fanfare_cluster::dialect::AdapterMessage;
use fanfare_cluster::{
    Broadcast, ClusterAnswer, ClusterMessage, ClusterResponse, PeerRequest, ServerSideEmit,
};
use fanfare_protocol::EncodedValue;
use serde::Deserialize;

use super::decode::{self, Header};
use super::encode::{self, Channels};

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

    /// Channel without the prefix.
    fn channel(&self) -> &str {
        self.to.strip_prefix("PUBLISH PREFIX").unwrap()
    }
}

fn captured() -> Vec<Captured> {
    let lines = include_str!("../../../fanfare-cluster/tests/golden/classic.jsonl").lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn uid(header: &Header<'_>) -> Option<String> {
    (!header.uid.is_empty()).then(|| header.uid.to_string())
}

/// Decodes and encodes a message again; `None` if it has more than one encoding.
fn again(message: &Captured) -> Option<(String, Vec<u8>)> {
    let payload = message.payload();
    let (kind, rest) = message.channel().split_once('#').unwrap();
    let namespace = rest.split('#').next().unwrap();
    let channels = Channels::new("", namespace);
    match kind {
        "" => {
            let own = decode::broadcast(&payload, "not me").unwrap();
            assert_eq!(own.packet.namespace.as_deref(), Some(namespace));
            let text = String::from_utf8_lossy(&payload[2..9]).into_owned();
            let uid = if text == "emitter" {
                text
            } else {
                text[..6].to_owned()
            };
            assert!(decode::broadcast(&payload, &uid).is_none(), "its own");
            let again = Broadcast::new(own.packet.event, own.options);
            Some(encode::broadcast(&channels, &uid, namespace, &again))
        }
        "-request" => {
            let header = Header::read(&payload).unwrap();
            let (uid, id) = (uid(&header), header.request_id.clone());
            let message = match header.kind.unwrap() {
                1 => return None,
                6 => {
                    let mut emit = ServerSideEmit::new(header.data.unwrap().event().unwrap());
                    emit.request_id = id.map(Into::into);
                    ClusterMessage::from(emit)
                }
                kind => {
                    let number = decode::message_type(kind).unwrap();
                    match AdapterMessage::decode(number, Some(&payload)).unwrap() {
                        AdapterMessage::Message(message) => message,
                        other => panic!("{other:?}"),
                    }
                }
            };
            let again = encode::request(uid.as_deref(), namespace, &message).unwrap();
            Some((channels.request.to_string(), again))
        }
        "-response" => {
            let header = Header::read(&payload).unwrap();
            // Rooms of all nodes, for which Fanfare does not ask.
            let response = decode::response(&payload, header)?;
            let again = encode::response(&response).unwrap();
            Some((channels.response.to_string(), again))
        }
        other => panic!("{other}"),
    }
}

#[test]
fn messages_of_node_are_read_and_written_as_the_same_bytes() {
    let mut compared = 0;
    for message in captured() {
        let Some((channel, bytes)) = again(&message) else {
            continue;
        };
        assert_eq!(channel, message.channel(), "{}", message.operation);
        // Other members that say nothing, names that are numbers, `null` for `undefined`.
        let undetermined = [
            "broadcast number room",
            "broadcast acknowledged nothing",
            "fetch binary",
        ];
        let free = undetermined.contains(&&*message.operation)
            || message.operation.starts_with("emitter broadcast");
        if !free {
            let (ours, theirs) = (Bytes::from(bytes), message.payload());
            let json = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
            // The order of headers is not kept.
            let same = message.operation.starts_with("fetch") && json(&ours) == json(&theirs);
            assert!(
                same || ours == theirs,
                "{}: {ours:?}, {theirs:?}",
                message.operation
            );
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn what_is_cut_or_changed_is_ignored_without_a_panic() {
    for message in captured() {
        let payload = message.payload();
        for at in 0..payload.len() {
            let mut changed = payload[..at].to_vec();
            changed.extend_from_slice(&[0xdf, 0xff, 0xff, 0xff]);
            for bytes in [payload.slice(..at), changed.into()] {
                let _ = decode::broadcast(&bytes, "me");
                if let Some(header) = Header::read(&bytes) {
                    let _ = decode::response(&bytes, header);
                }
                for number in 3..=9 {
                    let _ = AdapterMessage::decode(number, Some(&bytes));
                }
            }
        }
    }
}

/// Requests between nodes of Fanfare have types that Node.js ignores.
#[test]
fn requests_between_nodes_of_fanfare() {
    let body = EncodedValue::new(&(1, Bytes::from_static(b"x"))).unwrap();
    let message = ClusterMessage::from(PeerRequest::new(body.clone(), "r".to_owned()));
    assert_eq!(
        encode::request(None, "/", &message),
        None,
        "an emitter has no node"
    );
    let payload = Bytes::from(encode::request(Some("me"), "/", &message).unwrap());
    let header = Header::read(&payload).unwrap();
    assert_eq!((header.kind, &*header.uid), (Some(103), "me"));
    assert_eq!(header.request_id.as_deref(), Some("r"));
    assert_eq!(header.data.unwrap().value().unwrap(), body);
    let answer = ClusterResponse::new("r", ClusterAnswer::Peer(body));
    let payload = Bytes::from(encode::response(&answer).unwrap());
    let header = Header::read(&payload).unwrap();
    assert_eq!(header.kind, Some(104));
    assert_eq!(decode::response(&payload, header).unwrap(), answer);
}

#[test]
fn events_with_binary_between_servers_are_messagepack() {
    let event = fanfare_protocol::EncodedEvent::new("e", &Bytes::from_static(b"x")).unwrap();
    let message = ServerSideEmit::new(event.clone()).request_id("r");
    let payload = Bytes::from(encode::request(Some("me"), "/", &message.into()).unwrap());
    assert_ne!(payload[0], b'{');
    let header = Header::read(&payload).unwrap();
    assert_eq!((header.kind, &*header.uid), (Some(6), "me"));
    assert_eq!(header.data.unwrap().event().unwrap(), event);
}
