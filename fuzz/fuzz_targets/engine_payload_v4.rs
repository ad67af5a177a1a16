//! Long-polling payloads of revision 4: anything that can be read can be written and read again.
#![no_main]

use fanfare_protocol::engine::{Opened, Packet, payload};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &str| {
    let packets: Vec<Packet<'_>> = payload::decode(body).map_while(Result::ok).collect();
    let mut out = Vec::new();
    let mut encoder = payload::Encoder::new(&mut out);
    packets.iter().for_each(|packet| encoder.packet(packet));
    if !packets.is_empty() {
        let out = String::from_utf8(out).unwrap();
        assert_eq!(payload::decode(&out).collect::<Result<Vec<_>, _>>().unwrap(), packets);
    }
    let _ = Opened::parse(body);
});
