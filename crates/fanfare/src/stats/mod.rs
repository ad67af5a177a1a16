//! Statistics of the server, and their publication to the `metrics` facade.
//!
//! Frequent events are counted internally and passed to the facade once a second ([`publish`](ServerStats::publish)); rare
//! ones are passed to it at once. `book/en/src/guide/observability.md` has the list.

mod counter;
mod publish;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use fanfare_core::Rejection;
use fanfare_engine::{CloseReason, Protocol, Transport};
use metrics::{counter, histogram};
use parking_lot::{Mutex, RwLock};

use crate::contain::contain;
use crate::disconnect_reason::DisconnectReason;
pub(crate) use counter::Sharded;
use publish::Published;

/// Maximum number of namespaces that are counted separately; the rest is counted together, as `other`.
const MAX_NAMESPACES: usize = 64;

const EVENTS_IN: usize = 0;
const EVENTS_OUT: usize = 1;

const BYTES_OUT: usize = 2;

/// The counters of a namespace, or of those that share a label.
#[derive(Debug)]
pub(crate) struct NamespaceStats {
    label: Arc<str>,
    /// Events in, events out, bytes out.
    counts: Sharded<3>,
    sockets: AtomicI64,
}

impl NamespaceStats {
    fn new(label: &str) -> Arc<Self> {
        Arc::new(Self {
            label: label.into(),
            counts: Sharded::default(),
            sockets: AtomicI64::new(0),
        })
    }

    #[inline]
    pub(crate) fn event_in(&self) {
        self.counts.add(EVENTS_IN, 1);
    }

    #[inline]
    pub(crate) fn event_out(&self, recipients: usize, len: usize) {
        self.counts.add(EVENTS_OUT, recipients as u64);
        self.counts.add(BYTES_OUT, (recipients * len) as u64);
    }

    pub(crate) fn joined(&self) {
        self.sockets.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn left(&self) {
        self.sockets.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The counters of a server.
#[derive(Debug)]
pub(crate) struct ServerStats {
    bytes_in: Sharded<1>,
    /// Open connections by protocol and transport.
    connections: [[AtomicI64; 2]; 2],
    opened: AtomicU64,
    closed: AtomicU64,
    rejected: AtomicU64,
    panics: AtomicU64,
    namespaces: RwLock<HashMap<Arc<str>, Arc<NamespaceStats>>>,
    other: Arc<NamespaceStats>,
    publishing: AtomicBool,
    pub(crate) published: Mutex<Published>,
}

impl Default for ServerStats {
    fn default() -> Self {
        Self {
            bytes_in: Sharded::default(),
            connections: Default::default(),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            panics: AtomicU64::new(0),
            namespaces: RwLock::default(),
            other: NamespaceStats::new("other"),
            publishing: AtomicBool::new(false),
            published: Mutex::default(),
        }
    }
}

const fn index(protocol: Protocol, transport: Transport) -> (usize, usize) {
    (
        matches!(protocol, Protocol::V4) as usize,
        matches!(transport, Transport::WebSocket) as usize,
    )
}

const fn protocol_label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::V3 => "3",
        Protocol::V4 => "4",
    }
}

impl ServerStats {
    /// Returns the counters for a namespace: those of its name, or `other` if there are too many names already.
    pub(crate) fn namespace(&self, label: &str) -> Arc<NamespaceStats> {
        if let Some(stats) = self.namespaces.read().get(label) {
            return stats.clone();
        }
        let mut namespaces = self.namespaces.write();
        if let Some(stats) = namespaces.get(label) {
            return stats.clone();
        }
        if namespaces.len() >= MAX_NAMESPACES {
            return self.other.clone();
        }
        let stats = NamespaceStats::new(label);
        namespaces.insert(stats.label.clone(), stats.clone());
        stats
    }

    #[inline]
    pub(crate) fn bytes_in(&self, n: usize) {
        self.bytes_in.add(0, n as u64);
    }

    pub(crate) fn opened(&self, protocol: Protocol, transport: Transport) {
        let (p, t) = index(protocol, transport);
        self.connections[p][t].fetch_add(1, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        let (protocol, transport) = (protocol_label(protocol), transport.name());
        counter!("fanfare_connections_opened_total", "protocol" => protocol, "transport" => transport)
            .increment(1);
    }

    pub(crate) fn upgraded(&self, protocol: Protocol) {
        let (p, from) = index(protocol, Transport::Polling);
        let (_, to) = index(protocol, Transport::WebSocket);
        self.connections[p][from].fetch_sub(1, Ordering::Relaxed);
        self.connections[p][to].fetch_add(1, Ordering::Relaxed);
        counter!("fanfare_upgrades_total", "protocol" => protocol_label(protocol)).increment(1);
    }

    /// Counts a closed connection; `transport` is the one that it was last counted under.
    pub(crate) fn closed(&self, protocol: Protocol, transport: Transport, reason: CloseReason) {
        let (p, t) = index(protocol, transport);
        self.connections[p][t].fetch_sub(1, Ordering::Relaxed);
        self.closed.fetch_add(1, Ordering::Relaxed);
        counter!("fanfare_connections_closed_total", "reason" => reason.as_str()).increment(1);
    }

    /// Counts a rejection, or the disconnection of a peer, for a cause from a fixed list.
    pub(crate) fn rejected(&self, cause: &'static str) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
        counter!("fanfare_rejected_total", "cause" => cause).increment(1);
    }

    /// Counts a panic of a function of the application that was already counted by its kind.
    pub(crate) fn count_panic(&self) {
        self.panics.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls a function of the application as [`contain`](contain()) does, and counts a panic of it in these statistics.
    #[inline]
    pub(crate) fn contain<R>(&self, hook: &'static str, f: impl FnOnce() -> R) -> Option<R> {
        let result = contain(hook, f);
        if result.is_none() {
            self.count_panic();
        }
        result
    }

    pub(crate) fn panicked(&self) {
        self.count_panic();
        counter!("fanfare_handler_panics_total").increment(1);
    }

    /// Whether the caller must start the task that publishes: true once.
    pub(crate) fn start_publishing(&self) -> bool {
        !self.publishing.load(Ordering::Relaxed) && !self.publishing.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn snapshot(&self) -> Stats {
        let at = |transport: usize| {
            let count =
                |protocol: usize| self.connections[protocol][transport].load(Ordering::Relaxed);
            usize::try_from(count(0) + count(1)).unwrap_or(0)
        };
        let namespaces = self.namespaces.read();
        let all = || namespaces.values().chain([&self.other]);
        let sum = |which| all().map(|n| n.counts.sum(which)).sum();
        Stats {
            polling: at(0),
            websocket: at(1),
            opened: self.opened.load(Ordering::Relaxed),
            closed: self.closed.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            panics: self.panics.load(Ordering::Relaxed),
            events_in: sum(EVENTS_IN),
            events_out: sum(EVENTS_OUT),
            bytes_in: self.bytes_in.sum(0),
            bytes_out: sum(BYTES_OUT),
        }
    }
}

/// Statistics of a server since it was built, see [`SocketIo::stats`](crate::SocketIo::stats).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Number of connections that currently use long-polling.
    pub polling: usize,
    /// Number of connections that currently use WebSocket.
    pub websocket: usize,
    /// Number of connections opened.
    pub opened: u64,
    /// Number of connections closed.
    pub closed: u64,
    /// Number of requests, packets and connections rejected, for any cause.
    pub rejected: u64,
    /// Number of panics of handlers and hooks.
    pub panics: u64,
    /// Number of events received.
    pub events_in: u64,
    /// Number of events sent, each recipient of a broadcast counted.
    pub events_out: u64,
    /// Number of bytes of the messages received.
    pub bytes_in: u64,
    /// Number of bytes of the events sent, WebSocket framing included, each recipient of a broadcast counted.
    pub bytes_out: u64,
}

pub(crate) fn malformed(kind: &'static str) {
    counter!("fanfare_malformed_packets_total", "kind" => kind).increment(1);
}

pub(crate) fn rejected(rejection: &Rejection) {
    counter!("fanfare_events_rejected_total", "reason" => rejection.label()).increment(1);
}

/// Counts an error that a handler returned.
pub(crate) fn failed() {
    counter!("fanfare_handler_errors_total").increment(1);
}

/// Counts a client that wanted to be recovered.
pub(crate) fn recovery(label: &'static str) {
    counter!("fanfare_recoveries_total", "outcome" => label).increment(1);
}

pub(crate) fn disconnected(reason: DisconnectReason) {
    counter!("fanfare_disconnects_total", "reason" => reason.as_str()).increment(1);
}

pub(crate) fn outbox_full(recipients: usize) {
    counter!("fanfare_outbox_full_total").increment(recipients as u64);
}

/// Records the time after which an acknowledgement arrived.
pub(crate) fn acknowledged(after: Duration) {
    histogram!("fanfare_ack_seconds").record(after);
    counter!("fanfare_acks_total", "outcome" => "answered").increment(1);
}

/// Counts acknowledgements that did not arrive.
pub(crate) fn unacknowledged(outcome: &'static str, n: usize) {
    counter!("fanfare_acks_total", "outcome" => outcome).increment(n as u64);
}
