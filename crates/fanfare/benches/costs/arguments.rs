//! Inputs with many arguments, as every extractor reads them.

use bytes::Bytes;
use fanfare::extract::{Attachments, Event, Rejection, Valid};
use fanfare::{AllArgs, Data, Namespace, Value};
use garde::Validate;
use serde::Deserialize;

use crate::target::{Attack, binary, list, namespace, server, text};
use crate::{Input, input};

pub(crate) const INPUTS: &[Input] = &[
    input("arguments_any", 500, |n| json(any(), "1", n)),
    input("arguments_fallback", 500, |n| json(fallback(), "1", n)),
    input("arguments_all", 500, |n| json(all(), "1", n)),
    input("arguments_surrogates", 500, |n| {
        json(all(), r#""\ud800""#, n)
    }),
    input("arguments_rejected", 500, |n| json(rejected(), "1", n)),
    input("arguments_rejected_deep", 10, |n| {
        let deep = format!("{}1{}", "{\"a\":".repeat(100), "}".repeat(100));
        json(rejected(), &deep, n)
    }),
    input("elements_rejected", 500, |n| {
        json(elements(), &format!("[{},\"x\"]", list("1", n)), 1)
    }),
    input("rules_broken", 500, |n| {
        json(small_numbers(), &format!("[{}]", list("9", n)), 1)
    }),
    input("rules_broken_in_objects", 500, |n| {
        json(small_objects(), &format!("[{}]", list(r#"{"a":9}"#, n)), 1)
    }),
    input("objects", 2000, |n| {
        json(elements(), &format!("[{}]", list(r#"{"":0}"#, n)), 1)
    }),
    input("keys", 2000, |n| {
        let entries: Vec<String> = (0..n).map(|key| format!("\"{key}\":0")).collect();
        json(all(), &format!("{{{}}}", entries.join(",")), 1)
    }),
    input("attachment_any", 500, |n| attached(any(), n)),
    input("attachment_all", 500, |n| attached(all(), n)),
    input("attachment_list", 500, |n| attached(attachments(), n)),
    input("attachment_bytes", 64 << 10, |n| {
        let frames = [
            text(r#"451-["args",{"_placeholder":true,"num":0}]"#),
            binary(&vec![7; n]),
        ];
        Attack::messages(server(one_attachment()), frames.concat())
    }),
    input("msgpack_any", 500, |n| msgpack(any(), n)),
    input("msgpack_all", 500, |n| msgpack(all(), n)),
    input("msgpack_rejected", 500, |n| msgpack(rejected(), n)),
];

fn any() -> Namespace {
    namespace().on_any(async |_: Event| ())
}

fn fallback() -> Namespace {
    namespace().fallback(async |_: Event| ())
}

fn all() -> Namespace {
    namespace().on("args", async |_: Data<AllArgs<Value>>| ())
}

fn rejected() -> Namespace {
    namespace().on(
        "args",
        async |_: Result<Data<AllArgs<String>>, Rejection>| (),
    )
}

fn elements() -> Namespace {
    namespace().on("args", async |_: Result<Data<Vec<u32>>, Rejection>| ())
}

#[derive(Deserialize, Validate)]
#[serde(transparent)]
struct SmallNumbers(#[garde(inner(range(max = 1)))] Vec<u8>);

fn small_numbers() -> Namespace {
    namespace().on("args", async |_: Result<Valid<SmallNumbers>, Rejection>| ())
}

#[derive(Deserialize, Validate)]
struct SmallObject {
    #[garde(range(max = 1))]
    #[serde(rename = "a")]
    _a: u8,
}

fn small_objects() -> Namespace {
    namespace().on(
        "args",
        async |_: Result<Valid<Vec<SmallObject>>, Rejection>| (),
    )
}

fn attachments() -> Namespace {
    namespace().on("args", async |_: Attachments| ())
}

fn one_attachment() -> Namespace {
    namespace().on("args", async |_: Data<Bytes>| ())
}

/// Returns an event with the same argument many times.
fn json(namespace: Namespace, argument: &str, times: usize) -> Attack {
    let message = format!("42[\"args\",{}]", list(argument, times));
    Attack::messages(server(namespace), text(&message))
}

/// Returns the same event with an attachment at the end.
fn attached(namespace: Namespace, times: usize) -> Attack {
    let ones = list("1", times);
    let message = format!("451-[\"args\",{ones},{{\"_placeholder\":true,\"num\":0}}]");
    let frames = [text(&message), binary(&[7; 64])];
    Attack::messages(server(namespace), frames.concat())
}

/// Returns an event encoded by `socket.io-msgpack-parser`, with the argument 1 many times.
fn msgpack(namespace: Namespace, times: usize) -> Attack {
    let count = u16::try_from(times + 1).expect("few arguments");
    let mut packet = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\xdc".to_vec();
    packet.extend_from_slice(&count.to_be_bytes());
    packet.extend_from_slice(b"\xa4args");
    packet.resize(packet.len() + times, 1);
    Attack::msgpack(server(namespace), binary(&packet))
}
