//! permessage-deflate: the output does not depend on how the input is split and never exceeds the limit; compressed
//! data can be decompressed.
#![no_main]

use fanfare_websocket::Role;
use fanfare_websocket::deflate::{Compressor, Decompressor, InflateError, Params};
use libfuzzer_sys::fuzz_target;

const LIMIT: usize = 1 << 16;

fn inflate(params: &Params, messages: &[u8], chunk: usize) -> (Vec<Vec<u8>>, Option<InflateError>) {
    let mut decompressor = Decompressor::new(params, Role::Server);
    let mut done = Vec::new();
    // Two messages, so that context takeover matters.
    for message in messages.chunks((messages.len() / 2).max(1)) {
        let mut out = Vec::new();
        let pushed = message.chunks(chunk).try_for_each(|piece| decompressor.push(piece, &mut out, LIMIT));
        let result = pushed.and_then(|()| decompressor.finish(&mut out, LIMIT));
        assert!(out.len() <= LIMIT + 1 && out.capacity() <= LIMIT + 1, "{} of {}", out.len(), out.capacity());
        match result {
            Ok(()) => done.push(out),
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

fuzz_target!(|input: (bool, u8, u8, &[u8])| {
    let (takeover, chunk, window, bytes) = input;
    let window = 9 + window % 7;
    let params = Params {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: window,
        client_max_window_bits: window,
    };
    let chunk = usize::from(chunk).max(1);
    assert_eq!(inflate(&params, bytes, chunk), inflate(&params, bytes, usize::MAX));

    let Some(mut compressor) = Compressor::new(&params, Role::Client, 6) else { return };
    let mut decompressor = Decompressor::new(&params, Role::Server);
    for message in [bytes, &bytes[bytes.len() / 2..]] {
        let (mut compressed, mut out) = (Vec::new(), Vec::new());
        compressor.compress(message, &mut compressed);
        decompressor.push(&compressed, &mut out, message.len()).unwrap();
        decompressor.finish(&mut out, message.len()).unwrap();
        assert_eq!(out, message);
    }
});
