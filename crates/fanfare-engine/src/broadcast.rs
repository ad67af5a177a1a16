//! One message to many connections.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::batch::{self, Source};
use crate::connection::Touched;
use crate::{Connection, Prepared, Protocol, SendError};

/// So many connections are written to in one go; more are cut into jobs for all workers.
const JOB: usize = 256;
/// With only one worker jobs bring nothing but the chance for others to run in between.
const JOB_SINGLE: usize = 2048;

/// How a broadcast is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BroadcastOptions {
    /// Connections that cannot take the message at once are left out. Default: no.
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

/// What became of a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastReport {
    /// Connections whose outbox was full. (Not known, and 0, if the broadcast waits for the end of a batch.)
    pub full: usize,
}

/// Sends `message` to every one of `targets`. Closed connections are skipped.
///
/// Within a batch, broadcasts to the same `targets` (the same `Arc`) that follow each other leave together. Outside,
/// the message leaves at once; a big audience is shared by the runtime's workers. Either way the order of what one
/// thread emits is the order in which each connection gets it.
pub fn broadcast<S: Send + Sync + 'static>(
    targets: &Arc<[Arc<Connection<S>>]>,
    message: &Prepared,
    options: BroadcastOptions,
) -> BroadcastReport {
    if targets.is_empty() || message.is_empty() {
        return BroadcastReport::default();
    }
    let key = targets.as_ptr().cast::<()>() as usize;
    let collected = batch::collect(
        |waiting| match waiting {
            Some(group) => group.join(message),
            None => Group {
                key,
                options,
                first: message.clone(),
                joined: Vec::new(),
                targets: Box::new(targets.clone()),
            },
        },
        |group| group.key == key && group.options == options,
    );
    if collected {
        return BroadcastReport::default();
    }
    targets.distribute(message, options, Mode::Now)
}

/// Broadcasts to one audience that a batch holds back.
pub(crate) struct Group {
    key: usize,
    options: BroadcastOptions,
    first: Prepared,
    /// The frames of all, once there are several.
    joined: Vec<u8>,
    targets: Box<dyn Audience>,
}

impl Group {
    fn join(mut self, message: &Prepared) -> Group {
        if self.joined.is_empty() {
            self.joined.reserve(4 * self.first.frames.len());
            self.joined.extend_from_slice(&self.first.frames);
        }
        self.joined.extend_from_slice(&message.frames);
        self.first.packets += message.packets;
        self.first.binary |= message.binary;
        self
    }

    pub(crate) fn distribute(self, last: bool) {
        let mut message = self.first;
        if !self.joined.is_empty() {
            message.frames = Bytes::from(self.joined);
        }
        let mode = if last { Mode::Last } else { Mode::Queue };
        let report = self.targets.distribute(&message, self.options, mode);
        if report.full > 0 {
            tracing::debug!(
                connections = report.full,
                "the outbox was full for some recipients of a broadcast"
            );
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// Outside of a batch.
    Now,
    /// At the end of a batch.
    Last,
    /// Within a batch that goes on.
    Queue,
}

trait Audience {
    fn distribute(
        &self,
        message: &Prepared,
        options: BroadcastOptions,
        mode: Mode,
    ) -> BroadcastReport;
}

impl<S: Send + Sync + 'static> Audience for Arc<[Arc<Connection<S>>]> {
    fn distribute(
        &self,
        message: &Prepared,
        options: BroadcastOptions,
        mode: Mode,
    ) -> BroadcastReport {
        let mut report = BroadcastReport::default();
        let mut v3 = None;
        let jobs = match mode {
            Mode::Queue => None,
            Mode::Now | Mode::Last => jobs_for(self.len()),
        };
        let mut flush: Vec<Arc<Connection<S>>> = Vec::new();
        for conn in self.iter() {
            let message = match conn.protocol() {
                Protocol::V3 if message.binary => &*v3.get_or_insert_with(|| message.to_v3()),
                _ => message,
            };
            if options.volatile && !conn.inner.lock().is_writable() {
                continue;
            }
            let (frames, packets) = (&message.frames, message.packets);
            let result = if let Some((_, size)) = &jobs {
                // In a batch its owner's frames are held back: those join them.
                conn.queue_in_batch(Source::Shared(frames), packets)
                    .map(|first| {
                        if first {
                            if flush.is_empty() {
                                flush.reserve_exact(*size);
                            }
                            flush.push(conn.clone());
                        }
                    })
            } else {
                match mode {
                    Mode::Now => conn.write(Source::Shared(frames), packets),
                    Mode::Last => batch::send_collected(conn, frames, packets, true),
                    Mode::Queue => batch::send_collected(conn, frames, packets, false),
                }
            };
            if let Err(SendError::Full { .. }) = result {
                report.full += 1;
            }
            if let Some((handle, size)) = &jobs
                && flush.len() == *size
            {
                spawn_flush(handle, std::mem::take(&mut flush));
            }
        }
        if let Some((handle, _)) = &jobs
            && !flush.is_empty()
        {
            spawn_flush(handle, flush);
        }
        report
    }
}

fn spawn_flush<S: Send + Sync + 'static>(handle: &Handle, conns: Vec<Arc<Connection<S>>>) {
    handle.spawn(async move {
        for conn in conns {
            conn.flush_dirty();
        }
    });
}

/// The runtime and the size of a job, if this many recipients are worth cutting up.
fn jobs_for(recipients: usize) -> Option<(Handle, usize)> {
    if recipients <= JOB {
        return None;
    }
    let handle = Handle::try_current().ok()?;
    let single = handle.runtime_flavor() == RuntimeFlavor::CurrentThread
        || handle.metrics().num_workers() == 1;
    match single {
        true if recipients <= JOB_SINGLE => None,
        _ => Some((handle, JOB)),
    }
}
