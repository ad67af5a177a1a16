//! Benchmarks of the codec: `cargo bench -p fanfare-websocket`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare_websocket::{Decoded, Decoder, DecoderConfig, Event, OpCode, Role, deflate, frame};

/// Decodes all frames of `bytes`, in a buffer that is refilled each time as by a read.
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

/// Measures the decoding of masked messages: `count` of `len` bytes each.
fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    let texts = [20, 60, 120, 1000].map(|len| ("16 texts", OpCode::Text, len, 16));
    let others = [
        ("16 binaries", OpCode::Binary, 60, 16),
        ("one text", OpCode::Text, 1 << 20, 1),
    ];
    for (name, opcode, len, count) in texts.into_iter().chain(others) {
        let (payload, mut bytes) = (vec![b'x'; len], Vec::new());
        for _ in 0..count {
            frame::encode_masked_into(&mut bytes, opcode, &payload, [0x37, 0xfa, 0x21, 0x3d]);
        }
        let mut buffer = vec![0; bytes.len()];
        let mut decoder = Decoder::new(Role::Server, DecoderConfig::default());
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new(name, len), |b| {
            b.iter(|| decode_all(&mut decoder, black_box(&bytes), &mut buffer));
        });
    }
    // The part of the above that fills the buffer.
    for len in [500, 1 << 20] {
        let (bytes, mut buffer) = (vec![b'x'; len], vec![0; len]);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("filling the buffer", len), |b| {
            b.iter(|| {
                buffer.copy_from_slice(black_box(&bytes));
                black_box(&mut buffer);
            });
        });
    }
    group.finish();
}

/// Measures the encoding of a frame of this length, written in place; and of 1.7 kB, compressed and framed once for all
/// recipients.
fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    for len in [20, 120, 1000] {
        let (payload, mut out) = (vec![b'x'; len], Vec::new());
        group.bench_function(BenchmarkId::new("begin, write, finish", len), |b| {
            b.iter(|| {
                out.clear();
                let start = frame::begin(&mut out);
                out.extend_from_slice(black_box(&payload));
                frame::finish(&mut out, start, OpCode::Text);
                black_box(&out);
            });
        });
    }
    let json = br#"2["message",{"room":"lobby","from":"somebody","text":"hello everybody, how are you?"}]"#.repeat(20);
    group.bench_function("compress, shared", |b| {
        b.iter(|| deflate::compress_shared(OpCode::Text, black_box(&json), 15, 1));
    });
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
