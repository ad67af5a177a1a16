//! What the clients do, one task each.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep_until, timeout};

use super::Scenario;
use super::client::{Client, Connector, Packet};
use super::flow::Flow;
use super::message::{self, Fit, Track};
use super::stats::Stats;

/// What the clients should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connect, and wait.
    Start,
    /// Emit.
    Run,
    /// Wait for what is still due, and end.
    Stop,
}

/// What all clients share.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) stats: Stats,
    pub(super) flow: Flow,
    pub(super) phase: watch::Receiver<Phase>,
    /// Connections that are being opened.
    pub(super) opening: Semaphore,
    pub(super) scenario: Scenario,
    pub(super) window: u32,
    pub(super) payload: usize,
    pub(super) binary: bool,
    pub(super) rooms: u32,
    pub(super) rooms_per_client: u32,
    /// Time between two emits of one emitter; zero is as fast as the window allows.
    pub(super) interval: Duration,
    pub(super) patience: Duration,
}

impl Shared {
    fn rooms_of(&self, client: usize) -> Vec<u32> {
        if self.scenario != Scenario::Rooms {
            return vec![0];
        }
        let each = self.rooms_per_client.min(self.rooms);
        (0..each)
            .map(|i| {
                ((client as u64 * u64::from(each) + u64::from(i)) % u64::from(self.rooms)) as u32
            })
            .collect()
    }

    /// Connects; counts it.
    async fn open(&self) -> Option<Client> {
        let Ok(_permit) = self.opening.acquire().await else {
            return None;
        };
        let began = Instant::now();
        match self.connector.connect().await {
            Ok(client) => {
                self.stats.connected(began);
                Some(client)
            }
            Err(error) => {
                self.stats
                    .fail(&self.stats.errors.refused, || error.to_string());
                None
            }
        }
    }

    fn dropped(&self, why: &dyn std::fmt::Display) {
        self.stats.disconnected();
        self.stats.fail(&self.stats.errors.dropped, || {
            format!("a connection was lost: {why}")
        });
    }
}

/// When the next emit is due.
struct Pace {
    interval: Duration,
    next: Instant,
}

impl Pace {
    fn new(interval: Duration) -> Self {
        Self {
            interval,
            next: Instant::now(),
        }
    }

    /// The time at which the emit was due, if one is.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.interval.is_zero() {
            return Some(now);
        }
        let due = self.next;
        (due <= now).then(|| {
            self.next += self.interval;
            due
        })
    }

    async fn wait(&self) {
        if self.interval.is_zero() {
            std::future::pending::<()>().await;
        } else {
            sleep_until(self.next.into()).await;
        }
    }
}

fn nanos(shared: &Shared, at: Instant) -> u64 {
    at.saturating_duration_since(shared.stats.started)
        .as_nanos() as u64
}

/// `connect`: one connection after the other.
pub(super) async fn connect(shared: Arc<Shared>) {
    let mut phase = shared.phase.clone();
    let _ = phase.wait_for(|phase| *phase != Phase::Start).await;
    while *phase.borrow() == Phase::Run {
        let began = shared.stats.now();
        let Some(client) = shared.open().await else {
            // A server that refuses at once must not be hammered.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        shared.stats.delivered(0, began);
        shared.stats.operated();
        client.close().await;
        shared.stats.disconnected();
    }
}

/// `idle`: answers pings.
pub(super) async fn idle(shared: Arc<Shared>) {
    let Some(mut client) = shared.open().await else {
        return;
    };
    shared.stats.ready.fetch_add(1, Relaxed);
    let mut phase = shared.phase.clone();
    loop {
        let result = tokio::select! {
            result = async { phase.wait_for(|phase| *phase == Phase::Stop).await.map(drop) } => {
                let _ = result;
                break;
            }
            result = client.fill() => result,
        };
        let result = match result {
            Ok(()) => pings(&shared, &mut client).await,
            Err(error) => Err(error),
        };
        if let Err(error) = result {
            return shared.dropped(&error);
        }
    }
    client.close().await;
}

async fn pings(shared: &Shared, client: &mut Client) -> std::io::Result<()> {
    while let Some(packet) = client.next()? {
        match packet {
            Packet::Ping => shared.stats.operated(),
            Packet::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
    }
    client.flush().await
}

/// Connects (and joins its rooms), then never reads.
pub(super) async fn stalled(shared: Arc<Shared>, number: usize) {
    let Some(mut client) = shared.open().await else {
        return;
    };
    if shared.scenario == Scenario::Rooms && join_rooms(&shared, &mut client, number).await.is_err()
    {
        return shared.dropped(&"while joining rooms");
    }
    shared.stats.ready.fetch_add(1, Relaxed);
    let mut phase = shared.phase.clone();
    let _ = phase.wait_for(|phase| *phase == Phase::Stop).await;
    if client.was_cut().await {
        shared.stats.stalled_cut.fetch_add(1, Relaxed);
    }
    shared.stats.disconnected();
}

/// `echo`: emits with acknowledgement.
pub(super) async fn echo(shared: Arc<Shared>, number: usize) {
    let Some(mut client) = shared.open().await else {
        return;
    };
    shared.stats.ready.fetch_add(1, Relaxed);
    let mut phase = shared.phase.clone();
    let mut pace = Pace::new(shared.interval);
    let mut waiting: HashMap<u64, u64> = HashMap::new();
    let mut next = 0;
    let ack = format!("3{}", client.prefix);
    let mut text = Vec::new();
    let mut until = None;
    loop {
        let now = *phase.borrow_and_update();
        if now == Phase::Run {
            let mut at = Instant::now();
            while waiting.len() < shared.window as usize
                && let Some(due) = pace.due(at)
            {
                let sent = nanos(&shared, due);
                text.clear();
                text.extend_from_slice(format!("42{}{next}[\"echo\",\"", client.prefix).as_bytes());
                message::write(&mut text, next, sent, 0, shared.payload);
                text.extend_from_slice(b"\"]");
                client.send_text(&text);
                waiting.insert(next, sent);
                next += 1;
                at = Instant::now();
            }
        } else {
            // The time before the start is nobody's backlog.
            pace.next = Instant::now();
        }
        if now == Phase::Stop {
            let limit = *until.get_or_insert_with(|| Instant::now() + shared.patience);
            if waiting.is_empty() || Instant::now() >= limit {
                if !waiting.is_empty() {
                    shared.stats.fail(&shared.stats.errors.missing, || {
                        format!("no ack within {:?}", shared.patience)
                    });
                    shared
                        .stats
                        .errors
                        .missing
                        .fetch_add(waiting.len() as u64 - 1, Relaxed);
                }
                return client.close().await;
            }
        }
        let result = client.flush().await;
        let result = match result {
            Err(error) => Err(error),
            Ok(()) => tokio::select! {
                _ = phase.changed() => continue,
                () = pace.wait(), if now == Phase::Run && waiting.len() < shared.window as usize => continue,
                () = sleep_until(until.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600)).into()), if until.is_some() => continue,
                result = client.fill() => result,
            },
        };
        let result = match result {
            Err(error) => Err(error),
            Ok(()) => answers(&shared, &mut client, number, &ack, &mut waiting),
        };
        if let Err(error) = result {
            shared
                .stats
                .errors
                .missing
                .fetch_add(waiting.len() as u64, Relaxed);
            return shared.dropped(&error);
        }
    }
}

fn answers(
    shared: &Shared,
    client: &mut Client,
    number: usize,
    ack: &str,
    waiting: &mut HashMap<u64, u64>,
) -> std::io::Result<()> {
    while let Some(packet) = client.next()? {
        match packet {
            Packet::Text(text) => {
                if let Some(rest) = text.strip_prefix(ack) {
                    acknowledged(shared, number, rest, waiting);
                }
            }
            Packet::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            _ => {}
        }
    }
    Ok(())
}

/// Checks `7["…"]`.
pub(super) fn acknowledged(
    shared: &Shared,
    number: usize,
    rest: &str,
    waiting: &mut HashMap<u64, u64>,
) {
    let parsed = rest.split_once('[').and_then(|(id, body)| {
        let body = body.strip_prefix('"')?.strip_suffix("\"]")?;
        Some((
            id.parse::<u64>().ok()?,
            message::read(body.as_bytes(), shared.payload)?,
        ))
    });
    let stats = &shared.stats;
    match parsed {
        Some((id, received)) => match waiting.remove(&id) {
            Some(sent) if received.sequence == id && received.sent == sent => {
                stats.delivered(number, sent);
                stats.operated();
            }
            Some(_) => stats.fail(&stats.errors.corrupt, || {
                format!("ack {id} has the data of another emit")
            }),
            None => stats.fail(&stats.errors.duplicate, || format!("ack {id} came twice")),
        },
        None => stats.fail(&stats.errors.corrupt, || {
            format!(
                "an ack is not what was sent: {}",
                rest.chars().take(80).collect::<String>()
            )
        }),
    }
}

async fn join_rooms(shared: &Shared, client: &mut Client, number: usize) -> std::io::Result<()> {
    let rooms = shared.rooms_of(number);
    for (id, room) in rooms.iter().enumerate() {
        let packet = format!("42{}{id}[\"join\",\"room-{room}\"]", client.prefix);
        client.send_text(packet.as_bytes());
    }
    client.flush().await?;
    let ack = format!("3{}", client.prefix);
    let mut left = rooms.len();
    while left > 0 {
        while let Some(packet) = client.next()? {
            if matches!(&packet, Packet::Text(text) if text.starts_with(&ack)) {
                left -= 1;
            }
        }
        client.flush().await?;
        if left > 0 {
            let wait = timeout(shared.patience, client.fill()).await;
            wait.map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        }
    }
    Ok(())
}

/// `fanout` and `rooms`: every client receives, the first publishes, too.
pub(super) async fn receive(shared: Arc<Shared>, number: usize) {
    let Some(mut client) = shared.open().await else {
        return;
    };
    if shared.scenario == Scenario::Rooms
        && let Err(error) = join_rooms(&shared, &mut client, number).await
    {
        return shared.dropped(&error);
    }
    let streams = shared.rooms_of(number);
    shared.flow.join(&streams);
    shared.stats.ready.fetch_add(1, Relaxed);
    let mut receiver = Receiver {
        number,
        tracks: streams
            .into_iter()
            .map(|stream| (stream, Track::default()))
            .collect(),
        event: format!("2{}[\"msg\",", client.prefix),
        binary: format!("51-{}[\"msg\",", client.prefix),
        attachments: VecDeque::new(),
    };
    let result = receiver.run(&shared, &mut client).await;
    shared.flow.leave(
        receiver
            .tracks
            .iter()
            .map(|(stream, track)| (*stream, track.received())),
    );
    match result {
        Ok(()) => client.close().await,
        Err(error) => shared.dropped(&error),
    }
}

struct Receiver {
    number: usize,
    tracks: Vec<(u32, Track)>,
    event: String,
    binary: String,
    /// Headers whose attachment has not come.
    attachments: VecDeque<()>,
}

impl Receiver {
    async fn run(&mut self, shared: &Shared, client: &mut Client) -> std::io::Result<()> {
        let mut phase = shared.phase.clone();
        let publisher = self.number == 0;
        let mut pace = Pace::new(shared.interval);
        let mut room = 0;
        let mut until: Option<Instant> = None;
        loop {
            let now = *phase.borrow_and_update();
            let mut blocked = false;
            if publisher && now == Phase::Run {
                blocked = publish(shared, client, &mut pace, &mut room);
            } else {
                pace.next = Instant::now();
            }
            if now == Phase::Stop {
                let limit = *until.get_or_insert_with(|| Instant::now() + shared.patience);
                let due = shared.flow.outstanding();
                if due == 0 {
                    return Ok(());
                }
                if Instant::now() >= limit {
                    if publisher {
                        shared.stats.fail(&shared.stats.errors.missing, || {
                            format!("{due} deliveries did not come within {:?}", shared.patience)
                        });
                        shared.stats.errors.missing.fetch_add(due - 1, Relaxed);
                    }
                    return Ok(());
                }
            }
            client.flush().await?;
            let soon = Instant::now() + Duration::from_millis(50);
            tokio::select! {
                _ = phase.changed() => continue,
                () = shared.flow.progress.notified(), if publisher && blocked => continue,
                () = pace.wait(), if publisher && now == Phase::Run && !blocked => continue,
                () = sleep_until(soon.into()), if now == Phase::Stop => continue,
                result = client.fill() => result?,
            }
            let mut settled = 0;
            while let Some(packet) = client.next()? {
                match packet {
                    Packet::Text(text) => {
                        if let Some(body) = text.strip_prefix(&self.event) {
                            let body = body
                                .strip_prefix('"')
                                .and_then(|body| body.strip_suffix("\"]"));
                            settled += u64::from(take(
                                shared,
                                self.number,
                                &mut self.tracks,
                                body.unwrap_or_default().as_bytes(),
                            ));
                        } else if text.starts_with(&self.binary) {
                            self.attachments.push_back(());
                        }
                    }
                    Packet::Binary(bytes) => {
                        if self.attachments.pop_front().is_some() {
                            settled +=
                                u64::from(take(shared, self.number, &mut self.tracks, bytes));
                        }
                    }
                    Packet::Ping => {}
                    Packet::Close => return Err(std::io::ErrorKind::ConnectionAborted.into()),
                }
            }
            if settled > 0 {
                shared.flow.settle(settled);
            }
        }
    }
}

/// Publishes as much as the window and the pace allow; whether the window is closed.
fn publish(shared: &Shared, client: &mut Client, pace: &mut Pace, room: &mut u32) -> bool {
    let mut text = Vec::new();
    loop {
        let before = pace.next;
        let Some(due) = pace.due(Instant::now()) else {
            return false;
        };
        let stream = if shared.scenario == Scenario::Rooms {
            *room
        } else {
            0
        };
        let Some(sequence) = shared.flow.publish(stream) else {
            pace.next = before;
            return true;
        };
        let sent = nanos(shared, due);
        text.clear();
        if shared.binary {
            client.send_text(
                format!(
                    "451-{}[\"broadcast-binary\",{{\"_placeholder\":true,\"num\":0}}]",
                    client.prefix
                )
                .as_bytes(),
            );
            message::write(&mut text, sequence, sent, stream, shared.payload);
            client.send_binary(&text);
        } else {
            let head = match shared.scenario {
                Scenario::Rooms => format!("42{}[\"toroom\",\"room-{stream}\",\"", client.prefix),
                _ => format!("42{}[\"broadcast\",\"", client.prefix),
            };
            text.extend_from_slice(head.as_bytes());
            message::write(&mut text, sequence, sent, stream, shared.payload);
            text.extend_from_slice(b"\"]");
            client.send_text(&text);
        }
        shared.stats.operated();
        *room = (*room + 1) % shared.rooms;
    }
}

/// Checks a message; whether it is one that was due.
fn take(shared: &Shared, number: usize, tracks: &mut [(u32, Track)], bytes: &[u8]) -> bool {
    let stats = &shared.stats;
    let Some(received) = message::read(bytes, shared.payload) else {
        let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        stats.fail(&stats.errors.corrupt, || {
            format!(
                "a message of {} bytes is not what was sent: {start}",
                bytes.len()
            )
        });
        return false;
    };
    let Some((_, track)) = tracks
        .iter_mut()
        .find(|(stream, _)| *stream == received.stream)
    else {
        stats.fail(&stats.errors.misrouted, || {
            format!(
                "a message for room {} came to a client outside",
                received.stream
            )
        });
        return false;
    };
    match track.take(received.sequence) {
        Fit::Duplicate => {
            stats.fail(&stats.errors.duplicate, || {
                format!("message {} came twice", received.sequence)
            });
            return false;
        }
        Fit::Late => {
            stats.reordered.fetch_add(1, Relaxed);
        }
        Fit::Next => {}
    }
    stats.delivered(number, received.sent);
    true
}
