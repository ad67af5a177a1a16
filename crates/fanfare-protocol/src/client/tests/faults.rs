//! A simulated server and network in virtual time, with faults at random.
//!
//! Each seed is one sequence of drops, stalls, restarts and rejections at arbitrary times. The invariants: nothing
//! arrives twice or out of order, acknowledged events did arrive, every acknowledgement is settled once, a recovered
//! session misses nothing, connect and disconnect alternate, and in the end no state is left.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }
}

/// Message in flight.
enum Flight {
    ToServer(ConnectionId, Action),
    ToClient(ConnectionId, Input),
}

#[derive(Default)]
struct Session {
    connection: Option<ConnectionId>,
    websocket: bool,
    upgrading: bool,
    /// Whether a GET is pending.
    get: bool,
    queue: Vec<String>,
    joined: bool,
    pid: Option<String>,
    last_ping: Option<Instant>,
    next_ping: Option<Instant>,
}

#[derive(Default)]
struct Server {
    down: bool,
    sessions: BTreeMap<String, Session>,
    next: u64,
    /// Events emitted per recoverable session, in order.
    logs: HashMap<String, Vec<u64>>,
    /// Numbers received, in order.
    received: Vec<u64>,
}

struct World {
    random: Random,
    now: Instant,
    manager: Manager,
    id: SocketId,
    flights: BTreeMap<(Instant, u64), Flight>,
    sequence: u64,
    server: Server,
    /// Whether everything is lost, in both directions.
    blackhole: bool,
    /// Session that each client connection has reached.
    reached: HashMap<ConnectionId, String>,
    aborted: HashSet<ConnectionId>,
    dead: HashSet<ConnectionId>,
    sent: u64,
    accepted: HashMap<AckKey, u64>,
    settled: HashMap<AckKey, bool>,
    connected: bool,
    seen: Vec<u64>,
    pid: Option<String>,
    retries: bool,
}

const STEP: Duration = Duration::from_millis(10);

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let transports = match random.below(4) {
            0 => vec![Transport::Polling, Transport::WebSocket],
            1 => vec![Transport::Polling],
            2 => vec![Transport::WebSocket],
            _ => vec![Transport::WebSocket, Transport::Polling],
        };
        let mut manager = Manager::new(Config {
            transports,
            seed,
            ..Config::default()
        });
        let retries = (random.below(3) == 0).then_some(100);
        let socket = SocketConfig {
            retries,
            ack_timeout: Some(secs(7)),
            ..SocketConfig::default()
        };
        let id = manager.add_socket("/", socket).unwrap();
        let now = Instant::now();
        manager.connect(now, id);
        Self {
            random,
            now,
            manager,
            id,
            flights: BTreeMap::new(),
            sequence: 0,
            server: Server::default(),
            blackhole: false,
            reached: HashMap::new(),
            aborted: HashSet::new(),
            dead: HashSet::new(),
            sent: 0,
            accepted: HashMap::new(),
            settled: HashMap::new(),
            connected: false,
            seen: Vec::new(),
            pid: None,
            retries: retries.is_some(),
        }
    }

    /// Sends a message with constant latency, so that a connection keeps its order.
    fn fly(&mut self, flight: Flight) {
        self.sequence += 1;
        self.flights.insert(
            (self.now + Duration::from_millis(20), self.sequence),
            flight,
        );
    }

    fn answer(&mut self, connection: ConnectionId, input: Input) {
        self.fly(Flight::ToClient(connection, input));
    }

    fn step(&mut self) {
        self.now += STEP;
        while let Some(entry) = self
            .flights
            .first_entry()
            .filter(|entry| entry.key().0 <= self.now)
        {
            let flight = entry.remove();
            let (Flight::ToServer(connection, _) | Flight::ToClient(connection, _)) = &flight;
            // A stream that lost a message never delivers the following ones.
            if self.blackhole || self.dead.contains(connection) {
                self.dead.insert(*connection);
                continue;
            }
            match flight {
                Flight::ToServer(connection, action) => self.serve(connection, action),
                Flight::ToClient(connection, input) => {
                    if !self.aborted.contains(&connection) {
                        self.manager.handle(self.now, connection, input);
                    }
                }
            }
            self.drive();
        }
        if self.manager.poll_timeout().is_some_and(|at| at <= self.now) {
            self.manager.handle_timeout(self.now);
        }
        self.drive();
        self.tick();
    }

    fn drive(&mut self) {
        while let Some(action) = self.manager.poll_action() {
            match action {
                Action::Authenticate { socket, attempt } => {
                    self.manager.authenticated(
                        self.now,
                        socket,
                        attempt,
                        Ok(Some(r#"{"k":1}"#.into())),
                    );
                }
                Action::Get { connection, .. }
                | Action::Post { connection, .. }
                | Action::OpenWebSocket { connection, .. }
                | Action::CloseWebSocket { connection } => {
                    self.fly(Flight::ToServer(connection, action));
                }
                Action::Write { connection, .. } => {
                    self.fly(Flight::ToServer(connection, action));
                    self.answer_local(connection);
                }
                Action::Ping { connection } => {
                    self.answer(connection, Input::Pong);
                }
                Action::Abort { connection } => {
                    self.aborted.insert(connection);
                    self.fly(Flight::ToServer(connection, action));
                }
            }
        }
        while let Some(event) = self.manager.poll_event() {
            match event {
                Event::Ack(key, result) => {
                    let number = self.accepted.get(&key).copied();
                    assert!(
                        self.settled.insert(key, result.is_ok()).is_none(),
                        "settled twice"
                    );
                    if let (Ok(_), Some(number)) = (&result, number) {
                        assert!(
                            self.server.received.contains(&number),
                            "acknowledged {number} never arrived"
                        );
                    }
                }
                Event::Socket(_, SocketEvent::Connect { recovered, .. }) => {
                    assert!(!self.connected, "connected twice");
                    self.connected = true;
                    if !recovered {
                        // A new session: earlier events may have been missed.
                        self.seen.clear();
                    }
                }
                Event::Socket(_, SocketEvent::Disconnect { .. }) => {
                    assert!(self.connected, "disconnected twice");
                    self.connected = false;
                }
                Event::Socket(_, SocketEvent::Event(event)) => {
                    assert!(self.connected, "event while disconnected");
                    let number: u64 = event.args.as_args().get(0).unwrap().parse().unwrap();
                    let expected = self.seen.last().map_or(0, |last| last + 1);
                    assert_eq!(number, expected, "lost, doubled or reordered");
                    self.seen.push(number);
                }
                _ => {}
            }
        }
    }

    fn answer_local(&mut self, connection: ConnectionId) {
        self.sequence += 1;
        let at = self.now + Duration::from_millis(1);
        self.flights.insert(
            (at, self.sequence),
            Flight::ToClient(connection, Input::Written),
        );
    }

    // --- the server ---

    fn serve(&mut self, connection: ConnectionId, action: Action) {
        if self.server.down {
            let refused =
                |what: &'static str| TransportError::new(what).with_description("refused");
            match action {
                Action::Get { .. } => {
                    self.answer(connection, Input::Get(Err(refused("xhr poll error"))));
                }
                Action::Post { .. } => {
                    self.answer(connection, Input::Post(Err(refused("xhr post error"))));
                }
                Action::OpenWebSocket { .. } | Action::Write { .. } => {
                    self.answer(connection, Input::Closed(Err(refused("websocket error"))));
                }
                _ => {}
            }
            return;
        }
        match action {
            Action::Get { sid: None, .. } => {
                let sid = self.session(connection, false);
                let open = OPEN_UPGRADE.replace("s1", &sid);
                self.answer(connection, Input::Get(Ok(open.into())));
            }
            Action::Get { sid: Some(sid), .. } => match self.server.sessions.get_mut(&*sid) {
                Some(session) if !session.websocket => {
                    session.get = true;
                    self.flush(&sid);
                }
                _ => {
                    let unknown = TransportError::new("xhr poll error").with_status(400);
                    self.answer(connection, Input::Get(Err(unknown)));
                }
            },
            Action::Post { sid, body, .. } => {
                if !self.server.sessions.contains_key(&*sid) {
                    let unknown = TransportError::new("xhr post error").with_status(400);
                    return self.answer(connection, Input::Post(Err(unknown)));
                }
                for packet in std::str::from_utf8(&body).unwrap().split('\x1e') {
                    self.packet(&sid, packet);
                }
                self.answer(connection, Input::Post(Ok(())));
            }
            Action::OpenWebSocket { sid: None, .. } => {
                let sid = self.session(connection, true);
                self.reached.insert(connection, sid.clone());
                self.answer(connection, Input::Open);
                self.answer(connection, Input::Text(OPEN.replace("s1", &sid).into()));
            }
            Action::OpenWebSocket { sid: Some(sid), .. } => {
                self.reached.insert(connection, sid.to_string());
                self.answer(connection, Input::Open);
            }
            Action::Write { packets, .. } => {
                let Some(sid) = self.reached.get(&connection).cloned() else {
                    return;
                };
                for packet in packets {
                    let Body::Text(text) = packet.body else {
                        panic!()
                    };
                    let text = std::str::from_utf8(&text).unwrap();
                    match text {
                        "2probe" => {
                            self.answer(connection, Input::Text(Bytes::from_static(b"3probe")));
                            if let Some(session) = self.server.sessions.get_mut(&sid) {
                                session.upgrading = true;
                                if session.get {
                                    session.get = false;
                                    self.answer(
                                        connection,
                                        Input::Get(Ok(Bytes::from_static(b"6"))),
                                    );
                                }
                            }
                        }
                        "5" => {
                            if let Some(session) = self.server.sessions.get_mut(&sid) {
                                session.websocket = true;
                            }
                            self.flush(&sid);
                        }
                        text => self.packet(&sid, text),
                    }
                }
            }
            Action::CloseWebSocket { .. } | Action::Abort { .. } => {
                // Polling: the server only notices by its heartbeat.
                if let Some(sid) = self.reached.get(&connection).cloned()
                    && self
                        .server
                        .sessions
                        .get(&sid)
                        .is_some_and(|session| session.websocket)
                {
                    self.server.sessions.remove(&sid);
                }
            }
            Action::Authenticate { .. } | Action::Ping { .. } => {}
        }
    }

    fn session(&mut self, connection: ConnectionId, websocket: bool) -> String {
        self.server.next += 1;
        let sid = format!("e{}", self.server.next);
        let session = Session {
            connection: Some(connection),
            websocket,
            last_ping: None,
            next_ping: Some(self.now + secs(25)),
            ..Session::default()
        };
        self.server.sessions.insert(sid.clone(), session);
        sid
    }

    fn send(&mut self, sid: &str, text: String) {
        if let Some(session) = self.server.sessions.get_mut(sid) {
            session.queue.push(text);
        }
        self.flush(sid);
    }

    fn flush(&mut self, sid: &str) {
        let Some(session) = self.server.sessions.get_mut(sid) else {
            return;
        };
        let Some(connection) = session.connection else {
            return;
        };
        if session.websocket {
            let queue = std::mem::take(&mut session.queue);
            for text in queue {
                self.answer(connection, Input::Text(text.into()));
            }
        } else if session.get && (!session.queue.is_empty() || session.upgrading) {
            session.get = false;
            let queue = std::mem::take(&mut session.queue);
            let body = if queue.is_empty() {
                "6".into()
            } else {
                queue.join("\x1e")
            };
            self.answer(connection, Input::Get(Ok(body.into())));
        }
    }

    fn packet(&mut self, sid: &str, text: &str) {
        if text == "1" || text == "41" {
            self.server.sessions.remove(sid);
        } else if text == "3" {
            let next = self.now + secs(25);
            if let Some(session) = self.server.sessions.get_mut(sid) {
                session.last_ping = None;
                session.next_ping = Some(next);
            }
        } else if let Some(auth) = text.strip_prefix("40") {
            self.join(sid, auth);
        } else if let Some(event) = text.strip_prefix("42") {
            let bracket = event.find('[').unwrap();
            let (_, number): (String, u64) = serde_json::from_str(&event[bracket..]).unwrap();
            self.server.received.push(number);
            if bracket > 0 {
                let id = &event[..bracket];
                self.send(sid, format!("43{id}[{number}]"));
            }
        } else {
            panic!("the client sent {text:?}");
        }
    }

    fn join(&mut self, sid: &str, auth: &str) {
        let auth: serde_json::Value = serde_json::from_str(auth).unwrap();
        assert_eq!(auth["k"], 1);
        let known = auth["pid"]
            .as_str()
            .filter(|pid| self.server.logs.contains_key(*pid))
            .map(str::to_owned);
        let pid = known.clone().unwrap_or_else(|| {
            self.server.next += 1;
            format!("p{}", self.server.next)
        });
        if known.is_some() {
            // The previous session is dead, even if the server has not noticed.
            let dead = self
                .server
                .sessions
                .iter()
                .find(|(_, session)| session.pid.as_ref() == Some(&pid));
            if let Some(dead) = dead.map(|(sid, _)| sid.clone()) {
                self.server.sessions.remove(&dead);
            }
            let from = auth["offset"]
                .as_str()
                .map_or(0, |offset| offset.parse::<usize>().unwrap() + 1);
            let missed: Vec<u64> = self.server.logs[&pid][from..].to_vec();
            for number in missed {
                self.send(sid, format!(r#"42["n",{number},"{number}"]"#));
            }
        } else {
            self.server.logs.insert(pid.clone(), Vec::new());
        }
        if let Some(session) = self.server.sessions.get_mut(sid) {
            assert!(!session.joined, "joined twice");
            session.joined = true;
            session.pid = Some(pid.clone());
        }
        self.pid = Some(pid.clone());
        self.send(sid, format!(r#"40{{"sid":"x","pid":"{pid}"}}"#));
    }

    /// Advances the server: heartbeats, and random events.
    fn tick(&mut self) {
        if self.server.down {
            return;
        }
        let now = self.now;
        let sids: Vec<String> = self.server.sessions.keys().cloned().collect();
        for sid in sids {
            let Some(session) = self.server.sessions.get_mut(&sid) else {
                continue;
            };
            if session.last_ping.is_some_and(|at| now >= at + secs(20)) {
                self.server.sessions.remove(&sid);
                continue;
            }
            if session.next_ping.is_some_and(|at| at <= now) {
                session.next_ping = None;
                session.last_ping = Some(now);
                self.send(&sid, "2".into());
            }
        }
        if self.random.below(60) == 0
            && let Some(pid) = self.pid.clone()
        {
            let log = self.server.logs.get_mut(&pid).unwrap();
            let number = log.len() as u64;
            log.push(number);
            let live = self
                .server
                .sessions
                .iter()
                .find(|(_, s)| s.joined && s.pid.as_ref() == Some(&pid));
            if let Some(sid) = live.map(|(sid, _)| sid.clone()) {
                self.send(&sid, format!(r#"42["n",{number},"{number}"]"#));
            }
        }
    }

    fn act(&mut self) {
        if self.random.below(40) == 0 {
            self.sent += 1;
            let payload = Payload::from_json(format!(r#"["n",{}]"#, self.sent), Vec::new());
            let options = if self.random.below(2) == 0 {
                EmitOptions::new().ack(None)
            } else {
                EmitOptions::new()
            };
            let (_, key) = self
                .manager
                .emit(self.now, self.id, payload, options)
                .unwrap();
            if let Some(key) = key {
                self.accepted.insert(key, self.sent);
            }
            self.drive();
        }
    }

    fn fault(&mut self) {
        match self.random.below(6) {
            // The connection is cut.
            0 | 1 => {
                let connections: Vec<ConnectionId> = self.reached.keys().copied().collect();
                for connection in connections {
                    self.cut(connection);
                }
                if let Some(connection) = self.manager.current_connection() {
                    self.answer(
                        connection,
                        Input::Get(Err(TransportError::new("xhr poll error"))),
                    );
                }
            }
            // The server crashes with all its memory, and restarts.
            2 => {
                self.server.sessions.clear();
                self.server.logs.clear();
                self.pid = None;
                self.server.down = true;
                for connection in self.reached.keys().copied().collect::<Vec<_>>() {
                    self.answer(
                        connection,
                        Input::Closed(Err(TransportError::new("websocket error"))),
                    );
                }
            }
            3 => self.server.down = false,
            // Half-open: nothing arrives, and neither side is notified.
            4 => self.blackhole = true,
            _ => self.blackhole = false,
        }
    }

    fn cut(&mut self, connection: ConnectionId) {
        if let Some(sid) = self.reached.remove(&connection) {
            self.server.sessions.remove(&sid);
            self.answer(connection, Input::Closed(Ok(None)));
        }
    }

    fn run(mut self) {
        for _ in 0..30_000 {
            self.act();
            if self.random.below(1500) == 0 {
                self.fault();
            }
            self.step();
        }
        // The faults are over: everything must settle.
        self.server.down = false;
        self.blackhole = false;
        for _ in 0..20_000 {
            self.step();
        }
        assert!(self.connected, "not connected in the end");
        assert_eq!(self.manager.buffered(self.id), (0, 0));
        assert_eq!(self.manager.pending_acks(self.id), 0);
        assert_eq!(
            self.settled.len(),
            self.accepted.len(),
            "acknowledgements that were never settled"
        );
        // Without retries nothing arrives twice; with them only the head of the queue is sent again.
        let in_order = |pair: &[u64]| {
            if self.retries {
                pair[0] <= pair[1]
            } else {
                pair[0] < pair[1]
            }
        };
        assert!(
            self.server.received.windows(2).all(in_order),
            "{:?}",
            self.server.received
        );
        if self.retries {
            let arrived: HashSet<u64> = self.server.received.iter().copied().collect();
            assert_eq!(arrived.len() as u64, self.sent, "retries lost something");
        }
        self.manager.close(self.now);
        for _ in 0..1000 {
            self.step();
        }
        assert!(self.manager.is_idle());
        assert_eq!(self.manager.poll_timeout(), None, "no timer is left");
    }
}

#[test]
fn stories_of_faults() {
    let stories = std::env::var("FANFARE_STORIES")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(30);
    for seed in 1..=stories {
        let world = World::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}
