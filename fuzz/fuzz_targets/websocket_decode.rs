//! WebSocket frames: the events do not depend on how the bytes are split.
#![no_main]

use fanfare_websocket::{Decoded, Decoder, DecoderConfig, Role};
use libfuzzer_sys::fuzz_target;

fn decode(role: Role, bytes: &[u8], chunk: usize) -> (Vec<String>, bool) {
    let config = DecoderConfig {
        max_frame: 1 << 16,
        max_message: 1 << 17,
        max_fragments: 64,
        permessage_deflate: None,
    };
    let mut decoder = Decoder::new(role, config);
    let (mut buffer, mut events) = (Vec::new(), Vec::new());
    for chunk in bytes.chunks(chunk.max(1)) {
        buffer.extend_from_slice(chunk);
        loop {
            match decoder.next(&mut buffer) {
                Ok(Decoded::Incomplete { need }) => {
                    assert!(need > buffer.len(), "needs {need}, has {}", buffer.len());
                    break;
                }
                Ok(Decoded::Event { consumed, event }) => {
                    assert!(consumed > 0);
                    let event = format!("{event:?}");
                    let closed = event.starts_with("Close");
                    // Small fragments that arrive together are one event, or none if an error follows.
                    if event != "Fragment" {
                        events.push(event);
                    }
                    buffer.drain(..consumed);
                    if closed {
                        return (events, false);
                    }
                }
                Err(_) => return (events, true),
            }
        }
    }
    (events, false)
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (server, chunk, bytes) = input;
    let role = if server { Role::Server } else { Role::Client };
    assert_eq!(decode(role, bytes, usize::from(chunk)), decode(role, bytes, usize::MAX));
});
