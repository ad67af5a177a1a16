//! Messages of NATS as a node handles them: headers and their status, heartbeats, replies of JetStream, parts of long
//! messages. Each line is a message, with `|` between its headers (lines separated by `^`) and its payload. What waits
//! for missing parts is bounded.
#![no_main]

mod work;

use bytes::Bytes;
use fanfare_nats::fuzzing::Reassembly;
use libfuzzer_sys::fuzz_target;
use work::Work;

fuzz_target!(|input: &[u8]| {
    let work = Work::begin();
    let mut messages = Reassembly::default();
    for line in input.split(|byte| *byte == b'\n') {
        let mut parts = line.splitn(2, |byte| *byte == b'|');
        let headers = parts.next().unwrap_or_default();
        let headers: Vec<u8> = headers.split(|byte| *byte == b'^').collect::<Vec<_>>().join(&b"\r\n"[..]);
        let payload = Bytes::copy_from_slice(parts.next().unwrap_or_default());
        if let Some(whole) = messages.message(&headers.into(), &payload) {
            assert!(whole.len() <= input.len());
        }
    }
    work.check(input.len());
});
