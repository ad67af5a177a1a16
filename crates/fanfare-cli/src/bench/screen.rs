//! Progress display of a run, and the time series behind it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

use super::Bench;
use super::stats::{Latencies, latencies};
use super::workers::Shared;
use crate::out::{self, Text};

/// Latency percentiles of one interval, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spread {
    pub(super) p50: u64,
    pub(super) p99: u64,
    pub(super) max: u64,
}

/// Figures of one interval.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// End of the interval, in seconds since the start of the run.
    pub(super) at: f64,
    /// Length of the interval, in seconds.
    pub(super) length: f64,
    pub(super) phase: &'static str,
    pub(super) connected: u64,
    pub(super) operations: f64,
    pub(super) deliveries: f64,
    /// Latencies; `None` if nothing was delivered.
    pub(super) latency: Option<Spread>,
    pub(super) errors: u64,
}

/// Progress bar, live table, and the rows behind it.
pub(super) struct Screen {
    shared: Arc<Shared>,
    bar: ProgressBar,
    table: bool,
    lines: usize,
    pub(super) rows: Vec<Row>,
    /// Latencies of the whole measurement.
    pub(super) total: Latencies,
    last: Instant,
    last_operations: u64,
    last_deliveries: u64,
    every: Duration,
    /// Whether Ctrl-C was pressed.
    stop: watch::Receiver<bool>,
}

impl Screen {
    pub(super) fn new(args: &Bench, shared: Arc<Shared>) -> Self {
        let terminal = out::is_error_terminal();
        let bar = if terminal && !args.quiet {
            ProgressBar::new(1000)
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template("{msg:8} [{wide_bar}] {elapsed}") {
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

    /// Shows progress until `end`, or until Ctrl-C.
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

    /// Returns whether Ctrl-C was pressed.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Begins to measure: resets all counters. Returns the time of the reset.
    pub(super) fn begin(&mut self) -> Instant {
        self.shared.stats.restart();
        self.total.reset();
        (self.last_operations, self.last_deliveries) = (0, 0);
        self.last = Instant::now();
        self.last
    }

    fn row(&mut self, phase: &'static str) {
        let length = self.last.elapsed().as_secs_f64();
        // A remainder between two phases is too short for a row.
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
        let columns = out::error_columns();
        if self.lines.is_multiple_of(20) {
            let head = HEADS.map(str::to_owned);
            out::above(&self.bar, &out::error_style().bold(line(&head, columns)));
        }
        self.lines += 1;
        let ms = |take: fn(Spread) -> u64| match row.latency {
            Some(spread) => format!("{:.2}", take(spread) as f64 / 1000.0),
            None => "-".to_owned(),
        };
        let cells = [
            format!("{:.1}", row.at),
            row.phase.to_owned(),
            row.connected.to_string(),
            format!("{:.0}", row.operations),
            format!("{:.0}", row.deliveries),
            ms(|spread| spread.p50),
            ms(|spread| spread.p99),
            ms(|spread| spread.max),
            row.errors.to_string(),
        ];
        let text = line(&cells, columns);
        out::above(
            &self.bar,
            &match row.errors {
                0 => Text::of(text),
                _ => out::error_style().bad(text),
            },
        );
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Watches for Ctrl-C: the first one ends the run early, the second one the program.
fn ctrl_c() -> watch::Receiver<bool> {
    let (sender, stop) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = sender.send(true);
            let _ = tokio::signal::ctrl_c().await;
            std::process::exit(130);
        }
        // Without signal support nothing stops the run, and receivers must not mistake a dropped sender for a stop.
        sender.closed().await;
    });
    stop
}

/// Columns of the table: their headings, and thereby their widths.
const HEADS: [&str; 9] = [
    "s",
    "phase",
    "clients",
    "ops/s",
    "deliveries/s",
    "p50 ms",
    "p99 ms",
    "max ms",
    "errors",
];
const WIDTHS: [usize; 9] = [6, 7, 8, 8, 12, 8, 8, 8, 6];
/// Columns that are dropped in a narrow terminal, in the order in which they go.
const DISPENSABLE: [usize; 6] = [1, 7, 5, 2, 3, 8];

/// Formats a line of the table that fits into `columns` columns.
fn line(cells: &[String; 9], columns: Option<usize>) -> String {
    let mut shown: Vec<usize> = (0..cells.len()).collect();
    let width = |shown: &[usize]| shown.iter().map(|at| WIDTHS[*at] + 1).sum::<usize>() - 1;
    for gone in DISPENSABLE {
        if columns.is_some_and(|columns| width(&shown) > columns) {
            shown.retain(|at| *at != gone);
        }
    }
    let cells: Vec<String> = shown
        .into_iter()
        .map(|at| {
            let (cell, width) = (&cells[at], WIDTHS[at]);
            // The only column of words; the others are numbers.
            if at == 1 {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        })
        .collect();
    cells.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_fit_into_narrow_terminals() {
        let heads = HEADS.map(str::to_owned);
        assert_eq!(
            line(&heads, None),
            line(&heads, Some(80)),
            "all fit into 80"
        );
        for columns in 30..=80 {
            let line = line(&heads, Some(columns));
            assert!(line.chars().count() <= columns, "{columns}: {line}");
            for kept in ["s", "deliveries/s", "p99 ms"] {
                assert!(line.contains(kept), "{columns}: {line}");
            }
        }
        assert!(line(&heads, Some(60)).contains("errors"));
    }
}
