//! Statistics of the messages between this server and the others.

use metrics::{counter, gauge};
use parking_lot::Mutex;

use super::ClusterMessage;
use crate::stats::Sharded;

/// Kind of a message, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Broadcast,
    Join,
    Leave,
    Disconnect,
    Fetch,
    ServerEvent,
    Answer,
    Session,
    /// A message of a kind that this version does not know.
    Other,
}

/// Number of the kinds.
const KINDS: usize = 9;

/// Kinds in their order, with their labels.
const LABELS: [&str; KINDS] = [
    "broadcast",
    "join",
    "leave",
    "disconnect",
    "fetch",
    "server_event",
    "answer",
    "session",
    "other",
];

impl Kind {
    pub(super) fn of(message: &ClusterMessage) -> Self {
        match message {
            ClusterMessage::Broadcast(_) => Self::Broadcast,
            ClusterMessage::SocketsJoin(_) => Self::Join,
            ClusterMessage::SocketsLeave(_) => Self::Leave,
            ClusterMessage::DisconnectSockets(_) => Self::Disconnect,
            ClusterMessage::FetchSockets(_) => Self::Fetch,
            ClusterMessage::ServerSideEmit(_) => Self::ServerEvent,
            ClusterMessage::PeerRequest(_) => Self::Session,
            _ => Self::Other,
        }
    }
}

/// Numbers of messages since the server was built, by kind.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    sent: Sharded<KINDS>,
    received: Sharded<KINDS>,
    published: Mutex<Published>,
}

/// Values that have been published, of which only differences are passed on.
#[derive(Debug, Default)]
struct Published {
    sent: [u64; KINDS],
    received: [u64; KINDS],
    pending: usize,
    health: Option<&'static str>,
}

impl Traffic {
    pub(super) fn sent(&self, kind: Kind) {
        self.sent.add(kind as usize, 1);
    }

    pub(super) fn received(&self, kind: Kind) {
        self.received.add(kind as usize, 1);
    }

    /// Returns the numbers of messages sent and received, of all kinds.
    pub(super) fn sums(&self) -> (u64, u64) {
        let sum = |counts: &Sharded<KINDS>| (0..KINDS).map(|kind| counts.sum(kind)).sum();
        (sum(&self.sent), sum(&self.received))
    }
}

/// Counts a request that ended before all other servers had answered.
pub(super) fn incomplete() {
    counter!("fanfare_cluster_requests_incomplete_total").increment(1);
}

impl Traffic {
    /// Publishes the changes since the last time. `pending`: number of requests that wait for other servers.
    pub(super) fn publish(&self, pending: usize, health: &'static str) {
        let mut published = self.published.lock();
        let published = &mut *published;
        for (kind, label) in LABELS.into_iter().enumerate() {
            let advance = |before: &mut u64, now: u64| {
                let difference = now.wrapping_sub(std::mem::replace(before, now));
                (difference > 0).then_some(difference)
            };
            if let Some(count) = advance(&mut published.sent[kind], self.sent.sum(kind)) {
                counter!("fanfare_cluster_messages_sent_total", "kind" => label).increment(count);
            }
            let received = self.received.sum(kind);
            if let Some(count) = advance(&mut published.received[kind], received) {
                counter!("fanfare_cluster_messages_received_total", "kind" => label)
                    .increment(count);
            }
        }
        let before = std::mem::replace(&mut published.pending, pending);
        gauge!("fanfare_cluster_requests_pending").increment(pending as f64 - before as f64);
        let before = published.health.replace(health);
        if before != Some(health) {
            if let Some(before) = before {
                gauge!("fanfare_cluster_health", "state" => before).decrement(1.0);
            }
            gauge!("fanfare_cluster_health", "state" => health).increment(1.0);
        }
    }
}

pub(crate) fn describe() {
    use metrics::{describe_counter, describe_gauge};
    describe_counter!(
        "fanfare_cluster_messages_sent_total",
        "Messages to the other servers that the adapter accepted, by kind"
    );
    describe_counter!(
        "fanfare_cluster_messages_received_total",
        "Messages from the other servers, by kind"
    );
    describe_counter!(
        "fanfare_cluster_publish_errors_total",
        "Messages to the other servers that the adapter did not accept"
    );
    describe_counter!(
        "fanfare_cluster_requests_incomplete_total",
        "Requests that ended before all other servers had answered"
    );
    describe_gauge!(
        "fanfare_cluster_requests_pending",
        "Requests that wait for other servers"
    );
    describe_gauge!(
        "fanfare_cluster_health",
        "Servers by the state of their connection to the broker"
    );
}
