//! The hot paths, for counting instructions: `cargo xtask test guards` runs this under callgrind, with few and with many
//! repetitions, and divides the difference. Limits are in `instructions.limits`.

mod fixture;

use fixture::{Fixture, text_frames};

/// What is sent.
const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Events that arrive together.
const TOGETHER: usize = 16;
/// Clients that get a broadcast.
const RECIPIENTS: usize = 200;

/// A path: its name, and what does it so many times and returns how many units that was.
type Path = (&'static str, fn(usize) -> usize);

const PATHS: [Path; 6] = [
    ("broadcast_per_recipient", broadcast),
    ("room_emit_per_recipient", room_emit),
    ("event_in", event_in),
    ("event_in_ack_out", ack_out),
    ("emit_to_one", emit_to_one),
    ("join_and_leave", join_and_leave),
];

/// Makes room in the sockets, so seldom that it does not count.
fn seldom_drain(fixture: &mut Fixture, number: usize) {
    if number % 100 == 99 {
        fixture.drain();
    }
}

/// One message to everybody, written at once.
fn broadcast(times: usize) -> usize {
    let fixture = Fixture::new(RECIPIENTS);
    for _ in 0..times {
        let report = fixture.enter(|io| io.emit("msg", TEXT)).expect("sent");
        assert_eq!((report.recipients, report.full), (RECIPIENTS, 0));
    }
    times * RECIPIENTS
}

/// The same to a room of ten among a hundred others.
fn room_emit(times: usize) -> usize {
    let mut fixture = Fixture::new(10);
    let room = fixture.io.of("/").sockets();
    room.iter().for_each(|socket| {
        (0..100).for_each(|other| drop(socket.join(format!("other-{other}"))));
        let _ = socket.join("room");
    });
    for number in 0..times * 20 {
        let report = fixture
            .enter(|io| io.to("room").emit("msg", TEXT))
            .expect("sent");
        assert_eq!((report.recipients, report.full), (room.len(), 0));
        seldom_drain(&mut fixture, number);
    }
    times * 20 * room.len()
}

/// An event with one argument, to a handler that takes it.
fn event_in(times: usize) -> usize {
    let mut fixture = Fixture::new(1);
    let packet = format!("42[\"event\",\"{TEXT}\"]");
    let bytes = text_frames(std::iter::repeat_n(packet, TOGETHER));
    for _ in 0..times * 4 {
        fixture.send(&bytes, TOGETHER);
    }
    times * 4 * TOGETHER
}

/// An event whose handler acknowledges it.
fn ack_out(times: usize) -> usize {
    let mut fixture = Fixture::new(1);
    let packets = (10..).map(|id| format!("42{id}[\"echo\",\"{TEXT}\"]"));
    let bytes = text_frames(packets.take(TOGETHER));
    // `43<id>["<text>"]` in a frame with a head of two bytes.
    let answers = TOGETHER * (2 + 2 + 2 + 4 + TEXT.len());
    for _ in 0..times * 4 {
        fixture.send(&bytes, TOGETHER);
        assert_eq!(fixture.drain(), answers);
    }
    times * 4 * TOGETHER
}

/// An event to one socket, from outside of a handler.
fn emit_to_one(times: usize) -> usize {
    let mut fixture = Fixture::new(1);
    let socket = fixture.socket();
    for number in 0..times * 20 {
        fixture.enter(|_| socket.emit("msg", TEXT)).expect("sent");
        seldom_drain(&mut fixture, number);
    }
    times * 20
}

/// A room that comes and goes.
fn join_and_leave(times: usize) -> usize {
    let fixture = Fixture::new(1);
    let socket = fixture.socket();
    for _ in 0..times * 20 {
        let _ = socket.join("room");
        socket.leave("room");
    }
    times * 20
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let path = |name: &str| PATHS.iter().find(|(path, _)| *path == name);
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [name, times] if path(name).is_some() => {
            let times = times.parse().expect("how often");
            let units = path(name).map(|(_, run)| run(times));
            println!("{}", units.unwrap_or_default());
        }
        // `cargo bench` runs all benchmarks; this one says nothing without callgrind.
        _ => PATHS.iter().for_each(|(name, _)| println!("{name}")),
    }
}
