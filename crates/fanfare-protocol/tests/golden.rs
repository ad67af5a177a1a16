//! Packets that the official JavaScript packages write, and those that they accept. The data come from
//! `tests/golden/generate.js`.

#![allow(clippy::unwrap_used)]

mod common;

use std::borrow::Cow;

use common::{Any, List};
use fanfare_protocol::engine::{self, Data, PacketError, PacketType, payload, v3};
use fanfare_protocol::socket::{
    self, AllArgs, Args, DecodeError, Decoder, Packet, encode_ack, encode_connect,
    encode_connect_error, encode_connect_reply, encode_disconnect, encode_event,
};
use fanfare_protocol::{Limits, msgpack};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

#[derive(Clone, Debug, Deserialize)]
struct Described {
    #[serde(rename = "type")]
    kind: u8,
    nsp: String,
    id: Option<u64>,
    #[serde(default, deserialize_with = "present")]
    data: Option<Any>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Any>, D::Error> {
    Any::deserialize(deserializer).map(Some)
}

impl Described {
    fn array(&self) -> &[Any] {
        match &self.data {
            Some(Any::Array(values)) => values,
            other => panic!("not an array: {other:?}"),
        }
    }

    fn member(&self, name: &str) -> Option<&Any> {
        match &self.data {
            Some(Any::Object(entries)) => entries
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Loads a golden file, directly into types, because a `Value` would lose the order of members.
fn load<T: DeserializeOwned>(name: &str) -> T {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Checks that our packet has the same contents as theirs.
#[track_caller]
fn assert_same(packet: &Packet<'_>, expected: &Described) {
    assert_eq!(packet.namespace(), expected.nsp);
    let json = |payload: &Option<Cow<'_, str>>| {
        payload
            .as_ref()
            .map(|json| serde_json::from_str::<Any>(json).unwrap())
    };
    let args = |args: &Args<'_>| args.decode::<AllArgs<Any>>().unwrap().0;
    match packet {
        Packet::Connect(connect) => {
            assert_eq!(
                (0, json(&connect.payload)),
                (expected.kind, expected.data.clone())
            );
        }
        Packet::Disconnect(_) => assert_eq!((1, None), (expected.kind, expected.data.clone())),
        Packet::ConnectError(error) => {
            assert_eq!(
                (4, json(&error.payload)),
                (expected.kind, expected.data.clone())
            );
        }
        Packet::Event(event) => {
            let (name, rest) = expected.array().split_first().unwrap();
            let name = match name {
                Any::Text(name) => name.clone(),
                Any::Integer(number) => number.to_string(),
                Any::Float(number) => number.to_string(),
                other => panic!("{other:?}"),
            };
            assert_eq!(
                (2, event.ack, event.name.as_ref()),
                (expected.kind, expected.id, name.as_str())
            );
            assert_eq!(args(&event.args), rest);
        }
        Packet::Ack(ack) => {
            assert_eq!((3, Some(ack.id)), (expected.kind, expected.id));
            assert_eq!(args(&ack.args), expected.array());
        }
    }
}

#[derive(Deserialize)]
struct Encoded {
    packet: Described,
    encoded: Any,
}

#[test]
fn socket_packets_encoded_by_node_are_read_and_written_the_same() {
    let limits = Limits::default();
    for Encoded { packet, encoded } in load::<Vec<Encoded>>("socket-encoded.json") {
        let Any::Array(encoded) = encoded else {
            panic!()
        };
        let (text, attachments) = encoded.split_first().unwrap();

        let mut decoder = Decoder::new();
        match decoder.text(text.text(), &limits).unwrap() {
            Some(decoded) => {
                assert!(attachments.is_empty());
                assert_same(&decoded, &packet);
            }
            None => {
                let mut decoded = None;
                for attachment in attachments {
                    assert!(decoded.is_none());
                    decoded = decoder.binary(attachment.bytes(), &limits).unwrap();
                }
                assert_same(&decoded.unwrap().packet(), &packet);
            }
        }

        let (mut out, mut sent) = (Vec::new(), Vec::new());
        match packet.kind {
            0 => match (packet.member("sid"), packet.member("pid")) {
                (Some(sid), pid) => {
                    encode_connect_reply(&mut out, &packet.nsp, sid.text(), pid.map(Any::text));
                }
                _ => encode_connect(&mut out, &packet.nsp, packet.data.as_ref()).unwrap(),
            },
            1 => encode_disconnect(&mut out, &packet.nsp),
            4 => {
                let message = packet.member("message").unwrap().text();
                encode_connect_error(&mut out, &packet.nsp, message, packet.member("data"))
                    .unwrap();
            }
            2 => {
                let (name, args) = packet.array().split_first().unwrap();
                let Any::Text(name) = name else { continue };
                encode_event(
                    &mut out,
                    &packet.nsp,
                    packet.id,
                    name,
                    &List(args),
                    &mut sent,
                )
                .unwrap();
            }
            _ => encode_ack(
                &mut out,
                &packet.nsp,
                packet.id.unwrap(),
                &List(packet.array()),
                &mut sent,
            )
            .unwrap(),
        }
        assert_eq!(String::from_utf8(out).unwrap(), text.text());
        assert_eq!(
            sent,
            attachments
                .iter()
                .map(|bytes| bytes.bytes().clone())
                .collect::<Vec<_>>()
        );
    }
}

#[derive(Deserialize)]
struct Decoded {
    input: String,
    /// Absent if Node throws, `None` if Node waits for attachments.
    #[serde(default, deserialize_with = "some")]
    packet: Option<Option<Described>>,
}

fn some<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Described>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Whether Node accepts the packet and we do not. No client writes such a packet, and none reaches a handler in Node.
fn stricter_than_node(input: &str, packet: &Described) -> bool {
    // An empty text is a CONNECT to Node.
    let empty = input.is_empty();
    // An event or acknowledgement without data, or an acknowledgement without id.
    let hollow = matches!(packet.kind, 2 | 3) && packet.data.is_none();
    let no_id = packet.kind == 3 && packet.id.is_none();
    // `Number(" ")` is 0, so white space counts as digits.
    let blank_id = input
        .chars()
        .skip(1)
        .any(|c| c.is_whitespace() || c == '\u{feff}');
    // So are `+0`, `0x0` and `0e5`, before the dash of a binary packet.
    let count = input
        .get(1..)
        .and_then(|rest| rest.split_once('-'))
        .map_or("", |(count, _)| count);
    let odd_count =
        input.starts_with(['5', '6']) && !count.bytes().all(|byte| byte.is_ascii_digit());
    empty || hollow || no_id || blank_id || odd_count
}

#[test]
fn socket_packets_are_accepted_and_refused_as_node_does() {
    let limits = Limits::default();
    let (mut accepted, mut waiting, mut refused, mut stricter) = (0, 0, 0, 0);
    for Decoded { input, packet } in load::<Vec<Decoded>>("socket-decoded.json") {
        let mut decoder = Decoder::new();
        let ours = decoder.text(&input, &limits);
        match (packet, ours) {
            (None, Err(_)) => refused += 1,
            (None, Ok(packet)) => panic!("Node refuses {input:?}: {packet:?}"),
            (Some(None), Ok(None)) => waiting += 1,
            (Some(Some(theirs)), Ok(Some(packet))) => {
                // Infinity is not valid JSON, and decoding it reports so.
                if !input.contains("e999") {
                    assert_same(&packet, &theirs);
                }
                accepted += 1;
            }
            (Some(Some(theirs)), Err(error)) => {
                assert!(
                    stricter_than_node(&input, &theirs),
                    "Node accepts {input:?}: {error}"
                );
                stricter += 1;
            }
            // The same hollow packets, with attachments to come.
            (Some(None), Err(DecodeError::InvalidAckId | DecodeError::InvalidPayload(_))) => {
                stricter += 1;
            }
            (theirs, ours) => panic!("{input:?}: {theirs:?} {ours:?}"),
        }
    }
    assert!(
        accepted > 150 && waiting > 10 && refused > 1000,
        "{accepted} {waiting} {refused} {stricter}"
    );
}

#[derive(Deserialize)]
struct Msgpack {
    packets: Vec<Encoded>,
    bad: Vec<Bad>,
}

#[derive(Deserialize)]
struct Bad {
    value: Any,
    encoded: Any,
    ok: bool,
}

#[test]
fn msgpack_packets_of_node_are_read() {
    let limits = Limits::default();
    let golden: Msgpack = load("msgpack.json");
    for Encoded { packet, encoded } in golden.packets {
        let decoded = msgpack::decode(encoded.bytes(), &limits).unwrap();
        assert_same(&decoded, &packet);

        // Our encoding has the same contents in turn. The order of members differs, so bytes cannot be compared.
        let mut out = Vec::new();
        match packet.kind {
            0 => match (packet.member("sid"), packet.member("pid")) {
                (Some(sid), pid) => msgpack::encode_connect_reply(
                    &mut out,
                    &packet.nsp,
                    sid.text(),
                    pid.map(Any::text),
                ),
                _ => msgpack::encode_connect(&mut out, &packet.nsp, packet.data.as_ref()).unwrap(),
            },
            1 => msgpack::encode_disconnect(&mut out, &packet.nsp),
            4 => {
                let message = packet.member("message").unwrap().text();
                msgpack::encode_connect_error(
                    &mut out,
                    &packet.nsp,
                    message,
                    packet.member("data"),
                )
                .unwrap();
            }
            2 => {
                let (name, args) = packet.array().split_first().unwrap();
                let Any::Text(name) = name else { continue };
                msgpack::encode_event(&mut out, &packet.nsp, packet.id, name, &List(args)).unwrap();
            }
            _ => msgpack::encode_ack(
                &mut out,
                &packet.nsp,
                packet.id.unwrap(),
                &List(packet.array()),
            )
            .unwrap(),
        }
        assert_same(&msgpack::decode(&out, &limits).unwrap(), &packet);
    }
    for Bad { value, encoded, ok } in golden.bad {
        assert!(!ok);
        let decoded = msgpack::decode(encoded.bytes(), &limits);
        assert!(decoded.is_err(), "{value:?}: {decoded:?}");
    }
}

#[derive(Deserialize)]
struct Engine<E> {
    encoded: Vec<E>,
    decoded: Vec<EngineDecoded>,
}

#[derive(Deserialize)]
struct EngineDecoded {
    input: Any,
    packets: Vec<EnginePacket>,
}

#[derive(Deserialize)]
struct Encoded4 {
    packets: Vec<EnginePacket>,
    payload: String,
    frames: Vec<Any>,
}

#[derive(Deserialize)]
struct Encoded3 {
    packets: Vec<EnginePacket>,
    text: String,
    binary: Any,
    frames: Vec<Any>,
}

#[derive(Debug, Deserialize)]
struct EnginePacket {
    #[serde(rename = "type")]
    kind: String,
    data: Any,
}

#[track_caller]
fn assert_packets<'a>(
    ours: impl Iterator<Item = Result<engine::Packet<'a>, PacketError>>,
    theirs: &[EnginePacket],
    what: &str,
) {
    let ours: Vec<_> = ours.collect();
    assert_eq!(ours.len(), theirs.len(), "{what}: {ours:?} {theirs:?}");
    for (ours, theirs) in ours.iter().zip(theirs) {
        match ours {
            Err(_) => assert_eq!(theirs.kind, "error", "{what}"),
            Ok(packet) => {
                assert_eq!(packet.kind.as_str(), theirs.kind, "{what}");
                match (&packet.data, &theirs.data) {
                    (Data::Text(text), Any::Text(theirs)) => assert_eq!(text, theirs, "{what}"),
                    (Data::Binary(bytes), Any::Bytes(theirs)) => {
                        assert_eq!(&bytes[..], &theirs[..], "{what}");
                    }
                    (ours, theirs) => panic!("{what}: {ours:?} {theirs:?}"),
                }
            }
        }
    }
}

fn kind(name: &str) -> PacketType {
    (b'0'..=b'6')
        .filter_map(PacketType::from_digit)
        .find(|kind| kind.as_str() == name)
        .unwrap()
}

fn engine_packets(described: &[EnginePacket]) -> Vec<engine::Packet<'_>> {
    described
        .iter()
        .map(|packet| match &packet.data {
            Any::Text(text) => engine::Packet::text(kind(&packet.kind), text),
            other => engine::Packet::binary(other.bytes()),
        })
        .collect()
}

#[test]
fn engine_payloads_of_revision_4() {
    let golden: Engine<Encoded4> = load("engine-v4.json");
    for Encoded4 {
        packets: described,
        payload: body,
        frames,
    } in golden.encoded
    {
        assert_packets(payload::decode(&body), &described, &body);
        let mut out = b"before".to_vec();
        let mut encoder = payload::Encoder::new(&mut out);
        for packet in &engine_packets(&described) {
            encoder.packet(packet);
        }
        assert_eq!(encoder.len(), body.len());
        assert_eq!(out, format!("before{body}").into_bytes());
        for (packet, frame) in engine_packets(&described).iter().zip(frames) {
            let mut out = Vec::new();
            match frame {
                Any::Text(frame) => {
                    packet.encode_text(&mut out);
                    assert_eq!(out, frame.as_bytes());
                    assert_eq!(engine::Packet::decode(&frame).unwrap(), *packet);
                }
                other => assert_eq!(packet.data, Data::Binary(Cow::Borrowed(other.bytes()))),
            }
        }
    }
    for EngineDecoded { input, packets } in golden.decoded {
        assert_packets(payload::decode(input.text()), &packets, input.text());
    }
}

#[test]
fn engine_payloads_of_revision_3() {
    let golden: Engine<Encoded3> = load("engine-v3.json");
    for Encoded3 {
        packets: described,
        text,
        binary,
        frames,
    } in golden.encoded
    {
        let packets = engine_packets(&described);
        assert_packets(v3::decode_text_payload(&text), &described, &text);
        assert_packets(v3::decode_binary_payload(binary.bytes()), &described, &text);

        let mut out = b"before".to_vec();
        let mut encoder = v3::TextEncoder::new(&mut out);
        packets.iter().for_each(|packet| encoder.packet(packet));
        assert_eq!(out, format!("before{text}").into_bytes());

        let mut out = Vec::new();
        let mut encoder = v3::BinaryEncoder::new(&mut out);
        packets.iter().for_each(|packet| encoder.packet(packet));
        assert_eq!(&out, binary.bytes());

        // Functions for packets that are encoded already.
        let (mut text_out, mut binary_out) = (Vec::new(), Vec::new());
        for packet in &packets {
            let mut raw = Vec::new();
            match &packet.data {
                Data::Text(_) => {
                    packet.encode_text(&mut raw);
                    v3::TextEncoder::new(&mut text_out).raw(&raw);
                    v3::BinaryEncoder::new(&mut binary_out).raw(&raw);
                }
                Data::Binary(data) => {
                    v3::TextEncoder::new(&mut text_out).binary(data);
                    v3::BinaryEncoder::new(&mut binary_out).binary(data);
                }
            }
        }
        assert_eq!(
            (text_out.as_slice(), binary_out.as_slice()),
            (text.as_bytes(), &binary.bytes()[..])
        );

        for (packet, frame) in packets.iter().zip(frames) {
            match (&frame, &packet.data) {
                (Any::Text(frame), _) => assert_eq!(v3::decode_text(frame).unwrap(), *packet),
                (frame, Data::Binary(data)) => {
                    assert_eq!(v3::decode_binary(frame.bytes()).unwrap(), *packet);
                    let mut out = Vec::new();
                    v3::encode_binary(&mut out, data);
                    assert_eq!(&out, frame.bytes());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    for EngineDecoded {
        input,
        packets: theirs,
    } in golden.decoded
    {
        match input {
            // A length that splits a character: Node makes half a character of it.
            Any::Text(input) if input == "2:4😀" => {
                assert!(v3::decode_text_payload(&input).all(|packet| packet.is_err()));
            }
            Any::Text(input) => assert_packets(v3::decode_text_payload(&input), &theirs, &input),
            input => assert_packets(
                v3::decode_binary_payload(input.bytes()),
                &theirs,
                &format!("{input:?}"),
            ),
        }
    }
}

#[test]
fn raw_json_is_the_same_in_every_form() {
    let limits = Limits::default();
    let raw = socket::RawArgs(r#"{"a":[1,"é",null]},-2.5"#);
    let mut out = Vec::new();
    msgpack::encode_event(&mut out, "/", Some(5), "e", &raw).unwrap();
    let Ok(Packet::Event(event)) = msgpack::decode(&out, &limits) else {
        panic!()
    };
    assert_eq!(
        event.args.decode::<(Value, f64)>().unwrap(),
        (serde_json::json!({"a": [1, "é", null]}), -2.5)
    );
    let deep = "[".repeat(100_000);
    msgpack::encode_event(&mut out, "/", None, "e", &socket::RawArgs(&deep)).unwrap_err();
}
