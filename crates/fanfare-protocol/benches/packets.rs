//! What packets cost: `cargo bench -p fanfare-protocol`.

use divan::{Bencher, black_box};
use fanfare_protocol::Limits;
use fanfare_protocol::engine::{PacketType, payload};
use fanfare_protocol::socket::{Args, Header, decode, encode_ack, encode_event};
use serde::{Deserialize, Serialize};

/// Texts as clients send them: an event, one with an acknowledgement and a namespace, an acknowledgement, the header of a
/// binary event, a long event.
const PACKETS: [&str; 5] = [
    r#"2["message",{"room":"lobby","from":"somebody","text":"hello everybody, how are you?"}]"#,
    r#"2/chat,17["message",{"room":"lobby","text":"hello"}]"#,
    r#"317["delivered",{"at":1700000000000}]"#,
    r#"51-["picture",{"_placeholder":true,"num":0},"image/png"]"#,
    r#"2["state",[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],{"a":{"b":{"c":[true,false,null]}}},"a longer text with \"quotes\" and \u00e9"]"#,
];

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Message {
    room: String,
    from: String,
    text: String,
}

fn main() {
    divan::main();
}

/// Type, namespace, id.
#[divan::bench(args = PACKETS)]
fn parse_header(text: &str) {
    let _ = black_box(Header::parse(black_box(text), &Limits::default()));
}

/// The whole packet, its arguments found but not deserialized.
#[divan::bench(args = PACKETS)]
fn decode_packet(text: &str) {
    let _ = black_box(decode(black_box(text), &Limits::default()));
}

/// One struct out of the arguments.
#[divan::bench]
fn decode_args_struct(bencher: Bencher<'_, '_>) {
    let json = r#"[{"room":"lobby","from":"somebody","text":"hello everybody, how are you?"}]"#;
    let args = Args::from_json(json, 128).expect("right");
    bencher.bench_local(|| black_box(&args).decode::<Message>());
}

/// Three values out of the arguments.
#[divan::bench]
fn decode_args_tuple(bencher: Bencher<'_, '_>) {
    let args = Args::from_json(r#"["lobby",17,"hello"]"#, 128).expect("right");
    bencher.bench_local(|| black_box(&args).decode::<(String, u64, String)>());
}

/// An event with a struct.
#[divan::bench]
fn encode_event_struct(bencher: Bencher<'_, '_>) {
    let message = Message {
        room: "lobby".to_owned(),
        from: "somebody".to_owned(),
        text: "hello everybody, how are you?".to_owned(),
    };
    let (mut out, mut attachments) = (Vec::new(), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        let _ = encode_event(
            &mut out,
            "/",
            None,
            "message",
            black_box(&&message),
            &mut attachments,
        );
        black_box(&out);
    });
}

/// An acknowledgement with a text.
#[divan::bench]
fn encode_ack_text(bencher: Bencher<'_, '_>) {
    let (mut out, mut attachments) = (Vec::new(), Vec::new());
    bencher.bench_local(|| {
        out.clear();
        let _ = encode_ack(&mut out, "/", 17, black_box(&"delivered"), &mut attachments);
        black_box(&out);
    });
}

/// The body of a POST with so many packets.
#[divan::bench(args = [1, 16])]
fn decode_payload(bencher: Bencher<'_, '_>, packets: usize) {
    let packet = format!("4{}", PACKETS[0]);
    let body = vec![packet; packets].join("\u{1e}");
    bencher.bench_local(|| {
        payload::decode(black_box(&body))
            .filter(Result::is_ok)
            .count()
    });
}

/// The body of the answer to a GET.
#[divan::bench(args = [1, 16])]
fn encode_payload(bencher: Bencher<'_, '_>, packets: usize) {
    let mut out = Vec::new();
    bencher.bench_local(|| {
        out.clear();
        let mut writer = payload::Encoder::new(&mut out);
        for _ in 0..packets {
            writer.text(PacketType::Message, black_box(PACKETS[0]));
        }
        black_box(&out);
    });
}
