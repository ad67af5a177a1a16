//! Fault tests with real servers, Node's and Fanfare's, that are killed, stalled, restarted, cut off and half-open at
//! random: 1000 times in all, or `FANFARE_FAULTS` times each. The seed is printed; `FANFARE_SEED` sets it.
//!
//! Clients emit and receive numbers all the time. The invariants, under all faults:
//!
//! - nothing arrives twice, and the numbers of one connection arrive in order and without a gap, whichever transports
//!   it used, but for those whose acknowledgement timed out while they waited;
//! - acknowledged numbers have arrived, even if the server was killed right after;
//! - with `retries` all numbers arrive, even if the server is killed repeatedly;
//! - a session, recovered ones included, misses no event of the server and gets none twice;
//! - connect and disconnect alternate, and every acknowledgement is settled;
//! - at the end no task, socket or memory is left.

#![allow(clippy::unwrap_used)]

mod client;
mod leaks;
mod network;
mod server;
#[path = "../support/mod.rs"]
mod support;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use client::Numbers;
use leaks::Held;
use network::Network;
use serde_json::{Value, json};
use support::{Server, soon, until};
use tokio::task::JoinSet;

/// Number of faults of each test, unless `FANFARE_FAULTS` sets another.
const FAULTS: u64 = 500;
/// Number of concurrent servers, each with a separate network and clients.
const THEATRES: u64 = 4;
/// Bytes that runtimes, logging and similar may keep; a single lost connection with its buffers is more, over hundreds
/// of faults.
const SLACK: isize = 64 * 1024;

type Start = fn(Value) -> Server;

struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        // Similar seeds must not give similar sequences.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    fn millis(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.below(below))
    }
}

#[test]
fn node_servers() {
    run("node", Server::node);
}

#[test]
fn fanfare_servers() {
    run("fanfare", |options| Server::start(server::command, options));
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is no number: {text:?}")))
}

fn run(name: &'static str, start: Start) {
    // Leaks are counted for the whole process.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock();
    let faults = number("FANFARE_FAULTS").unwrap_or(FAULTS);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = number("FANFARE_SEED").unwrap_or(u64::from(now.subsec_nanos()));
    println!("{name}: {faults} faults, FANFARE_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        // Warm-up: allocates everything that is created only once.
        let first = play(name, start, 2, seed ^ u64::MAX).await;
        assert!(first.arrived > 0);
        let before = Held::now();
        let began = Instant::now();
        let total = play(name, start, faults, seed).await;
        println!("{name}: {total:?} in {:.1?}", began.elapsed());
        until(|| Held::now().is_no_more_than(&before, isize::MAX)).await;
        let after = Held::now();
        println!("{name}: held before {before:?}, after {after:?}");
        assert!(
            after.is_no_more_than(&before, SLACK),
            "something is left of {faults} faults: {before:?} before, {after:?} after"
        );
    });
}

/// Statistics of a test.
#[derive(Debug, Default)]
struct Total {
    arrived: usize,
    acknowledged: usize,
    /// Number of events sent again by the queue of retries although they had arrived.
    repeated: usize,
    ticks: u64,
}

/// Runs `faults` faults, spread over the theatres.
async fn play(name: &'static str, start: Start, faults: u64, seed: u64) -> Total {
    let mut theatres = JoinSet::new();
    for number in 0..THEATRES {
        let faults = faults / THEATRES + u64::from(number < faults % THEATRES);
        let random = Random::new(seed.wrapping_add(number));
        let log = std::env::temp_dir().join(format!(
            "fanfare-faults-{name}-{}-{number}.log",
            std::process::id()
        ));
        theatres.spawn(theatre(start, log, faults, random));
    }
    let mut total = Total::default();
    while let Some(one) = theatres.join_next().await {
        let one = one.unwrap();
        total.arrived += one.arrived;
        total.acknowledged += one.acknowledged;
        total.repeated += one.repeated;
        total.ticks += one.ticks;
    }
    total
}

/// Runs one server with its network, its clients and their faults.
async fn theatre(start: Start, log: PathBuf, faults: u64, mut random: Random) -> Total {
    let _ = std::fs::remove_file(&log);
    let options = json!({
        "pingInterval": 300, "pingTimeout": 500, "recovery": 60_000, "ticks": 20, "log": log.to_str().unwrap(),
    });
    let mut server = blocking(move || start(options)).await;
    let network = Network::start().await;
    network.route(server.port);
    let ticks = Arc::new(AtomicU64::new(0));
    let clients = client::start(network.port, &ticks);
    for number in 0..faults {
        match random.below(16) {
            0..=4 => network.cut(),
            5..=7 => network.half_open(),
            8..=9 => {
                network.freeze(true);
                tokio::time::sleep(random.millis(1000)).await;
                network.freeze(false);
            }
            10..=11 => {
                network.cut();
                network.refuse(true);
                tokio::time::sleep(random.millis(300)).await;
                network.refuse(false);
            }
            12..=14 => {
                server.stall();
                tokio::time::sleep(random.millis(1200)).await;
                server.resume();
            }
            _ => {
                // No other process may get the port of the dead server and be taken for it.
                network.route(0);
                let quiet = random.millis(200);
                server = blocking(move || {
                    server.kill();
                    std::thread::sleep(quiet);
                    server.replace();
                    server
                })
                .await;
                network.route(server.port);
            }
        }
        tokio::time::sleep(random.millis(300)).await;
        if number % 16 == 15 {
            // From time to time, all clients complete an upgrade and empty their queues.
            until(|| clients.iter().all(client::Client::is_connected)).await;
        }
    }

    // The faults are over: all clients reconnect and everything settles.
    until(|| clients.iter().all(client::Client::is_connected)).await;
    let seen = ticks.load(Ordering::SeqCst);
    until(|| ticks.load(Ordering::SeqCst) > seen).await;
    let mut emitted = HashMap::new();
    for client in clients {
        let (name, retries, numbers) = client.finish().await;
        let numbers = std::mem::take(&mut *numbers.lock());
        emitted.insert(name, (retries, numbers));
    }
    soon(network.stop()).await;
    drop(server);
    let mut total = check(&std::fs::read_to_string(&log).unwrap(), &emitted);
    total.ticks = ticks.load(Ordering::SeqCst);
    std::fs::remove_file(&log).unwrap();
    total
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Compares the numbers that the server received with the clients' records. A line is `name connection number`.
fn check(log: &str, emitted: &HashMap<String, (bool, Numbers)>) -> Total {
    let mut arrived: HashMap<&str, HashMap<u64, usize>> = HashMap::new();
    let mut last: HashMap<(&str, &str), u64> = HashMap::new();
    for line in log.lines() {
        let mut words = line.split(' ');
        let (name, connection) = (words.next().unwrap(), words.next().unwrap());
        let n: u64 = words.next().unwrap().parse().unwrap();
        let (retries, numbers) = &emitted[name];
        if let Some(last) = last.insert((name, connection), n) {
            if *retries {
                assert!(
                    n == last || n == last + 1,
                    "{name}: {n} after {last} on {connection}"
                );
            } else {
                assert!(n > last, "{name}: {n} after {last} on {connection}");
                let lost = (last + 1..n).find(|gap| !numbers.late.contains(gap));
                assert_eq!(
                    lost, None,
                    "{name}: lost between {last} and {n} on {connection}"
                );
            }
        }
        let times = arrived.entry(name).or_default().entry(n).or_default();
        *times += 1;
        assert!(*times == 1 || *retries, "{name}: {n} arrived twice");
    }
    let mut total = Total::default();
    for (name, (retries, numbers)) in emitted {
        let arrived = &arrived[name.as_str()];
        if *retries {
            let lost = (1..=numbers.last).find(|n| !arrived.contains_key(n));
            assert_eq!(lost, None, "{name}: lost, although it is retried");
        } else {
            assert!(!numbers.acknowledged.is_empty(), "{name}: no answer at all");
        }
        let missing = numbers
            .acknowledged
            .iter()
            .find(|n| !arrived.contains_key(n));
        assert_eq!(missing, None, "{name}: acknowledged, but did not arrive");
        total.arrived += arrived.len();
        total.repeated += arrived.values().sum::<usize>() - arrived.len();
        total.acknowledged += numbers.acknowledged.len();
    }
    total
}
