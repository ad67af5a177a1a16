//! Packets of `socket.io-msgpack-parser`.
#![no_main]

use bytes::Bytes;
use fanfare_protocol::socket::{AllArgs, Packet};
use fanfare_protocol::{Limits, msgpack};
use libfuzzer_sys::fuzz_target;
use serde::de::IgnoredAny;
use serde_json::Value;

fuzz_target!(|message: &[u8]| {
    let Ok(packet) = msgpack::decode(message, &Limits::default()) else { return };
    let args = match &packet {
        Packet::Event(event) => &event.args,
        Packet::Ack(ack) => &ack.args,
        Packet::ConnectError(error) => return drop(error.body()),
        Packet::Connect(connect) => {
            if let Some(json) = &connect.payload {
                serde_json::from_str::<IgnoredAny>(json).unwrap();
            }
            return;
        }
        Packet::Disconnect(_) => return,
    };
    for i in 0..args.len() {
        assert!(!args.get_msgpack(i).unwrap().is_empty());
    }
    assert_eq!(args.decode::<AllArgs<IgnoredAny>>().unwrap().0.len(), args.len());
    let _ = args.decode::<AllArgs<Value>>();
    let _ = args.decode::<(Bytes, Option<String>, Vec<u8>)>();
});
