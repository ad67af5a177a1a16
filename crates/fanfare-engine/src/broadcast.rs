//! One message to many connections.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::batch;
use crate::connection::Touched;
use crate::forms::Forms;
use crate::run::{Room, Run};
use crate::{Connection, Prepared, SendError};

/// With so many recipients and no more bytes than this, they share a [`Run`]: it costs two allocations and a copy.
const MANY: usize = 8;
const SHARED: usize = 8 * 1024;

/// How a broadcast is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
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

/// What became of a broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BroadcastReport {
    /// The connections it was meant for.
    pub recipients: usize,
    /// How many of them did not get it because their outbox was full.
    pub full: usize,
}

/// Sends `message` to every one of `targets` but `skip`. Closed connections are passed over.
///
/// When this returns, the message stands in every outbox, in the order of what was emitted before and after it,
/// whichever threads emitted it. Within a batch it is written when the batch ends; outside, a message to a few is
/// written at once, one to many by the runtime's workers.
pub fn broadcast<S: Send + Sync + 'static>(
    targets: &Arc<[Arc<Connection<S>>]>,
    message: &Prepared,
    options: BroadcastOptions,
    skip: Option<&Arc<Connection<S>>>,
) -> BroadcastReport {
    let mut report = BroadcastReport::default();
    if message.is_empty() {
        return report;
    }
    let mut forms = Forms::new(message, options.compress);
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
        && forms.compress()
        && targets.len() >= MANY
        && message.len() <= SHARED;
    if shared {
        let key = Key {
            targets: targets.clone(),
            skip: skip.cloned(),
        };
        return broadcast_run(key, message, &mut forms, recipients(), jobs.as_ref());
    }
    let mut job = Job::new(jobs.as_ref());
    for conn in recipients() {
        report.recipients += 1;
        if options.volatile && !conn.is_writable() {
            continue;
        }
        let source = forms.source(conn);
        let result = match &jobs {
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

/// Whom a run is for.
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

/// Puts the message into all outboxes by way of a run: one that is there already, or a new one.
fn broadcast_run<'a, S: Send + Sync + 'static>(
    key: Key<S>,
    message: &Prepared,
    forms: &mut Forms<'_>,
    recipients: impl Iterator<Item = &'a Arc<Connection<S>>>,
    jobs: Option<&Handle>,
) -> BroadcastReport {
    let size = (message.len(), message.packets);
    if jobs.is_none()
        && let Some(recipients) = batch::append_to_run(&key, &message.frames, message.packets)
    {
        return BroadcastReport {
            recipients,
            full: 0,
        };
    }
    let run = Arc::new(Run::new(&message.frames, message.packets));
    let batch = match jobs {
        None => batch::current(),
        Some(_) => 0,
    };
    let mut report = BroadcastReport::default();
    let mut job = Job::new(jobs);
    let mut least = Room::ALL;
    // Whether further messages may go the same way: everybody has it, and takes what comes in the form that it has.
    let mut everybody = true;
    for conn in recipients {
        report.recipients += 1;
        everybody &= conn.takes_as_is(true);
        let queued = if conn.takes_as_is(message.binary) {
            conn.attach_in_batch(&run, size, batch)
        } else {
            let queued = conn.queue_in_batch(forms.source(conn), message.packets, batch);
            queued.map(|first| (first, Room::ALL))
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
    if jobs.is_none() && everybody && report.full == 0 {
        batch::remember_run(key, run, least, report.recipients);
    }
    report
}

/// Connections for the runtime's workers to flush, once all of them have the message.
struct Job<'a> {
    runtime: Option<&'a Handle>,
    conns: Vec<Arc<dyn Touched>>,
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

/// Also if a panic ends the broadcast: what stands in an outbox has to leave.
impl Drop for Job<'_> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime {
            batch::spawn_flush(runtime, std::mem::take(&mut self.conns));
        }
    }
}
