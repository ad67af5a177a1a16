//! Bounded queue of messages from a broker.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::queue::fitting;
use crate::{PublishQueue, PushError, QueueLimits, QueueReader, publish_queue};

/// Maximum number of messages that are delivered before other tasks run.
const MAX_TURN_MESSAGES: usize = 64;
/// Maximum number of bytes of these messages, except that a single longer message is delivered.
const MAX_TURN_BYTES: usize = 256 * 1024;

/// Limits of an [`Inbox`] that is full after this many messages or bytes: 4096 and 4 MiB.
const DEFAULT_LIMITS: (usize, usize) = (4096, 4 << 20);

/// Returns the number of received messages of these sizes in bytes that are delivered together, before other tasks run:
/// at most 64 and 256 KiB, but at least one, if there is one.
///
/// ```
/// use fanfare_cluster::turn_len;
///
/// assert_eq!(turn_len([100; 1000]), 64);
/// assert_eq!(turn_len([100_000; 10]), 2);
/// assert_eq!(turn_len([1_000_000; 10]), 1);
/// assert_eq!(turn_len([]), 0);
/// ```
pub fn turn_len(sizes: impl IntoIterator<Item = usize>) -> usize {
    fitting(sizes, MAX_TURN_MESSAGES, MAX_TURN_BYTES)
}

/// Queue between the connection to a broker and the delivery of the messages that it brings, for client libraries that
/// pass on one message at a time. Cheap to clone; the last clone that is dropped closes it.
///
/// What one read of the socket brought is delivered together, so that each client gets it with one write. The
/// messages keep their order. The queue is bounded in messages and in bytes: if it is full, [`push`](Self::push) itself
/// delivers the oldest, so that the connection reads no more meanwhile and the broker waits. No message is dropped.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use fanfare_cluster::Inbox;
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().build()?;
/// # runtime.block_on(async {
/// let turns = Arc::new(Mutex::new(Vec::new()));
/// let delivered = turns.clone();
/// let (inbox, deliveries) = Inbox::new(Inbox::<u32>::default_limits(), move |messages| {
///     delivered.lock().expect("no panic").push(messages.drain(..).collect::<Vec<_>>());
/// });
/// let task = tokio::spawn(deliveries);
/// inbox.push(1, 8);
/// inbox.push(2, 8);
/// drop(inbox);
/// task.await.expect("no panic");
/// assert_eq!(*turns.lock().expect("no panic"), [[1, 2]]);
/// # });
/// # Ok::<_, std::io::Error>(())
/// ```
pub struct Inbox<T>(Arc<CloseOnDrop<T>>);

/// Delivers messages, in their order. Those that it leaves are dropped.
type Deliver<T> = Box<dyn Fn(&mut Vec<T>) + Send + Sync>;

struct Shared<T> {
    queue: PublishQueue<T>,
    /// The reading side, with a buffer; locked while messages are delivered, which keeps their order.
    reader: Mutex<(QueueReader<T>, Vec<T>)>,
    deliver: Deliver<T>,
}

struct CloseOnDrop<T>(Arc<Shared<T>>);

impl<T> Drop for CloseOnDrop<T> {
    fn drop(&mut self) {
        self.0.queue.close();
    }
}

impl<T> Shared<T> {
    /// Delivers the oldest messages. Returns `false` if there were none.
    fn turn(&self) -> bool {
        let (reader, messages) = &mut *self.reader.lock();
        let count = reader.try_batch_within(messages, MAX_TURN_MESSAGES, MAX_TURN_BYTES);
        if count > 0 {
            (self.deliver)(messages);
            messages.clear();
        }
        count > 0
    }
}

impl<T: Send + 'static> Inbox<T> {
    /// Creates an inbox, and the future that delivers its messages, which ends when the inbox is closed and empty.
    ///
    /// `deliver` receives at most 64 messages and 256 KiB at a time; then other tasks run. It is called by one thread
    /// at a time, and does not push to the inbox.
    pub fn new(
        limits: QueueLimits,
        deliver: impl Fn(&mut Vec<T>) + Send + Sync + 'static,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, reader) = publish_queue(limits);
        let shared = Arc::new(Shared {
            queue,
            reader: Mutex::new((reader, Vec::new())),
            deliver: Box::new(deliver),
        });
        let inbox = Self(Arc::new(CloseOnDrop(shared.clone())));
        let deliveries = async move {
            while shared.queue.ready().await {
                shared.turn();
                tokio::task::yield_now().await;
            }
        };
        (inbox, deliveries)
    }

    /// Returns the default limits: 4096 messages and 4 MiB.
    #[must_use]
    pub fn default_limits() -> QueueLimits {
        let (messages, bytes) = DEFAULT_LIMITS;
        QueueLimits::default()
            .max_messages(messages)
            .max_bytes(bytes)
    }

    /// Appends a message of this number of bytes. If the inbox is full, the oldest messages are delivered by the
    /// calling thread first.
    pub fn push(&self, message: T, bytes: usize) {
        let shared = &self.0.0;
        let mut message = message;
        while let Err(PushError::Full(back)) = shared.queue.try_push(message, bytes) {
            message = back;
            shared.turn();
        }
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Inbox").field(&self.0.0.queue).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    type Turns = Arc<Mutex<Vec<Vec<usize>>>>;

    fn recorded(limits: QueueLimits) -> (Inbox<usize>, impl Future<Output = ()> + Send, Turns) {
        let turns = Turns::default();
        let delivered = turns.clone();
        let (inbox, deliveries) = Inbox::new(limits, move |messages| {
            delivered.lock().push(std::mem::take(messages));
        });
        (inbox, deliveries, turns)
    }

    #[tokio::test]
    async fn what_came_together_is_delivered_together_and_in_order() {
        let (inbox, deliveries, turns) = recorded(Inbox::<usize>::default_limits());
        let task = tokio::spawn(deliveries);
        for message in 0..3 {
            inbox.push(message, 1);
        }
        while turns.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        for message in 3..100 {
            inbox.push(message, 1);
        }
        drop(inbox);
        task.await.unwrap();
        let turns = turns.lock();
        let lengths: Vec<usize> = turns.iter().map(Vec::len).collect();
        assert_eq!(lengths, [3, MAX_TURN_MESSAGES, 97 - MAX_TURN_MESSAGES]);
        assert!(turns.iter().flatten().copied().eq(0..100));
    }

    #[tokio::test]
    async fn a_turn_is_bounded_in_bytes() {
        let (inbox, deliveries, turns) = recorded(Inbox::<usize>::default_limits());
        for message in 0..4 {
            inbox.push(message, MAX_TURN_BYTES / 2);
        }
        inbox.push(4, 2 * MAX_TURN_BYTES);
        drop(inbox);
        deliveries.await;
        assert_eq!(*turns.lock(), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    #[tokio::test]
    async fn other_tasks_run_between_two_turns() {
        let (inbox, deliveries, turns) = recorded(Inbox::<usize>::default_limits());
        for message in 0..10 * MAX_TURN_MESSAGES {
            inbox.push(message, 1);
        }
        drop(inbox);
        let task = tokio::spawn(deliveries);
        let seen = turns.clone();
        let other = tokio::spawn(async move { seen.lock().len() });
        assert!(other.await.unwrap() <= 1);
        task.await.unwrap();
        assert_eq!(turns.lock().len(), 10);
    }

    #[test]
    fn a_flood_holds_no_more_than_the_limits_and_loses_nothing() {
        let limits = QueueLimits::default().max_messages(100).max_bytes(1000);
        let (inbox, deliveries, turns) = recorded(limits);
        let mut most = 0;
        for message in 0..10_000 {
            inbox.push(message, 50);
            most = most.max(inbox.0.0.queue.bytes());
        }
        assert!(most <= 1000, "{most} bytes");
        let rest = inbox.0.0.queue.len();
        drop(inbox);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(deliveries);
        assert!(rest > 0 && turns.lock().iter().flatten().copied().eq(0..10_000));
    }

    #[test]
    fn order_is_kept_while_two_threads_deliver() {
        let seen = Arc::new(AtomicUsize::new(0));
        let next = seen.clone();
        let limits = QueueLimits::default().max_messages(3);
        let (inbox, deliveries) = Inbox::new(limits, move |messages: &mut Vec<usize>| {
            for message in messages.drain(..) {
                assert_eq!(message, next.fetch_add(1, Ordering::Relaxed));
            }
        });
        let other = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(deliveries);
        });
        for message in 0..100_000 {
            inbox.push(message, 1);
        }
        drop(inbox);
        other.join().unwrap();
        assert_eq!(seen.load(Ordering::Relaxed), 100_000);
    }
}
