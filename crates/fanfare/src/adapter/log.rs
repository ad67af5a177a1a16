//! Log of the broadcasts of a cluster, kept by an adapter.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use fanfare_protocol::EncodedEvent;
use parking_lot::Mutex;

use super::{AdapterError, BoxFuture, Broadcast, PublishOutcome};
use crate::broadcast::BroadcastOperator;

/// A log of broadcasts that an [`Adapter`](super::Adapter) keeps for all nodes of its cluster, such as a Redis stream.
///
/// Each broadcast has a position in the log. Every node delivers the broadcasts of a namespace to its clients in the
/// order of the log, its own included. Where connections can be recovered, the position is appended to the event, so
/// that a client that reconnects, to any node, reports what it has received.
pub trait EventLog: Send + Sync {
    /// Returns the limits of what waits for its position. Read once, when the server is built.
    fn limits(&self) -> LogLimits {
        LogLimits::default()
    }

    /// Appends a broadcast of this node. Must not block; it is called again before earlier calls have a position.
    ///
    /// When the position is known, the adapter calls [`PendingDelivery::deliver`]. It does so in the order of the log,
    /// also in relation to the broadcasts of other nodes, which it passes to
    /// [`ClusterHandle::receive_logged`](super::ClusterHandle::receive_logged). An adapter that reads the log does both
    /// from there.
    ///
    /// If the broadcast cannot be appended, now or later, the adapter drops `pending`: then the clients of this node
    /// get the event without a position of its own. Before an adapter returns [`PublishOutcome::Down`] it drops what it
    /// has not appended, so that the order is kept. With [`PublishOutcome::Full`] it calls
    /// [`PendingDelivery::discard`]: the event then reaches no client of any node, and the caller of `emit` may send
    /// it again. When the server closes, the adapter drops everything that is pending.
    fn append(
        &self,
        namespace: &str,
        broadcast: Broadcast,
        pending: PendingDelivery,
    ) -> PublishOutcome;

    /// Returns the broadcasts that a client missed.
    ///
    /// # Errors
    /// [`MissedEventsError`].
    fn missed<'a>(
        &'a self,
        namespace: &'a str,
        request: MissedEventsRequest,
    ) -> BoxFuture<'a, Result<Vec<LoggedEvent>, MissedEventsError>>;
}

/// Limits of the broadcasts of a server that wait for their position in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogLimits {
    /// Maximum number of broadcasts. Default: 8192.
    pub max_pending: usize,
    /// Maximum number of bytes of their events. Default: 16 MiB.
    pub max_pending_bytes: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self {
            max_pending: 8192,
            max_pending_bytes: 16 << 20,
        }
    }
}

impl LogLimits {
    /// Sets the maximum number of broadcasts.
    #[must_use]
    pub fn max_pending(mut self, count: usize) -> Self {
        self.max_pending = count;
        self
    }

    /// Sets the maximum number of bytes.
    #[must_use]
    pub fn max_pending_bytes(mut self, bytes: usize) -> Self {
        self.max_pending_bytes = bytes;
        self
    }
}

/// Position of an event in the log of its namespace. Positions are compared by a number; clients get the text, which
/// the adapter chooses.
///
/// ```
/// use fanfare::adapter::LogPosition;
///
/// // A stream of Redis: milliseconds and a number.
/// let position = LogPosition::new((1_795_338_712_164 << 64) | 3, "1795338712164-3");
/// assert!(position < LogPosition::new(1_795_338_712_165 << 64, "1795338712165-0"));
/// ```
#[derive(Debug, Clone)]
pub struct LogPosition {
    order: u128,
    text: Arc<str>,
}

impl LogPosition {
    /// Creates a position.
    pub fn new(order: u128, text: impl Into<Arc<str>>) -> Self {
        Self {
            order,
            text: text.into(),
        }
    }

    /// Returns the number by which positions are compared.
    pub fn order(&self) -> u128 {
        self.order
    }

    /// Returns the text that clients get.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for LogPosition {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl Eq for LogPosition {}

impl PartialOrd for LogPosition {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LogPosition {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order.cmp(&other.order)
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A broadcast of this node that waits for its position in the log. When it is dropped without one, the clients of this
/// node get the event with the position of the last event before it.
#[derive(Debug)]
#[must_use = "dropping it delivers the event without a position of its own"]
pub struct PendingDelivery {
    delivery: Option<(BroadcastOperator, EncodedEvent)>,
    _permit: PendingPermit,
}

impl PendingDelivery {
    pub(crate) fn new(
        operator: BroadcastOperator,
        event: EncodedEvent,
        permit: PendingPermit,
    ) -> Self {
        Self {
            delivery: Some((operator, event)),
            _permit: permit,
        }
    }

    /// Sends the event to the clients of this node, with its position.
    pub fn deliver(mut self, position: &LogPosition) {
        self.finish(Some(position));
    }

    /// Drops the event: no client of this node gets it.
    pub fn discard(mut self) {
        self.delivery = None;
    }

    fn finish(&mut self, position: Option<&LogPosition>) {
        if let Some((operator, event)) = self.delivery.take() {
            operator.deliver_or_report(&event, position);
        }
    }
}

impl Drop for PendingDelivery {
    fn drop(&mut self) {
        self.finish(None);
    }
}

/// Count of the broadcasts that wait for their position.
#[derive(Debug)]
pub(crate) struct PendingCount {
    limits: LogLimits,
    /// Number and bytes.
    used: Mutex<(usize, usize)>,
}

impl PendingCount {
    pub(super) fn new(limits: LogLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            used: Mutex::default(),
        })
    }

    /// Counts one more broadcast; `None` if that exceeds a limit. A single one is always accepted.
    pub(super) fn permit(self: &Arc<Self>, bytes: usize) -> Option<PendingPermit> {
        let mut used = self.used.lock();
        let (count, sum) = (used.0 + 1, used.1.saturating_add(bytes));
        let over = count > self.limits.max_pending || sum > self.limits.max_pending_bytes;
        if over && used.0 > 0 {
            return None;
        }
        *used = (count, sum);
        Some(PendingPermit {
            count: self.clone(),
            bytes,
        })
    }
}

/// Permit of one pending broadcast; released on drop.
#[derive(Debug)]
pub(crate) struct PendingPermit {
    count: Arc<PendingCount>,
    bytes: usize,
}

impl Drop for PendingPermit {
    fn drop(&mut self) {
        let mut used = self.count.used.lock();
        used.0 -= 1;
        used.1 -= self.bytes;
    }
}

/// An event of the log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoggedEvent {
    /// Position of the event.
    pub position: LogPosition,
    /// The event, without its position.
    pub event: EncodedEvent,
}

impl LoggedEvent {
    /// Creates an event of the log.
    pub fn new(position: LogPosition, event: EncodedEvent) -> Self {
        Self { position, event }
    }
}

/// Request for the events that a client missed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissedEventsRequest {
    /// Position of the last event that the client received, as the client sent it, or at which its session began. It
    /// may be forged.
    pub after: String,
    /// Rooms of the client, with that of its id. An event was missed if it was sent to all sockets or to one of these
    /// rooms, and excluded none of them.
    pub rooms: Vec<String>,
    /// Maximum number of bytes of the events.
    pub max_bytes: usize,
}

impl MissedEventsRequest {
    pub(crate) fn new(after: String, rooms: Vec<String>, max_bytes: usize) -> Self {
        Self {
            after,
            rooms,
            max_bytes,
        }
    }

    /// Whether a broadcast with these options was sent to the client.
    pub fn concerns(&self, options: &super::ClusterOptions) -> bool {
        let has = |room: &String| self.rooms.contains(room);
        let selected = options.rooms.is_empty() || options.rooms.iter().any(has);
        selected && !options.except.iter().any(has)
    }
}

/// Reason for which the missed events of a client cannot be returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MissedEventsError {
    /// The position is not in this log.
    #[error("the position is unknown")]
    UnknownPosition,
    /// The log no longer has everything after the position.
    #[error("some of the events are no longer in the log")]
    Truncated,
    /// The events are longer than the limit.
    #[error("the events have more bytes than the limit")]
    TooMany,
    /// The log cannot be read.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}
