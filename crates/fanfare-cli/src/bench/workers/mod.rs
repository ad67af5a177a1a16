//! Clients of each scenario, one task per client.

mod deliver;
mod echo;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use fanfare_protocol::deadline;
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep_until, timeout};

use super::Scenario;
use super::client::{Client, Connector, Packet};
use super::flow::Flow;
use super::stats::Stats;

pub(super) use deliver::receive;
pub(super) use echo::{acknowledged, echo};

/// Phase of the run, as the clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Connect and wait.
    Start,
    /// Emit.
    Run,
    /// Wait for outstanding answers, then end.
    Stop,
}

/// State shared by all clients.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) stats: Stats,
    pub(super) flow: Flow,
    pub(super) phase: watch::Receiver<Phase>,
    /// Limit of concurrent handshakes.
    pub(super) opening: Semaphore,
    pub(super) scenario: Scenario,
    pub(super) window: u32,
    pub(super) payload: usize,
    pub(super) binary: bool,
    pub(super) rooms: u32,
    pub(super) rooms_per_client: u32,
    /// Time between two emits of one emitter; zero means as fast as the window allows.
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

    /// Connects, and counts the result.
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

/// Schedule of the emits.
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

    /// Returns the time at which the emit was due, if one is due.
    fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.interval.is_zero() {
            return Some(now);
        }
        let due = self.next;
        (due <= now).then(|| {
            self.next = deadline(self.next, self.interval);
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

/// Runs the scenario `connect`: one connection after the other.
pub(super) async fn connect(shared: Arc<Shared>) {
    let mut phase = shared.phase.clone();
    let _ = phase.wait_for(|phase| *phase != Phase::Start).await;
    while *phase.borrow() == Phase::Run {
        let began = shared.stats.now();
        let Some(client) = shared.open().await else {
            // A server that rejects at once must not be flooded with attempts.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        shared.stats.delivered(0, began);
        shared.stats.operated();
        client.close().await;
        shared.stats.disconnected();
    }
}

/// Runs the scenario `idle`: answers pings.
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

/// Connects (and joins the rooms), then never reads.
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
