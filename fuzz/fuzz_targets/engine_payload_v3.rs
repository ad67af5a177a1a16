//! Payloads and frames of revision 3: anything that can be read can be written and read again, as text and as binary.
#![no_main]

use fanfare_protocol::engine::{Packet, v3};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    check(v3::decode_binary_payload(body).map_while(Result::ok).collect());
    let _ = v3::decode_binary(body);
    if let Ok(text) = std::str::from_utf8(body) {
        check(v3::decode_text_payload(text).map_while(Result::ok).collect());
        let _ = v3::decode_text(text);
    }
});

fn check(packets: Vec<Packet<'_>>) {
    if packets.is_empty() {
        return;
    }
    let mut out = Vec::new();
    let mut encoder = v3::BinaryEncoder::new(&mut out);
    packets.iter().for_each(|packet| encoder.packet(packet));
    assert_eq!(v3::decode_binary_payload(&out).collect::<Result<Vec<_>, _>>().unwrap(), packets);

    let mut out = Vec::new();
    let mut encoder = v3::TextEncoder::new(&mut out);
    packets.iter().for_each(|packet| encoder.packet(packet));
    let out = String::from_utf8(out).unwrap();
    assert_eq!(v3::decode_text_payload(&out).collect::<Result<Vec<_>, _>>().unwrap(), packets);
}
