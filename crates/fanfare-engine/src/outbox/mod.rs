//! Outbox of one connection: the queue of unwritten frames, and their destination.

mod write;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;

use crate::coalesce_buffer::{self, CoalesceBuffer};
use crate::error::{OutboxUnit, SendError};
use crate::outgoing_frames::MAX_COALESCED_BYTES;
use crate::shared_segment::{Capacity, Sealed, SharedSegment};
use crate::sync::OwnedWriteHalf;

/// Whole frames, or the unwritten rest of some.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) frames: Bytes,
    pub(crate) packets: u32,
    /// Whether the frames are the first to be dropped when the outbox is full.
    volatile: bool,
}

impl Entry {
    fn new(frames: Bytes, packets: u32) -> Entry {
        Entry {
            frames,
            packets,
            volatile: false,
        }
    }
}

/// Queue that is mostly empty and often holds one entry: neither costs an allocation.
#[derive(Debug, Default)]
enum Queue {
    #[default]
    Empty,
    One(Entry),
    Many(VecDeque<Entry>),
}

/// Destination of the frames.
#[derive(Debug)]
pub(crate) enum Sink {
    /// A GET takes them.
    Polling,
    /// Any thread writes them to the socket.
    Tcp(OwnedWriteHalf),
    /// The connection's task writes them: the stream cannot be shared (TLS, HTTP/2).
    Task,
    /// The connection is closed.
    Closed,
}

/// The bounded queue of one connection, with the writing end of its transport.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Outbox {
    pub(crate) sink: Sink,
    /// Shared segment behind the coalesce buffer, which may still grow. Not part of `bytes` and `packets`.
    segment: Option<Arc<SharedSegment>>,
    /// Coalesce buffer: small frames behind the queue, contiguous; never empty.
    tail: Option<Box<CoalesceBuffer>>,
    /// Id of the batch that will flush; 0 = none.
    pub(crate) dirty: u32,
    packets: u32,
    bytes: usize,
    /// Whether the socket takes no more; the connection's task flushes when it does again.
    pub(crate) blocked: bool,
    /// Whether the stream that only the task writes to took nothing the last time.
    pub(crate) stalled: bool,
    /// Whether more waits than the normal limit allows, because the client could not read yet.
    pub(crate) burst: bool,
    /// Whether the head of the queue is the rest of a frame that was written in part.
    partial: bool,
    /// Whether anything in the outbox is worth compressing.
    pub(crate) compress: bool,
    /// Number of bytes at the head of the queue that are not a frame: the response to an HTTP request.
    head: u16,
    queue: Queue,
    /// Waker of the task that reads the connection.
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
            segment: None,
            dirty: 0,
            blocked: false,
            stalled: false,
            burst: false,
            partial: false,
            compress: false,
            head: 0,
            task: None,
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.queue, Queue::Empty) && self.tail.is_none() && self.segment.is_none()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.size().0
    }

    pub(crate) fn packets(&self) -> usize {
        self.size().1 as usize
    }

    #[inline]
    fn size(&self) -> (usize, u32) {
        let (bytes, packets) = self
            .segment
            .as_ref()
            .map_or((0, 0), |segment| segment.size());
        (self.bytes + bytes, self.packets + packets)
    }

    /// Whether frames may be written to the socket at once, because nothing waits before them.
    #[inline]
    pub(crate) fn is_direct(&self) -> bool {
        self.is_empty() && matches!(self.sink, Sink::Tcp(_))
    }

    /// Checks that the frames fit into the outbox. One message always fits if nothing waits.
    #[inline]
    pub(crate) fn room(
        &self,
        bytes: usize,
        packets: u32,
        limits: (usize, usize),
    ) -> Result<(), SendError> {
        let (pending, waiting) = self.size();
        let fits = pending + bytes <= limits.0;
        if self.is_empty() || (fits && (waiting + packets) as usize <= limits.1) {
            return Ok(());
        }
        Err(match fits {
            false => SendError::Full {
                pending,
                limit: limits.0,
                unit: OutboxUnit::Bytes,
            },
            true => SendError::Full {
                pending: waiting as usize,
                limit: limits.1,
                unit: OutboxUnit::Packets,
            },
        })
    }

    /// Whether at most half of the limits is used.
    pub(crate) fn is_half_free(&self, (bytes, packets): (usize, usize)) -> bool {
        let (pending, waiting) = self.size();
        pending <= bytes / 2 && waiting as usize <= packets / 2
    }

    /// Returns the remaining capacity.
    pub(crate) fn room_left(&self, limits: (usize, usize)) -> Capacity {
        let (bytes, packets) = self.size();
        Capacity {
            bytes: limits.0.saturating_sub(bytes),
            packets: limits.1.saturating_sub(packets as usize),
        }
    }

    /// Attaches a shared segment behind everything else.
    #[inline]
    pub(crate) fn attach(&mut self, segment: &Arc<SharedSegment>) {
        self.settle();
        self.segment = Some(segment.clone());
    }

    /// Seals the shared segment, before something follows it or the queue is taken, and makes it part of the rest.
    #[inline]
    fn settle(&mut self) {
        if let Some(segment) = self.segment.take() {
            self.settle_segment(&segment);
        }
    }

    fn settle_segment(&mut self, segment: &SharedSegment) {
        let Sealed { frames, packets } = segment.seal();
        if frames.len() <= MAX_COALESCED_BYTES {
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
        self.enqueue(Entry::new(frames, packets));
    }

    /// Queues shared frames that may be dropped later.
    pub(crate) fn push_volatile(&mut self, frames: Bytes, packets: u32) {
        self.bytes += frames.len();
        self.packets += packets;
        self.seal();
        self.enqueue(Entry {
            frames,
            packets,
            volatile: true,
        });
    }

    /// Drops volatile messages, the oldest first, until these bytes and packets fit into half of the outbox; `false` if
    /// they still do not fit. (Half, so that not every message has to search for volatile ones.)
    pub(crate) fn drop_volatile(
        &mut self,
        bytes: usize,
        packets: u32,
        limits: (usize, usize),
    ) -> bool {
        self.seal();
        // A frame that was written in part has to be completed.
        let mut begun = self.partial;
        let (mut left, mut waiting) = (self.bytes, self.packets);
        let mut stays = |entry: &Entry| {
            let fits = left + bytes <= limits.0 / 2 && (waiting + packets) as usize <= limits.1 / 2;
            if std::mem::take(&mut begun) || !entry.volatile || fits {
                return true;
            }
            left -= entry.frames.len();
            waiting -= entry.packets;
            false
        };
        let empty = match &mut self.queue {
            Queue::Empty => false,
            Queue::One(entry) => !stays(entry),
            Queue::Many(many) => {
                many.retain(stays);
                many.is_empty()
            }
        };
        if empty {
            self.queue = Queue::Empty;
        }
        (self.bytes, self.packets) = (left, waiting);
        self.room(bytes, packets, limits).is_ok()
    }

    /// Queues the first packet of a connection, behind `head` bytes of the response to an HTTP request.
    pub(crate) fn push_first(&mut self, frames: Bytes, head: usize) {
        self.head = u16::try_from(head).unwrap_or(u16::MAX);
        self.push(frames, 1);
    }

    /// Takes the response to the HTTP request, if nothing of it has been written: it is sent even if the packets behind
    /// it are discarded.
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
        let tail = self.tail.get_or_insert_with(coalesce_buffer::take);
        tail.frames.extend_from_slice(frames);
        tail.packets += packets;
    }

    /// Moves the coalesce buffer into the queue.
    fn seal(&mut self) {
        self.settle();
        if let Some(tail) = self.tail.take() {
            let CoalesceBuffer { frames, packets } = *tail;
            self.enqueue(Entry::new(frames.into(), packets));
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

    /// Queues frames before all others of which nothing has been written.
    pub(crate) fn push_urgent(&mut self, frames: Bytes, packets: u32) {
        let at = usize::from(self.partial);
        self.insert(at, Entry::new(frames, packets));
    }

    /// Discards everything except the entry that was written in part.
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

    /// Takes everything, for the response to a GET.
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
        self.segment = None;
        self.bytes = 0;
        self.packets = 0;
    }

    /// Whether the stream is at a frame boundary, so that a close frame may follow.
    pub(crate) fn is_between_frames(&self) -> bool {
        !self.partial
    }
}
