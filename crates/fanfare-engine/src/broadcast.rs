//! One message to many connections.

use std::sync::Arc;

use crate::batch;
use crate::connection::Touched;
use crate::forms::Forms;
use crate::{Connection, Prepared, SendError};

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
    let jobs = if batch::is_active() {
        None
    } else {
        batch::jobs_for(targets.len())
    };
    let mut forms = Forms::new(message, options.compress);
    let mut job: Vec<Arc<dyn Touched>> = Vec::new();
    for conn in targets.iter() {
        if skip.is_some_and(|skip| Arc::ptr_eq(skip, conn)) {
            continue;
        }
        report.recipients += 1;
        if options.volatile && !conn.is_writable() {
            continue;
        }
        let source = forms.source(conn);
        let result = match &jobs {
            None => batch::send(conn, source, message.packets),
            Some(runtime) => conn.queue_in_batch(source, message.packets, 0).map(|_| {
                job.push(conn.clone());
                if job.len() == batch::job_size() {
                    batch::spawn_flush(runtime, std::mem::take(&mut job));
                }
            }),
        };
        if let Err(SendError::Full { .. }) = result {
            report.full += 1;
        }
    }
    if let Some(runtime) = &jobs
        && !job.is_empty()
    {
        batch::spawn_flush(runtime, job);
    }
    report
}
