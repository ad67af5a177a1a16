//! Messages sent, and checks of the answers.

use std::collections::BTreeSet;

use super::meter::Meter;
use super::text::{self, BINARY, TEXT, decimal, excerpt, filler, frame, hex, undecimal, unhex};
use super::{LoadArgs, Traffic};

/// Maximum number of messages in flight.
pub(super) const RING: usize = 8192;
/// Distance by which a message may be out of order and still be told from a duplicate.
const LATE: u64 = 1024;

const MESSAGE: &[u8] = br#"42["msg",""#;
const ATTACHMENT: &[u8] = br#"451-["msg",{"_placeholder":true,"num":0}]"#;
const EMIT_ATTACHMENT: &[u8] = br#"451-["broadcast-binary",{"_placeholder":true,"num":0}]"#;

/// Sink of frames: takes the number of a client and the writer of its frames.
pub(super) type Emit<'a> = &'a mut dyn FnMut(usize, &mut dyn FnMut(&mut Vec<u8>));

/// Schedule of the emits.
struct Pace {
    /// Time between two emits, in nanoseconds; 0: not paced.
    every: f64,
    next: f64,
}

impl Pace {
    fn new(rate: f64) -> Pace {
        let every = if rate > 0.0 { 1e9 / rate } else { 0.0 };
        Pace { every, next: 0.0 }
    }

    fn is_set(&self) -> bool {
        self.every > 0.0
    }

    /// Returns the time at which the next emit was due, if one is due.
    fn due(&mut self, now: u64) -> Option<u64> {
        if self.next == 0.0 {
            self.next = now as f64;
        }
        (self.next <= now as f64).then(|| {
            let due = self.next;
            self.next += self.every;
            due as u64
        })
    }
}

/// Window of the latest messages that a client received.
#[derive(Clone)]
struct Seen {
    next: u64,
    bits: [u64; LATE as usize / 64],
}

enum Fit {
    InOrder,
    Late,
    Wrong,
}

impl Seen {
    fn new() -> Seen {
        Seen {
            next: 0,
            bits: [0; LATE as usize / 64],
        }
    }

    fn bit(&mut self, number: u64) -> (&mut u64, u64) {
        (
            &mut self.bits[(number % LATE / 64) as usize],
            1 << (number % 64),
        )
    }

    /// Records the arrival of message `number`.
    fn take(&mut self, number: u64) -> Fit {
        let late = number < self.next;
        if late && self.next - number > LATE {
            return Fit::Wrong;
        }
        // Skipped messages count as not received.
        for skipped in self.next.max(number.saturating_sub(LATE))..number {
            let (word, bit) = self.bit(skipped);
            *word &= !bit;
        }
        let (word, bit) = self.bit(number);
        if late && *word & bit != 0 {
            return Fit::Wrong;
        }
        *word |= bit;
        if late {
            return Fit::Late;
        }
        self.next = number + 1;
        Fit::InOrder
    }
}

/// Members of each room: random, but the same in every run.
struct Membership {
    rooms: u64,
    join: u64,
    /// Bit set with one bit for each client and room.
    bits: Vec<u64>,
    /// Number of members of each room.
    sizes: Vec<u32>,
}

impl Membership {
    fn new(args: &LoadArgs) -> Membership {
        let mut all = Membership {
            rooms: u64::from(args.rooms),
            join: u64::from(args.join),
            bits: Vec::new(),
            sizes: Vec::new(),
        };
        if args.joins() {
            let cells = u64::from(args.clients) * all.rooms;
            all.bits.resize(cells.div_ceil(64) as usize, 0);
            all.sizes.resize(args.rooms as usize, 0);
            for client in 0..args.clients as usize {
                for room in all.of(client) {
                    let cell = all.cell(client, room);
                    all.bits[(cell / 64) as usize] |= 1 << (cell % 64);
                    all.sizes[room as usize] += 1;
                }
            }
        }
        all
    }

    fn cell(&self, client: usize, room: u64) -> u64 {
        client as u64 * self.rooms + room
    }

    /// Returns the rooms of a client.
    fn of(&self, client: usize) -> BTreeSet<u64> {
        let mut state = client as u64 + 1;
        let mut chosen = BTreeSet::new();
        while (chosen.len() as u64) < self.join {
            // Finisher of splitmix64.
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            chosen.insert((mixed ^ mixed >> 31) % self.rooms);
        }
        chosen
    }

    fn has(&self, client: usize, room: u64) -> bool {
        let cell = self.cell(client, room);
        self.bits[(cell / 64) as usize] >> (cell % 64) & 1 == 1
    }

    /// Returns the recipient room of a message.
    fn of_message(&self, number: u64) -> u64 {
        // Messages to empty rooms would never be answered.
        (0..self.rooms)
            .map(|step| (number + step) % self.rooms)
            .find(|room| self.sizes.get(*room as usize) != Some(&0))
            .unwrap_or(0)
    }
}

/// Messages from the first client to many.
pub(super) struct Fanout {
    traffic: Traffic,
    window: u64,
    payload: usize,
    clients: u64,
    rooms: Membership,
    filler: Vec<u8>,
    pace: Pace,
    /// Time at which each message in flight was sent, and number of clients that have not received it.
    sent: Vec<(u64, u32)>,
    published: u64,
    completed: u64,
    seen: Vec<Seen>,
    /// Whether each client's next packet is an attachment.
    announced: Vec<bool>,
}

impl Fanout {
    pub(super) fn new(args: &LoadArgs) -> Fanout {
        let clients = args.clients as usize;
        Fanout {
            traffic: args.traffic,
            window: u64::from(args.window),
            payload: args.payload,
            clients: u64::from(args.clients),
            rooms: Membership::new(args),
            filler: filler(args.payload),
            pace: Pace::new(args.rate),
            sent: vec![(0, 0); RING],
            published: 0,
            completed: 0,
            seen: vec![Seen::new(); clients],
            announced: vec![false; clients],
        }
    }

    fn publish(&mut self, now: u64, emit: Emit<'_>) {
        loop {
            let due = if self.pace.is_set() {
                if self.published - self.completed >= RING as u64 / 2 {
                    return;
                }
                match self.pace.due(now) {
                    Some(due) => due,
                    None => return,
                }
            } else if self.published - self.completed < self.window {
                now
            } else {
                return;
            };
            let number = self.published;
            self.published += 1;
            let room = self.rooms.of_message(number);
            let receivers = match self.traffic {
                Traffic::Rooms => self.rooms.sizes[room as usize],
                _ => self.clients as u32,
            };
            self.sent[number as usize % RING] = (due, receivers);
            emit(0, &mut |out| self.write(out, number, room));
        }
    }

    fn write(&self, out: &mut Vec<u8>, number: u64, room: u64) {
        let body = |out: &mut Vec<u8>| {
            hex(out, number as u32);
            hex(out, room as u32);
            out.extend_from_slice(&self.filler[16..]);
        };
        match self.traffic {
            Traffic::Binary => {
                frame(out, TEXT, |out| out.extend_from_slice(EMIT_ATTACHMENT));
                frame(out, BINARY, body);
            }
            Traffic::Rooms => frame(out, TEXT, |out| {
                out.extend_from_slice(b"42[\"toroom\",\"room-");
                decimal(out, room);
                out.extend_from_slice(b"\",\"");
                body(out);
                out.extend_from_slice(b"\"]");
            }),
            _ => frame(out, TEXT, |out| {
                out.extend_from_slice(b"42[\"broadcast\",\"");
                body(out);
                out.extend_from_slice(b"\"]");
            }),
        }
    }

    fn receive(&mut self, client: usize, opcode: u8, data: &[u8], now: u64, meter: &mut Meter<'_>) {
        let body = match (self.traffic, opcode) {
            (Traffic::Binary, TEXT) if data == ATTACHMENT && !self.announced[client] => {
                self.announced[client] = true;
                return;
            }
            (Traffic::Binary, BINARY) if self.announced[client] => {
                self.announced[client] = false;
                Some(data)
            }
            (Traffic::Fanout | Traffic::Burst | Traffic::Rooms, TEXT) => data
                .strip_prefix(MESSAGE)
                .and_then(|rest| rest.strip_suffix(b"\"]")),
            _ => None,
        };
        let parsed = body
            .filter(|body| body.len() == self.payload)
            .and_then(|body| {
                (body[16..] == self.filler[16..]).then_some(())?;
                Some((u64::from(unhex(body)?), u64::from(unhex(&body[8..])?)))
            });
        let Some((number, room)) = parsed else {
            return meter.error(format!("client {client} got {}", excerpt(data)));
        };
        if number >= self.published || room != self.rooms.of_message(number) {
            return meter.error(format!("message {number} for room {room} was never sent"));
        }
        if self.traffic == Traffic::Rooms && !self.rooms.has(client, room) {
            return meter.error(format!("client {client} is not in room {room}"));
        }
        match self.seen[client].take(number) {
            Fit::InOrder => {}
            Fit::Late => meter.reordered += 1,
            Fit::Wrong => {
                return meter.error(format!("message {number} came twice to client {client}"));
            }
        }
        let (sent, left) = &mut self.sent[number as usize % RING];
        *left -= 1;
        if *left == 0 {
            self.completed += 1;
        }
        meter.finished(*sent, now);
    }
}

/// Emits with acknowledgement.
pub(super) struct Echo {
    /// Whether clients join and leave rooms instead.
    membership: bool,
    window: usize,
    payload: usize,
    filler: Vec<u8>,
    pace: Pace,
    clients: Vec<Asking>,
    turn: usize,
    outstanding: u64,
}

/// Pending acknowledgements of one client.
#[derive(Clone, Default)]
struct Asking {
    next: u64,
    /// Ids of pending acknowledgements, and the times at which the events were sent.
    open: Vec<(u64, u64)>,
}

impl Echo {
    pub(super) fn new(args: &LoadArgs) -> Echo {
        Echo {
            membership: args.traffic == Traffic::Membership,
            window: args.window as usize,
            payload: args.payload,
            filler: filler(args.payload),
            pace: Pace::new(args.rate),
            clients: vec![Asking::default(); args.clients as usize],
            turn: 0,
            outstanding: 0,
        }
    }

    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// Returns whether the client's window is full. (A paced client is never full.)
    pub(super) fn is_full(&self, client: usize) -> bool {
        self.pace.is_set() || self.clients[client].open.len() >= self.window
    }

    /// Appends the packet `42<id>["echo","…"]` of the next emit; a `leave` names the room of the `join` before it.
    pub(super) fn ask(&mut self, client: usize, sent: u64, out: &mut Vec<u8>) {
        let asking = &mut self.clients[client];
        let id = asking.next;
        asking.next += 1;
        asking.open.push((id, sent));
        self.outstanding += 1;
        let (event, number): (&[u8], _) = match (self.membership, id % 2) {
            (false, _) => (b"echo", id),
            (true, 0) => (b"join", id / 2),
            (true, _) => (b"leave", id / 2),
        };
        out.extend_from_slice(b"42");
        decimal(out, id);
        out.extend_from_slice(b"[\"");
        out.extend_from_slice(event);
        out.extend_from_slice(b"\",\"");
        hex(out, client as u32);
        hex(out, number as u32);
        out.extend_from_slice(&self.filler[16..]);
        out.extend_from_slice(b"\"]");
    }

    /// Handles an acknowledgement: `43<id>["…"]`, or `43<id>[]` if it has no argument.
    pub(super) fn answer(&mut self, client: usize, data: &[u8], now: u64, meter: &mut Meter<'_>) {
        let parsed = data.strip_prefix(b"43").and_then(|rest| {
            let (id, body) = undecimal(rest)?;
            if self.membership {
                return (body == b"[]").then_some(id);
            }
            let body = body.strip_prefix(b"[\"")?.strip_suffix(b"\"]")?;
            let right = body.len() == self.payload
                && unhex(body) == Some(client as u32)
                && unhex(&body[8..]) == Some(id as u32)
                && body[16..] == self.filler[16..];
            right.then_some(id)
        });
        let open = &mut self.clients[client].open;
        let found = parsed.and_then(|id| open.iter().position(|(open, _)| *open == id));
        let Some(at) = found else {
            return meter.error(format!("client {client} got {}", excerpt(data)));
        };
        let (_, sent) = open.swap_remove(at);
        self.outstanding -= 1;
        meter.finished(sent, now);
    }

    /// Sends the emits that are due.
    fn emit(&mut self, now: u64, emit: Emit<'_>) {
        if !self.pace.is_set() {
            return;
        }
        while let Some(due) = self.pace.due(now) {
            let client = self.turn;
            self.turn = (self.turn + 1) % self.clients.len();
            emit(client, &mut |out| {
                frame(out, TEXT, |out| self.ask(client, due, out))
            });
        }
    }
}

/// Traffic over WebSocket.
pub(super) enum Script {
    Fanout(Box<Fanout>),
    Echo(Echo),
    Silent,
}

impl Script {
    pub(super) fn new(args: &LoadArgs) -> Script {
        match args.traffic {
            Traffic::Fanout | Traffic::Burst | Traffic::Binary | Traffic::Rooms => {
                Script::Fanout(Box::new(Fanout::new(args)))
            }
            Traffic::Echo | Traffic::Membership | Traffic::Polling => Script::Echo(Echo::new(args)),
            Traffic::Connect | Traffic::Idle => Script::Silent,
        }
    }

    /// Appends the packets by which a client joins its rooms; returns the number of answers to expect.
    pub(super) fn join(&self, client: usize, out: &mut Vec<u8>) -> u32 {
        let Script::Fanout(fanout) = self else {
            return 0;
        };
        let mut answers = 0;
        for room in fanout.rooms.of(client) {
            frame(out, TEXT, |out| {
                out.extend_from_slice(b"42");
                decimal(out, u64::from(answers));
                out.extend_from_slice(b"[\"join\",\"room-");
                decimal(out, room);
                out.extend_from_slice(b"\"]");
            });
            answers += 1;
        }
        answers
    }

    /// Sends the emits that are due.
    pub(super) fn emit(&mut self, now: u64, emit: Emit<'_>) {
        match self {
            Script::Fanout(fanout) => fanout.publish(now, emit),
            Script::Echo(echo) => echo.emit(now, emit),
            Script::Silent => {}
        }
    }

    /// Appends the first emits of a client, or those for which an acknowledgement has freed a place in the window.
    pub(super) fn fill(&mut self, client: usize, now: u64, out: &mut Vec<u8>) {
        if let Script::Echo(echo) = self {
            while !echo.is_full(client) {
                frame(out, TEXT, |out| echo.ask(client, now, out));
            }
        }
    }

    /// Handles a message.
    pub(super) fn receive(
        &mut self,
        client: usize,
        frame: &text::Frame<'_>,
        now: u64,
        meter: &mut Meter<'_>,
    ) {
        match self {
            Script::Fanout(fanout) => {
                fanout.receive(client, frame.opcode, frame.payload, now, meter);
            }
            Script::Echo(echo) => echo.answer(client, frame.payload, now, meter),
            Script::Silent => meter.error(format!("unexpected: {}", excerpt(frame.payload))),
        }
    }

    pub(super) fn outstanding(&self) -> u64 {
        match self {
            Script::Fanout(fanout) => fanout.published - fanout.completed,
            Script::Echo(echo) => echo.outstanding(),
            Script::Silent => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates_are_told_from_latecomers() {
        let mut seen = Seen::new();
        assert!(matches!(seen.take(0), Fit::InOrder));
        assert!(matches!(seen.take(0), Fit::Wrong));
        assert!(matches!(seen.take(5), Fit::InOrder), "rooms of others");
        assert!(matches!(seen.take(3), Fit::Late));
        assert!(matches!(seen.take(3), Fit::Wrong));
        assert!(matches!(seen.take(4 + LATE), Fit::InOrder));
        assert!(matches!(seen.take(4), Fit::Wrong), "too long ago to know");
        assert!(matches!(seen.take(6), Fit::Late));
        assert!(matches!(seen.take(5 + 10 * LATE), Fit::InOrder));
        assert!(
            matches!(seen.take(4 + 10 * LATE), Fit::Late),
            "old bits are forgotten"
        );
    }
}
