//! Writing to a connection: at once, in a batch, or as part of a broadcast.

use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use super::{After, Connection, Inner};
use crate::batch::Source;
use crate::config::SlowConsumer;
use crate::flags::Flags;
use crate::outbox::Sink;
use crate::prepared::Frames;
use crate::run::{Room, Run};
use crate::sync::MutexGuard;
use crate::{CloseReason, SendError};

/// A batch holds back so many bytes for one connection at most; then they are written, batch or not.
const HELD_BACK: usize = 64 * 1024;

/// A connection of any kind that a batch has to come back to.
pub(crate) trait Touched: Send + Sync {
    /// Writes what was queued during the batch.
    fn flush_dirty(self: Arc<Self>);
}

impl<S: Send + Sync + 'static> Touched for Connection<S> {
    fn flush_dirty(self: Arc<Self>) {
        let mut after = After::default();
        let mut inner = self.inner.lock();
        inner.outbox.dirty = 0;
        let actions = self.flush(&mut inner, &mut after);
        if !actions.is_empty() {
            self.apply(&mut inner, actions, &mut after);
        }
        drop(inner);
        after.run(&self);
    }
}

impl<S: Send + Sync + 'static> Connection<S> {
    fn limits(&self) -> (usize, usize) {
        let config = self.host.config();
        (config.limits.outbox_bytes, config.limits.outbox_packets)
    }

    /// Writes at once if nothing waits, else queues.
    #[inline]
    pub(crate) fn write(
        self: &Arc<Self>,
        source: Source<'_>,
        packets: u32,
    ) -> Result<(), SendError> {
        let mut inner = self.inner.lock();
        if inner.outbox.is_direct() && !self.flags.has(Flags::CLOSING) {
            let result = match source {
                Source::Slice(frames) => inner.outbox.write_or_queue(frames, packets),
                Source::Shared(frames) | Source::Raw(frames) => {
                    inner.outbox.write_or_queue_shared(frames, packets)
                }
                Source::Deflate(_) => return self.write_slow(inner, source, packets),
            };
            if let Err(error) = result {
                return Err(self.failed(inner, &error));
            }
            if inner.outbox.blocked {
                self.block(&inner);
            }
            return Ok(());
        }
        self.write_slow(inner, source, packets)
    }

    #[cold]
    fn failed(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, error: &io::Error) -> SendError {
        let mut after = After::default();
        inner.describe(error);
        let actions = inner.session.websocket_closed();
        self.apply(&mut inner, actions, &mut after);
        drop(inner);
        after.run(self);
        SendError::Closed
    }

    #[inline(never)]
    fn write_slow(
        self: &Arc<Self>,
        mut inner: MutexGuard<'_, Inner>,
        source: Source<'_>,
        packets: u32,
    ) -> Result<(), SendError> {
        let mut after = After::default();
        let result = self.queue(&mut inner, source, packets, &mut after);
        if result.is_ok() {
            let actions = self.flush(&mut inner, &mut after);
            if !actions.is_empty() {
                self.apply(&mut inner, actions, &mut after);
            }
        }
        drop(inner);
        // A full outbox may have closed the connection.
        after.run(self);
        result
    }

    /// Queues, if there is room. If there is none, the policy for slow consumers has been carried out.
    fn queue(
        self: &Arc<Self>,
        inner: &mut Inner,
        source: Source<'_>,
        packets: u32,
        after: &mut After,
    ) -> Result<(), SendError> {
        self.admit(inner, source.len(), packets, after)?;
        inner.outbox.compress |= !matches!(source, Source::Raw(_));
        if let Source::Deflate(frames) = source {
            let frames = self.deflated(inner, frames);
            inner.outbox.push(frames, packets);
        } else if source.len() <= source.collected() {
            inner.outbox.append(source.as_slice(), packets);
        } else {
            inner.outbox.push(source.into_bytes(), packets);
        }
        Ok(())
    }

    /// Whether there is room. If there is none, the policy for slow consumers has been carried out.
    #[inline]
    fn admit(
        self: &Arc<Self>,
        inner: &mut Inner,
        bytes: usize,
        packets: u32,
        after: &mut After,
    ) -> Result<(), SendError> {
        if self.flags.has(Flags::CLOSING) || matches!(inner.outbox.sink, Sink::Closed) {
            return Err(SendError::Closed);
        }
        let admitted = inner.outbox.room(bytes, packets, self.limits());
        if let Err(full) = &admitted
            && self.host.config().slow_consumer != SlowConsumer::DropNewest
        {
            tracing::debug!(conn = ?self, error = %full, "closing a slow consumer");
            inner.describe(full);
            let actions = inner.session.abort(CloseReason::TransportError);
            self.apply(inner, actions, after);
        }
        admitted
    }

    /// Compresses frames with what went before. What comes out has to be queued next.
    #[cold]
    fn deflated(&self, inner: &mut Inner, frames: &[u8]) -> Bytes {
        let config = self.deflate_config();
        let mut out = Vec::with_capacity(64 + frames.len() / 2);
        for frame in Frames::of(frames) {
            if frame.payload.len() >= config.threshold
                && let Some(compressor) = inner.compressor(self.deflate.get(), config.level)
            {
                compressor.frame(&mut out, frame.opcode, frame.payload);
            } else {
                out.extend_from_slice(frame.whole);
            }
        }
        out.shrink_to_fit();
        Bytes::from(out)
    }

    /// Queues during the batch `batch`. `Ok(true)`: it has to come back and flush.
    #[inline]
    pub(crate) fn queue_in_batch(
        self: &Arc<Self>,
        source: Source<'_>,
        packets: u32,
        batch: u32,
    ) -> Result<bool, SendError> {
        let mut after = After::default();
        let mut inner = self.inner.lock();
        let result = self.queue(&mut inner, source, packets, &mut after);
        let first = self.held_back(&mut inner, batch, &mut after);
        drop(inner);
        after.run(self);
        result.map(|()| first)
    }

    /// As [`queue_in_batch`](Connection::queue_in_batch), for a run of so many bytes and packets. With the answer comes
    /// by how much the run may grow.
    #[inline]
    pub(crate) fn attach_in_batch(
        self: &Arc<Self>,
        run: &Arc<Run>,
        (bytes, packets): (usize, u32),
        batch: u32,
    ) -> Result<(bool, Room), SendError> {
        let mut after = After::default();
        let mut inner = self.inner.lock();
        let result = self.admit(&mut inner, bytes, packets, &mut after);
        let mut room = Room::ALL;
        if result.is_ok() {
            inner.outbox.compress = true;
            inner.outbox.attach(run);
            room = inner.outbox.room_left(self.limits());
        }
        let first = self.held_back(&mut inner, batch, &mut after);
        drop(inner);
        after.run(self);
        result.map(|()| (first, room))
    }

    /// Something was queued that waits for the end of a batch. `true`: the batch has to come back and flush.
    #[inline]
    fn held_back(&self, inner: &mut Inner, batch: u32, after: &mut After) -> bool {
        if inner.outbox.bytes() >= HELD_BACK {
            // So much is not held back, and does not count as slowness of the reader before it was offered.
            let actions = self.flush(inner, after);
            if !actions.is_empty() {
                self.apply(inner, actions, after);
            }
        }
        // Another thread's batch may hold it back longer than this one.
        std::mem::replace(&mut inner.outbox.dirty, batch) != batch
    }

    /// Has `write` take the queue, where only the connection's task writes to the stream.
    ///
    /// The lock is held while it writes: what has been written must still be the head of the queue afterwards, whoever
    /// queues a ping or closes meanwhile.
    pub(crate) fn poll_write_queue(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut inner = self.inner.lock();
            let Some(frames) = inner.outbox.front() else {
                return Poll::Ready(Ok(()));
            };
            let written = ready!(write(&frames))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            inner.outbox.written(written);
        }
    }

    /// The socket takes something again: goes on with the queue. Only the connection's task calls this.
    pub(crate) fn resume(self: &Arc<Self>) {
        let mut after = After::default();
        let mut inner = self.inner.lock();
        inner.outbox.blocked = false;
        let actions = self.flush(&mut inner, &mut after);
        if !actions.is_empty() {
            self.apply(&mut inner, actions, &mut after);
        }
        drop(inner);
        after.run(self);
    }

    /// Time has passed: the wheel has reached `tick`. `true`: the deadline of the layer above has passed as well.
    pub(crate) fn tick(self: &Arc<Self>, tick: u64, now: Instant) -> bool {
        let mut after = After::default();
        let mut inner = self.inner.lock();
        if inner.wheel_at != tick {
            return false;
        }
        inner.wheel_at = 0;
        let actions = inner.session.tick(now, self.host.times());
        let passed = inner.deadline.is_some_and(|deadline| deadline <= now);
        if passed {
            inner.deadline = None;
        }
        self.apply(&mut inner, actions, &mut after);
        drop(inner);
        after.run(self);
        passed
    }
}
