//! The hot path does not allocate: counted, not believed.

#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use fanfare_protocol::socket::{Decoder, Packet, encode_ack, encode_connect_reply, encode_event};
use fanfare_protocol::{Limits, NoAck, Typed, TypedEvent};
use serde::{Deserialize, Serialize};

/// The system's allocator, counting the calls of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
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
