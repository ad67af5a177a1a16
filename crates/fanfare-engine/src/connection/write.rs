//! Writing to a connection: at once, in a batch, or as part of a broadcast.

use std::io;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Instant;

use bytes::Bytes;

use super::{Connection, DeferredWakeups, Inner};
use crate::batch::{self, BatchTarget, FlushTarget};
use crate::config::SlowConsumer;
use crate::encoded_message::Frames;
use crate::error::SendError;
use crate::flags::Flags;
use crate::log_target;
use crate::outbox::Sink;
use crate::outgoing_frames::OutgoingFrames;
use crate::shared_segment::{Capacity, SharedSegment};
use crate::sync::MutexGuard;
use fanfare_protocol::engine::CloseReason;

/// Maximum number of bytes that a batch holds back (corks) for one connection; beyond it they are written at once.
const MAX_CORKED_BYTES: usize = 64 * 1024;

impl<S: Send + Sync + 'static> FlushTarget for Connection<S> {
    fn flush_dirty(self: Arc<Self>) {
        let mut after = DeferredWakeups::default();
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

impl<S: Send + Sync + 'static> BatchTarget for Connection<S> {
    #[inline]
    fn write(self: &Arc<Self>, source: OutgoingFrames<'_>, packets: u32) -> Result<(), SendError> {
        let mut inner = self.inner.lock();
        if inner.outbox.is_direct() && !self.flags.has(Flags::CLOSING) {
            let result = match source {
                OutgoingFrames::Slice(frames) => inner.outbox.write_or_queue(frames, packets),
                OutgoingFrames::Shared(frames) | OutgoingFrames::Raw(frames) => {
                    inner.outbox.write_or_queue_shared(frames, packets)
                }
                OutgoingFrames::Deflate(_) => return self.write_slow(inner, source, packets),
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

    #[inline]
    fn queue_in_batch(
        self: &Arc<Self>,
        source: OutgoingFrames<'_>,
        packets: u32,
        batch: u32,
    ) -> Result<bool, SendError> {
        let mut after = DeferredWakeups::default();
        let mut inner = self.inner.lock();
        let result = self.queue(&mut inner, source, packets, &mut after);
        let first = self.held_back(&mut inner, batch, &mut after);
        drop(inner);
        after.run(self);
        result.map(|()| first)
    }
}

impl<S: Send + Sync + 'static> Connection<S> {
    pub(super) fn limits(&self) -> (usize, usize) {
        let config = self.host.config();
        (config.limits.outbox_bytes, config.limits.outbox_packets)
    }

    /// Limits of the outbox of a client that cannot read yet.
    fn burst_limits(&self) -> (usize, usize) {
        let limits = &self.host.config().limits;
        (
            limits.burst_bytes.max(limits.outbox_bytes),
            limits.burst_packets.max(limits.outbox_packets),
        )
    }

    #[cold]
    fn failed(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner>, error: &io::Error) -> SendError {
        let mut after = DeferredWakeups::default();
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
        source: OutgoingFrames<'_>,
        packets: u32,
    ) -> Result<(), SendError> {
        let mut after = DeferredWakeups::default();
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

    /// Queues the frames if they fit; otherwise carries out the policy for slow consumers.
    fn queue(
        self: &Arc<Self>,
        inner: &mut Inner,
        source: OutgoingFrames<'_>,
        packets: u32,
        after: &mut DeferredWakeups,
    ) -> Result<(), SendError> {
        self.admit(inner, source.len(), packets, after)?;
        inner.outbox.compress |= !matches!(source, OutgoingFrames::Raw(_));
        if let OutgoingFrames::Deflate(frames) = source {
            let frames = self.deflated(inner, frames);
            inner.outbox.push(frames, packets);
        } else if source.len() <= source.collected() {
            inner.outbox.append(source.as_slice(), packets);
        } else {
            inner.outbox.push(source.into_bytes(), packets);
        }
        Ok(())
    }

    /// Checks that the frames fit; otherwise carries out the policy for slow consumers.
    #[inline]
    fn admit(
        self: &Arc<Self>,
        inner: &mut Inner,
        bytes: usize,
        packets: u32,
        after: &mut DeferredWakeups,
    ) -> Result<(), SendError> {
        if self.flags.has(Flags::CLOSING) || matches!(inner.outbox.sink, Sink::Closed) {
            return Err(SendError::Closed);
        }
        match inner.outbox.room(bytes, packets, self.limits()) {
            Ok(()) => Ok(()),
            Err(full) => self.overflow(inner, (bytes, packets), full, after),
        }
    }

    /// Handles a full outbox: accepts up to the burst limits for a client that cannot read yet, otherwise carries out
    /// the policy for slow consumers.
    #[cold]
    fn overflow(
        self: &Arc<Self>,
        inner: &mut Inner,
        (bytes, packets): (usize, u32),
        mut full: SendError,
        after: &mut DeferredWakeups,
    ) -> Result<(), SendError> {
        if inner.outbox.burst || inner.is_excused() {
            match inner.outbox.room(bytes, packets, self.burst_limits()) {
                Ok(()) => {
                    if !std::mem::replace(&mut inner.outbox.burst, true) {
                        self.host.burst(&full);
                    }
                    return Ok(());
                }
                Err(fuller) => full = fuller,
            }
        }
        match self.host.config().slow_consumer {
            SlowConsumer::DropNewest => {}
            SlowConsumer::DropVolatileFirst
                if inner.outbox.drop_volatile(bytes, packets, self.limits()) =>
            {
                return Ok(());
            }
            SlowConsumer::Disconnect | SlowConsumer::DropVolatileFirst => {
                tracing::debug!(target: log_target::SESSION, conn = ?self, error = %full, "closing a slow consumer");
                inner.describe(full);
                let actions = inner.session.abort(CloseReason::TransportError);
                self.apply(inner, actions, after);
            }
        }
        Err(full)
    }

    /// Whether volatile messages wait in the outbox rather than being dropped at once.
    pub(crate) fn keeps_volatile(&self) -> bool {
        self.host.config().slow_consumer == SlowConsumer::DropVolatileFirst
    }

    /// Queues a volatile message, which may be dropped later. `Ok(false)`: it was dropped at once. Messages compressed
    /// with context takeover cannot be taken out again, and must not be passed here.
    pub(crate) fn queue_volatile(
        self: &Arc<Self>,
        source: OutgoingFrames<'_>,
        packets: u32,
    ) -> Result<bool, SendError> {
        let mut after = DeferredWakeups::default();
        let mut inner = self.inner.lock();
        if self.flags.has(Flags::CLOSING) || matches!(inner.outbox.sink, Sink::Closed) {
            return Err(SendError::Closed);
        }
        let (len, limits) = (source.len(), self.limits());
        let fits = inner.outbox.room(len, packets, limits).is_ok();
        if !fits && !inner.outbox.drop_volatile(len, packets, limits) {
            return Ok(false);
        }
        inner.outbox.compress |= !matches!(source, OutgoingFrames::Raw(_));
        inner.outbox.push_volatile(source.into_bytes(), packets);
        let first = match batch::is_active() {
            true => self.held_back(&mut inner, batch::current(), &mut after),
            false => {
                let actions = self.flush(&mut inner, &mut after);
                if !actions.is_empty() {
                    self.apply(&mut inner, actions, &mut after);
                }
                false
            }
        };
        drop(inner);
        after.run(self);
        if first {
            batch::touch(self);
        }
        Ok(true)
    }

    /// Sends frames if they can leave now. `Ok(false)`: they were dropped. The check and the write are one step, so that
    /// what another thread sends meanwhile does not block the frames.
    pub(crate) fn send_if_writable(
        self: &Arc<Self>,
        source: OutgoingFrames<'_>,
        packets: u32,
    ) -> Result<bool, SendError> {
        let mut inner = self.inner.lock();
        if !inner.is_writable() {
            return match self.flags.has(Flags::CLOSING) {
                true => Err(SendError::Closed),
                false => Ok(false),
            };
        }
        if !batch::is_active() {
            return self.write_slow(inner, source, packets).map(|()| true);
        }
        let mut after = DeferredWakeups::default();
        let result = self.queue(&mut inner, source, packets, &mut after);
        let first = self.held_back(&mut inner, batch::current(), &mut after);
        drop(inner);
        after.run(self);
        if first {
            batch::touch(self);
        }
        result.map(|()| true)
    }

    /// Compresses frames with context takeover. The result has to be the next thing that is queued.
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

    /// As [`queue_in_batch`](Connection::queue_in_batch), for a shared segment of this size in bytes and packets. Also
    /// returns by how much the segment may grow.
    #[inline]
    pub(crate) fn attach_in_batch(
        self: &Arc<Self>,
        segment: &Arc<SharedSegment>,
        (bytes, packets): (usize, u32),
        batch: u32,
    ) -> Result<(bool, Capacity), SendError> {
        let mut after = DeferredWakeups::default();
        let mut inner = self.inner.lock();
        let result = self.admit(&mut inner, bytes, packets, &mut after);
        let mut room = Capacity::ALL;
        if result.is_ok() {
            inner.outbox.compress = true;
            inner.outbox.attach(segment);
            room = inner.outbox.room_left(self.limits());
        }
        let first = self.held_back(&mut inner, batch, &mut after);
        drop(inner);
        after.run(self);
        result.map(|()| (first, room))
    }

    /// Records that queued frames wait for the end of a batch. `true`: the batch has to flush this connection.
    #[inline]
    fn held_back(&self, inner: &mut Inner, batch: u32, after: &mut DeferredWakeups) -> bool {
        if inner.outbox.bytes() >= MAX_CORKED_BYTES {
            // The batch delays no more than this. The socket is offered the frames before the reader can count as slow.
            let actions = self.flush(inner, after);
            if !actions.is_empty() {
                self.apply(inner, actions, after);
            }
        }
        // Another batch that delays the frames as well may end later than this one.
        std::mem::replace(&mut inner.outbox.dirty, batch) != batch
    }

    /// Passes the queue to `write`, where only the connection's task writes to the stream.
    ///
    /// The lock is held during the write: what has been written must still be the head of the queue afterwards, even if
    /// another thread queues a ping or closes meanwhile.
    pub(crate) fn poll_write_queue(
        &self,
        mut write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut inner = self.inner.lock();
            let Some(frames) = inner.outbox.front() else {
                return Poll::Ready(Ok(()));
            };
            let polled = write(&frames);
            inner.outbox.stalled = polled.is_pending();
            let written = ready!(polled)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            inner.outbox.written(written);
        }
    }

    /// Continues with the queue because the socket takes data again. Only the connection's task calls this.
    pub(crate) fn resume(self: &Arc<Self>) {
        let mut after = DeferredWakeups::default();
        let mut inner = self.inner.lock();
        inner.outbox.blocked = false;
        let actions = self.flush(&mut inner, &mut after);
        if !actions.is_empty() {
            self.apply(&mut inner, actions, &mut after);
        }
        drop(inner);
        after.run(self);
    }

    /// Handles the deadline queue's `tick`. `true`: the deadline of the layer above has passed as well.
    pub(crate) fn tick(self: &Arc<Self>, tick: u64, now: Instant) -> bool {
        let mut after = DeferredWakeups::default();
        let mut inner = self.inner.lock();
        if inner.queued_tick != tick {
            return false;
        }
        inner.queued_tick = 0;
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
