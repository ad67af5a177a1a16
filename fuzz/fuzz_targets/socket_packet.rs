//! Socket.IO messages of one connection: lines are text, or binary if they start with `!`.
#![no_main]

use bytes::Bytes;
use fanfare_protocol::Limits;
use fanfare_protocol::socket::{AllArgs, Args, Decoder, Packet, RawArgs, decode, encode_event};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|data: &str| {
    let limits = Limits::default();
    let mut decoder = Decoder::new();
    for line in data.split('\n') {
        let ok = match line.strip_prefix('!') {
            Some(binary) => match decoder.binary(binary.as_bytes(), &limits) {
                Ok(Some(done)) => {
                    read(&done.packet());
                    true
                }
                other => other.is_ok(),
            },
            None => match decoder.text(line, &limits) {
                Ok(Some(packet)) => {
                    read(&packet);
                    again(&packet, &limits);
                    true
                }
                other => other.is_ok(),
            },
        };
        if !ok {
            assert_eq!(decoder.missing(), 0, "an error leaves the decoder idle");
        }
        assert!(decoder.pending_bytes() <= data.len());
    }
});

fn args(args: &Args<'_>) {
    let _ = args.decode::<AllArgs<Value>>();
    let _ = args.decode::<(Bytes, Option<String>, Vec<u8>)>();
}

fn read(packet: &Packet<'_>) {
    match packet {
        Packet::Event(event) => args(&event.args),
        Packet::Ack(ack) => args(&ack.args),
        Packet::ConnectError(error) => drop(error.body()),
        Packet::Connect(connect) => {
            if let Some(json) = &connect.payload {
                serde_json::from_str::<IgnoredAny>(json).unwrap();
            }
        }
        Packet::Disconnect(_) => {}
    }
}

/// Checks that an event can be written and read again without a change.
fn again(packet: &Packet<'_>, limits: &Limits) {
    let Packet::Event(event) = packet else { return };
    let (mut out, mut attachments) = (Vec::new(), Vec::new());
    let raw = RawArgs(event.args.raw_json().unwrap());
    encode_event(&mut out, event.namespace, event.ack, &event.name, &raw, &mut attachments).unwrap();
    let out = String::from_utf8(out).unwrap();
    // A name with escapes may become longer or shorter than its limit, and a namespace without a comma takes the rest.
    let mut limits = limits.clone();
    limits.max_event_name_len *= 6;
    let Ok(Packet::Event(second)) = decode(&out, &limits) else { panic!("{out}") };
    assert_eq!((second.namespace, second.ack, &second.name), (event.namespace, event.ack, &event.name));
    assert_eq!(second.args.raw_json(), event.args.raw_json());
}
