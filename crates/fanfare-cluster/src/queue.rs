//! Bounded queue of messages for a broker.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::PublishOutcome;

/// Capacity, in items, above which an empty queue frees its memory.
const KEPT_CAPACITY: usize = 1024;

/// Limits of a [queue](publish_queue).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueLimits {
    /// Maximum number of messages. Default: 65,536.
    pub max_messages: usize,
    /// Maximum number of bytes of the messages. Default: 16 MiB.
    pub max_bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            max_messages: 65_536,
            max_bytes: 16 << 20,
        }
    }
}

impl QueueLimits {
    /// Sets the maximum number of messages.
    #[must_use]
    pub fn max_messages(mut self, count: usize) -> Self {
        self.max_messages = count;
        self
    }

    /// Sets the maximum number of bytes of the messages.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

/// Reason for which a message was not queued, with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError<T> {
    /// The queue is full.
    #[error("the queue is full")]
    Full(T),
    /// The queue is closed.
    #[error("the queue is closed")]
    Closed(T),
}

impl<T> PushError<T> {
    /// Returns the message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> From<PushError<T>> for PublishOutcome {
    /// A queue that is closed has no connection behind it.
    fn from(error: PushError<T>) -> Self {
        match error {
            PushError::Full(_) => Self::Full,
            PushError::Closed(_) => Self::Down,
        }
    }
}

/// Creates a queue between the callers of an adapter or emitter and the task that writes to its broker.
///
/// It is bounded in messages and in bytes, but a single message is always accepted, so that one that is longer than the
/// limit can be sent. Pushing never waits. The reader takes all waiting messages as one batch, to be written at once.
///
/// ```
/// use fanfare_cluster::{PushError, QueueLimits, publish_queue};
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let (queue, mut reader) = publish_queue(QueueLimits::default().max_messages(2));
/// assert!(queue.try_push("a", 1).is_ok());
/// assert!(queue.try_push("b", 1).is_ok());
/// assert_eq!(queue.try_push("c", 1), Err(PushError::Full("c")));
/// queue.close();
///
/// let mut batch = Vec::new();
/// assert_eq!(reader.next_batch(&mut batch, 100).await, 2);
/// assert_eq!(reader.next_batch(&mut batch, 100).await, 0, "closed and empty");
/// assert_eq!(batch, ["a", "b"]);
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
#[must_use]
pub fn publish_queue<T>(limits: QueueLimits) -> (PublishQueue<T>, QueueReader<T>) {
    let shared = Arc::new(Shared {
        limits,
        state: Mutex::new(State {
            items: VecDeque::new(),
            bytes: 0,
            closed: false,
        }),
        changed: Notify::new(),
    });
    (PublishQueue(shared.clone()), QueueReader(shared))
}

struct Shared<T> {
    limits: QueueLimits,
    state: Mutex<State<T>>,
    /// Notified when the first message comes, and on close.
    changed: Notify,
}

struct State<T> {
    /// Messages with their numbers of bytes.
    items: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

/// Returns the number of the first items of these sizes that have together at most `max_bytes`: at most `max`, but one
/// item always fits.
pub(crate) fn fitting(
    sizes: impl IntoIterator<Item = usize>,
    max: usize,
    max_bytes: usize,
) -> usize {
    let mut sum = 0usize;
    let mut first = true;
    let fits = |bytes: &usize| {
        sum = sum.saturating_add(*bytes);
        std::mem::take(&mut first) || sum <= max_bytes
    };
    sizes.into_iter().take(max).take_while(fits).count()
}

impl<T> State<T> {
    /// Moves at most `max` messages of together at most `max_bytes`, but at least one if `max` allows it.
    fn take(&mut self, into: &mut Vec<T>, max: usize, max_bytes: usize) -> usize {
        let count = match self.bytes > max_bytes {
            true => fitting(self.items.iter().map(|(_, bytes)| *bytes), max, max_bytes),
            false => self.items.len().min(max),
        };
        into.reserve(count);
        for (item, bytes) in self.items.drain(..count) {
            self.bytes -= bytes;
            into.push(item);
        }
        if self.items.is_empty() && self.items.capacity() > KEPT_CAPACITY {
            self.items = VecDeque::new();
        }
        count
    }
}

impl<T> Shared<T> {
    fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }
}

/// Sending side of a [queue](publish_queue). Cheap to clone.
pub struct PublishQueue<T>(Arc<Shared<T>>);

impl<T> PublishQueue<T> {
    /// Appends a message of this number of bytes. Does not wait.
    ///
    /// # Errors
    /// [`PushError`], which returns the message: the queue is full or closed.
    pub fn try_push(&self, item: T, bytes: usize) -> Result<(), PushError<T>> {
        let limits = self.0.limits;
        let first = {
            let mut state = self.0.state.lock();
            if state.closed {
                return Err(PushError::Closed(item));
            }
            let first = state.items.is_empty();
            let sum = state.bytes.saturating_add(bytes);
            if !first && (state.items.len() >= limits.max_messages || sum > limits.max_bytes) {
                return Err(PushError::Full(item));
            }
            state.items.push_back((item, bytes));
            state.bytes = sum;
            first
        };
        if first {
            self.0.changed.notify_one();
        }
        Ok(())
    }

    /// Closes the queue: nothing more is accepted, and the reader gets the remaining messages.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether the queue is closed, by one of its sides.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.state.lock().closed
    }

    /// Waits until there are messages. Returns `false` if there will be none: the queue is closed and empty.
    pub(crate) async fn ready(&self) -> bool {
        loop {
            {
                let state = self.0.state.lock();
                if !state.items.is_empty() || state.closed {
                    return !state.items.is_empty();
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// Returns the number of messages that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.state.lock().items.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of bytes that wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.state.lock().bytes
    }
}

impl<T> Clone for PublishQueue<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for PublishQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f, "PublishQueue")
    }
}

/// Reading side of a [queue](publish_queue). Dropping it closes the queue and drops its messages.
pub struct QueueReader<T>(Arc<Shared<T>>);

impl<T> QueueReader<T> {
    /// Waits for messages, and moves at most `max` of them to the end of `batch`. Returns their number, which is 0 only
    /// if the queue is closed and empty, or `max` is 0.
    ///
    /// # Cancel safety
    /// A dropped call takes nothing.
    pub async fn next_batch(&mut self, batch: &mut Vec<T>, max: usize) -> usize {
        loop {
            {
                let mut state = self.0.state.lock();
                let count = state.take(batch, max, usize::MAX);
                if count > 0 || max == 0 || state.closed {
                    return count;
                }
            }
            self.0.changed.notified().await;
        }
    }

    /// Moves the waiting messages, at most `max`, to the end of `batch` without waiting. Returns their number.
    pub fn try_batch(&mut self, batch: &mut Vec<T>, max: usize) -> usize {
        self.try_batch_within(batch, max, usize::MAX)
    }

    /// Moves waiting messages of together at most `max_bytes`, as [`try_batch`](Self::try_batch) does. A single longer
    /// message is moved alone.
    pub fn try_batch_within(&mut self, batch: &mut Vec<T>, max: usize, max_bytes: usize) -> usize {
        self.0.state.lock().take(batch, max, max_bytes)
    }

    /// Drops all messages that wait, as when the connection to the broker is lost, and returns their number.
    pub fn clear(&mut self) -> usize {
        let dropped = {
            let mut state = self.0.state.lock();
            state.bytes = 0;
            std::mem::take(&mut state.items)
        };
        // The messages are dropped outside of the lock.
        dropped.len()
    }

    /// Closes the queue: nothing more is accepted; the remaining messages can be read.
    pub fn close(&mut self) {
        self.0.close();
    }
}

impl<T> Drop for QueueReader<T> {
    fn drop(&mut self) {
        self.close();
        self.clear();
    }
}

impl<T> fmt::Debug for QueueReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.describe(f, "QueueReader")
    }
}

impl<T> Shared<T> {
    fn describe(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct(name)
            .field("messages", &state.items.len())
            .field("bytes", &state.bytes)
            .field("closed", &state.closed)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn limits(messages: usize, bytes: usize) -> QueueLimits {
        QueueLimits::default()
            .max_messages(messages)
            .max_bytes(bytes)
    }

    fn ready<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn it_is_bounded_in_messages_and_bytes_and_accepts_a_single_message() {
        let (queue, mut reader) = publish_queue(limits(3, 100));
        assert!(queue.try_push(0, 1000).is_ok(), "a single message");
        assert_eq!(queue.try_push(1, 0), Err(PushError::Full(1)));
        let mut batch = Vec::new();
        assert_eq!(reader.try_batch(&mut batch, 9), 1);
        assert_eq!((queue.len(), queue.bytes()), (0, 0));
        for item in [2, 3] {
            assert!(queue.try_push(item, 50).is_ok());
        }
        assert_eq!(queue.try_push(4, 1), Err(PushError::Full(4)));
        assert!(queue.try_push(5, 0).is_ok());
        assert_eq!(queue.try_push(6, 0), Err(PushError::Full(6)));
        assert_eq!(reader.try_batch(&mut batch, 2), 2);
        assert_eq!((queue.len(), queue.bytes()), (1, 0));
        assert_eq!(reader.try_batch(&mut batch, 2), 1);
        assert_eq!(batch, [0, 2, 3, 5], "in order");
    }

    #[test]
    fn no_size_overflows_the_sum() {
        let (queue, mut reader) = publish_queue(limits(9, usize::MAX - 1));
        assert!(queue.try_push(0, usize::MAX / 2).is_ok());
        assert_eq!(queue.try_push(1, usize::MAX), Err(PushError::Full(1)));
        assert!(queue.try_push(2, usize::MAX / 2).is_ok());
        assert_eq!((reader.clear(), queue.bytes()), (2, 0));
    }

    #[test]
    fn the_reader_waits_and_is_woken_once() {
        let (queue, mut reader) = publish_queue(limits(9, 100));
        let mut batch = Vec::new();
        assert_eq!(ready(reader.next_batch(&mut batch, 9)), None);
        assert!(queue.try_push('a', 1).is_ok());
        assert!(queue.try_push('b', 1).is_ok());
        assert_eq!(ready(reader.next_batch(&mut batch, 9)), Some(2));
        assert_eq!(ready(reader.next_batch(&mut batch, 9)), None);
        queue.close();
        assert_eq!(ready(reader.next_batch(&mut batch, 9)), Some(0));
        assert_eq!(queue.try_push('c', 1), Err(PushError::Closed('c')));
    }

    #[test]
    fn what_is_left_is_read_after_close_and_dropped_with_the_reader() {
        let item = Arc::new(());
        let (queue, mut reader) = publish_queue(limits(9, 100));
        for _ in 0..3 {
            assert!(queue.try_push(item.clone(), 1).is_ok());
        }
        queue.close();
        let mut batch = Vec::new();
        assert_eq!(ready(reader.next_batch(&mut batch, 1)), Some(1));
        drop((reader, batch));
        assert_eq!(Arc::strong_count(&item), 1);
        assert!(queue.is_closed() && queue.is_empty());
    }

    #[test]
    fn memory_of_a_burst_is_given_back() {
        let (queue, mut reader) = publish_queue(limits(100_000, 1 << 30));
        for item in 0..50_000 {
            assert!(queue.try_push(item, 1).is_ok());
        }
        let mut batch = Vec::new();
        while reader.try_batch(&mut batch, 1000) > 0 {
            batch.clear();
        }
        assert!(reader.0.state.lock().items.capacity() <= KEPT_CAPACITY);
    }
}
