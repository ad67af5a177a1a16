//! The server's session against a model of the official client, in virtual time.
//!
//! `every_order_of_events` enumerates all orders of requests, answers, frames, emits and timers; the random tests go
//! further with more messages, and with faults.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use fanfare_protocol::engine::CloseReason;
use fanfare_protocol::engine::session::{
    Actions, Received, Session, SessionConfig, SessionRejection, Stage, Tail,
};
use fanfare_protocol::engine::{Protocol, Transport};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Packet {
    Message(u32),
    Ping,
    Pong,
    Probe,
    ProbePong,
    Upgrade,
    Noop,
    Close,
}

impl Packet {
    fn received(self) -> Received {
        match self {
            Packet::Message(_) => Received::Message,
            Packet::Ping => Received::Ping,
            Packet::Pong | Packet::ProbePong => Received::Pong,
            Packet::Probe => Received::Probe,
            Packet::Upgrade => Received::Upgrade,
            Packet::Noop => Received::Ignored,
            Packet::Close => Received::Close,
        }
    }
}

/// Driver of a session, as the engine is one.
#[derive(Clone, Debug)]
struct Server {
    now: Instant,
    times: SessionConfig,
    session: Session,
    queue: Vec<Packet>,
    emitted: u32,
    got: Vec<u32>,
    closed: u32,
    websocket: bool,
}

/// State of the whole simulation, the network included.
#[derive(Clone, Debug)]
struct World {
    server: Server,
    // The client.
    emits: u32,
    emitted: u32,
    buffer: Vec<Packet>,
    got: Vec<u32>,
    get_open: bool,
    post_open: bool,
    upgrading: bool,
    paused: bool,
    on_websocket: bool,
    probe: Probe,
    dead: bool,
    // The network.
    get_up: bool,
    get_down: Option<Vec<Packet>>,
    post_up: Option<Vec<Packet>>,
    /// Packets of the POST that the server has started to read.
    post_begun: Option<Vec<Packet>>,
    post_down: bool,
    up: VecDeque<Packet>,
    down: VecDeque<Packet>,
    server_emits: u32,
    ticks: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    None,
    /// The client has requested a WebSocket; the server has not seen it.
    Asked,
    Attached,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    ClientEmit,
    ServerEmit,
    GetUp,
    GetDown,
    PostBegin,
    PostEnd,
    PostDown,
    AskUpgrade,
    Attach,
    FrameUp,
    FrameDown,
    Tick,
    // Faults.
    LoseProbe,
    ServerClose,
    ServerDiscard,
    ClientGone,
}

impl World {
    fn new(emits: u32, server_emits: u32, ticks: u32) -> World {
        let times = SessionConfig::default();
        let now = Instant::now();
        let mut world = World {
            server: Server {
                now,
                times,
                session: Session::new(now, Transport::Polling, Protocol::V4, &times),
                queue: Vec::new(),
                emitted: 0,
                got: Vec::new(),
                closed: 0,
                websocket: false,
            },
            emits,
            emitted: 0,
            buffer: Vec::new(),
            got: Vec::new(),
            get_open: false,
            post_open: false,
            upgrading: false,
            paused: false,
            on_websocket: false,
            probe: Probe::None,
            dead: false,
            get_up: false,
            get_down: None,
            post_up: None,
            post_begun: None,
            post_down: false,
            up: VecDeque::new(),
            down: VecDeque::new(),
            server_emits,
            ticks,
        };
        world.client_turn();
        world
    }

    fn key(&self) -> String {
        format!("{self:?}")
    }

    fn enabled(&self, faults: bool) -> Vec<Event> {
        let mut events = Vec::new();
        let mut add = |condition: bool, event| {
            if condition {
                events.push(event);
            }
        };
        add(!self.dead && self.emitted < self.emits, Event::ClientEmit);
        add(
            self.server.emitted < self.server_emits && self.server.session.stage() == Stage::Open,
            Event::ServerEmit,
        );
        add(self.get_up, Event::GetUp);
        add(self.get_down.is_some() && !self.dead, Event::GetDown);
        add(self.post_up.is_some(), Event::PostBegin);
        add(self.post_begun.is_some(), Event::PostEnd);
        add(self.post_down && !self.dead, Event::PostDown);
        add(!self.dead && self.probe == Probe::None, Event::AskUpgrade);
        add(self.probe == Probe::Asked, Event::Attach);
        // Input of a new WebSocket waits for the end of the POST: the driver's part of the contract.
        let held = self.server.websocket && self.server.session.post_under_way();
        add(
            !self.up.is_empty() && self.probe == Probe::Attached && !held,
            Event::FrameUp,
        );
        add(!self.down.is_empty() && !self.dead, Event::FrameDown);
        let waits = self.server.session.get_waits() && self.server.session.upgrading();
        if waits && (self.ticks > 0 || events.is_empty()) {
            events.push(Event::Tick);
        }
        let mut add = |condition: bool, event| {
            if condition {
                events.push(event);
            }
        };
        if faults {
            add(
                self.probe == Probe::Attached && !self.on_websocket && !self.server.websocket,
                Event::LoseProbe,
            );
            add(
                self.server.session.stage() == Stage::Open,
                Event::ServerClose,
            );
            add(
                self.server.session.stage() != Stage::Closed,
                Event::ServerDiscard,
            );
            add(!self.dead, Event::ClientGone);
        }
        events
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::ClientEmit => {
                self.buffer.push(Packet::Message(self.emitted));
                self.emitted += 1;
            }
            Event::ServerEmit => {
                let packet = Packet::Message(self.server.emitted);
                self.server.emitted += 1;
                self.server.queue.push(packet);
                self.act(Actions::FLUSH | Actions::ANSWER);
            }
            Event::GetUp => {
                self.get_up = false;
                match self.server.session.get() {
                    Ok(actions) => self.act(actions),
                    Err((refused, actions)) => {
                        assert_ne!(
                            refused,
                            SessionRejection::Overlap,
                            "an official client never has two GETs"
                        );
                        self.get_down = Some(vec![Packet::Close]);
                        self.act(actions);
                    }
                }
            }
            Event::GetDown => {
                let packets = self.get_down.take().expect("enabled");
                self.get_open = false;
                for packet in packets {
                    self.client_got(packet);
                }
            }
            Event::PostBegin => {
                let packets = self.post_up.take().expect("enabled");
                match self.server.session.post() {
                    Ok(()) => self.post_begun = Some(packets),
                    Err((refused, actions)) => {
                        assert_ne!(
                            refused,
                            SessionRejection::Overlap,
                            "an official client never has two POSTs"
                        );
                        self.act(actions);
                        self.post_down = true;
                    }
                }
            }
            Event::PostEnd => {
                for packet in self.post_begun.take().expect("enabled") {
                    self.server_got(Transport::Polling, packet);
                }
                self.server.session.post_done();
                self.post_down = true;
            }
            Event::PostDown => {
                self.post_down = false;
                self.post_open = false;
            }
            Event::AskUpgrade => {
                self.probe = Probe::Asked;
                self.up.push_back(Packet::Probe);
            }
            Event::Attach => {
                let attached = self
                    .server
                    .session
                    .attach_probe(self.server.now, &self.server.times);
                self.probe = if attached.is_ok() {
                    Probe::Attached
                } else {
                    Probe::Gone
                };
            }
            Event::FrameUp => {
                let packet = self.up.pop_front().expect("enabled");
                if self.server.websocket {
                    self.server_got(Transport::WebSocket, packet);
                } else {
                    let (now, times) = (self.server.now, self.server.times);
                    let actions = self
                        .server
                        .session
                        .probe_packet(now, packet.received(), &times);
                    self.act(actions);
                }
            }
            Event::FrameDown => {
                let packet = self.down.pop_front().expect("enabled");
                if packet == Packet::ProbePong {
                    self.upgrading = true;
                } else {
                    self.client_got(packet);
                }
            }
            Event::Tick => {
                self.ticks = self.ticks.saturating_sub(1);
                self.advance(Duration::from_millis(100));
            }
            Event::LoseProbe => {
                self.probe = Probe::Gone;
                self.up.clear();
                self.down.clear();
                self.upgrading = false;
                self.paused = false;
                let actions = self.server.session.probe_lost();
                self.act(actions);
            }
            Event::ServerClose | Event::ServerDiscard => {
                let queued = !self.server.queue.is_empty();
                let (now, times) = (self.server.now, self.server.times);
                let actions =
                    self.server
                        .session
                        .close(now, event == Event::ServerDiscard, queued, &times);
                self.act(actions);
            }
            Event::ClientGone => {
                self.dead = true;
                self.get_up = false;
                self.get_down = None;
                self.post_up = None;
                self.post_down = false;
                self.down.clear();
                self.up.clear();
                let mut actions = self.server.session.get_lost();
                if self.post_begun.take().is_some() {
                    actions |= self.server.session.post_lost();
                }
                self.act(actions);
                let actions = match self.server.websocket {
                    true => self.server.session.websocket_closed(),
                    false if self.probe == Probe::Attached => self.server.session.probe_lost(),
                    false => Actions::NONE,
                };
                self.act(actions);
            }
        }
        self.client_turn();
        self.check();
    }

    fn advance(&mut self, by: Duration) {
        self.server.now += by;
        let (now, times) = (self.server.now, self.server.times);
        let actions = self.server.session.tick(now, &times);
        self.act(actions);
    }

    /// Makes the client's moves that do not depend on the network.
    fn client_turn(&mut self) {
        if self.dead {
            return;
        }
        if self.upgrading && !self.paused && !self.get_open && !self.post_open {
            self.paused = true;
            self.upgrading = false;
            self.on_websocket = true;
            self.up.push_back(Packet::Upgrade);
        }
        if self.on_websocket {
            self.up.extend(self.buffer.drain(..));
            return;
        }
        if !self.upgrading {
            if !self.get_open {
                self.get_open = true;
                self.get_up = true;
            }
            if !self.post_open && !self.buffer.is_empty() {
                self.post_open = true;
                self.post_up = Some(std::mem::take(&mut self.buffer));
            }
        }
    }

    fn client_got(&mut self, packet: Packet) {
        match packet {
            Packet::Message(n) => self.got.push(n),
            Packet::Ping => self.buffer.push(Packet::Pong),
            Packet::Close => self.dead = true,
            _ => {}
        }
    }

    fn server_got(&mut self, lane: Transport, packet: Packet) {
        let (now, times) = (self.server.now, self.server.times);
        let actions = self
            .server
            .session
            .packet(now, lane, packet.received(), &times);
        if let Packet::Message(n) = packet
            && actions.contains(Actions::DELIVER)
        {
            self.server.got.push(n);
        }
        self.act(actions);
    }

    fn act(&mut self, actions: Actions) {
        let closed_before = self.server.closed;
        if actions.contains(Actions::PROBE_PONG) {
            self.down.push_back(Packet::ProbePong);
        }
        if actions.contains(Actions::SWITCH) {
            assert!(!self.server.websocket, "a session switches once");
            self.server.websocket = true;
        }
        if actions.contains(Actions::PING) {
            self.server.queue.push(Packet::Ping);
        }
        if actions.contains(Actions::CLOSED) {
            self.server.closed += 1;
            self.server.queue.clear();
        }
        assert!(
            closed_before == 0 || self.server.closed == closed_before,
            "closed once"
        );
        if self.server.websocket && self.server.closed == 0 && actions.contains(Actions::FLUSH) {
            self.down.extend(self.server.queue.drain(..));
            let actions = self.server.session.drained();
            self.act(actions);
        }
        if actions.contains(Actions::CLOSE_PROBE) {
            self.probe = Probe::Gone;
            self.up.clear();
            // Data in flight to the client still arrives, and then the end of the stream.
            if !self.on_websocket {
                self.down.clear();
                self.upgrading = false;
                self.paused = false;
            } else {
                self.dead = true;
            }
        }
        if actions.contains(Actions::CLOSE_WEBSOCKET) {
            self.down.push_back(Packet::Close);
        }
        self.answer();
    }

    fn answer(&mut self) {
        let queued = !self.server.queue.is_empty();
        if let Some(answer) = self.server.session.answer(queued) {
            let mut packets = Vec::new();
            if answer.packets {
                packets.append(&mut self.server.queue);
            }
            match answer.tail {
                Tail::Nothing => {}
                Tail::Noop => packets.push(Packet::Noop),
                Tail::Close => packets.push(Packet::Close),
                Tail::Rejected => {}
            }
            assert!(!packets.is_empty(), "an answer says something");
            if !self.dead {
                assert!(self.get_down.is_none());
                self.get_down = Some(packets);
            }
            self.act(answer.actions);
        }
    }

    /// Checks the invariants.
    fn check(&self) {
        let in_order = |got: &[u32]| got.iter().enumerate().all(|(i, &n)| n == i as u32);
        assert!(in_order(&self.got), "the client got {:?}", self.got);
        assert!(
            in_order(&self.server.got),
            "the server got {:?}",
            self.server.got
        );
        let over = self.server.session.stage() == Stage::Closed;
        assert_eq!(
            self.server.closed,
            u32::from(over),
            "a close is told exactly once"
        );
        assert_eq!(
            over,
            self.server.session.next_deadline().is_none(),
            "there is a deadline until the end"
        );
    }
}

fn explore(world: World, seen: &mut HashSet<String>, ends: &mut usize) {
    let mut stack = vec![world];
    while let Some(world) = stack.pop() {
        if !seen.insert(world.key()) {
            continue;
        }
        let events = world.enabled(false);
        if events.is_empty() {
            *ends += 1;
            assert_eq!(
                world.got.len(),
                world.server.emitted as usize,
                "lost: {world:#?}"
            );
            assert_eq!(
                world.server.got.len(),
                world.emitted as usize,
                "lost: {world:#?}"
            );
            assert!(
                world.on_websocket && world.server.websocket,
                "stuck: {world:#?}"
            );
            assert_eq!(world.server.session.stage(), Stage::Open);
            continue;
        }
        for event in events {
            let mut next = world.clone();
            next.step(event);
            stack.push(next);
        }
    }
}

#[test]
fn every_order_of_events_during_an_upgrade_loses_nothing() {
    for (up, down) in [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (1, 2), (2, 2)] {
        let (mut seen, mut ends) = (HashSet::new(), 0);
        explore(World::new(up, down, 3), &mut seen, &mut ends);
        assert!(ends > 0 && seen.len() > 15, "{} states", seen.len());
    }
}

fn run(world: &mut World, choices: &[u16], faults: bool) {
    for &choice in choices {
        let events = world.enabled(faults);
        let Some(&event) = events.get(usize::from(choice) % events.len().max(1)) else {
            break;
        };
        // Faults are rarer than other moves.
        let fault = matches!(
            event,
            Event::LoseProbe | Event::ServerClose | Event::ServerDiscard | Event::ClientGone
        );
        if fault && choice % 11 != 0 {
            continue;
        }
        world.step(event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn long_runs_lose_nothing(up in 0..12u32, down in 0..12u32, choices in prop::collection::vec(any::<u16>(), 0..400)) {
        let mut world = World::new(up, down, 20);
        run(&mut world, &choices, false);
        // The remaining moves happen in some order.
        for _ in 0..1000 {
            let Some(&event) = world.enabled(false).first() else { break };
            world.step(event);
        }
        prop_assert!(world.enabled(false).is_empty());
        prop_assert_eq!(world.got.len() as u32, down);
        prop_assert_eq!(world.server.got.len() as u32, up);
        prop_assert!(world.server.websocket);
    }

    #[test]
    fn faults_end_in_exactly_one_close(up in 0..6u32, down in 0..6u32, choices in prop::collection::vec(any::<u16>(), 0..300)) {
        let mut world = World::new(up, down, 20);
        run(&mut world, &choices, true);
        // The server detects a client that is gone or silent in the end, in any state.
        world.dead = true;
        world.get_up = false;
        world.post_up = None;
        for _ in 0..10 {
            world.advance(Duration::from_secs(30));
            world.check();
        }
        prop_assert_eq!(world.server.session.stage(), Stage::Closed);
        prop_assert_eq!(world.server.closed, 1);
    }
}

// Single rules.

#[derive(Clone)]
struct Fixture {
    now: Instant,
    times: SessionConfig,
    session: Session,
}

impl Fixture {
    fn new(transport: Transport, revision: Protocol) -> Fixture {
        let (now, times) = (Instant::now(), SessionConfig::default());
        Fixture {
            now,
            times,
            session: Session::new(now, transport, revision, &times),
        }
    }

    fn after(&mut self, time: Duration) -> Actions {
        self.now += time;
        self.session.tick(self.now, &self.times)
    }

    fn packet(&mut self, packet: Received) -> Actions {
        let lane = self.session.transport();
        self.session.packet(self.now, lane, packet, &self.times)
    }

    fn probe(&mut self, packet: Received) -> Actions {
        self.session.probe_packet(self.now, packet, &self.times)
    }

    fn attach(&mut self) -> Result<(), SessionRejection> {
        self.session.attach_probe(self.now, &self.times)
    }
}

const SEC: Duration = Duration::from_secs(1);

#[test]
fn pings_after_the_interval_and_times_out_without_a_pong() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    assert_eq!(f.session.next_deadline(), Some(f.now + 25 * SEC));
    assert!(f.after(24 * SEC).is_empty());
    assert!(f.after(SEC).contains(Actions::PING | Actions::FLUSH));
    // Only a pong resets the clock.
    assert_eq!(f.packet(Received::Message), Actions::DELIVER);
    assert!(f.after(19 * SEC).is_empty());
    let end = f.after(SEC);
    assert!(end.contains(Actions::CLOSED | Actions::CLOSE_WEBSOCKET));
    assert_eq!(f.session.reason(), CloseReason::PingTimeout);
    assert!(f.after(100 * SEC).is_empty());
}

#[test]
fn a_pong_starts_the_next_interval() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    assert!(f.after(25 * SEC).contains(Actions::PING));
    f.now += 19 * SEC;
    assert_eq!(f.packet(Received::Pong), Actions::RESCHEDULE);
    assert_eq!(f.session.next_deadline(), Some(f.now + 25 * SEC));
    assert!(f.after(24 * SEC).is_empty());
    assert!(f.after(SEC).contains(Actions::PING));
}

#[test]
fn a_paused_session_is_pinged_on_and_misses_no_pong() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    assert!(f.after(25 * SEC).contains(Actions::PING));
    // Its pong will stay unread.
    f.session.pause(f.now + 10 * SEC, &f.times);
    assert!(!f.session.is_timed());
    assert!(f.after(24 * SEC).is_empty());
    assert!(f.after(SEC).contains(Actions::PING));
    f.session.resume(f.now, &f.times);
    // Both pongs are read late; then the heartbeat continues normally.
    assert_eq!(f.packet(Received::Pong), Actions::RESCHEDULE);
    assert_eq!(f.packet(Received::Pong), Actions::RESCHEDULE);
    assert!(f.after(25 * SEC).contains(Actions::PING));
    assert!(f.after(20 * SEC).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::PingTimeout);
    assert!(!f.session.starved());
}

#[test]
fn a_session_that_is_paused_for_too_long_is_closed() {
    for revision in [Protocol::V3, Protocol::V4] {
        let mut f = Fixture::new(Transport::WebSocket, revision);
        let _ = f.after(20 * SEC);
        f.session.pause(f.now, &f.times);
        let _ = f.after(44 * SEC);
        assert_eq!(f.session.stage(), Stage::Open);
        // Pausing again does not prolong it.
        f.session.pause(f.now, &f.times);
        assert_eq!(f.session.next_deadline(), Some(f.now + SEC));
        assert!(f.after(SEC).contains(Actions::CLOSED));
        assert_eq!(f.session.reason(), CloseReason::ForcedClose);
        assert!(f.session.starved());
    }
}

/// Official clients wait for the answer to their POST, which a pause holds back, before they send `upgrade`.
#[test]
fn an_upgrade_has_its_time_again_after_a_pause() {
    for probe_first in [true, false] {
        let mut f = Fixture::new(Transport::Polling, Protocol::V4);
        if probe_first {
            f.attach().unwrap();
        }
        f.session.pause(f.now, &f.times);
        if !probe_first {
            f.attach().unwrap();
        }
        assert!(f.probe(Received::Probe).contains(Actions::PROBE_PONG));
        assert!(!f.after(20 * SEC).contains(Actions::CLOSE_PROBE));
        f.session.resume(f.now, &f.times);
        let mut late = f.clone();
        assert!(!f.after(9 * SEC).contains(Actions::CLOSE_PROBE));
        assert!(f.probe(Received::Upgrade).contains(Actions::SWITCH));
        assert!(late.after(10 * SEC).contains(Actions::CLOSE_PROBE));
    }
}

#[test]
fn a_client_of_revision_3_has_its_time_again_after_a_pause() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V3);
    f.session.pause(f.now, &f.times);
    let _ = f.after(44 * SEC);
    f.session.resume(f.now, &f.times);
    assert!(f.after(44 * SEC).is_empty());
    assert!(f.after(SEC).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::PingTimeout);
}

#[test]
fn heartbeats_in_the_wrong_direction_are_errors() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    assert!(f.packet(Received::Ping).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::TransportError);
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V3);
    assert!(f.packet(Received::Pong).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::TransportError);
}

#[test]
fn revision_3_clients_ping_and_are_missed_when_they_do_not() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V3);
    assert!(f.after(44 * SEC).is_empty());
    assert!(f.packet(Received::Ping).contains(Actions::PONG));
    assert!(f.after(44 * SEC).is_empty());
    assert!(f.after(SEC).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::PingTimeout);
}

#[test]
fn overlapping_requests_close_the_session() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.session.get().is_ok());
    let (refused, actions) = f.session.get().unwrap_err();
    assert_eq!(refused, SessionRejection::Overlap);
    assert!(actions.contains(Actions::CLOSED | Actions::ANSWER));
    assert_eq!(f.session.reason(), CloseReason::TransportError);
    let answer = f.session.answer(false).unwrap();
    assert!(!answer.packets && answer.tail == Tail::Close && answer.actions.is_empty());

    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.session.post().is_ok());
    assert_eq!(f.session.post().unwrap_err().0, SessionRejection::Overlap);
    assert_eq!(f.session.stage(), Stage::Closed);
    assert_eq!(f.session.get().unwrap_err().0, SessionRejection::Closed);
}

#[test]
fn requests_given_up_close_the_session() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.session.get_lost().is_empty(), "there is none");
    assert!(f.session.get().is_ok());
    assert!(f.session.get_lost().contains(Actions::CLOSED));
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.session.post().is_ok());
    assert!(f.session.post_lost().contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::TransportError);
}

#[test]
fn a_close_packet_releases_the_get_with_a_noop() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.session.get().is_ok());
    assert!(f.session.post().is_ok());
    assert!(
        f.packet(Received::Close)
            .contains(Actions::CLOSED | Actions::ANSWER)
    );
    assert_eq!(f.session.reason(), CloseReason::TransportClose);
    assert_eq!(f.session.answer(false).unwrap().tail, Tail::Noop);
    assert!(
        f.packet(Received::Message).is_empty(),
        "nothing is delivered any more"
    );
}

#[test]
fn what_was_emitted_before_the_end_is_the_answer_of_the_get_that_waits() {
    for end in [Received::Close, Received::Invalid] {
        let mut f = Fixture::new(Transport::Polling, Protocol::V4);
        assert!(f.session.get().is_ok());
        assert!(f.packet(end).contains(Actions::CLOSED | Actions::ANSWER));
        let answer = f.session.answer(true).unwrap();
        assert!(answer.packets && answer.tail == Tail::Nothing);
        assert!(f.session.answer(false).is_none());
    }
}

#[test]
fn a_get_that_is_lost_before_its_turn_ends_the_session_for_the_other() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(!f.session.get_is_early());
    assert!(f.session.get().is_ok());
    assert!(f.session.get_is_early());
    let lost = f.session.early_get_lost();
    assert!(lost.contains(Actions::CLOSED | Actions::ANSWER));
    assert_eq!(f.session.reason(), CloseReason::TransportError);
    assert_eq!(f.session.answer(false).unwrap().tail, Tail::Rejected);
}

#[test]
fn a_get_may_have_overtaken_the_upgrade_once_the_probe_was_answered() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert_eq!(f.attach(), Ok(()));
    assert!(!f.session.get_is_early());
    assert_eq!(f.probe(Received::Probe), Actions::PROBE_PONG);
    assert!(f.session.get_is_early());
    assert!(f.probe(Received::Upgrade).contains(Actions::SWITCH));
    assert!(!f.session.get_is_early());
    assert_eq!(
        f.session.get().unwrap_err().0,
        SessionRejection::TransportMismatch
    );
}

#[test]
fn what_arrives_after_the_deadline_finds_a_closed_session() {
    let times = SessionConfig::default();
    for revision in [Protocol::V4, Protocol::V3] {
        let mut f = Fixture::new(Transport::Polling, revision);
        let pings = f.after(25 * SEC);
        assert_eq!(pings.contains(Actions::PING), revision == Protocol::V4);
        assert!(f.session.is_timed());
        assert!(f.session.expire(f.now + 20 * SEC - SEC / 1000).is_empty());
        // No tick has occurred.
        f.now += 20 * SEC;
        let beat = match revision {
            Protocol::V4 => Received::Pong,
            Protocol::V3 => Received::Ping,
        };
        let mut other = f.session.clone();
        assert!(f.packet(beat).contains(Actions::CLOSED));
        assert_eq!(f.session.reason(), CloseReason::PingTimeout);
        assert!(other.attach_probe(f.now, &times).is_ok());
        let upgraded = other.probe_packet(f.now, Received::Upgrade, &times);
        assert!(upgraded.contains(Actions::CLOSED));
    }
}

#[test]
fn a_late_ping_takes_little_of_the_time_for_its_pong() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    let due = f.now + 25 * SEC;
    assert!(f.session.next_is_ping());
    // A coarse timer.
    assert!(f.after(25 * SEC + SEC / 16).contains(Actions::PING));
    assert_eq!(f.session.next_deadline(), Some(due + 20 * SEC));
    assert!(!f.session.next_is_ping());
    // A process that was suspended.
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    assert!(f.after(200 * SEC).contains(Actions::PING));
    assert_eq!(f.session.next_deadline(), Some(f.now + 20 * SEC * 7 / 8));
}

#[test]
fn the_longest_times_are_never() {
    let times = SessionConfig {
        ping_interval: Duration::MAX,
        ping_timeout: Duration::MAX,
        upgrade_timeout: Duration::MAX,
        noop_interval: Duration::MAX,
        close_timeout: Duration::MAX,
    };
    let year = 365 * 24 * 3600 * SEC;
    for revision in [Protocol::V3, Protocol::V4] {
        let now = Instant::now();
        let mut session = Session::new(now, Transport::Polling, revision, &times);
        assert_eq!(session.attach_probe(now, &times), Ok(()));
        assert_eq!(
            session.probe_packet(now, Received::Probe, &times),
            Actions::PROBE_PONG
        );
        assert!(session.tick(now + year, &times).is_empty());
        assert!(
            session
                .close(now, false, true, &times)
                .contains(Actions::FLUSH)
        );
        assert!(session.tick(now + year, &times).is_empty());
        assert_eq!(session.stage(), Stage::Closing);
    }
    let times = SessionConfig {
        ping_interval: SEC,
        ..times
    };
    let now = Instant::now();
    let mut session = Session::new(now, Transport::WebSocket, Protocol::V4, &times);
    assert!(session.tick(now + SEC, &times).contains(Actions::PING));
    assert!(session.tick(now + year, &times).is_empty());
    assert!(
        session
            .packet(now + year, Transport::WebSocket, Received::Pong, &times)
            .contains(Actions::RESCHEDULE)
    );
}

#[test]
fn an_invalid_packet_is_a_parse_error() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    assert!(f.packet(Received::Invalid).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::ParseError);
}

#[test]
fn a_waiting_get_is_ended_every_100_ms_during_an_upgrade() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.attach().is_ok());
    assert!(f.after(SEC).is_empty(), "not before the probe");
    assert_eq!(f.probe(Received::Probe), Actions::PROBE_PONG);
    for _ in 0..3 {
        assert!(f.session.get().is_ok());
        assert!(f.session.answer(false).is_none());
        assert!(f.after(Duration::from_millis(99)).is_empty());
        assert!(f.after(Duration::from_millis(1)).contains(Actions::ANSWER));
        let answer = f.session.answer(false).unwrap();
        assert_eq!((answer.packets, answer.tail), (false, Tail::Noop));
    }
}

#[test]
fn an_upgrade_that_takes_too_long_ends_and_may_be_tried_again() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.attach().is_ok());
    assert_eq!(
        f.attach(),
        Err(SessionRejection::Upgrading),
        "one at a time"
    );
    assert!(f.after(Duration::from_millis(9_999)).is_empty());
    assert_eq!(f.after(Duration::from_millis(1)), Actions::CLOSE_PROBE);
    assert_eq!(f.session.stage(), Stage::Open);
    assert!(f.attach().is_ok());
    assert!(f.session.probe_lost().is_empty());
    assert!(f.attach().is_ok());
    assert_eq!(
        f.probe(Received::Message),
        Actions::CLOSE_PROBE,
        "a probe carries no messages"
    );
    assert!(f.attach().is_ok());
    assert!(f.probe(Received::Probe).contains(Actions::PROBE_PONG));
    assert!(
        f.probe(Received::Upgrade)
            .contains(Actions::SWITCH | Actions::FLUSH)
    );
    assert_eq!(f.attach(), Err(SessionRejection::Upgrading), "never twice");
    assert_eq!(
        f.session.get().unwrap_err().0,
        SessionRejection::TransportMismatch
    );
    assert_eq!(
        f.session.post().unwrap_err().0,
        SessionRejection::TransportMismatch
    );
}

#[test]
fn a_websocket_session_takes_no_probe() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    assert_eq!(f.attach(), Err(SessionRejection::Upgrading));
}

#[test]
fn a_post_and_a_get_in_flight_survive_the_switch() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.session.get().is_ok());
    assert!(f.session.post().is_ok());
    assert!(f.attach().is_ok());
    assert!(
        f.probe(Received::Upgrade)
            .contains(Actions::SWITCH | Actions::ANSWER)
    );
    let answer = f.session.answer(true).unwrap();
    assert_eq!(
        (answer.packets, answer.tail),
        (false, Tail::Noop),
        "the queue is the WebSocket's"
    );
    assert!(f.session.post_under_way());
    assert_eq!(
        f.session
            .packet(f.now, Transport::Polling, Received::Message, &f.times),
        Actions::DELIVER
    );
    f.session.post_done();
    assert!(!f.session.post_under_way());
}

#[test]
fn a_ping_under_way_during_the_switch_is_waited_for_anew() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.after(25 * SEC).contains(Actions::PING));
    f.now += 15 * SEC;
    assert!(f.attach().is_ok());
    assert!(f.probe(Received::Upgrade).contains(Actions::SWITCH));
    assert!(f.after(19 * SEC).is_empty());
    assert!(f.after(SEC).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::PingTimeout);
}

#[test]
fn close_waits_for_the_queue_and_for_a_get() {
    let mut f = Fixture::new(Transport::WebSocket, Protocol::V4);
    let actions = f.session.close(f.now, false, true, &f.times);
    assert!(actions.contains(Actions::FLUSH) && !actions.contains(Actions::CLOSED));
    assert!(f.packet(Received::Message).is_empty());
    assert!(
        f.session
            .drained()
            .contains(Actions::CLOSED | Actions::CLOSE_WEBSOCKET)
    );
    assert_eq!(f.session.reason(), CloseReason::ForcedClose);

    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(
        !f.session
            .close(f.now, false, false, &f.times)
            .contains(Actions::CLOSED)
    );
    assert!(f.session.get().is_ok());
    let answer = f.session.answer(true).unwrap();
    assert!(answer.packets && answer.tail == Tail::Nothing, "{answer:?}");
    assert!(!answer.actions.contains(Actions::CLOSED));
    assert!(f.session.get().is_ok());
    let answer = f.session.answer(false).unwrap();
    assert_eq!((answer.packets, answer.tail), (false, Tail::Close));
    assert!(answer.actions.contains(Actions::CLOSED));

    // The client need not fetch the rest.
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    let _ = f.session.close(f.now, false, true, &f.times);
    assert!(f.packet(Received::Close).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::ForcedClose);

    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(
        !f.session
            .close(f.now, false, false, &f.times)
            .contains(Actions::CLOSED)
    );
    assert!(f.after(29 * SEC).is_empty());
    assert!(f.after(SEC).contains(Actions::CLOSED));
    assert_eq!(f.session.reason(), CloseReason::ForcedClose);
}

#[test]
fn a_discarding_close_is_immediate() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.session.get().is_ok());
    assert!(
        f.session
            .close(f.now, true, true, &f.times)
            .contains(Actions::CLOSED | Actions::ANSWER)
    );
    let answer = f.session.answer(false).unwrap();
    assert_eq!((answer.packets, answer.tail), (false, Tail::Close));
    assert!(
        f.session.close(f.now, true, true, &f.times).is_empty(),
        "once"
    );
}

#[test]
fn closing_during_an_upgrade_takes_the_first_way_out() {
    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.attach().is_ok());
    assert!(f.probe(Received::Probe).contains(Actions::PROBE_PONG));
    assert!(
        !f.session
            .close(f.now, false, true, &f.times)
            .contains(Actions::CLOSED)
    );
    assert!(
        f.probe(Received::Upgrade)
            .contains(Actions::SWITCH | Actions::FLUSH)
    );
    assert!(
        f.session
            .drained()
            .contains(Actions::CLOSED | Actions::CLOSE_WEBSOCKET)
    );

    let mut f = Fixture::new(Transport::Polling, Protocol::V4);
    assert!(f.attach().is_ok());
    assert!(
        f.session
            .close(f.now, true, false, &f.times)
            .contains(Actions::CLOSED | Actions::CLOSE_PROBE)
    );
}

#[test]
fn actions_say_their_names() {
    assert_eq!(
        format!("{:?}", Actions::PING | Actions::FLUSH),
        "{PING, FLUSH}"
    );
    assert_eq!(format!("{:?}", Actions::NONE), "{}");
}
