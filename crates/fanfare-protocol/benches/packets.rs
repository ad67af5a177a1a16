//! Cost of encoding and decoding packets: `cargo bench -p fanfare-protocol`.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare_protocol::Limits;
use fanfare_protocol::engine::{PacketType, payload};
use fanfare_protocol::socket::{Args, Header, decode, encode_ack, encode_event};
use serde::{Deserialize, Serialize};

/// Texts as clients send them.
const PACKETS: [(&str, &str); 5] = [
    (
        "event",
        r#"2["message",{"room":"lobby","from":"somebody","text":"hello everybody, how are you?"}]"#,
    ),
    (
        "event with acknowledgement in a namespace",
        r#"2/chat,17["message",{"room":"lobby","text":"hello"}]"#,
    ),
    (
        "acknowledgement",
        r#"317["delivered",{"at":1700000000000}]"#,
    ),
    (
        "binary event",
        r#"51-["picture",{"_placeholder":true,"num":0},"image/png"]"#,
    ),
    (
        "long event",
        r#"2["state",[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],{"a":{"b":{"c":[true,false,null]}}},"a longer text with \"quotes\" and \u00e9"]"#,
    ),
];

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Message {
    room: String,
    from: String,
    text: String,
}

/// Decodes the type, the namespace and the id, then whole packets, with arguments located but not deserialized.
fn packets(c: &mut Criterion) {
    let limits = Limits::default();
    let mut group = c.benchmark_group("parse header");
    for (name, text) in PACKETS {
        group.bench_function(name, |b| b.iter(|| Header::parse(black_box(text), &limits)));
    }
    group.finish();
    let mut group = c.benchmark_group("decode packet");
    for (name, text) in PACKETS {
        group.bench_function(name, |b| b.iter(|| decode(black_box(text), &limits)));
    }
    group.finish();
}

/// Deserializes arguments into the types of a handler.
fn arguments(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode arguments");
    let json = r#"[{"room":"lobby","from":"somebody","text":"hello everybody, how are you?"}]"#;
    let args = Args::from_json(json, 128).expect("right");
    group.bench_function("struct", |b| {
        b.iter(|| black_box(&args).decode::<Message>());
    });
    let args = Args::from_json(r#"["lobby",17,"hello"]"#, 128).expect("right");
    group.bench_function("tuple", |b| {
        b.iter(|| black_box(&args).decode::<(String, u64, String)>());
    });
    for len in [64, 4096] {
        let json = format!("[\"{}\"]", "x".repeat(len));
        let args = Args::from_json(&json, 128).expect("right");
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new("text", len), |b| {
            b.iter(|| black_box(&args).decode::<String>());
        });
    }
    group.finish();
}

/// Encodes an event with a struct and an acknowledgement with a text.
fn encode(c: &mut Criterion) {
    let message = Message {
        room: "lobby".to_owned(),
        from: "somebody".to_owned(),
        text: "hello everybody, how are you?".to_owned(),
    };
    let (mut out, mut attachments) = (Vec::new(), Vec::new());
    c.bench_function("encode event", |b| {
        b.iter(|| {
            out.clear();
            let message = &black_box(&message);
            encode_event(&mut out, "/", None, "message", message, &mut attachments)
        });
    });
    c.bench_function("encode acknowledgement", |b| {
        b.iter(|| {
            out.clear();
            encode_ack(&mut out, "/", 17, black_box(&"delivered"), &mut attachments)
        });
    });
}

/// Encodes and decodes long-polling payloads with the given number of packets.
fn payloads(c: &mut Criterion) {
    let (_, text) = PACKETS[0];
    for packets in [1, 16] {
        let body = vec![format!("4{text}"); packets].join("\u{1e}");
        c.bench_function(&format!("decode payload/{packets}"), |b| {
            b.iter(|| {
                let packets = payload::decode(black_box(&body));
                packets.filter(Result::is_ok).count()
            });
        });
        let mut out = Vec::new();
        c.bench_function(&format!("encode payload/{packets}"), |b| {
            b.iter(|| {
                out.clear();
                let mut writer = payload::Encoder::new(&mut out);
                for _ in 0..packets {
                    writer.text(PacketType::Message, black_box(text));
                }
            });
        });
    }
}

criterion_group!(benches, packets, arguments, encode, payloads);
criterion_main!(benches);
