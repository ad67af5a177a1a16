//! Properties that hold for every input.

#![allow(clippy::unwrap_used)]

mod common;

use bytes::Bytes;
use common::{Any, List};
use fanfare_protocol::engine::{self, Data, Packet as EnginePacket, PacketType, payload, v3};
use fanfare_protocol::socket::{
    self, AllArgs, Args, DecodeError, Decoder, Packet, Spread, encode_ack, encode_event,
    is_reserved_event,
};
use fanfare_protocol::{Limits, msgpack};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

/// Returns a strategy for text that is often JSON.
fn jsonish() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        6 => prop::sample::select(vec![
            "[", "]", "{", "}", ",", ":", "\"", "\"\"", "\"a\"", "\"a\":", "[]", "{}", "1", "0", "-", ".", "e", "E5", "+", "1.5", "-0",
            "true", "false", "null", "nul", " ", "\n", "\t", "\r", "\u{b}", "\u{a0}", "\\", "\\n", "\\\"", "\\u", "\\ud800", "\\udc00",
            "\\u00e9", "\\uD83D\\uDE00", "é", "😀", "\u{0}", "\u{1f}", "\u{7f}", "//", "'", "\"\\ud800\"", "\"\\ud83d\\ude00x\"", "1e400",
            "\"long enough for two words\"",
        ])
        .prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => json(3).prop_map(|value| value.to_string()),
    ];
    vec(token, 0..14).prop_map(|tokens| format!("[{}]", tokens.concat()))
}

fn json(depth: u32) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |f| serde_json::Number::from_f64(f)
            .map(Value::Number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(depth, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-z_\"\\\\\u{e9}]{0,9}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Returns a strategy for any argument, bytes included.
fn argument() -> impl Strategy<Value = Any> {
    let leaf = prop_oneof![
        Just(Any::Null),
        any::<bool>().prop_map(Any::Bool),
        any::<i64>().prop_map(Any::Integer),
        any::<f64>()
            .prop_filter("a proper fraction", |f| f.fract() != 0.0 && f.is_finite())
            .prop_map(Any::Float),
        any::<String>().prop_map(Any::Text),
        vec(any::<u8>(), 0..20).prop_map(|bytes| Any::Bytes(bytes.into())),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Any::Array),
            prop::collection::btree_map("[a-z]{1,5}", inner, 0..4)
                .prop_map(|map| Any::Object(map.into_iter().collect())),
        ]
    })
}

fn generous() -> Limits {
    let mut limits = Limits::default();
    limits.max_attachments = 1000;
    limits.max_event_name_len = 1_000_000;
    limits
}

fn event_name() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("not reserved", |name| !is_reserved_event(name))
}

fn namespace() -> impl Strategy<Value = String> {
    "(/|/[a-z0-9\u{e9}?=&\"\\[{-]{1,20})"
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// `IgnoredAny` checks the grammar and nothing else, which is what `JSON.parse` does.
    #[test]
    fn the_scanner_accepts_what_serde_json_accepts(json in jsonish()) {
        let theirs = serde_json::from_str::<Vec<IgnoredAny>>(&json);
        let ours = Args::from_json(&json, 128);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} {:?} {:?}", json, ours, theirs);
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.len(), theirs.len());
            // Lone surrogates can be decoded; only numbers may be too large.
            let values = ours.decode::<AllArgs<Value>>();
            prop_assert!(values.is_ok() || json.contains("e400") || values.unwrap_err().message.contains("out of range"), "{}", json);
            let kept = ours.to_buf();
            prop_assert_eq!(kept.as_args().raw_json(), ours.raw_json());
        }
    }

    #[test]
    fn arguments_are_found_between_any_white_space(values in vec(json(4), 0..8), space in "[ \t\r\n]{0,3}") {
        let elements: Vec<_> = values.iter().map(|value| format!("{space}{}{space}", serde_json::to_string_pretty(value).unwrap())).collect();
        let json = format!("{space}[{space}{}]{space}", elements.join(","));
        let args = Args::from_json(&json, 128).unwrap();
        prop_assert_eq!(args.len(), values.len());
        for (i, value) in values.iter().enumerate() {
            prop_assert_eq!(&serde_json::from_str::<Value>(args.get(i).unwrap()).unwrap(), value);
            prop_assert_eq!(&args.skip(i).decode::<Value>().unwrap(), value);
        }
        prop_assert_eq!(args.decode::<AllArgs<Value>>().unwrap().0, values);
    }

    #[test]
    fn depth_is_counted_as_it_is(kinds in vec(any::<bool>(), 1..40), limit in 1usize..40) {
        let open: String = kinds.iter().map(|&object| if object { "{\"a\":" } else { "[" }).collect();
        let close: String = kinds.iter().rev().map(|&object| if object { "}" } else { "]" }).collect();
        let json = format!("[0,{open}1{close},[],2]");
        let ours = Args::from_json(&json, limit);
        let depth = kinds.len().max(1) + 1;
        match ours {
            Ok(args) => prop_assert!(depth <= limit && args.len() == 4),
            Err(error) => prop_assert!(depth > limit && error == DecodeError::TooDeep { limit }, "{error:?}"),
        }
    }

    #[test]
    fn strings_of_any_length_and_content_are_skipped(plain in 0usize..200, text in any::<String>(), control in 0u8..0x20, at in any::<prop::sample::Index>()) {
        let text = "-".repeat(plain) + &text;
        let json = Value::from(vec![Value::from(text.as_str()), Value::from(1)]).to_string();
        let args = Args::from_json(&json, 128).unwrap();
        prop_assert_eq!(args.decode::<(String, u8)>().unwrap(), (text.clone(), 1));
        // One control character anywhere inside makes it invalid.
        let mut chars: Vec<char> = text.chars().filter(|&c| c >= ' ' && c != '"' && c != '\\').collect();
        let at = at.index(chars.len() + 1);
        chars.insert(at, control.into());
        let spoilt: String = chars.into_iter().collect();
        let spoilt = format!("[\"{spoilt}\"]");
        prop_assert!(Args::from_json(&spoilt, 128).is_err());
    }

    #[test]
    fn events_come_back(
        namespace in namespace(), ack in any::<Option<u64>>(), name in event_name(), args in vec(argument(), 0..6), packed in any::<bool>(),
    ) {
        let limits = generous();
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        let (assembled, text);
        let packet = if packed {
            msgpack::encode_event(&mut out, &namespace, ack, &name, &List(&args)).unwrap();
            msgpack::decode(&out, &limits).unwrap()
        } else {
            encode_event(&mut out, &namespace, ack, &name, &List(&args), &mut attachments).unwrap();
            text = String::from_utf8(out).unwrap();
            match receive(&text, &attachments, &limits) {
                Ok(packet) => packet,
                Err(done) => {
                    assembled = done;
                    assembled.packet()
                }
            }
        };
        let Packet::Event(event) = packet else { panic!("{packet:?}") };
        prop_assert_eq!((event.namespace, event.ack, event.name.as_ref()), (namespace.as_str(), ack, name.as_str()));
        prop_assert_eq!(event.args.decode::<AllArgs<Any>>().unwrap().0, args);
    }

    #[test]
    fn acknowledgements_come_back(namespace in namespace(), id in any::<u64>(), args in vec(argument(), 0..30), packed in any::<bool>()) {
        let limits = generous();
        let (mut out, mut attachments) = (Vec::new(), Vec::new());
        let (assembled, text);
        let packet = if packed {
            msgpack::encode_ack(&mut out, &namespace, id, &List(&args)).unwrap();
            msgpack::decode(&out, &limits).unwrap()
        } else {
            encode_ack(&mut out, &namespace, id, &List(&args), &mut attachments).unwrap();
            text = String::from_utf8(out).unwrap();
            match receive(&text, &attachments, &limits) {
                Ok(packet) => packet,
                Err(done) => {
                    assembled = done;
                    assembled.packet()
                }
            }
        };
        let Packet::Ack(ack) = packet else { panic!("{packet:?}") };
        prop_assert_eq!((ack.namespace, ack.id), (namespace.as_str(), id));
        prop_assert_eq!(ack.args.decode::<AllArgs<Any>>().unwrap().0, args);
    }

    #[test]
    fn payloads_come_back(packets in vec(engine_packet(), 1..6)) {
        let packets: Vec<EnginePacket<'_>> = packets
            .iter()
            .map(|packet| match packet {
                Ok((kind, text)) => EnginePacket::text(*kind, text),
                Err(bytes) => EnginePacket::binary(bytes),
            })
            .collect();
        // Protocol 4 separates packets with a character that texts must not have; JSON never does.
        let separable = packets.iter().all(|packet| packet.data.as_text().is_none_or(|text| !text.contains('\u{1e}')));
        if separable {
            let mut out = Vec::new();
            let mut encoder = payload::Encoder::new(&mut out);
            packets.iter().for_each(|packet| encoder.packet(packet));
            let out = String::from_utf8(out).unwrap();
            prop_assert_eq!(&payload::decode(&out).collect::<Result<Vec<_>, _>>().unwrap(), &packets);
        }
        let mut out = Vec::new();
        let mut encoder = v3::TextEncoder::new(&mut out);
        packets.iter().for_each(|packet| encoder.packet(packet));
        let out = String::from_utf8(out).unwrap();
        prop_assert_eq!(&v3::decode_text_payload(&out).collect::<Result<Vec<_>, _>>().unwrap(), &packets);

        let mut out = Vec::new();
        let mut encoder = v3::BinaryEncoder::new(&mut out);
        packets.iter().for_each(|packet| encoder.packet(packet));
        prop_assert_eq!(&v3::decode_binary_payload(&out).collect::<Result<Vec<_>, _>>().unwrap(), &packets);
    }

    #[test]
    fn no_input_makes_a_decoder_panic(bytes in vec(any::<u8>(), 0..200), text in any::<String>(), json in jsonish(), prefix in "[0-6]([0-9]-)?(/[a-z]{0,3},)?[0-9]{0,2}") {
        let limits = Limits::default();
        for text in [text.clone(), format!("{prefix}{json}"), format!("{prefix}{text}")] {
            let mut decoder = Decoder::new();
            for _ in 0..2 {
                if let Ok(Some(packet)) = decoder.text(&text, &limits) {
                    read(&packet);
                }
                if let Ok(Some(done)) = decoder.binary(&bytes, &limits) {
                    read(&done.packet());
                }
            }
            let _ = engine::Packet::decode(&text);
            let _ = payload::decode(&text).count();
            let _ = v3::decode_text(&text);
            let _ = v3::decode_text_payload(&text).count();
        }
        let _ = v3::decode_binary(&bytes);
        let _ = v3::decode_binary_payload(&bytes).count();
        if let Ok(packet) = msgpack::decode(&bytes, &limits) {
            read(&packet);
        }
    }

    #[test]
    fn spoilt_msgpack_makes_no_panic(args in vec(argument(), 0..5), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut out = Vec::new();
        msgpack::encode_event(&mut out, "/", Some(1), "e", &List(&args)).unwrap();
        let at = at.index(out.len());
        out[at] = byte;
        if let Ok(packet) = msgpack::decode(&out, &Limits::default()) {
            read(&packet);
        }
        out.truncate(at);
        prop_assert!(msgpack::decode(&out, &Limits::default()).is_err());
    }
}

fn engine_packet() -> impl Strategy<Value = Result<(PacketType, String), Vec<u8>>> {
    let kind = (b'0'..=b'6').prop_map(|digit| PacketType::from_digit(digit).unwrap());
    prop_oneof![
        (kind, any::<String>()).prop_map(Ok),
        vec(any::<u8>(), 0..40).prop_map(Err)
    ]
}

fn receive<'a>(
    text: &'a str,
    attachments: &[Bytes],
    limits: &Limits,
) -> Result<Packet<'a>, Box<socket::Assembled>> {
    let mut decoder = Decoder::new();
    match decoder.text(text, limits).unwrap() {
        Some(packet) => {
            assert!(attachments.is_empty());
            Ok(packet)
        }
        None => {
            let (last, others) = attachments.split_last().unwrap();
            for attachment in others {
                assert!(decoder.binary(attachment, limits).unwrap().is_none());
            }
            Err(Box::new(decoder.binary(last, limits).unwrap().unwrap()))
        }
    }
}

/// Deserializes all contents of a packet.
fn read(packet: &Packet<'_>) {
    let args = match packet {
        Packet::Event(event) => &event.args,
        Packet::Ack(ack) => &ack.args,
        Packet::ConnectError(error) => {
            let _ = error.body();
            return;
        }
        Packet::Connect(connect) => {
            if let Some(json) = &connect.payload {
                serde_json::from_str::<IgnoredAny>(json).unwrap();
            }
            return;
        }
        Packet::Disconnect(_) => return,
    };
    let _ = args.decode::<AllArgs<Any>>();
    let _ = args.decode::<AllArgs<Value>>();
    let _ = args.decode::<(String, Option<Bytes>)>();
    let kept = args.to_buf();
    assert_eq!(kept.as_args().len(), args.len());
    assert!(matches!(EnginePacket::binary(b"").data, Data::Binary(_)));
}

proptest! {
    /// Strings by value take a separate code path, which must write the same JSON.
    #[test]
    fn strings_are_written_as_serde_json_writes_them(plain in prop_oneof![0usize..100, 1000usize..1100, 2000usize..2100], text in "(?s)[ -~\"\\\\\u{0}-\u{20}é]{0,40}|.{0,40}") {
        let text = "-".repeat(plain) + &text;
        let expected = format!("30[{}]", serde_json::to_string(&text).unwrap());
        for by_value in [false, true] {
            let (mut out, mut attachments) = (Vec::new(), Vec::new());
            if by_value {
                encode_ack(&mut out, "/", 0, &text, &mut attachments).unwrap();
            } else {
                encode_ack(&mut out, "/", 0, &Spread(&text), &mut attachments).unwrap();
            }
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), &expected);
        }
    }
}
