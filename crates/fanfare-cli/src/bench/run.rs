//! One run: start, warm up, measure, stop.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fanfare_protocol::deadline;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::client::Connector;
use super::flow::Flow;
use super::process::{Usage, usage};
use super::screen::{Row, Screen};
use super::stats::{ErrorCounts, Latencies, Stats};
use super::workers::{self, Phase, Shared};
use super::{Bench, Scenario, polling, preflight};
use crate::exit::Failure;
use crate::net;
use crate::target::Target;

/// Maximum number of concurrent handshakes while starting.
const MAX_OPENING_CONNECTIONS: usize = 64;

/// Results of a run.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) started: u64,
    pub(super) connected: u64,
    pub(super) stalled: u32,
    pub(super) stalled_cut: u64,
    pub(super) measured: Duration,
    pub(super) starting: Duration,
    pub(super) operations: u64,
    pub(super) deliveries: u64,
    pub(super) reordered: u64,
    pub(super) errors: ErrorCounts,
    pub(super) first_error: Option<String>,
    pub(super) latencies: Latencies,
    pub(super) connects: Latencies,
    pub(super) rows: Vec<Row>,
    /// Usage of the server's process before the clients connect, with them connected, and at the end.
    pub(super) usage: Option<[Usage; 3]>,
}

/// Runs the benchmark.
pub(super) async fn run(args: &Bench, target: Target, stalled: u32) -> Result<Outcome, Failure> {
    let dialer = net::dialer(&target, &net::tls(&args.server)?)?.timeout(args.timeout);
    let connector = Connector {
        dialer,
        target,
        patience: args.timeout,
    };
    preflight::check(&connector, args.scenario).await?;
    let before = args.pid.map(look).transpose()?;
    let (phase, phases) = watch::channel(Phase::Start);
    let emitters = match args.scenario {
        Scenario::Echo | Scenario::Polling => args.connections,
        _ => 1,
    };
    let interval = match args.rate {
        0 => Duration::ZERO,
        rate => Duration::from_secs_f64(f64::from(emitters) / f64::from(rate)),
    };
    let streams = if args.scenario == Scenario::Rooms {
        args.rooms as usize
    } else {
        1
    };
    let shared = Arc::new(Shared {
        connector,
        stats: Stats::new(),
        flow: Flow::new(streams, args.window()),
        phase: phases,
        opening: Semaphore::new(if args.scenario == Scenario::Connect {
            args.connections as usize
        } else {
            MAX_OPENING_CONNECTIONS
        }),
        scenario: args.scenario,
        window: args.window(),
        payload: args.payload as usize,
        binary: args.binary,
        rooms: args.rooms,
        rooms_per_client: args.rooms_per_client,
        interval,
        patience: args.timeout,
    });
    let mut screen = Screen::new(args, shared.clone());
    let mut tasks = JoinSet::new();
    let readers = args.connections - stalled;
    start(args, &shared, &mut tasks, readers, &mut screen).await;
    let starting = shared.stats.started.elapsed();
    let connected = shared.stats.connected.load(Relaxed);
    let with_clients = args.pid.and_then(usage);
    let _ = phase.send(Phase::Run);
    screen
        .until("warmup", deadline(Instant::now(), args.warmup))
        .await;
    let measuring = screen.begin();
    screen
        .until("measure", deadline(measuring, args.duration))
        .await;
    let measured = measuring.elapsed();
    let operations = shared.stats.operations.load(Relaxed);
    shared.stats.counting.store(false, Relaxed);
    screen.finish();
    let _ = phase.send(Phase::Stop);
    let _ = tokio::time::timeout(args.timeout + Duration::from_secs(5), async {
        while tasks.join_next().await.is_some() {}
    })
    .await;
    let after = args.pid.and_then(usage);
    let stats = &shared.stats;
    let mut all = screen.total;
    let _ = all.add(stats.drain());
    Ok(Outcome {
        started: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
        connected,
        stalled,
        stalled_cut: stats.stalled_cut.load(Relaxed),
        measured,
        starting,
        operations,
        // Only deliveries with a recorded latency, so that one at the very end is in both figures or in neither.
        deliveries: all.len(),
        reordered: stats.reordered.load(Relaxed),
        errors: stats.errors(),
        first_error: stats.first_error(),
        latencies: all,
        connects: stats.connects(),
        rows: screen.rows,
        usage: before
            .zip(with_clients)
            .zip(after)
            .map(|((a, b), c)| [a, b, c]),
    })
}

fn look(pid: u32) -> Result<Usage, Failure> {
    usage(pid).ok_or_else(|| {
        Failure::usage(format!("the process {pid} cannot be seen"))
            .because("--pid needs Linux, and a process on this machine")
            .fix("leave --pid out, or check the number with `pgrep`")
    })
}

/// Starts the clients and waits until they are connected.
async fn start(
    args: &Bench,
    shared: &Arc<Shared>,
    tasks: &mut JoinSet<()>,
    readers: u32,
    screen: &mut Screen,
) {
    let began = Instant::now();
    for number in 0..args.connections {
        if args.ramp > 0 && args.scenario != Scenario::Connect {
            let due = deadline(
                began,
                Duration::from_secs_f64(f64::from(number) / f64::from(args.ramp)),
            );
            screen.until("start", due).await;
        }
        if screen.is_stopped() {
            return;
        }
        let (shared, index) = (shared.clone(), number as usize);
        if number >= readers {
            tasks.spawn(workers::stalled(shared, index));
            continue;
        }
        match args.scenario {
            Scenario::Connect => tasks.spawn(workers::connect(shared)),
            Scenario::Idle => tasks.spawn(workers::idle(shared)),
            Scenario::Echo => tasks.spawn(workers::echo(shared, index)),
            Scenario::Fanout | Scenario::Rooms => tasks.spawn(workers::receive(shared, index)),
            Scenario::Polling => tasks.spawn(polling::polling(shared, index)),
        };
    }
    if args.scenario == Scenario::Connect {
        return;
    }
    let patience = args.timeout.max(Duration::from_secs(5));
    let each = Duration::from_millis(20);
    let limit = deadline(Instant::now(), patience + each * args.connections);
    loop {
        let done = shared.stats.ready.load(Relaxed)
            + shared.stats.errors.refused.load(Relaxed)
            + shared.stats.errors.dropped.load(Relaxed);
        if done >= u64::from(args.connections) || Instant::now() > limit || screen.is_stopped() {
            break;
        }
        screen.until("start", deadline(Instant::now(), each)).await;
    }
}
