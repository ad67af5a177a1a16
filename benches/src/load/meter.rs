//! Measurements of a run, and its phases.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::{Bursts, LoadArgs, Measured};
use crate::process::{Usage, Watch};

/// Time after the last delivery during which duplicates are counted, in nanoseconds.
const SETTLE: u64 = 100_000_000;
/// Time limit for outstanding deliveries at the end, in nanoseconds.
const DRAIN: u64 = 20_000_000_000;
/// Time limit for connecting, in nanoseconds.
const CONNECT: u64 = 180_000_000_000;
/// Time without CPU use after which a server counts as having written everything. The kernel updates the CPU time of a
/// running thread at each of its ticks, at least a hundred times a second.
const QUIET: Duration = Duration::from_millis(15);
/// Interval of checks for idleness: long, because a check takes time of the core that the server would have.
const LOOK: Duration = Duration::from_millis(2);
/// Maximum number of errors that are described.
const TOLD: usize = 8;
/// Number of errors that ends a run.
const TOO_MANY: u64 = 1000;

/// Phase of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// All clients connect.
    Connect,
    /// All clients join their rooms.
    Join,
    WarmUp,
    Measure,
    /// Nothing more is sent; outstanding deliveries arrive.
    Drain,
    /// Anything that arrives now is a duplicate.
    Settle,
    Over,
}

/// Snapshot of the counters and of the server's usage.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: u64,
    operations: u64,
    idle: u64,
    server: Usage,
}

/// Counters and phases of a run.
pub(super) struct Meter<'a> {
    args: &'a LoadArgs,
    started: Instant,
    watch: Watch,
    pub(super) phase: Phase,
    until: u64,
    before: Mark,
    connected: Mark,
    joined: Mark,
    begin: Mark,
    end: Mark,
    latencies: Histogram<u64>,
    /// Number of finished operations.
    pub(super) operations: u64,
    pub(super) pings: u64,
    pub(super) reordered: u64,
    pub(super) resumed: u64,
    /// Time without work, in nanoseconds.
    pub(super) idle: u64,
    bursts: u32,
    burst_time: Duration,
    burst_cpu: Duration,
    errors: u64,
    messages: Vec<String>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(args: &'a LoadArgs) -> anyhow::Result<Meter<'a>> {
        let watch = Watch::new(args.pid);
        let before = Mark {
            server: watch.usage(),
            ..Mark::default()
        };
        Ok(Meter {
            args,
            started: Instant::now(),
            watch,
            phase: Phase::Connect,
            until: CONNECT,
            before,
            connected: before,
            joined: before,
            begin: before,
            end: before,
            latencies: Histogram::new_with_bounds(1, 600_000_000, 3)?,
            operations: 0,
            pings: 0,
            reordered: 0,
            resumed: 0,
            idle: 0,
            bursts: 0,
            burst_time: Duration::ZERO,
            burst_cpu: Duration::ZERO,
            errors: 0,
            messages: Vec::new(),
        })
    }

    /// Returns nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Records an operation that began at `since`.
    #[inline]
    pub(super) fn finished(&mut self, since: u64, now: u64) {
        self.operations += 1;
        if self.phase == Phase::Measure {
            self.latencies
                .saturating_record(now.saturating_sub(since) / 1000);
        }
    }

    /// Waits until the server is idle, and counts the CPU time that it used until then.
    pub(super) fn watch_burst(&mut self) {
        let began = Instant::now();
        let first = self.watch.cpu_time();
        let (mut used, mut until) = (first, Duration::ZERO);
        loop {
            std::thread::sleep(LOOK);
            let (now, latest) = (began.elapsed(), self.watch.cpu_time());
            if latest != used {
                (used, until) = (latest, now);
            } else if now - until > QUIET {
                break;
            }
        }
        if self.phase == Phase::Measure {
            self.bursts += 1;
            self.burst_time += until;
            self.burst_cpu += used - first;
        }
    }

    #[cold]
    pub(super) fn error(&mut self, what: impl Into<String>) {
        self.errors += 1;
        if self.messages.len() < TOLD {
            self.messages.push(what.into());
        }
    }

    /// Returns whether emits are due.
    pub(super) fn is_emitting(&self) -> bool {
        matches!(self.phase, Phase::WarmUp | Phase::Measure)
    }

    /// Returns whether the loop should look for work without sleeping.
    pub(super) fn is_spinning(&self) -> bool {
        self.args.spin && (Phase::WarmUp..Phase::Settle).contains(&self.phase)
    }

    fn mark(&self, now: u64, server: Usage) -> Mark {
        Mark {
            at: now,
            operations: self.operations,
            idle: self.idle,
            server,
        }
    }

    /// Enters the next phase if it is time. `ready`: all clients have finished the phase; `outstanding`: number of
    /// unfinished operations.
    pub(super) fn advance(&mut self, ready: bool, outstanding: u64, now: u64) {
        if self.errors > TOO_MANY && self.phase < Phase::Drain {
            self.end = self.mark(now, self.watch.usage());
            self.phase = Phase::Over;
        }
        let seconds = |seconds: f64| now + (seconds * 1e9) as u64;
        match self.phase {
            Phase::Connect | Phase::Join if ready => {
                self.joined = self.mark(now, self.watch.usage());
                if self.phase == Phase::Connect {
                    self.connected = self.joined;
                }
                if self.phase == Phase::Connect && self.args.joins() {
                    self.phase = Phase::Join;
                } else {
                    eprintln!("{}", super::EMITTING);
                    self.phase = Phase::WarmUp;
                    self.until = seconds(self.args.warmup);
                }
            }
            Phase::Connect | Phase::Join if now > self.until || self.errors > 0 => {
                self.error("not all clients got ready");
                self.end = self.mark(now, self.watch.usage());
                self.phase = Phase::Over;
            }
            Phase::WarmUp if now >= self.until => {
                self.begin = self.mark(now, self.watch.cpu());
                self.phase = Phase::Measure;
                self.until = seconds(self.args.secs);
            }
            Phase::Measure if now >= self.until => {
                self.end = self.mark(now, self.watch.usage());
                self.phase = Phase::Drain;
                self.until = now + DRAIN;
            }
            Phase::Drain if outstanding == 0 => {
                self.phase = Phase::Settle;
                self.until = now + SETTLE;
            }
            Phase::Drain if now >= self.until => {
                self.error(format!("{outstanding} operations never finished"));
                self.phase = Phase::Over;
            }
            Phase::Settle if now >= self.until => self.phase = Phase::Over,
            _ => {}
        }
    }

    /// Returns the measurements.
    pub(super) fn result(self, joins: u64) -> Measured {
        let secs = (self.end.at.saturating_sub(self.begin.at)) as f64 / 1e9;
        let micros = |quantile: f64| self.latencies.value_at_quantile(quantile) as f64;
        let idle = (self.end.idle - self.begin.idle) as f64 / 1e9;
        let per_client =
            |before: u64, after: u64| (after as f64 - before as f64) / f64::from(self.args.clients);
        let used = self.end.server.cpu() - self.begin.server.cpu();
        let join_cpu = self.joined.server.cpu() - self.connected.server.cpu();
        let bursts = (self.bursts > 0).then(|| Bursts {
            millis: self.burst_time.as_secs_f64() * 1e3 / f64::from(self.bursts),
            cores: self.burst_cpu.as_secs_f64() / self.burst_time.as_secs_f64(),
        });
        Measured {
            bursts,
            secs,
            operations: self.end.operations - self.begin.operations,
            cpu: used,
            user: self.end.server.user - self.begin.server.user,
            system: self.end.server.system - self.begin.server.system,
            p50: micros(0.5),
            p99: micros(0.99),
            p999: micros(0.999),
            max: self.latencies.max() as f64,
            busy: (self.args.spin && secs > 0.0).then(|| 1.0 - idle / secs),
            connect_secs: self.connected.at as f64 / 1e9,
            join_micros: (joins > 0).then(|| join_cpu * 1e6 / joins as f64),
            pss: self.end.server.pss,
            pss_per_client: per_client(self.before.server.pss, self.end.server.pss),
            rss_per_client: per_client(self.before.server.rss, self.end.server.rss),
            pings: self.pings,
            reordered: self.reordered,
            resumed: self.resumed,
            errors: self.errors,
            messages: self.messages,
        }
    }
}
