//! Cost of the server, in this process and on one thread: `cargo bench -p fanfare --bench server`. Writes to sockets
//! are real, so the figures of emits include the kernel.

mod fixture;

use std::cell::RefCell;
use std::hint::black_box;

use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, criterion_group, criterion_main};
use fixture::{Fixture, text_frames};

const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Starts a server whose sockets are all in `room` and alternately in `even` or `odd`.
fn in_rooms(clients: usize) -> Fixture {
    let fixture = Fixture::new(clients);
    for (number, socket) in fixture.io.of("/").sockets().iter().enumerate() {
        let _ = socket.join("room");
        let _ = socket.join(if number % 2 == 0 { "even" } else { "odd" });
    }
    fixture
}

fn rooms(c: &mut Criterion) {
    let mut group = c.benchmark_group("rooms");
    // A room with one member is created and deleted among many others.
    for others in [0, 100, 10_000] {
        let fixture = Fixture::new(1);
        let socket = fixture.socket();
        (0..others).for_each(|number| drop(socket.join(format!("other-{number}"))));
        group.bench_function(BenchmarkId::new("join and leave", others), |b| {
            b.iter(|| {
                let _ = socket.join(black_box("room"));
                socket.leave(black_box("room"));
            });
        });
    }
    // The selection of recipients, each once.
    for clients in [10, 200] {
        let fixture = in_rooms(clients);
        group.bench_function(BenchmarkId::new("to(even).to(odd)", clients), |b| {
            b.iter(|| fixture.io.to("even").to("odd").sockets().len());
        });
        group.bench_function(BenchmarkId::new("to(room).except(odd)", clients), |b| {
            b.iter(|| fixture.io.to("room").except("odd").sockets().len());
        });
    }
    group.finish();
}

/// Repeats an operation; the clients read the resulting data in between.
fn drained(b: &mut Bencher<'_>, fixture: &RefCell<Fixture>, mut work: impl FnMut()) {
    b.iter_batched(
        || fixture.borrow_mut().drain(),
        |_| work(),
        BatchSize::PerIteration,
    );
}

fn outbox(c: &mut Criterion) {
    let mut group = c.benchmark_group("outbox");
    // One write to each of many recipients.
    for clients in [1, 10, 200] {
        let fixture = RefCell::new(Fixture::new(clients));
        group.bench_function(BenchmarkId::new("broadcast", clients), |b| {
            drained(b, &fixture, || {
                let _ = fixture.borrow().enter(|io| io.emit("msg", black_box(TEXT)));
            });
        });
    }
    // Pushed to the outbox of one socket, and flushed by one write.
    let fixture = RefCell::new(Fixture::new(1));
    let socket = fixture.borrow().socket();
    group.bench_function("push 16 and flush", |b| {
        drained(b, &fixture, || {
            fanfare_engine::batch(|| {
                for _ in 0..16 {
                    let _ = socket.emit("msg", black_box(TEXT));
                }
            });
        });
    });
    group.finish();
}

/// Measures sixteen events that arrive together, to a handler that takes them, and to one that acknowledges them.
fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("events");
    for (name, start) in [
        ("16 in", "42[\"event\""),
        ("16 in, acknowledged", "421[\"echo\""),
    ] {
        let fixture = RefCell::new(Fixture::new(1));
        let bytes = text_frames(std::iter::repeat_n(format!("{start},\"{TEXT}\"]"), 16));
        group.bench_function(name, |b| {
            drained(b, &fixture, || {
                fixture.borrow_mut().send(&bytes, 16);
            });
        });
    }
    group.finish();
}

/// Measures a client on long-polling: a GET that finds a packet, and a POST with an event.
fn polling(c: &mut Criterion) {
    let mut group = c.benchmark_group("polling");
    let fixture = Fixture::new(0);
    let mut clients = fixture.polling(1);
    let (get, packet) = ([clients[0].get()], format!("42[\"msg\",\"{TEXT}\"]"));
    group.bench_function("GET", |b| {
        b.iter(|| {
            let _ = fixture.enter(|io| io.emit("msg", black_box(TEXT)));
            fixture.send_gets(&mut clients, &get);
            fixture.take_answers(&mut clients, &packet);
        });
    });
    let post = [clients[0].post(&format!("42[\"event\",\"{TEXT}\"]"))];
    group.bench_function("POST", |b| {
        b.iter(|| fixture.post(&mut clients, &post));
    });
    let handled = fixture.events();
    assert!(handled > 0, "events came with POST");
    group.finish();
}

criterion_group!(benches, rooms, outbox, events, polling);
criterion_main!(benches);
