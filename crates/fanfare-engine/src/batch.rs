//! Batches: one write per connection for everything that one piece of work emits.
//!
//! While a batch is active on a thread, what the thread sends is queued with its connection, where every thread sees
//! it, and the batch records which connections to flush: when it ends, each of them gets one write. So the order of a
//! connection's packets is the order in which they were emitted, whichever threads emitted them; only the write is
//! deferred.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::encoded_message::MessageBuilder;
use crate::error::SendError;
use crate::outgoing_frames::OutgoingFrames;
use crate::shared_segment::{Capacity, SharedSegment};
use crate::sync::thread_local;

/// Maximum capacity of a scratch buffer that is kept for reuse, in bytes.
const MAX_KEPT_BUFFER_BYTES: usize = 256 * 1024;
/// Maximum capacity of the list of flush targets that is kept for the next batch.
const MAX_KEPT_TARGETS: usize = 4096;
/// Maximum number of shared segments that a batch remembers.
const MAX_OPEN_SEGMENTS: usize = 8;
/// Maximum number of connections that the batch's own thread flushes; beyond it, all workers share the flush.
const MAX_INLINE_FLUSH_CONNECTIONS: usize = 256;
/// The same limit for a runtime with one worker, where spawning only lets other tasks run in between.
const MAX_INLINE_FLUSH_SINGLE_WORKER: usize = 2048;
/// Number of connections that a worker flushes before it yields to other tasks: half a millisecond of work.
const CONNECTIONS_PER_FLUSH_SLICE: usize = 64;

/// Connection of any kind that a batch has to flush when it ends.
pub(crate) trait FlushTarget: Send + Sync {
    /// Writes what was queued during the batch.
    fn flush_dirty(self: Arc<Self>);
}

/// Connection to which frames are sent, at once or with a batch.
pub(crate) trait BatchTarget: FlushTarget + Sized + 'static {
    /// Writes at once if nothing waits, otherwise queues.
    fn write(self: &Arc<Self>, source: OutgoingFrames<'_>, packets: u32) -> Result<(), SendError>;

    /// Queues frames for the batch with this id. `Ok(true)`: the batch has to flush the connection, and did not know it
    /// yet.
    fn queue_in_batch(
        self: &Arc<Self>,
        source: OutgoingFrames<'_>,
        packets: u32,
        batch: u32,
    ) -> Result<bool, SendError>;
}

/// A shared segment that this thread's batch has made.
struct OpenSegment {
    /// Audience of the segment: a clone of the caller's key, which keeps its address from being reused by a later one.
    key: Box<dyn Any>,
    segment: Arc<SharedSegment>,
    room: Capacity,
    recipients: usize,
}

struct Batch {
    /// Identifies this thread's batches among those of all threads; 0 = not assigned yet.
    id: Cell<u32>,
    depth: Cell<u32>,
    dirty: RefCell<Vec<Arc<dyn FlushTarget>>>,
    /// Shared segments that may still grow, each with its audience.
    segments: RefCell<Vec<OpenSegment>>,
    scratch: RefCell<Vec<u8>>,
}

thread_local! {
    static BATCH: Batch = const {
        Batch {
            id: Cell::new(0),
            depth: Cell::new(0),
            dirty: RefCell::new(Vec::new()),
            segments: RefCell::new(Vec::new()),
            scratch: RefCell::new(Vec::new()),
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

/// Runs `work`; what it sends leaves when it has returned, with one write per connection.
///
/// The handler's methods already run in a batch. Nested batches are part of the outermost one.
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
    drop(batch.segments.take());
    // Taken out first: flushing must not happen under the borrow.
    let mut dirty = batch.dirty.take();
    match workers_for(dirty.len()) {
        None => dirty.drain(..).for_each(|conn| conn.flush_dirty()),
        Some(runtime) => spawn_flush(&runtime, std::mem::take(&mut dirty)),
    }
    if dirty.capacity() <= MAX_KEPT_TARGETS && batch.dirty.borrow().is_empty() {
        batch.dirty.replace(dirty);
    }
}

/// Spawns tasks that flush these connections, one slice after the other.
///
/// Between two slices a worker yields, so that it polls the sockets and serves the input that has arrived. (Were each
/// slice a separate task, a worker would drain its queue of them before it polls, and a client that sends meanwhile
/// would wait for the whole broadcast.)
pub(crate) fn spawn_flush(runtime: &Handle, conns: Vec<Arc<dyn FlushTarget>>) {
    let slices = conns.len().div_ceil(CONNECTIONS_PER_FLUSH_SLICE);
    let left = Arc::new(Mutex::new(conns));
    for _ in 0..slices.min(runtime.metrics().num_workers()) {
        let left = left.clone();
        let next = move || {
            let mut left = left.lock();
            let rest = left.len().saturating_sub(CONNECTIONS_PER_FLUSH_SLICE);
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

/// Returns the runtime if this number of connections is worth leaving to its workers.
pub(crate) fn workers_for(conns: usize) -> Option<Handle> {
    if conns <= MAX_INLINE_FLUSH_CONNECTIONS {
        return None;
    }
    let runtime = Handle::try_current().ok()?;
    let single = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread
        || runtime.metrics().num_workers() == 1;
    (!single || conns > MAX_INLINE_FLUSH_SINGLE_WORKER).then_some(runtime)
}

/// Sends to one connection: at once, or with the batch that is active on this thread.
#[inline]
pub(crate) fn send<T: BatchTarget>(
    conn: &Arc<T>,
    source: OutgoingFrames<'_>,
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

/// Appends to the shared segment that this batch made for `key`, if it still takes the frames. Returns the number of
/// recipients.
pub(crate) fn append_to_segment<K: PartialEq + 'static>(
    key: &K,
    frames: &[u8],
    packets: u32,
) -> Option<usize> {
    BATCH.with(|batch| {
        let mut segments = batch.segments.borrow_mut();
        let at = segments
            .iter()
            .rposition(|open| open.key.downcast_ref::<K>() == Some(key))?;
        let open = &mut segments[at];
        if open.segment.append(frames, packets, &mut open.room) {
            return Some(open.recipients);
        }
        // It is sealed or full, and will never take anything again.
        let spent = segments.swap_remove(at);
        drop(segments);
        drop(spent);
        None
    })
}

/// Remembers a shared segment that ends the outboxes of all recipients, until the batch ends.
pub(crate) fn remember_segment<K: 'static>(
    key: K,
    segment: Arc<SharedSegment>,
    room: Capacity,
    recipients: usize,
) {
    let open = OpenSegment {
        key: Box::new(key),
        segment,
        room,
        recipients,
    };
    BATCH.with(|batch| {
        let mut segments = batch.segments.borrow_mut();
        let oldest = (segments.len() == MAX_OPEN_SEGMENTS).then(|| segments.remove(0));
        segments.push(open);
        // The segment may hold the last reference to a connection, and dropping that may send something.
        drop(segments);
        drop(oldest);
    });
}

/// Returns the id of this thread's batch, as outboxes store it.
pub(crate) fn current() -> u32 {
    BATCH.with(Batch::id)
}

/// Registers a connection to be flushed when the batch ends.
#[inline]
pub(crate) fn touch<T: FlushTarget + 'static>(conn: &Arc<T>) {
    BATCH.with(|batch| batch.dirty.borrow_mut().push(conn.clone()));
}

/// Whether a batch is active on this thread.
pub(crate) fn is_active() -> bool {
    BATCH.with(|batch| batch.depth.get() > 0)
}

/// Lends the thread's encoding buffer. (If encoding itself sends something, the nested call gets another buffer.)
#[inline]
pub(crate) fn with_scratch<T>(f: impl FnOnce(&mut MessageBuilder) -> T) -> T {
    let out = BATCH.with(|batch| batch.scratch.take());
    let mut buf = MessageBuilder {
        out,
        packets: 0,
        binary: false,
        uncompressed: false,
    };
    let result = f(&mut buf);
    let mut out = buf.out;
    if out.capacity() <= MAX_KEPT_BUFFER_BYTES {
        out.clear();
        BATCH.with(|batch| batch.scratch.replace(out));
    }
    result
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    /// A connection that counts its flushes.
    struct Counted(Arc<AtomicUsize>);

    impl FlushTarget for Counted {
        fn flush_dirty(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn others_run_before_all_have_been_written_to() {
        let flushed = Arc::new(AtomicUsize::new(0));
        let conns = 10 * CONNECTIONS_PER_FLUSH_SLICE + 1;
        let counted = || Arc::new(Counted(flushed.clone())) as Arc<dyn FlushTarget>;
        spawn_flush(
            &Handle::current(),
            std::iter::repeat_with(counted).take(conns).collect(),
        );
        let seen = flushed.clone();
        let other = tokio::spawn(async move { seen.load(Ordering::Relaxed) });
        assert!(other.await.unwrap() <= CONNECTIONS_PER_FLUSH_SLICE);
        while flushed.load(Ordering::Relaxed) < conns {
            tokio::task::yield_now().await;
        }
        assert_eq!(flushed.load(Ordering::Relaxed), conns);
    }
}
