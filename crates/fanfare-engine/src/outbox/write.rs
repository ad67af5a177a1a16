//! Writing of an outbox to its socket.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use super::{Outbox, Queue, Sink};
use crate::coalesce_buffer;
use crate::shared_segment::{Sealed, SharedSegment};
use crate::sync::OwnedWriteHalf;

/// Maximum number of buffers passed to one `writev`.
const MAX_IOVECS: usize = 64;

impl Outbox {
    /// Writes `frames` (whole ones) to the socket while the queue is empty, and queues what the socket does not take.
    #[inline]
    pub(crate) fn write_or_queue(&mut self, frames: &[u8], packets: u32) -> io::Result<()> {
        let written = self.write(frames)?;
        if written < frames.len() {
            self.partial = written > 0;
            self.push(Bytes::copy_from_slice(&frames[written..]), packets);
        }
        Ok(())
    }

    /// As [`write_or_queue`](Outbox::write_or_queue) for shared bytes: queueing copies nothing.
    #[inline]
    pub(crate) fn write_or_queue_shared(&mut self, frames: &Bytes, packets: u32) -> io::Result<()> {
        let written = self.write(frames)?;
        if written < frames.len() {
            self.partial = written > 0;
            self.push(frames.slice(written..), packets);
        }
        Ok(())
    }

    /// Writes what the socket takes. If that is not all, registers the task's waker with the socket.
    #[inline]
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Sink::Tcp(half) = &self.sink else {
            return Ok(0);
        };
        match half.try_write(data) {
            Ok(written) if written == data.len() => Ok(written),
            other => {
                let (written, blocked) = write_rest(half, self.task.as_ref(), data, other)?;
                self.blocked |= blocked;
                Ok(written)
            }
        }
    }

    /// Wakes the task that has to continue: one that writes itself now, another when the socket takes data, which it
    /// may already do since it was found blocked.
    pub(crate) fn wake_task(&self) {
        let Some(task) = &self.task else { return };
        let now = match &self.sink {
            Sink::Tcp(half) => !matches!(register(half, Some(task)), Ok(true)),
            Sink::Task => true,
            Sink::Polling | Sink::Closed => false,
        };
        if now {
            task.wake_by_ref();
        }
    }

    /// Writes as much of the queue to the socket as it takes.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &self.sink {
            Sink::Tcp(_) => {}
            Sink::Task => {
                self.blocked = !self.is_empty();
                return Ok(());
            }
            Sink::Polling | Sink::Closed => return Ok(()),
        }
        if !matches!(self.queue, Queue::Empty) {
            self.seal();
        }
        if let Some(segment) = self.segment.take()
            && (self.tail.is_some() || !self.write_segment(&segment))
        {
            self.settle_segment(&segment);
        }
        loop {
            let Sink::Tcp(half) = &self.sink else {
                return Ok(());
            };
            let result = match &self.queue {
                Queue::Empty => match &self.tail {
                    None => return Ok(()),
                    Some(tail) => half.try_write(&tail.frames),
                },
                Queue::One(entry) => half.try_write(&entry.frames),
                Queue::Many(many) => {
                    let mut slices = [IoSlice::new(&[]); MAX_IOVECS];
                    let mut used = 0;
                    for (slice, entry) in slices.iter_mut().zip(many) {
                        *slice = IoSlice::new(&entry.frames);
                        used += 1;
                    }
                    half.try_write_vectored(&slices[..used])
                }
            };
            match result {
                Ok(written) => self.written(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if register(half, self.task.as_ref())? {
                        self.blocked = true;
                        return Ok(());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes a shared segment while nothing else is queued. `false`: the socket took none of it.
    #[inline]
    fn write_segment(&mut self, segment: &SharedSegment) -> bool {
        let Sink::Tcp(half) = &self.sink else {
            return false;
        };
        let Sealed { frames, packets } = segment.seal();
        match half.try_write(frames) {
            Ok(written) if written == frames.len() => {
                self.head = 0;
                true
            }
            Ok(written) if written > 0 => {
                self.push(frames.slice(written..), *packets);
                self.head = 0;
                self.partial = true;
                true
            }
            // The loop that writes the rest of the queue handles this result.
            _ => false,
        }
    }

    /// Returns the head of the queue, for the task that writes it.
    pub(crate) fn front(&mut self) -> Option<Bytes> {
        self.seal();
        match &self.queue {
            Queue::Empty => None,
            Queue::One(entry) => Some(entry.frames.clone()),
            Queue::Many(many) => many.front().map(|entry| entry.frames.clone()),
        }
    }

    /// Removes what was written from the head of the queue.
    pub(crate) fn written(&mut self, mut n: usize) {
        self.bytes -= n;
        if n > 0 {
            self.head = 0;
        }
        if matches!(self.queue, Queue::Empty)
            && let Some(tail) = self.tail.take_if(|tail| tail.frames.len() == n)
        {
            self.packets -= tail.packets;
            self.partial = false;
            coalesce_buffer::keep(tail);
            return;
        }
        if matches!(self.queue, Queue::Empty) {
            self.seal();
        }
        loop {
            let entry = match &mut self.queue {
                Queue::Empty => return,
                Queue::One(entry) => entry,
                Queue::Many(many) => match many.front_mut() {
                    Some(entry) => entry,
                    None => {
                        self.queue = Queue::Empty;
                        return;
                    }
                },
            };
            if n < entry.frames.len() {
                if n > 0 {
                    entry.frames.advance(n);
                    self.partial = true;
                }
                return;
            }
            n -= entry.frames.len();
            self.packets -= entry.packets;
            self.partial = false;
            match &mut self.queue {
                Queue::Many(many) => {
                    many.pop_front();
                    if many.is_empty() {
                        self.queue = Queue::Empty;
                    }
                }
                queue => *queue = Queue::Empty,
            }
        }
    }
}

#[cold]
fn write_rest(
    half: &OwnedWriteHalf,
    task: Option<&Waker>,
    data: &[u8],
    first: io::Result<usize>,
) -> io::Result<(usize, bool)> {
    let mut written = 0;
    let mut result = first;
    loop {
        match result {
            Ok(n) => {
                written += n;
                if written == data.len() {
                    return Ok((written, false));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if register(half, task)? {
                    return Ok((written, true));
                }
            }
            Err(error) => return Err(error),
        }
        result = half.try_write(&data[written..]);
    }
}

/// Registers the connection's task to be woken when the socket takes more. `false`: it takes more already.
///
/// This wakes no task: it only leaves the waker with the reactor.
fn register(half: &OwnedWriteHalf, task: Option<&Waker>) -> io::Result<bool> {
    let Some(task) = task else { return Ok(true) };
    match half
        .as_ref()
        .poll_write_ready(&mut Context::from_waker(task))
    {
        Poll::Pending => Ok(true),
        Poll::Ready(ready) => ready.map(|()| false),
    }
}
