//! Allocations of the hot path, counted: there are none.

#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use fanfare_protocol::socket::{
    AllArgs, Args, Decoder, Packet, encode_ack, encode_connect_reply, encode_event,
};
use fanfare_protocol::typed::{NoAck, Typed, TypedEvent};
use fanfare_protocol::{Limits, Value, msgpack};
use serde::{Deserialize, Serialize};

/// System allocator that counts the calls of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Number of bytes allocated and not freed.
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that an allocation takes from the system allocator.
fn taken(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

fn count(allocated: usize, freed: usize) {
    LIVE.with(|live| live.set(live.get().wrapping_add(allocated).wrapping_sub(freed)));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        count(taken(layout.size()), 0);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, taken(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        count(taken(size), taken(layout.size()));
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.with(Cell::get);
    run();
    ALLOCATIONS.with(Cell::get) - before
}

/// Number of bytes that the value of `make` holds.
fn held<T>(make: impl FnOnce() -> T) -> usize {
    let before = LIVE.with(Cell::get);
    let value = make();
    let held = LIVE.with(Cell::get).wrapping_sub(before);
    drop(value);
    held
}

/// Number of bytes that the most expensive of the usual types holds for these arguments.
fn held_at_most(args: &Args<'_>) -> usize {
    let json = held(|| args.decode::<AllArgs<serde_json::Value>>());
    let value = held(|| args.decode::<AllArgs<Value>>().unwrap());
    let maps = held(|| args.decode::<AllArgs<Vec<HashMap<String, Value>>>>());
    let trees = held(|| args.decode::<AllArgs<Vec<BTreeMap<String, serde_json::Value>>>>());
    json.max(value).max(maps).max(trees)
}

#[test]
fn what_is_held_is_known_before_it_is_deserialized() {
    let list = |value: &str| format!("[{}]", vec![value; 200].join(","));
    let mut values: Vec<String> = [
        r#"{"":0}"#,
        r#"{"a":[]}"#,
        r#"{"a":"b","c":"d"}"#,
        r#"{"a":{"b":{"c":{}}}}"#,
        "[]",
        "{}",
        "[0]",
        "[[0]]",
        "0",
        "\"\"",
        "\"a\"",
        "\"a longer text, with a comma\"",
        "1.5e300",
        "null",
    ]
    .map(list)
    .into();
    let members = |from: usize, to: usize| {
        let members: Vec<_> = (from..to).map(|n| format!(r#""k{n}":0"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    values.extend((1..25).map(|len| list(&members(0, len))));
    values.push(members(0, 3000));
    for value in &values {
        let json = format!("[{value}]");
        let spread = value.starts_with('[').then(|| value.clone());
        for json in [Some(json), spread].into_iter().flatten() {
            let args = Args::from_json(&json, 128).unwrap();
            let (estimate, held) = (args.decoded_bytes(), held_at_most(&args));
            let sample = &json[..json.len().min(60)];
            assert!(held <= estimate, "{held} > {estimate}: {sample}");

            let AllArgs(values) = args.decode::<AllArgs<Value>>().unwrap();
            let mut message = Vec::new();
            msgpack::encode_ack(&mut message, "/", 0, &AllArgs(values)).unwrap();
            let Ok(Packet::Ack(ack)) = msgpack::decode(&message, &Limits::default()) else {
                panic!("no acknowledgement")
            };
            let (estimate, held) = (ack.args.decoded_bytes(), held_at_most(&ack.args));
            assert!(
                held <= estimate,
                "{held} > {estimate}: {sample} in MessagePack"
            );
        }
    }
    // For typical payloads the estimate is not excessive either.
    let chat = r#"[{"room":"lobby","user":{"id":17,"name":"Ann"},"text":"Hello, all of you: here I am!"}]"#;
    let args = Args::from_json(chat, 128).unwrap();
    let (estimate, most) = (args.decoded_bytes(), held_at_most(&args));
    assert!(estimate < 3 * most, "{estimate} for {most}");

    // A copy that is not deserialized holds its bytes and the bounds of each argument.
    let many = list("0");
    let args = Args::from_json(&many, 8).unwrap();
    let (estimate, held) = (args.held_bytes(), held(|| args.to_buf()));
    assert!(
        held <= estimate && estimate < 2 * held,
        "{estimate} for {held}"
    );
}

/// Two arguments.
#[derive(Serialize, Deserialize)]
struct Moved(Position, u8);

impl TypedEvent for Moved {
    const NAME: &'static str = "move";
    type Ack = NoAck;
}

#[derive(Serialize, Deserialize)]
struct Position {
    x: f64,
    y: f64,
    visible: bool,
}

#[test]
fn decoding_a_text_event_allocates_nothing() {
    let limits = Limits::default();
    let mut decoder = Decoder::new();
    let text =
        r#"2/game,12["move",{"x":1.25,"y":-7,"visible":true},3,null,"more text than eight bytes"]"#;
    let count = allocations(|| {
        let Ok(Some(Packet::Event(event))) = decoder.text(text, &limits) else {
            panic!()
        };
        let (position, layer): (Position, u8) = event.args.decode().unwrap();
        assert!(position.visible && position.x == 1.25 && position.y == -7.0 && layer == 3);
        assert_eq!((event.name.as_ref(), event.args.len()), ("move", 4));
        let Typed(Moved(position, layer)) = event.args.decode().unwrap();
        assert!(position.visible && layer == 3);
    });
    assert_eq!(count, 0);
    assert_eq!(allocations(|| drop(Decoder::new())), 0);
}

#[test]
fn encoding_into_room_that_is_there_allocates_nothing() {
    let (mut out, mut attachments) = (Vec::with_capacity(512), Vec::new());
    let position = Position {
        x: 0.5,
        y: 1e9,
        visible: false,
    };
    let moved = Moved(position, 1);
    let position = &moved.0;
    let count = allocations(|| {
        encode_ack(&mut out, "/", 3, &("ok", 17), &mut attachments).unwrap();
        encode_event(
            &mut out,
            "/game",
            Some(u64::MAX),
            "move",
            &(position, "é"),
            &mut attachments,
        )
        .unwrap();
        encode_connect_reply(&mut out, "/game", "abc", Some("def"));
        let moved = Typed(&moved);
        encode_event(&mut out, "/", None, Moved::NAME, &moved, &mut attachments).unwrap();
    });
    assert_eq!(count, 0);
    assert_eq!(
        out,
        concat!(
            r#"33["ok",17]"#,
            r#"2/game,18446744073709551615["move",{"x":0.5,"y":1000000000.0,"visible":false},"é"]"#,
            r#"0/game,{"sid":"abc","pid":"def"}"#,
            r#"2["move",{"x":0.5,"y":1000000000.0,"visible":false},1]"#
        )
        .as_bytes()
    );
}
