//! The hot paths, for counting instructions: `cargo xtask test guards` runs this under callgrind, with few and with
//! many repetitions, and divides the difference. Limits are in `instructions.limits`.

#[path = "fixture/cluster.rs"]
mod cluster;
mod fixture;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use cluster::{Peer, ToPeer};
use fanfare::adapter::{Broadcast, ClusterOptions, EncodedEvent};
use fixture::polling::Polling;
use fixture::{Fixture, text_frames};

/// Argument of the events.
const TEXT: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Number of events that arrive together.
const TOGETHER: usize = 16;
/// Number of recipients of a broadcast.
const RECIPIENTS: usize = 200;

/// A path: its name, and a function that repeats it and returns the number of units that it processed.
type Path = (&'static str, fn(usize) -> usize);

const PATHS: [Path; 13] = [
    ("broadcast_per_recipient", broadcast),
    ("room_emit_per_recipient", room_emit),
    ("event_in", event_in),
    ("event_in_ack_out", ack_out),
    ("event_alone_ack_out", alone),
    ("fan_out_per_recipient", fan_out),
    ("emit_to_one", emit_to_one),
    ("join_and_leave", join_and_leave),
    ("poll_get", poll_get),
    ("poll_post", poll_post),
    ("poll_echo", poll_echo),
    ("cluster_emit", cluster_emit),
    ("cluster_receive", cluster_receive),
];

/// Empties the sockets' buffers, so rarely that it does not affect the count.
fn seldom_drain(fixture: &mut Fixture, number: usize) {
    if number % 100 == 99 {
        fixture.drain();
    }
}

/// Sends messages to all clients, written at once.
fn broadcast(times: usize) -> usize {
    let fixture = Fixture::new(RECIPIENTS);
    for _ in 0..times {
        let report = fixture.enter(|io| io.emit("msg", TEXT)).expect("sent");
        assert_eq!((report.recipients, report.full), (RECIPIENTS, 0));
    }
    times * RECIPIENTS
}

/// Sends messages to a room of ten sockets, each of which is in a hundred other rooms.
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

/// Sends events with one argument to a handler that takes it.
fn event_in(times: usize) -> usize {
    let mut fixture = Fixture::new(1);
    let packet = format!("42[\"event\",\"{TEXT}\"]");
    let bytes = text_frames(std::iter::repeat_n(packet, TOGETHER));
    for _ in 0..times * 4 {
        fixture.send(&bytes, TOGETHER);
    }
    times * 4 * TOGETHER
}

/// Sends events whose handler acknowledges them.
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

/// Sends events that the handler acknowledges, one from each of several clients.
fn alone(times: usize) -> usize {
    let mut fixture = Fixture::new(TOGETHER);
    let bytes = text_frames([format!("4210[\"echo\",\"{TEXT}\"]")]);
    let answers = TOGETHER * (2 + 2 + 2 + 4 + TEXT.len());
    for _ in 0..times * 4 {
        fixture.send_from(TOGETHER, &bytes, TOGETHER);
        assert_eq!(fixture.drain(), answers);
    }
    times * 4 * TOGETHER
}

/// Sends events together, each of which the handler broadcasts to all clients.
fn fan_out(times: usize) -> usize {
    let mut fixture = Fixture::new(RECIPIENTS);
    let packet = format!("42[\"broadcast\",\"{TEXT}\"]");
    let bytes = text_frames(std::iter::repeat_n(packet, TOGETHER));
    // `42["msg","<text>"]` in a frame with a head of two bytes.
    let messages = TOGETHER * RECIPIENTS * (2 + 2 + 10 + TEXT.len());
    for _ in 0..times {
        fixture.send(&bytes, TOGETHER);
        assert_eq!(fixture.drain(), messages);
    }
    times * TOGETHER * RECIPIENTS
}

/// Sends events to one socket, from outside of a handler.
fn emit_to_one(times: usize) -> usize {
    let mut fixture = Fixture::new(1);
    let socket = fixture.socket();
    for number in 0..times * 20 {
        fixture.enter(|_| socket.emit("msg", TEXT)).expect("sent");
        seldom_drain(&mut fixture, number);
    }
    times * 20
}

/// Creates and deletes rooms by joining and leaving.
fn join_and_leave(times: usize) -> usize {
    let fixture = Fixture::new(1);
    let socket = fixture.socket();
    for _ in 0..times * 20 {
        let _ = socket.join("room");
        socket.leave("room");
    }
    times * 20
}

/// Sends GETs from several clients, each of which finds a packet.
fn poll_get(times: usize) -> usize {
    let fixture = Fixture::new(0);
    let mut clients = fixture.polling(TOGETHER);
    let requests: Vec<_> = clients.iter().map(Polling::get).collect();
    let packet = format!("42[\"msg\",\"{TEXT}\"]");
    for _ in 0..times * 4 {
        fixture.enter(|io| io.emit("msg", TEXT)).expect("sent");
        fixture.send_gets(&mut clients, &requests);
        fixture.take_answers(&mut clients, &packet);
    }
    times * 4 * TOGETHER
}

/// Sends POSTs with one event each.
fn poll_post(times: usize) -> usize {
    let fixture = Fixture::new(0);
    let mut clients = fixture.polling(TOGETHER);
    let packet = format!("42[\"event\",\"{TEXT}\"]");
    let requests: Vec<_> = clients.iter().map(|client| client.post(&packet)).collect();
    for _ in 0..times * 4 {
        fixture.post(&mut clients, &requests);
    }
    assert_eq!(fixture.events(), times * 4 * TOGETHER);
    times * 4 * TOGETHER
}

/// Sends GETs that wait until the event of a POST is acknowledged.
fn poll_echo(times: usize) -> usize {
    let fixture = Fixture::new(0);
    let mut clients = fixture.polling(TOGETHER);
    let gets: Vec<_> = clients.iter().map(Polling::get).collect();
    let packet = format!("421[\"echo\",\"{TEXT}\"]");
    let posts: Vec<_> = clients.iter().map(|client| client.post(&packet)).collect();
    let acknowledged = format!("431[\"{TEXT}\"]");
    for _ in 0..times * 4 {
        fixture.send_gets(&mut clients, &gets);
        fixture.post(&mut clients, &posts);
        fixture.take_answers(&mut clients, &acknowledged);
    }
    times * 4 * TOGETHER
}

/// Broadcasts from a server in a cluster: to one client, and as JSON to the adapter.
fn cluster_emit(times: usize) -> usize {
    let peer = Arc::new(Peer::default());
    let mut fixture = Fixture::with(1, |builder| builder.adapter(ToPeer(peer.clone())));
    for number in 0..times * 20 {
        let report = fixture.enter(|io| io.emit("msg", TEXT)).expect("sent");
        assert_eq!(report.recipients, 1);
        seldom_drain(&mut fixture, number);
    }
    let json = r#"["msg",""]"#.len() + TEXT.len();
    assert_eq!(peer.bytes.load(Relaxed), times * 20 * json);
    times * 20
}

/// Receives broadcasts of another server, as JSON, for one client.
fn cluster_receive(times: usize) -> usize {
    let peer = Arc::new(Peer::default());
    let mut fixture = Fixture::with(1, |builder| builder.adapter(ToPeer(peer.clone())));
    let cluster = peer.cluster.get().expect("an adapter that has started");
    let json = format!("[\"msg\",\"{TEXT}\"]");
    for number in 0..times * 20 {
        fixture.enter(|_| {
            let event = EncodedEvent::from_json(json.as_str(), Vec::new()).expect("an event");
            let broadcast = Broadcast::new(event, ClusterOptions::default());
            cluster.receive("/", "peer", broadcast);
        });
        seldom_drain(&mut fixture, number);
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
        // `cargo bench` runs all benchmarks; this one measures nothing without callgrind.
        _ => PATHS.iter().for_each(|(name, _)| println!("{name}")),
    }
}
