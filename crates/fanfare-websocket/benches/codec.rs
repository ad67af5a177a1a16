//! What the codec costs: `cargo bench -p fanfare-websocket`.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use fanfare_websocket::{Decoded, Decoder, DecoderConfig, Event, OpCode, Role, deflate, frame};

fn main() {
    divan::main();
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

fn decode(bencher: Bencher<'_, '_>, opcode: OpCode, len: usize, count: usize) {
    let (payload, mut bytes) = (vec![b'x'; len], Vec::new());
    for _ in 0..count {
        frame::encode_masked_into(&mut bytes, opcode, &payload, [0x37, 0xfa, 0x21, 0x3d]);
    }
    let mut buffer = vec![0; bytes.len()];
    let mut decoder = Decoder::new(Role::Server, DecoderConfig::default());
    bencher
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| decode_all(&mut decoder, black_box(&bytes), &mut buffer));
}

/// Sixteen masked texts of so many bytes.
#[divan::bench(args = [20, 60, 120, 1000])]
fn decode_16_texts(bencher: Bencher<'_, '_>, len: usize) {
    decode(bencher, OpCode::Text, len, 16);
}

/// Sixteen masked binary messages of so many bytes.
#[divan::bench(args = [60])]
fn decode_16_binaries(bencher: Bencher<'_, '_>, len: usize) {
    decode(bencher, OpCode::Binary, len, 16);
}

/// One big masked text.
#[divan::bench]
fn decode_a_text_of_1_mib(bencher: Bencher<'_, '_>) {
    decode(bencher, OpCode::Text, 1 << 20, 1);
}

/// What of the above is filling the buffer.
#[divan::bench(args = [500, 1 << 20])]
fn fill_the_buffer(bencher: Bencher<'_, '_>, len: usize) {
    let (bytes, mut buffer) = (vec![b'x'; len], vec![0; len]);
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        buffer.copy_from_slice(black_box(&bytes));
        black_box(&mut buffer);
    });
}

/// A frame of so many bytes, written where it is to stand.
#[divan::bench(args = [20, 120, 1000])]
fn begin_write_finish(bencher: Bencher<'_, '_>, len: usize) {
    let (payload, mut out) = (vec![b'x'; len], Vec::new());
    bencher.bench_local(|| {
        out.clear();
        let start = frame::begin(&mut out);
        out.extend_from_slice(black_box(&payload));
        frame::finish(&mut out, start, OpCode::Text);
        black_box(&out);
    });
}

/// 1.7 kB compressed and framed, once for all recipients.
#[divan::bench]
fn compress_shared(bencher: Bencher<'_, '_>) {
    let json = br#"2["message",{"room":"lobby","from":"somebody","text":"hello everybody, how are you?"}]"#.repeat(20);
    bencher.bench_local(|| deflate::compress_shared(OpCode::Text, black_box(&json), 15, 1));
}
