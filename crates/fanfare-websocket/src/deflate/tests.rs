use super::*;
use crate::{Decoded, Decoder, DecoderConfig, Event, OpCode, ProtocolError, Role, frame};

const TAKEOVER: Params = Params {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: 15,
    client_max_window_bits: 15,
};
const ALONE: Params = Params {
    server_no_context_takeover: true,
    client_no_context_takeover: true,
    ..TAKEOVER
};

fn inflate(inflate: &mut Decompressor, data: &[u8], limit: usize) -> Result<Vec<u8>, InflateError> {
    let mut out = Vec::new();
    inflate.push(data, &mut out, limit)?;
    inflate.finish(&mut out, limit)?;
    Ok(out)
}

#[test]
fn reads_the_examples_of_rfc_7692() {
    let mut one = Decompressor::new(&TAKEOVER, Role::Client);
    // One block, then the same message with a reference into the window, then no compression, then a final block.
    for data in [
        &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
        b"\xf2\x00\x11\x00\x00",
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
    ] {
        assert_eq!(inflate(&mut one, data, 5).unwrap(), b"Hello", "{data:x?}");
    }
    assert_eq!(inflate(&mut one, b"\x00", 5).unwrap(), b"");
}

#[test]
fn round_trips_with_and_without_context() {
    let text = "fanfare! ".repeat(300);
    let noise: Vec<u8> = (0..50_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for params in [
        TAKEOVER,
        ALONE,
        Params {
            server_max_window_bits: 9,
            ..TAKEOVER
        },
    ] {
        let mut compressor = Compressor::new(&params, Role::Server, 6).unwrap();
        let mut decompressor = Decompressor::new(&params, Role::Client);
        let mut sizes = Vec::new();
        for message in [
            text.as_bytes(),
            b"",
            text.as_bytes(),
            &noise,
            b"",
            b"",
            b"x",
            &noise,
        ] {
            let mut out = Vec::new();
            compressor.compress(message, &mut out);
            sizes.push(out.len());
            assert_eq!(
                inflate(&mut decompressor, &out, message.len()).unwrap(),
                message
            );
        }
        let takes_over = !params.server_no_context_takeover;
        assert_eq!(sizes[2] < sizes[0], takes_over, "{sizes:?}");
        assert_eq!(decompressor.keeps_context(), takes_over);
    }
    let tiny = Params {
        server_max_window_bits: 8,
        ..TAKEOVER
    };
    assert!(Compressor::new(&tiny, Role::Server, 6).is_none());
    assert!(Compressor::new(&tiny, Role::Client, 6).is_some());
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let mut bomb = Vec::new();
    Compressor::new(&ALONE, Role::Client, 9)
        .unwrap()
        .compress(&vec![0; 50 << 20], &mut bomb);
    assert!(bomb.len() < 60_000);
    let mut out = Vec::new();
    let result = Decompressor::new(&ALONE, Role::Server).push(&bomb, &mut out, 100_000);
    assert_eq!(result, Err(InflateError::TooBig { limit: 100_000 }));
    assert!(out.capacity() <= 100_001, "{}", out.capacity());

    let config = DecoderConfig {
        max_message: 100_000,
        permessage_deflate: Some(ALONE),
        ..DecoderConfig::default()
    };
    let mut frame = Vec::new();
    frame::encode_masked_rsv_into(&mut frame, OpCode::Binary, true, &bomb, [1, 2, 3, 4]);
    let mut decoder = Decoder::new(Role::Server, config);
    assert_eq!(
        decoder.next(&mut frame),
        Err(ProtocolError::MessageTooBig { limit: 100_000 })
    );
}

#[test]
fn rejects_garbage() {
    let mut one = Decompressor::new(&ALONE, Role::Server);
    assert_eq!(
        inflate(&mut one, b"\xff\xff\xff\xff", 100),
        Err(InflateError::Corrupt)
    );
}

#[test]
fn the_decoder_takes_compressed_messages_in_fragments_and_is_idle_after() {
    for params in [ALONE, TAKEOVER] {
        let mut compressed = Vec::new();
        let text = "Grüße an alle ".repeat(200);
        Compressor::new(&params, Role::Client, 6)
            .unwrap()
            .compress(text.as_bytes(), &mut compressed);
        let (a, b) = compressed.split_at(compressed.len() / 2);
        let mut input = Vec::new();
        frame::encode_masked_rsv_into(&mut input, OpCode::Text, true, a, [1, 2, 3, 4]);
        input[0] &= 0x7F;
        frame::encode_masked_into(&mut input, OpCode::Ping, b"?", [1, 2, 3, 4]);
        frame::encode_masked_into(&mut input, OpCode::Continuation, b, [1, 2, 3, 4]);
        frame::encode_masked_into(&mut input, OpCode::Text, b"plain", [1, 2, 3, 4]);
        let mut decoder = Decoder::new(
            Role::Server,
            DecoderConfig {
                permessage_deflate: Some(params),
                ..DecoderConfig::default()
            },
        );
        let mut at = 0;
        let mut texts = Vec::new();
        while let Decoded::Event { consumed, event } = decoder.next(&mut input[at..]).unwrap() {
            at += consumed;
            if let Event::Text(text) = event {
                texts.push(text.to_owned());
            }
        }
        assert_eq!(texts, [text.as_str(), "plain"]);
        assert!(decoder.is_idle());
    }
}

#[test]
fn a_shared_frame_is_read_by_any_client_that_may_get_it() {
    assert_eq!(ALONE.shared_window(), Some(15));
    assert_eq!(TAKEOVER.shared_window(), None);
    let tiny = Params {
        server_max_window_bits: 8,
        ..ALONE
    };
    assert_eq!(tiny.shared_window(), None);
    let text = "to everybody ".repeat(100);
    let mut decoder = Decoder::new(
        Role::Client,
        DecoderConfig {
            permessage_deflate: Some(ALONE),
            ..DecoderConfig::default()
        },
    );
    for window_bits in [15, 9] {
        let shared = compress_shared(OpCode::Text, text.as_bytes(), window_bits, 6);
        assert!(shared.len() < 100);
        let decoded = Decoded::Event {
            consumed: shared.len(),
            event: Event::Text(&text),
        };
        assert_eq!(decoder.next(&mut shared.to_vec()), Ok(decoded));
    }
    assert_eq!(
        compress_shared(OpCode::Text, b"short", 15, 6),
        frame::prepare(OpCode::Text, b"short")
    );
}
