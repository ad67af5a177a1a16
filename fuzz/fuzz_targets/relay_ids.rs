//! Session ids and marks of relayed requests: only an id that another server has sealed is relayed, once. The first line
//! is an id, the second a mark, the third the address of a server.
#![no_main]

use std::sync::OnceLock;

use fanfare_engine::relay::SessionRelay;
use fanfare_relay::Relay;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

const KEY: &str = "0123456789abcdef";

fn relays() -> &'static (Relay, Relay) {
    static RELAYS: OnceLock<(Relay, Relay)> = OnceLock::new();
    RELAYS.get_or_init(|| {
        let addresses = ["10.0.0.1:3000", "10.0.0.2:3000"];
        let [one, two] = addresses.map(|own| Relay::new(KEY, own).unwrap().peers(addresses).unwrap());
        (one, two)
    })
}

fn text(id: [u8; 15]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let groups = id.chunks(3).map(|group| group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)));
    let digits = groups.flat_map(|bits| [18, 12, 6, 0].map(|shift| DIGITS[(bits >> shift) as usize & 63]));
    digits.map(char::from).collect()
}

fuzz_target!(|input: &[u8]| {
    let (one, two) = relays();
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let id = lines.next().unwrap_or_default();
    let mark = lines.next().unwrap_or_default();
    let address = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    if let Ok(mark) = HeaderValue::from_bytes(mark) {
        headers.insert("fanfare-relay", mark);
    }
    // An id that was not sealed names another server with a probability of one in 2³².
    let sid = String::from_utf8_lossy(id);
    assert!(!one.is_elsewhere(&sid, &headers) || sid.len() == 20);
    let mut random = [0; 15];
    for (byte, from) in random.iter_mut().zip(id) {
        *byte = *from;
    }
    let sealed = text(two.session_id(random));
    assert!(one.is_elsewhere(&sealed, &headers) && !two.is_elsewhere(&sealed, &headers));
    if let Ok(other) = Relay::new(KEY, address) {
        // Accepted addresses are those to which requests can be sent.
        assert!(other.peers([one.address()]).is_ok());
    }
});
