//! Sending together what one piece of work emits.
//!
//! While a batch runs on a thread, nothing is written from there. What is sent to the connection whose input is being
//! handled (the *owner*) is collected in one buffer of the thread; what is sent to others is queued with them, and the
//! batch remembers whom to flush; broadcasts to the same audience one after the other become one.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use bytes::Bytes;

use crate::broadcast::Group;
use crate::connection::{Connection, Touched};
use crate::flags::Flags;
use crate::{PreparedBuf, SendError};

/// So many bytes are held back for the owner at most; then they are written, batch or not.
const CORK_LIMIT: usize = 48 * 1024;
/// Buffers bigger than this are not kept for the next time.
const KEEP: usize = 256 * 1024;

/// Frames on their way out.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// Bytes of somebody else: queueing copies them.
    Slice(&'a [u8]),
    /// Shared bytes.
    Shared(&'a Bytes),
}

impl Source<'_> {
    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Source::Slice(frames) => frames,
            Source::Shared(frames) => frames,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Source::Slice(frames) => Bytes::copy_from_slice(frames),
            Source::Shared(frames) => frames.clone(),
        }
    }
}

struct Batch {
    depth: Cell<u32>,
    /// The address of the connection whose input is being handled; 0 = none.
    owner: Cell<usize>,
    corked: Cell<bool>,
    cork: RefCell<Vec<u8>>,
    cork_packets: Cell<u32>,
    dirty: RefCell<Vec<Arc<dyn Touched>>>,
    has_group: Cell<bool>,
    group: RefCell<Option<Group>>,
    scratch: RefCell<Vec<u8>>,
}

thread_local! {
    static BATCH: Batch = const {
        Batch {
            depth: Cell::new(0),
            owner: Cell::new(0),
            corked: Cell::new(false),
            cork: RefCell::new(Vec::new()),
            cork_packets: Cell::new(0),
            dirty: RefCell::new(Vec::new()),
            has_group: Cell::new(false),
            group: RefCell::new(None),
            scratch: RefCell::new(Vec::new()),
        }
    };
}

/// Runs `work`; what it sends leaves when it has ended, with one write per connection.
///
/// The handler's methods run in a batch already. Batches within batches are part of the outermost one.
pub fn batch<T>(work: impl FnOnce() -> T) -> T {
    let _guard = Depth::enter();
    let result = work();
    BATCH.with(|batch| {
        if batch.depth.get() == 1 {
            finish(batch);
        }
    });
    result
}

/// Runs `work` as a batch that handles input of `conn`.
pub(crate) fn batch_of<S: Send + Sync + 'static, T>(
    conn: &Arc<Connection<S>>,
    work: impl FnOnce() -> T,
) -> T {
    let address = Arc::as_ptr(conn).cast::<()>() as usize;
    let outermost = BATCH.with(|batch| {
        let free = batch.depth.get() == 0;
        if free {
            batch.owner.set(address);
        }
        free
    });
    if !outermost {
        return work();
    }
    let guard = Owned {
        _depth: Depth::enter(),
        conn,
    };
    let result = work();
    drop(guard);
    result
}

/// Keeps the depth right if the work panics.
struct Depth;

impl Depth {
    fn enter() -> Depth {
        BATCH.with(|batch| batch.depth.set(batch.depth.get() + 1));
        Depth
    }
}

impl Drop for Depth {
    fn drop(&mut self) {
        BATCH.with(|batch| batch.depth.set(batch.depth.get() - 1));
    }
}

struct Owned<'a, S: Send + Sync + 'static> {
    conn: &'a Arc<Connection<S>>,
    _depth: Depth,
}

impl<S: Send + Sync + 'static> Drop for Owned<'_, S> {
    fn drop(&mut self) {
        BATCH.with(|batch| {
            take_group(batch, true);
            uncork(batch, self.conn);
            batch.owner.set(0);
            finish(batch);
        });
    }
}

fn finish(batch: &Batch) {
    take_group(batch, true);
    // One by one: flushing must not happen under the borrow.
    let mut dirty = batch.dirty.take();
    for conn in dirty.drain(..) {
        conn.flush_dirty();
    }
    if dirty.capacity() <= 4096 && batch.dirty.borrow().is_empty() {
        batch.dirty.replace(dirty);
    }
}

fn uncork<S: Send + Sync + 'static>(batch: &Batch, conn: &Arc<Connection<S>>) {
    if !batch.corked.replace(false) {
        return;
    }
    let mut cork = batch.cork.take();
    conn.uncork(&cork, batch.cork_packets.replace(0));
    if cork.capacity() <= KEEP {
        cork.clear();
        batch.cork.replace(cork);
    }
}

#[inline]
fn take_group(batch: &Batch, last: bool) {
    if batch.has_group.replace(false)
        && let Some(group) = batch.group.take()
    {
        group.distribute(last);
    }
}

/// Distributes a broadcast that the batch of this thread holds back, so that whatever any thread sends afterwards comes
/// after it. (Sending does this by itself; it is for those who keep the order of several threads.)
pub fn settle() {
    BATCH.with(|batch| take_group(batch, false));
}

/// Sends to one connection, in the way the thread's batch asks for.
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
        take_group(batch, false);
        queue(batch, conn, source, packets)
    })
}

/// One recipient of a broadcast that a batch has collected.
#[inline]
pub(crate) fn send_collected<S: Send + Sync + 'static>(
    conn: &Arc<Connection<S>>,
    frames: &Bytes,
    packets: u32,
    last: bool,
) -> Result<(), SendError> {
    BATCH.with(|batch| {
        if !last || batch.owner.get() == Arc::as_ptr(conn).cast::<()>() as usize {
            queue(batch, conn, Source::Shared(frames), packets)
        } else {
            conn.write_or_join(frames, packets)
        }
    })
}

fn queue<S: Send + Sync + 'static>(
    batch: &Batch,
    conn: &Arc<Connection<S>>,
    source: Source<'_>,
    packets: u32,
) -> Result<(), SendError> {
    if batch.owner.get() == Arc::as_ptr(conn).cast::<()>() as usize {
        if !batch.corked.get() {
            batch.corked.set(conn.cork()?);
        }
        let flags = conn.flags.get();
        if flags & Flags::CLOSING != 0 {
            return Err(SendError::Closed);
        }
        if batch.corked.get() && flags & Flags::BEHIND == 0 {
            let mut cork = batch.cork.borrow_mut();
            cork.extend_from_slice(source.as_slice());
            batch.cork_packets.set(batch.cork_packets.get() + packets);
            let full = cork.len() >= CORK_LIMIT;
            drop(cork);
            if full {
                uncork(batch, conn);
            }
            return Ok(());
        }
    }
    if conn.queue_in_batch(source, packets)? {
        batch.dirty.borrow_mut().push(conn.clone());
    }
    Ok(())
}

/// Holds a broadcast back if a batch is under way. `Some`: there is none.
pub(crate) fn collect(
    make: impl FnOnce(Option<Group>) -> Group,
    same: impl FnOnce(&Group) -> bool,
) -> bool {
    BATCH.with(|batch| {
        if batch.depth.get() == 0 {
            return false;
        }
        let mut waiting = batch.group.take();
        if waiting.as_ref().is_some_and(|group| !same(group)) {
            batch.has_group.set(false);
            if let Some(group) = waiting.take() {
                group.distribute(false);
            }
        }
        batch.group.replace(Some(make(waiting)));
        batch.has_group.set(true);
        true
    })
}

/// Lends the thread's buffer for encoding. (Should encoding send something itself, that gets another buffer.)
#[inline]
pub(crate) fn with_scratch<T>(f: impl FnOnce(&mut PreparedBuf) -> T) -> T {
    let out = BATCH.with(|batch| batch.scratch.take());
    let mut buf = PreparedBuf {
        out,
        packets: 0,
        binary: false,
    };
    let result = f(&mut buf);
    let mut out = buf.out;
    if out.capacity() <= KEEP {
        out.clear();
        BATCH.with(|batch| batch.scratch.replace(out));
    }
    result
}
