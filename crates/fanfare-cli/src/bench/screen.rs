//! What is seen while it runs, and the series behind it.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::Bench;
use super::stats::{Latencies, latencies};
use super::workers::Shared;
use crate::style;

/// Latencies of one interval, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

/// One interval.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its end, in seconds since the start of the run.
    pub(super) at: f64,
    /// Its length in seconds.
    pub(super) length: f64,
    pub(super) phase: &'static str,
    pub(super) connected: u64,
    pub(super) operations: f64,
    pub(super) deliveries: f64,
    /// `None` if nothing was delivered.
    pub(super) latency: Option<Spread>,
    pub(super) errors: u64,
}

/// The progress bar, the live table, and the rows behind it.
pub(super) struct Screen {
    shared: Arc<Shared>,
    bar: ProgressBar,
    table: bool,
    lines: usize,
    pub(super) rows: Vec<Row>,
    /// Of the measuring.
    pub(super) total: Latencies,
    last: Instant,
    last_operations: u64,
    last_deliveries: u64,
    every: Duration,
    /// Ctrl-C was pressed.
    stop: watch::Receiver<bool>,
}

impl Screen {
    pub(super) fn new(args: &Bench, shared: Arc<Shared>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal && !args.quiet {
            ProgressBar::new(1000)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{msg:8} [{bar:40}] {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let every = if args.duration < Duration::from_secs(5) {
            Duration::from_millis(250)
        } else {
            Duration::from_secs(1)
        };
        Self {
            shared,
            bar,
            table: !args.quiet,
            lines: 0,
            rows: Vec::new(),
            total: latencies(),
            last: Instant::now(),
            last_operations: 0,
            last_deliveries: 0,
            every,
            stop: ctrl_c(),
        }
    }

    /// Shows progress until then, or until Ctrl-C.
    pub(super) async fn until(&mut self, phase: &'static str, end: Instant) {
        let begin = Instant::now();
        self.bar.set_message(phase);
        let mut stop = self.stop.clone();
        let mut tick = interval(self.every.min(Duration::from_millis(500)) / 5);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = sleep_until(end.into()) => break,
                _ = stop.wait_for(|stop| *stop) => break,
                _ = tick.tick() => {}
            }
            if phase != "start" {
                let share = begin.elapsed().as_secs_f64() / (end - begin).as_secs_f64().max(0.001);
                self.bar.set_position((share * 1000.0) as u64);
            }
            if self.last.elapsed() >= self.every {
                self.row(phase);
            }
        }
        if phase != "start" {
            self.row(phase);
        }
    }

    /// Whether Ctrl-C was pressed.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Begins to measure: what was counted so far is no longer. Returns when that was.
    pub(super) fn begin(&mut self) -> Instant {
        self.shared.stats.restart();
        self.total.reset();
        (self.last_operations, self.last_deliveries) = (0, 0);
        self.last = Instant::now();
        self.last
    }

    fn row(&mut self, phase: &'static str) {
        let length = self.last.elapsed().as_secs_f64();
        // Whatever is left between two phases is not worth a row.
        if length < self.every.as_secs_f64() / 4.0 {
            return;
        }
        self.last = Instant::now();
        let stats = &self.shared.stats;
        let histogram = stats.drain();
        let (operations, deliveries) = (
            stats.operations.load(Relaxed),
            stats.deliveries.load(Relaxed),
        );
        let row = Row {
            at: stats.started.elapsed().as_secs_f64(),
            length,
            phase,
            connected: stats.connected.load(Relaxed),
            operations: (operations - self.last_operations) as f64 / length,
            deliveries: (deliveries - self.last_deliveries) as f64 / length,
            latency: (!histogram.is_empty()).then(|| Spread {
                p50: histogram.value_at_quantile(0.5),
                p99: histogram.value_at_quantile(0.99),
                max: histogram.max(),
            }),
            errors: stats.errors().total(),
        };
        (self.last_operations, self.last_deliveries) = (operations, deliveries);
        let _ = self.total.add(histogram);
        if self.table {
            self.print(&row);
        }
        self.rows.push(row);
    }

    fn print(&mut self, row: &Row) {
        let style = style::err();
        if self.lines.is_multiple_of(20) {
            let head = line([
                "s",
                "phase",
                "clients",
                "ops/s",
                "deliveries/s",
                "p50 ms",
                "p99 ms",
                "max ms",
                "errors",
            ]);
            self.line(style.bold(head));
        }
        self.lines += 1;
        let ms = |take: fn(Spread) -> u64| match row.latency {
            Some(spread) => format!("{:.2}", take(spread) as f64 / 1000.0),
            None => "-".to_owned(),
        };
        let text = line([
            &format!("{:.1}", row.at),
            row.phase,
            &row.connected.to_string(),
            &format!("{:.0}", row.operations),
            &format!("{:.0}", row.deliveries),
            &ms(|spread| spread.p50),
            &ms(|spread| spread.p99),
            &ms(|spread| spread.max),
            &row.errors.to_string(),
        ]);
        self.line(if row.errors > 0 {
            style.bad(text)
        } else {
            text
        });
    }

    fn line(&self, text: String) {
        if self.bar.is_hidden() {
            eprintln!("{text}");
        } else {
            self.bar.println(text);
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The first Ctrl-C ends the run early, the second one the program.
fn ctrl_c() -> watch::Receiver<bool> {
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = sender.send(true);
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        }
        // Without signals nobody stops it; the receivers must not take the end of the sender for one.
        sender.closed().await;
    });
    stop
}

/// A line of the table: it has to fit into 80 columns.
fn line(
    [
        at,
        phase,
        clients,
        operations,
        deliveries,
        p50,
        p99,
        max,
        errors,
    ]: [&str; 9],
) -> String {
    format!(
        "{at:>6} {phase:<7} {clients:>8} {operations:>8} {deliveries:>12} {p50:>8} {p99:>8} {max:>8} {errors:>6}"
    )
}
