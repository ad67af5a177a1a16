//! What waits to be written to one connection, and where it goes.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};

use crate::SendError;
use crate::batch;
use crate::run::{Room, Run, Sealed};
use crate::sync::OwnedWriteHalf;

/// Frames of up to this many bytes are collected in one piece of memory: copying them costs less than counting
/// references and handing the kernel many pieces.
pub(crate) const SMALL: usize = 512;
/// Those that are nobody else's have to be copied wherever they go, and are collected up to this length.
pub(crate) const COPIED: usize = 8 * 1024;
/// How many buffers one `writev` gets.
const IOVECS: usize = 64;

/// Whole frames, or the unwritten rest of some.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) frames: Bytes,
    pub(crate) packets: u32,
}

/// Small frames, collected in one buffer.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    pub(crate) frames: Vec<u8>,
    pub(crate) packets: u32,
}

impl Tail {
    /// Bytes of memory that it takes.
    pub(crate) fn size(&self) -> usize {
        size_of::<Tail>() + self.frames.capacity()
    }
}

/// Most of the time empty, often one entry: neither costs an allocation.
#[derive(Debug, Default)]
enum Queue {
    #[default]
    Empty,
    One(Entry),
    Many(VecDeque<Entry>),
}

/// Where the frames go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// A GET takes them.
    Polling,
    /// Any thread writes them to the socket.
    Tcp(OwnedWriteHalf),
    /// The connection's task writes them: the stream cannot be shared (TLS, HTTP/2).
    Task,
    /// Nowhere any more.
    Closed,
}

/// The bounded queue of one connection, with the writing end of its transport.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Outbox {
    pub(crate) sink: Sink,
    /// Frames behind the tail that others share and that may still become more. Not part of `bytes` and `packets`.
    run: Option<Arc<Run>>,
    /// Small frames behind the queue, in one piece; never empty.
    tail: Option<Box<Tail>>,
    /// The batch that will flush; 0 = none.
    pub(crate) dirty: u32,
    packets: u32,
    bytes: usize,
    /// The socket takes nothing more; the connection's task flushes when it does again.
    pub(crate) blocked: bool,
    /// The head of the queue is the rest of a frame that was written in part.
    partial: bool,
    /// Something in it is worth compressing.
    pub(crate) compress: bool,
    /// The first bytes of the queue that are no frame yet: the answer to an HTTP request.
    head: u16,
    queue: Queue,
    /// The task that reads the connection.
    pub(crate) task: Option<Waker>,
}

impl Outbox {
    pub(crate) const fn new() -> Outbox {
        Outbox {
            sink: Sink::Polling,
            queue: Queue::Empty,
            bytes: 0,
            packets: 0,
            tail: None,
            run: None,
            dirty: 0,
            blocked: false,
            partial: false,
            compress: false,
            head: 0,
            task: None,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.queue, Queue::Empty) && self.tail.is_none() && self.run.is_none()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.size().0
    }

    pub(crate) fn packets(&self) -> usize {
        self.size().1 as usize
    }

    #[inline]
    fn size(&self) -> (usize, u32) {
        let (bytes, packets) = self.run.as_ref().map_or((0, 0), |run| run.size());
        (self.bytes + bytes, self.packets + packets)
    }

    /// Whether frames may be written to the socket right now, ahead of nothing.
    #[inline]
    pub(crate) fn is_direct(&self) -> bool {
        self.is_empty() && matches!(self.sink, Sink::Tcp(_))
    }

    /// Whether the outbox has room. One message is always taken if nothing waits.
    #[inline]
    pub(crate) fn room(
        &self,
        bytes: usize,
        packets: u32,
        limits: (usize, usize),
    ) -> Result<(), SendError> {
        let (pending, waiting) = self.size();
        if self.is_empty()
            || (pending + bytes <= limits.0 && (waiting + packets) as usize <= limits.1)
        {
            Ok(())
        } else {
            Err(SendError::Full {
                pending,
                limit: limits.0,
            })
        }
    }

    /// How much more fits in.
    pub(crate) fn room_left(&self, limits: (usize, usize)) -> Room {
        let (bytes, packets) = self.size();
        Room {
            bytes: limits.0.saturating_sub(bytes),
            packets: limits.1.saturating_sub(packets as usize),
        }
    }

    /// Puts a run behind everything else.
    #[inline]
    pub(crate) fn attach(&mut self, run: &Arc<Run>) {
        self.settle();
        self.run = Some(run.clone());
    }

    /// Ends the run, before something comes behind it or the queue is taken: makes it part of the rest.
    #[inline]
    fn settle(&mut self) {
        if let Some(run) = self.run.take() {
            self.settle_run(&run);
        }
    }

    fn settle_run(&mut self, run: &Run) {
        let Sealed { frames, packets } = run.seal();
        if frames.len() <= SMALL {
            self.append(frames, *packets);
        } else {
            self.push(frames.clone(), *packets);
        }
    }

    /// Queues shared frames.
    pub(crate) fn push(&mut self, frames: Bytes, packets: u32) {
        self.settle();
        self.bytes += frames.len();
        self.packets += packets;
        self.seal();
        self.enqueue(Entry { frames, packets });
    }

    /// Queues the first packet of a connection, behind `head` bytes that answer an HTTP request.
    pub(crate) fn push_first(&mut self, frames: Bytes, head: usize) {
        self.head = u16::try_from(head).unwrap_or(u16::MAX);
        self.push(frames, 1);
    }

    /// Takes the answer to the HTTP request, if nothing of it has been written: it goes out whatever becomes of the
    /// packets behind it.
    pub(crate) fn take_head(&mut self) -> Option<Bytes> {
        let len = usize::from(std::mem::take(&mut self.head));
        if len == 0 {
            return None;
        }
        self.front()
            .map(|first| first.slice(..len.min(first.len())))
    }

    /// Queues a copy of small frames.
    #[inline]
    pub(crate) fn append(&mut self, frames: &[u8], packets: u32) {
        self.settle();
        self.bytes += frames.len();
        self.packets += packets;
        let tail = self.tail.get_or_insert_with(batch::spare_tail);
        tail.frames.extend_from_slice(frames);
        tail.packets += packets;
    }

    /// Makes the tail an entry of the queue.
    fn seal(&mut self) {
        self.settle();
        if let Some(tail) = self.tail.take() {
            let Tail { frames, packets } = *tail;
            self.enqueue(Entry {
                frames: frames.into(),
                packets,
            });
        }
    }

    fn enqueue(&mut self, entry: Entry) {
        self.queue = match std::mem::take(&mut self.queue) {
            Queue::Empty => Queue::One(entry),
            Queue::One(first) => {
                let mut many = VecDeque::with_capacity(4);
                many.push_back(first);
                many.push_back(entry);
                Queue::Many(many)
            }
            Queue::Many(mut many) => {
                many.push_back(entry);
                Queue::Many(many)
            }
        };
    }

    /// Puts frames before all others that have not been begun.
    pub(crate) fn push_urgent(&mut self, frames: Bytes, packets: u32) {
        let at = usize::from(self.partial);
        self.insert(at, Entry { frames, packets });
    }

    /// Throws away all but the entry that was written in part.
    pub(crate) fn keep_begun(&mut self) {
        let begun = self.take_front();
        self.clear();
        if let Some(entry) = begun {
            self.push(entry.frames, entry.packets);
            self.partial = true;
        }
    }

    fn take_front(&mut self) -> Option<Entry> {
        match std::mem::take(&mut self.queue) {
            Queue::Empty => None,
            Queue::One(entry) => Some(entry),
            Queue::Many(mut many) => many.pop_front(),
        }
    }

    fn insert(&mut self, at: usize, entry: Entry) {
        self.bytes += entry.frames.len();
        self.packets += entry.packets;
        let mut many = match std::mem::take(&mut self.queue) {
            Queue::Empty => VecDeque::with_capacity(2),
            Queue::One(first) => VecDeque::from([first]),
            Queue::Many(many) => many,
        };
        many.insert(at.min(many.len()), entry);
        self.queue = Queue::Many(many);
    }

    /// Takes everything, for the answer to a GET.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.seal();
        self.bytes = 0;
        self.packets = 0;
        self.partial = false;
        let (one, many) = match std::mem::take(&mut self.queue) {
            Queue::Empty => (None, VecDeque::new()),
            Queue::One(entry) => (Some(entry), VecDeque::new()),
            Queue::Many(many) => (None, many),
        };
        one.into_iter().chain(many)
    }

    pub(crate) fn clear(&mut self) {
        self.queue = Queue::Empty;
        self.tail = None;
        self.run = None;
        self.bytes = 0;
        self.packets = 0;
    }

    /// Whether the stream stands between two frames, so that a close frame may follow.
    pub(crate) fn is_between_frames(&self) -> bool {
        !self.partial
    }

    /// Writes `frames` (whole ones) to the socket, nothing being queued; what it does not take is queued.
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

    /// Writes what the socket takes. If that is not all, the task is registered for the moment it takes more.
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

    /// Wakes the task that has to go on: one that writes itself now, another when the socket takes something, which may
    /// have happened since it was found blocked.
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

    /// Writes the queue to the socket as far as it takes it.
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
        if let Some(run) = self.run.take()
            && (self.tail.is_some() || !self.write_run(&run))
        {
            self.settle_run(&run);
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
                    let mut slices = [IoSlice::new(&[]); IOVECS];
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

    /// Writes a run, nothing else being queued. `false`: it has not been written in one go, nor any of it.
    #[inline]
    fn write_run(&mut self, run: &Run) -> bool {
        let Sink::Tcp(half) = &self.sink else {
            return false;
        };
        let Sealed { frames, packets } = run.seal();
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
            // The loop that writes the rest of the queue sees it again.
            _ => false,
        }
    }

    /// The head of the queue, for the task that writes it.
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
            batch::keep_tail(tail);
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

/// Has the connection's task woken when the socket takes more. `false`: it does already.
///
/// Nobody is woken now: the waker is only left with the reactor.
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
