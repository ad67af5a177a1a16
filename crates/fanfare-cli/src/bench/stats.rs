//! Counters and histograms.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// Number of histograms that the clients share, so that they seldom wait for each other.
const SHARDS: usize = 16;

/// Latencies in microseconds, with three significant digits.
pub(super) type Latencies = Histogram<u64>;

pub(super) fn latencies() -> Latencies {
    // The bounds are valid constants.
    Histogram::new_with_bounds(1, 600_000_000, 3)
        .unwrap_or_else(|_| Histogram::new(3).expect("three digits are allowed"))
}

/// Error counters.
#[derive(Debug, Default)]
pub(super) struct Errors {
    /// Connections that failed to open.
    pub(super) refused: AtomicU64,
    /// Connections that ended early.
    pub(super) dropped: AtomicU64,
    /// Messages or acknowledgements that never arrived.
    pub(super) missing: AtomicU64,
    pub(super) duplicate: AtomicU64,
    /// Messages whose bytes differ from those sent.
    pub(super) corrupt: AtomicU64,
    /// Messages that reached a client outside of the room.
    pub(super) misrouted: AtomicU64,
}

/// Snapshot of [`Errors`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ErrorCounts {
    pub(super) refused: u64,
    pub(super) dropped: u64,
    pub(super) missing: u64,
    pub(super) duplicate: u64,
    pub(super) corrupt: u64,
    pub(super) misrouted: u64,
}

impl ErrorCounts {
    pub(super) fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("refused", self.refused),
            ("dropped", self.dropped),
            ("missing", self.missing),
            ("duplicate", self.duplicate),
            ("corrupt", self.corrupt),
            ("misrouted", self.misrouted),
        ]
    }

    pub(super) fn total(&self) -> u64 {
        self.named().iter().map(|(_, count)| count).sum()
    }
}

/// Counters shared by all clients.
#[derive(Debug)]
pub(super) struct Stats {
    pub(super) started: Instant,
    /// Whether events count; `false` once the measurement is over.
    pub(super) counting: AtomicBool,
    shards: Vec<Mutex<Latencies>>,
    connects: Mutex<Latencies>,
    pub(super) connected: AtomicU64,
    /// Number of clients that are ready to begin.
    pub(super) ready: AtomicU64,
    pub(super) operations: AtomicU64,
    pub(super) deliveries: AtomicU64,
    pub(super) reordered: AtomicU64,
    pub(super) stalled_cut: AtomicU64,
    pub(super) errors: Errors,
    first_error: Mutex<Option<String>>,
}

impl Stats {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            counting: AtomicBool::new(true),
            shards: (0..SHARDS).map(|_| Mutex::new(latencies())).collect(),
            connects: Mutex::new(latencies()),
            connected: AtomicU64::new(0),
            ready: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            reordered: AtomicU64::new(0),
            stalled_cut: AtomicU64::new(0),
            errors: Errors::default(),
            first_error: Mutex::new(None),
        }
    }

    /// Returns nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    /// Records a message or acknowledgement that arrived at `client`.
    pub(super) fn delivered(&self, client: usize, sent: u64) {
        if self.counting.load(Relaxed) {
            let micros = self.now().saturating_sub(sent) / 1000;
            self.shards[client % SHARDS]
                .lock()
                .saturating_record(micros);
            self.deliveries.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn operated(&self) {
        if self.counting.load(Relaxed) {
            self.operations.fetch_add(1, Relaxed);
        }
    }

    /// Resets all counters at the end of the warm-up.
    pub(super) fn restart(&self) {
        drop(self.drain());
        self.operations.store(0, Relaxed);
        self.deliveries.store(0, Relaxed);
    }

    pub(super) fn connected(&self, began: Instant) {
        self.connected.fetch_add(1, Relaxed);
        self.connects
            .lock()
            .saturating_record(began.elapsed().as_micros() as u64);
    }

    pub(super) fn disconnected(&self) {
        self.connected.fetch_sub(1, Relaxed);
    }

    /// Counts an error, and keeps the first one for the summary.
    pub(super) fn fail(&self, counter: &AtomicU64, why: impl FnOnce() -> String) {
        counter.fetch_add(1, Relaxed);
        let mut first = self.first_error.lock();
        if first.is_none() {
            *first = Some(why());
        }
    }

    pub(super) fn first_error(&self) -> Option<String> {
        self.first_error.lock().clone()
    }

    /// Takes the latencies out of all shards.
    pub(super) fn drain(&self) -> Latencies {
        let mut all = latencies();
        for shard in &self.shards {
            let mut shard = shard.lock();
            let _ = all.add(&*shard);
            shard.reset();
        }
        all
    }

    pub(super) fn connects(&self) -> Latencies {
        self.connects.lock().clone()
    }

    pub(super) fn errors(&self) -> ErrorCounts {
        let errors = &self.errors;
        ErrorCounts {
            refused: errors.refused.load(Relaxed),
            dropped: errors.dropped.load(Relaxed),
            missing: errors.missing.load(Relaxed),
            duplicate: errors.duplicate.load(Relaxed),
            corrupt: errors.corrupt.load(Relaxed),
            misrouted: errors.misrouted.load(Relaxed),
        }
    }
}
