//! What the server costs, in this process and on one thread: `cargo bench -p fanfare --bench server`. Writes to sockets
//! are real, so the kernel's part is in the figures of emits.

mod fixture;

use divan::{Bencher, black_box};
use fixture::{Fixture, text_frames};

const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn main() {
    divan::main();
}

/// A server whose sockets are all in `room` and, by turns, in `even` or `odd`.
fn in_rooms(clients: usize) -> Fixture {
    let fixture = Fixture::new(clients);
    for (number, socket) in fixture.io.of("/").sockets().iter().enumerate() {
        let _ = socket.join("room");
        let _ = socket.join(if number % 2 == 0 { "even" } else { "odd" });
    }
    fixture
}

/// A room of one comes and goes, among so many others.
#[divan::bench(args = [0, 100, 10_000])]
fn join_and_leave(bencher: Bencher<'_, '_>, others: usize) {
    let fixture = Fixture::new(1);
    let socket = fixture.socket();
    (0..others).for_each(|number| drop(socket.join(format!("other-{number}"))));
    bencher.bench_local(|| {
        let _ = socket.join(black_box("room"));
        socket.leave(black_box("room"));
    });
}

/// Whom `to(even).to(odd)` means, each once.
#[divan::bench(args = [10, 200])]
fn union_of_rooms(bencher: Bencher<'_, '_>, clients: usize) {
    let fixture = in_rooms(clients);
    bencher.bench_local(|| fixture.io.to("even").to("odd").sockets().len());
}

/// Whom `to(room).except(odd)` means.
#[divan::bench(args = [10, 200])]
fn except_rooms(bencher: Bencher<'_, '_>, clients: usize) {
    let fixture = in_rooms(clients);
    bencher.bench_local(|| fixture.io.to("room").except("odd").sockets().len());
}

/// One write to each of so many.
#[divan::bench(args = [1, 10, 200])]
fn broadcast(bencher: Bencher<'_, '_>, clients: usize) {
    let fixture = std::cell::RefCell::new(Fixture::new(clients));
    bencher
        .with_inputs(|| fixture.borrow_mut().drain())
        .bench_local_values(|_| {
            let fixture = fixture.borrow();
            fixture.enter(|io| io.emit("msg", black_box(TEXT)))
        });
}

/// Sixteen events to one socket: pushed to its outbox, and flushed by one write.
#[divan::bench]
fn push_and_flush_16(bencher: Bencher<'_, '_>) {
    let fixture = std::cell::RefCell::new(Fixture::new(1));
    let socket = fixture.borrow().socket();
    bencher
        .with_inputs(|| fixture.borrow_mut().drain())
        .bench_local_values(|_| {
            fanfare_engine::batch(|| {
                for _ in 0..16 {
                    let _ = socket.emit("msg", black_box(TEXT));
                }
            });
        });
}

/// Sixteen events that arrive together, to a handler that takes them.
#[divan::bench]
fn events_in_16(bencher: Bencher<'_, '_>) {
    arriving(bencher, "42[\"event\"");
}

/// The same to a handler that acknowledges them.
#[divan::bench]
fn events_in_and_acks_out_16(bencher: Bencher<'_, '_>) {
    arriving(bencher, "421[\"echo\"");
}

fn arriving(bencher: Bencher<'_, '_>, start: &str) {
    let fixture = std::cell::RefCell::new(Fixture::new(1));
    let packet = format!("{start},\"{TEXT}\"]");
    let bytes = text_frames(std::iter::repeat_n(packet, 16));
    bencher
        .with_inputs(|| fixture.borrow_mut().drain())
        .bench_local_values(|_| fixture.borrow_mut().send(&bytes, 16));
}
