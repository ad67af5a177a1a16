//! What the codec costs per frame: `cargo bench -p fanfare-websocket`. Numbers are the best of several rounds.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use fanfare_websocket::{Decoded, Decoder, DecoderConfig, Event, OpCode, Role, deflate, frame};

/// Runs `f`, which handles `frames` frames, often; prints nanoseconds per frame.
fn measure(name: &str, frames: usize, mut f: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..20 {
        let begun = Instant::now();
        let mut rounds = 0u32;
        while begun.elapsed() < Duration::from_millis(10) {
            for _ in 0..16 {
                f();
            }
            rounds += 16;
        }
        best = best.min(begun.elapsed() / rounds);
    }
    println!(
        "{name:<44} {:>9.1} ns/frame",
        best.as_nanos() as f64 / frames as f64
    );
}

/// Decodes all frames of `bytes`, in a buffer that is filled anew each time as by a read.
fn decode_all(decoder: &mut Decoder, bytes: &[u8], buffer: &mut [u8]) -> usize {
    let buffer = &mut buffer[..bytes.len()];
    buffer.copy_from_slice(bytes);
    let (mut at, mut sum) = (0, 0);
    while let Ok(Decoded::Event { consumed, event }) = decoder.next(&mut buffer[at..]) {
        at += consumed;
        sum += match event {
            Event::Text(text) => text.len(),
            Event::Binary(bytes) => bytes.len(),
            _ => 0,
        };
    }
    sum
}

fn main() {
    let mut buffer = vec![0; 2 << 20];
    for (name, opcode, len, count) in [
        ("decode 16 masked texts of 20 bytes", OpCode::Text, 20, 16),
        ("decode 16 masked texts of 60 bytes", OpCode::Text, 60, 16),
        ("decode 16 masked texts of 120 bytes", OpCode::Text, 120, 16),
        (
            "decode 16 masked texts of 1000 bytes",
            OpCode::Text,
            1000,
            16,
        ),
        (
            "decode 16 masked binaries of 60 bytes",
            OpCode::Binary,
            60,
            16,
        ),
        ("decode a masked text of 1 MiB", OpCode::Text, 1 << 20, 1),
    ] {
        let mut bytes = Vec::new();
        for _ in 0..count {
            frame::encode_masked_into(
                &mut bytes,
                opcode,
                &vec![b'x'; len],
                [0x37, 0xfa, 0x21, 0x3d],
            );
        }
        let mut decoder = Decoder::new(Role::Server, DecoderConfig::default());
        measure(name, count, || {
            black_box(decode_all(&mut decoder, black_box(&bytes), &mut buffer));
        });
        measure("  of which filling the buffer", count, || {
            buffer[..bytes.len()].copy_from_slice(black_box(&bytes));
            black_box(&mut buffer);
        });
    }
    let mut out = Vec::with_capacity(2 << 20);
    for len in [20, 120, 1000] {
        let payload = vec![b'x'; len];
        measure(&format!("begin, write {len} bytes, finish"), 1, || {
            out.clear();
            let start = frame::begin(&mut out);
            out.extend_from_slice(black_box(&payload));
            frame::finish(&mut out, start, OpCode::Text);
            black_box(&out);
        });
    }
    let json = br#"2["message",{"room":"lobby","from":"somebody","text":"hello everybody, how are you?"}]"#.repeat(20);
    measure("compress and frame 1.7 kB once for all", 1, || {
        black_box(deflate::compress_shared(
            OpCode::Text,
            black_box(&json),
            15,
            1,
        ));
    });
}
