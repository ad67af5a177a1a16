//! Inputs of frames and packets, independent of their arguments.

use crate::target::{Attack, namespace, server, text};
use crate::{Input, input};

pub(crate) const INPUTS: &[Input] = &[
    input("one_long_string", 64 << 10, |n| {
        one(&format!("42[\"any\",\"{}\"]", "x".repeat(n)))
    }),
    input("escaped_string", 16 << 10, |n| {
        one(&format!("42[\"any\",\"{}\"]", "\\n".repeat(n)))
    }),
    input("deep_json", 250, |n| {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        one(&format!("42[\"any\",{}]", vec![deep; n].join(",")))
    }),
    input("small_packets", 1000, |n| {
        Attack::messages(server(namespace()), text("42[\"any\"]").repeat(n))
    }),
    input("one_byte_fragments", 1000, |n| {
        let message = format!("42[\"any\",\"{}\"]", "x".repeat(n));
        Attack::messages(server(namespace()), fragments(message.as_bytes()))
    }),
    input("unknown_namespaces", 1000, |n| {
        Attack::messages(server(namespace()), text("40/nobody,").repeat(n))
    }),
    input("unasked_acknowledgements", 1000, |n| {
        Attack::messages(server(namespace()), text("4312345[1]").repeat(n))
    }),
    input("long_auth", 8 << 10, |n| {
        one(&format!("40/nobody,{{\"token\":\"{}\"}}", "x".repeat(n)))
    }),
];

/// Returns one message in one frame.
fn one(message: &str) -> Attack {
    Attack::messages(server(namespace()), text(message))
}

/// Returns a message in frames of one byte each.
fn fragments(message: &[u8]) -> Vec<u8> {
    let last = message.len() - 1;
    let frame = |(n, byte): (usize, &u8)| {
        let opcode = if n == 0 { 1 } else { 0 };
        let fin = if n == last { 0x80 } else { 0 };
        [fin | opcode, 0x81, 0, 0, 0, 0, *byte]
    };
    message.iter().enumerate().flat_map(frame).collect()
}
