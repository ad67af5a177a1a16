//! Bounded queues of events for consumers that may be slow; a marker takes the place of dropped events.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Maximum number of queued items without a weight; the oldest are dropped first.
const MAX_WEIGHTLESS: usize = 1024;

/// Item that can be queued.
pub(crate) trait Item {
    /// Returns the bytes of a frequent item, which count against the limits: beyond them the newest is dropped. `None`
    /// for a rare item that reports a state, so that the newest is kept.
    fn weight(&self) -> Option<usize>;

    /// Creates the marker for this number of dropped items.
    fn lagged(missed: u64) -> Self;
}

/// Capacity of the queue for a slow handler or stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug)]
enum Entry<T> {
    Weighted(T, usize),
    Weightless(T),
    Lost(u64),
}

#[derive(Debug)]
struct State<T> {
    entries: VecDeque<Entry<T>>,
    count: usize,
    bytes: usize,
    weightless: usize,
    waker: Option<Waker>,
    /// Whether one of the halves is gone.
    closed: bool,
}

/// Sending half.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    state: Arc<Mutex<State<T>>>,
    bounds: Bounds,
}

/// Receiving half.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    state: Arc<Mutex<State<T>>>,
}

pub(crate) fn queue<T>(bounds: Bounds) -> (Sender<T>, Receiver<T>) {
    let state = Arc::new(Mutex::new(State {
        entries: VecDeque::new(),
        count: 0,
        bytes: 0,
        weightless: 0,
        waker: None,
        closed: false,
    }));
    let sender = Sender {
        state: state.clone(),
        bounds,
    };
    (sender, Receiver { state })
}

impl<T: Item> Sender<T> {
    /// Queues an item; returns `false` when the receiver is gone.
    pub(crate) fn push(&self, item: T) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        state.push(item, self.bounds);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T> Sender<T> {
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closed
    }
}

impl<T: Item> State<T> {
    fn push(&mut self, item: T, bounds: Bounds) {
        let Some(bytes) = item.weight() else {
            if self.weightless >= MAX_WEIGHTLESS {
                self.lose_oldest();
            }
            self.weightless += 1;
            return self.entries.push_back(Entry::Weightless(item));
        };
        let full = self.count >= bounds.count
            || (self.count > 0 && self.bytes.saturating_add(bytes) > bounds.bytes);
        if !full {
            self.count += 1;
            self.bytes += bytes;
            return self.entries.push_back(Entry::Weighted(item, bytes));
        }
        match self.entries.back_mut() {
            Some(Entry::Lost(missed)) => *missed += 1,
            _ => self.entries.push_back(Entry::Lost(1)),
        }
    }

    /// Replaces the oldest item without a weight by a marker.
    fn lose_oldest(&mut self) {
        let oldest = |entry: &Entry<T>| matches!(entry, Entry::Weightless(_));
        let Some(at) = self.entries.iter().position(oldest) else {
            return;
        };
        self.weightless -= 1;
        let before = at.checked_sub(1).and_then(|at| self.entries.get_mut(at));
        if let Some(Entry::Lost(missed)) = before {
            *missed += 1;
            self.entries.remove(at);
        } else {
            self.entries[at] = Entry::Lost(1);
        }
    }

    fn take(&mut self, at: usize) -> Option<T> {
        Some(match self.entries.remove(at)? {
            Entry::Weighted(item, bytes) => {
                self.count -= 1;
                self.bytes -= bytes;
                item
            }
            Entry::Weightless(item) => {
                self.weightless -= 1;
                item
            }
            Entry::Lost(missed) => T::lagged(missed),
        })
    }
}

impl<T: Item> Receiver<T> {
    pub(crate) fn poll_next(&mut self, cx: &Context<'_>) -> Poll<Option<T>> {
        self.poll(cx, |_| Some(0))
    }

    /// Waits for the next item; returns `None` when the sender is gone. Cancellation-safe.
    pub(crate) async fn next(&mut self) -> Option<T> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Waits for the next item without a weight, ahead of earlier ones with a weight. Cancellation-safe.
    pub(crate) async fn next_weightless(&mut self) -> Option<T> {
        let is = |entry: &Entry<T>| matches!(entry, Entry::Weightless(_));
        let at = |state: &State<T>| match state.weightless {
            0 => None,
            _ => state.entries.iter().position(is),
        };
        std::future::poll_fn(|cx| self.poll(cx, at)).await
    }

    fn poll(
        &mut self,
        cx: &Context<'_>,
        at: impl Fn(&State<T>) -> Option<usize>,
    ) -> Poll<Option<T>> {
        let mut state = self.state.lock();
        if let Some(at) = at(&state)
            && let Some(item) = state.take(at)
        {
            return Poll::Ready(Some(item));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.closed = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.state.lock();
        state.closed = true;
        let entries = std::mem::take(&mut state.entries);
        drop(state);
        drop(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    enum Told {
        Often(u32),
        Rare(u32),
        Lagged(u64),
    }

    impl Item for Told {
        fn weight(&self) -> Option<usize> {
            matches!(self, Self::Often(_)).then_some(10)
        }

        fn lagged(missed: u64) -> Self {
            Self::Lagged(missed)
        }
    }

    fn drain(receiver: &mut Receiver<Told>) -> Vec<Told> {
        let cx = Context::from_waker(Waker::noop());
        let mut told = Vec::new();
        while let Poll::Ready(Some(item)) = receiver.poll_next(&cx) {
            told.push(item);
        }
        told
    }

    #[test]
    fn what_is_lost_is_told_where_it_was() {
        use Told::{Lagged, Often, Rare};
        let bounds = Bounds {
            count: 3,
            bytes: 20,
        };
        let (sender, mut receiver) = queue(bounds);
        for item in [Often(1), Often(2), Often(3), Often(4), Rare(1), Often(5)] {
            assert!(sender.push(item));
        }
        let expected = [Often(1), Often(2), Lagged(2), Rare(1), Lagged(1)];
        assert_eq!(drain(&mut receiver), expected);
        sender.push(Often(6));
        drop(sender);
        assert_eq!(drain(&mut receiver), [Often(6)]);
    }

    #[test]
    fn of_what_is_rare_the_newest_is_kept() {
        let bounds = Bounds {
            count: 1,
            bytes: 100,
        };
        let (sender, mut receiver) = queue(bounds);
        for n in 0..5000 {
            sender.push(Told::Rare(n));
        }
        let told = drain(&mut receiver);
        assert_eq!(told.len(), MAX_WEIGHTLESS + 1);
        assert_eq!(told[0], Told::Lagged(5000 - MAX_WEIGHTLESS as u64));
        assert_eq!(told.last(), Some(&Told::Rare(4999)));
    }
}
