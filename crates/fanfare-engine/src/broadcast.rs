//! Broadcasts: one message to many connections.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::batch::{self, BatchTarget, FlushTarget};
use crate::connection::Connection;
use crate::encoded_message::EncodedMessage;
use crate::encodings::Encodings;
use crate::error::SendError;
use crate::outgoing_frames::OutgoingFrames;
use crate::shared_segment::{Capacity, SharedSegment};

/// Minimum number of recipients of a [`SharedSegment`], which costs two allocations and a copy.
const MIN_SEGMENT_RECIPIENTS: usize = 8;
/// Maximum length of the first message of a [`SharedSegment`], in bytes.
const MAX_SEGMENT_MESSAGE_BYTES: usize = 8 * 1024;

/// Options of a broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastOptions {
    /// Whether connections that cannot take the message at once are skipped, or may lose it later: see
    /// [`SlowConsumer::DropVolatileFirst`](crate::config::SlowConsumer). Default: no.
    pub volatile: bool,
    /// Whether connections that negotiated compression get the message compressed. Default: yes.
    pub compress: bool,
}

impl Default for BroadcastOptions {
    fn default() -> Self {
        BroadcastOptions {
            volatile: false,
            compress: true,
        }
    }
}

impl BroadcastOptions {
    /// Sets [`volatile`](field@Self::volatile).
    #[must_use]
    pub fn volatile(mut self, volatile: bool) -> Self {
        self.volatile = volatile;
        self
    }

    /// Sets [`compress`](field@Self::compress).
    #[must_use]
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }
}

/// Outcome of a broadcast to the connections of this engine.
///
/// A server above the engine reports more, such as the fate of the message in a cluster: the `BroadcastReport` of
/// `fanfare` has these numbers and the adapter's outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// Number of connections that the broadcast was addressed to.
    pub recipients: usize,
    /// Number of recipients that did not get the message because their outbox was full.
    pub full: usize,
}

/// Sends `message` to each of `targets` except `skip`. Closed connections are ignored.
///
/// When this returns, the message is in every outbox, in the order of what was emitted before and after it, whichever
/// threads emitted it. Within a batch it is written when the batch ends. Outside a batch, the calling thread writes a
/// message to few recipients at once, and the runtime's workers write one to many.
pub fn broadcast<S: Send + Sync + 'static>(
    targets: &Arc<[Arc<Connection<S>>]>,
    message: &EncodedMessage,
    options: BroadcastOptions,
    skip: Option<&Arc<Connection<S>>>,
) -> DeliveryReport {
    let mut report = DeliveryReport::default();
    if message.is_empty() {
        return report;
    }
    let mut encodings = Encodings::new(message, options.compress);
    let recipients = || {
        let skipped = |conn: &&Arc<Connection<S>>| skip.is_none_or(|skip| !Arc::ptr_eq(skip, conn));
        targets.iter().filter(skipped)
    };
    let jobs = match batch::is_active() {
        true => None,
        false => batch::workers_for(targets.len()),
    };
    let shared = (jobs.is_some() || batch::is_active())
        && !options.volatile
        && encodings.compress()
        && targets.len() >= MIN_SEGMENT_RECIPIENTS
        && message.len() <= MAX_SEGMENT_MESSAGE_BYTES;
    if shared {
        let key = Key {
            targets: targets.clone(),
            skip: skip.cloned(),
        };
        return broadcast_segment(key, message, &mut encodings, recipients(), jobs.as_ref());
    }
    let mut job = Job::new(jobs.as_ref());
    for conn in recipients() {
        report.recipients += 1;
        let source = conn.encode(&mut encodings);
        if options.volatile {
            if conn.keeps_volatile() && !matches!(source, OutgoingFrames::Deflate(_)) {
                let _ = conn.queue_volatile(source, message.packets);
                continue;
            }
            if !conn.is_writable() {
                continue;
            }
        }
        let result = match &jobs {
            None if options.volatile => conn.send_if_writable(source, message.packets).map(drop),
            None => batch::send(conn, source, message.packets),
            Some(_) => conn
                .queue_in_batch(source, message.packets, 0)
                .map(|_| job.add(conn)),
        };
        if let Err(SendError::Full { .. }) = result {
            report.full += 1;
        }
    }
    report
}

/// Audience of a shared segment.
struct Key<S> {
    targets: Arc<[Arc<Connection<S>>]>,
    skip: Option<Arc<Connection<S>>>,
}

impl<S> PartialEq for Key<S> {
    fn eq(&self, other: &Self) -> bool {
        let skip = match (&self.skip, &other.skip) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        skip && Arc::ptr_eq(&self.targets, &other.targets)
    }
}

/// Puts the message into all outboxes by way of a shared segment: an existing one, or a new one.
fn broadcast_segment<'a, S: Send + Sync + 'static>(
    key: Key<S>,
    message: &EncodedMessage,
    encodings: &mut Encodings<'_>,
    recipients: impl Iterator<Item = &'a Arc<Connection<S>>>,
    jobs: Option<&Handle>,
) -> DeliveryReport {
    let size = (message.len(), message.packets);
    if jobs.is_none()
        && let Some(recipients) = batch::append_to_segment(&key, &message.frames, message.packets)
    {
        return DeliveryReport {
            recipients,
            full: 0,
        };
    }
    let segment = Arc::new(SharedSegment::new(&message.frames, message.packets));
    let batch = match jobs {
        None => batch::current(),
        Some(_) => 0,
    };
    let mut report = DeliveryReport::default();
    let mut job = Job::new(jobs);
    let mut least = Capacity::ALL;
    // Whether further messages may use the segment: every recipient has it, and takes messages in the encoding that it
    // holds.
    let mut by_all = true;
    for conn in recipients {
        report.recipients += 1;
        by_all &= conn.takes_as_is(true);
        let queued = if conn.takes_as_is(message.binary) {
            conn.attach_in_batch(&segment, size, batch)
        } else {
            let queued = conn.queue_in_batch(conn.encode(encodings), message.packets, batch);
            queued.map(|first| (first, Capacity::ALL))
        };
        match queued {
            Ok((first, room)) => {
                least = least.least(room);
                match jobs {
                    Some(_) => job.add(conn),
                    None if first => batch::touch(conn),
                    None => {}
                }
            }
            Err(SendError::Full { .. }) => report.full += 1,
            Err(SendError::Closed) => {}
        }
    }
    if jobs.is_none() && by_all && report.full == 0 {
        batch::remember_segment(key, segment, least, report.recipients);
    }
    report
}

/// Connections for the runtime's workers to flush, once all of them have the message.
struct Job<'a> {
    runtime: Option<&'a Handle>,
    conns: Vec<Arc<dyn FlushTarget>>,
}

impl<'a> Job<'a> {
    fn new(runtime: Option<&'a Handle>) -> Job<'a> {
        Job {
            runtime,
            conns: Vec::new(),
        }
    }

    fn add<S: Send + Sync + 'static>(&mut self, conn: &Arc<Connection<S>>) {
        self.conns.push(conn.clone());
    }
}

/// Spawns the flush even if a panic ends the broadcast: what is in an outbox has to leave.
impl Drop for Job<'_> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime {
            batch::spawn_flush(runtime, std::mem::take(&mut self.conns));
        }
    }
}
