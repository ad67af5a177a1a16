//! Sending together what one piece of work emits.
//!
//! While a batch runs on a thread, what is sent from there is queued with its connection, where everybody sees it, and
//! the batch remembers whom to flush: when it ends, each connection gets one write. So the order of a connection's
//! packets is the order in which they were emitted, whichever threads emitted them; only the writing waits.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::connection::{Connection, Touched};
use crate::outbox::{COPIED, SMALL, Tail};
use crate::run::{Room, Run};
use crate::sync::thread_local;
use crate::{PreparedBuf, SendError};

/// Buffers bigger than this are not kept for the next time.
const KEEP: usize = 256 * 1024;
/// Tails are kept for the next batch: each of at most so many bytes, and no more of them together.
const KEEP_TAIL: usize = 64 * 1024;
const KEEP_TAILS: usize = 4 << 20;
/// Room for so many connections is kept for the next batch.
const KEEP_DIRTY: usize = 4096;
/// A batch remembers so many runs.
const OPEN_RUNS: usize = 8;
/// So many connections are written to in one go; more are left to all workers.
const MANY: usize = 256;
/// With only one worker that brings nothing but the chance for others to run in between.
const MANY_SINGLE: usize = 2048;
/// So many connections a worker writes to before it looks whether others want to run: half a millisecond's work.
const SLICE: usize = 64;

/// Frames on their way out.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Bytes of somebody else: queueing copies them.
    Slice(&'a [u8]),
    /// Shared bytes.
    Shared(&'a Bytes),
    /// Shared bytes that are not worth compressing.
    Raw(&'a Bytes),
    /// To be compressed by the connection's own compressor as they enter its outbox.
    Deflate(&'a [u8]),
}

impl Source<'_> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Source::Slice(frames) | Source::Deflate(frames) => frames,
            Source::Shared(frames) | Source::Raw(frames) => frames,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    /// Up to this length, frames are collected in one piece of memory.
    #[inline]
    pub(crate) fn collected(&self) -> usize {
        match self {
            Source::Slice(_) => COPIED,
            _ => SMALL,
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Source::Slice(frames) | Source::Deflate(frames) => Bytes::copy_from_slice(frames),
            Source::Shared(frames) | Source::Raw(frames) => frames.clone(),
        }
    }
}

/// A run that this thread's batch has made.
struct OpenRun {
    /// For whom: a clone of the caller's key, which keeps it from being taken for a later one.
    key: Box<dyn Any>,
    run: Arc<Run>,
    room: Room,
    recipients: usize,
}

struct Batch {
    /// Tells this thread's batches from those of others; 0 = not assigned yet.
    id: Cell<u32>,
    depth: Cell<u32>,
    dirty: RefCell<Vec<Arc<dyn Touched>>>,
    /// Runs that may still grow, each with what it was made for.
    runs: RefCell<Vec<OpenRun>>,
    scratch: RefCell<Vec<u8>>,
    #[allow(
        clippy::vec_box,
        reason = "the boxes move between here and the outboxes"
    )]
    spare: RefCell<Vec<Box<Tail>>>,
    /// Bytes that the spare tails hold.
    spare_bytes: Cell<usize>,
}

thread_local! {
    static BATCH: Batch = const {
        Batch {
            id: Cell::new(0),
            depth: Cell::new(0),
            dirty: RefCell::new(Vec::new()),
            runs: RefCell::new(Vec::new()),
            scratch: RefCell::new(Vec::new()),
            spare: RefCell::new(Vec::new()),
            spare_bytes: Cell::new(0),
        }
    };
}

impl Batch {
    fn id(&self) -> u32 {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        if self.id.get() == 0 {
            self.id.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        self.id.get()
    }
}

/// Runs `work`; what it sends leaves when it has ended, with one write per connection.
///
/// The handler's methods run in a batch already. Batches within batches are part of the outermost one.
pub fn batch<T>(work: impl FnOnce() -> T) -> T {
    let _scope = Scope::enter();
    work()
}

/// Ends the batch, also if the work panics.
struct Scope;

impl Scope {
    fn enter() -> Scope {
        BATCH.with(|batch| batch.depth.set(batch.depth.get() + 1));
        Scope
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        BATCH.with(|batch| {
            let depth = batch.depth.get() - 1;
            batch.depth.set(depth);
            if depth == 0 {
                flush(batch);
            }
        });
    }
}

fn flush(batch: &Batch) {
    drop(batch.runs.take());
    // Taken out: flushing must not happen under the borrow.
    let mut dirty = batch.dirty.take();
    match workers_for(dirty.len()) {
        None => dirty.drain(..).for_each(|conn| conn.flush_dirty()),
        Some(runtime) => spawn_flush(&runtime, std::mem::take(&mut dirty)),
    }
    if dirty.capacity() <= KEEP_DIRTY && batch.dirty.borrow().is_empty() {
        batch.dirty.replace(dirty);
    }
}

/// Has the runtime's workers flush these connections, a slice at a time.
///
/// Between two slices a worker yields: it looks for what has become readable, and runs that first. (Were each slice a task
/// of its own, a worker would go through its queue of them before it looks, and whoever spoke meanwhile would wait for the
/// whole broadcast.)
pub(crate) fn spawn_flush(runtime: &Handle, conns: Vec<Arc<dyn Touched>>) {
    let slices = conns.len().div_ceil(SLICE);
    let left = Arc::new(Mutex::new(conns));
    for _ in 0..slices.min(runtime.metrics().num_workers()) {
        let left = left.clone();
        let next = move || {
            let mut left = left.lock();
            let rest = left.len().saturating_sub(SLICE);
            left.split_off(rest)
        };
        runtime.spawn(async move {
            loop {
                let slice = next();
                if slice.is_empty() {
                    return;
                }
                slice.into_iter().for_each(|conn| conn.flush_dirty());
                tokio::task::yield_now().await;
            }
        });
    }
}

/// The runtime, if so many connections are worth leaving to its workers.
pub(crate) fn workers_for(conns: usize) -> Option<Handle> {
    if conns <= MANY {
        return None;
    }
    let runtime = Handle::try_current().ok()?;
    let single = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread
        || runtime.metrics().num_workers() == 1;
    (!single || conns > MANY_SINGLE).then_some(runtime)
}

/// Sends to one connection: at once, or with the batch that is under way on this thread.
#[inline]
pub(crate) fn send<S: Send + Sync + 'static>(
    conn: &Arc<Connection<S>>,
    source: Source<'_>,
    packets: u32,
) -> Result<(), SendError> {
    BATCH.with(|batch| {
        if batch.depth.get() == 0 {
            return conn.write(source, packets);
        }
        if conn.queue_in_batch(source, packets, batch.id())? {
            batch.dirty.borrow_mut().push(conn.clone());
        }
        Ok(())
    })
}

/// Appends to the run that was made for `key` in this batch, if it takes it. Gives the number of recipients.
pub(crate) fn append_to_run<K: PartialEq + 'static>(
    key: &K,
    frames: &[u8],
    packets: u32,
) -> Option<usize> {
    BATCH.with(|batch| {
        let mut runs = batch.runs.borrow_mut();
        let at = runs
            .iter()
            .rposition(|open| open.key.downcast_ref::<K>() == Some(key))?;
        let open = &mut runs[at];
        if open.run.append(frames, packets, &mut open.room) {
            return Some(open.recipients);
        }
        // It was sealed, or is full: it will never take anything again.
        let spent = runs.swap_remove(at);
        drop(runs);
        drop(spent);
        None
    })
}

/// Remembers a run that stands at the end of the outboxes of all recipients, until the batch ends.
pub(crate) fn remember_run<K: 'static>(key: K, run: Arc<Run>, room: Room, recipients: usize) {
    let open = OpenRun {
        key: Box::new(key),
        run,
        room,
        recipients,
    };
    BATCH.with(|batch| {
        let mut runs = batch.runs.borrow_mut();
        let oldest = (runs.len() == OPEN_RUNS).then(|| runs.remove(0));
        runs.push(open);
        // What it keeps may be the last of its kind, and its end may send something.
        drop(runs);
        drop(oldest);
    });
}

/// This thread's batch, as outboxes know it.
pub(crate) fn current() -> u32 {
    BATCH.with(Batch::id)
}

/// Has the batch come back to a connection.
#[inline]
pub(crate) fn touch<S: Send + Sync + 'static>(conn: &Arc<Connection<S>>) {
    BATCH.with(|batch| batch.dirty.borrow_mut().push(conn.clone()));
}

/// Whether a batch is under way on this thread.
pub(crate) fn is_active() -> bool {
    BATCH.with(|batch| batch.depth.get() > 0)
}

/// An empty tail.
pub(crate) fn spare_tail() -> Box<Tail> {
    BATCH
        .with(|batch| {
            let tail = batch.spare.borrow_mut().pop()?;
            batch.spare_bytes.set(batch.spare_bytes.get() - tail.size());
            Some(tail)
        })
        .unwrap_or_default()
}

/// Keeps a tail for the next time.
pub(crate) fn keep_tail(mut tail: Box<Tail>) {
    let size = tail.size();
    if size > KEEP_TAIL {
        return;
    }
    tail.frames.clear();
    tail.packets = 0;
    BATCH.with(|batch| {
        let all = batch.spare_bytes.get() + size;
        if all <= KEEP_TAILS {
            batch.spare_bytes.set(all);
            batch.spare.borrow_mut().push(tail);
        }
    });
}

/// Lends the thread's buffer for encoding. (Should encoding send something itself, that gets another buffer.)
#[inline]
pub(crate) fn with_scratch<T>(f: impl FnOnce(&mut PreparedBuf) -> T) -> T {
    let out = BATCH.with(|batch| batch.scratch.take());
    let mut buf = PreparedBuf {
        out,
        packets: 0,
        binary: false,
        uncompressed: false,
    };
    let result = f(&mut buf);
    let mut out = buf.out;
    if out.capacity() <= KEEP {
        out.clear();
        BATCH.with(|batch| batch.scratch.replace(out));
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A connection that counts how often it was flushed.
    struct Counted(Arc<AtomicUsize>);

    impl Touched for Counted {
        fn flush_dirty(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn others_run_before_all_have_been_written_to() {
        let flushed = Arc::new(AtomicUsize::new(0));
        let conns = 10 * SLICE + 1;
        let counted = || Arc::new(Counted(flushed.clone())) as Arc<dyn Touched>;
        spawn_flush(
            &Handle::current(),
            std::iter::repeat_with(counted).take(conns).collect(),
        );
        let seen = flushed.clone();
        let other = tokio::spawn(async move { seen.load(Ordering::Relaxed) });
        assert!(other.await.unwrap() <= SLICE);
        while flushed.load(Ordering::Relaxed) < conns {
            tokio::task::yield_now().await;
        }
        assert_eq!(flushed.load(Ordering::Relaxed), conns);
    }
}
