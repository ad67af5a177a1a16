//! Registry of a server's connections: tracks which of them wait for a request, evicts idle ones, and announces
//! shutdown.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

/// Number of waiting connections that an eviction compares. Only the oldest of the sample is evicted: comparing all
/// would take too long.
const EVICTION_SAMPLE_CONNECTIONS: usize = 16;
/// Maximum number of slots that an eviction visits for its sample; it visits more only while none of them waits.
const MAX_EVICTION_LOOKS: usize = 256;

/// Values of an [`IdleState`] other than the time since which the connection waits.
const BUSY: u64 = 0;
const CUT: u64 = u64::MAX;

/// Slots of all connections. A connection's own query costs an atomic operation, not a lock.
#[derive(Debug)]
pub(super) struct ConnectionRegistry {
    taken: Mutex<Taken>,
    /// Number of connections that wait for a request.
    idle: AtomicUsize,
    start: Instant,
}

#[derive(Debug, Default)]
struct Taken {
    slots: Slab<Registered>,
    /// Index at which the next eviction begins.
    hand: usize,
}

#[derive(Debug)]
struct Registered {
    waker: Option<Waker>,
    state: Arc<IdleState>,
    group: Arc<Group>,
}

/// Connections that end together.
#[derive(Debug)]
pub(super) struct Group {
    stopping: AtomicBool,
    connections: AtomicUsize,
    gone: Notify,
    /// Maximum number of connections that wait for a request. Beyond it some are evicted, those of other groups
    /// included.
    most_idle: usize,
}

impl Group {
    pub(super) fn new(most_idle: usize) -> Arc<Group> {
        Arc::new(Group {
            stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            gone: Notify::new(),
            most_idle: most_idle.max(1),
        })
    }

    /// Signals shutdown to the connections that poll for it.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Waits until the group has no connections.
    pub(super) async fn all_gone(&self) {
        loop {
            let gone = self.gone.notified();
            if self.connections.load(Ordering::Acquire) == 0 {
                return;
            }
            gone.await;
        }
    }
}

/// State of a connection that waits for a request: the nanoseconds since the server's start at which it began to wait,
/// or [`BUSY`], or [`CUT`].
#[derive(Debug)]
struct IdleState(AtomicU64);

impl Default for ConnectionRegistry {
    fn default() -> ConnectionRegistry {
        ConnectionRegistry {
            taken: Mutex::default(),
            idle: AtomicUsize::new(0),
            start: Instant::now(),
        }
    }
}

impl ConnectionRegistry {
    /// Signals shutdown to the connections of a group.
    pub(super) fn stop(&self, group: &Arc<Group>) {
        group.stop();
        let mut taken = self.taken.lock();
        let slots = taken.slots.iter_mut().map(|(_, slot)| slot);
        let told = slots.filter(|slot| Arc::ptr_eq(&slot.group, group));
        let wakers: Vec<Waker> = told.filter_map(|slot| slot.waker.take()).collect();
        drop(taken);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn now(&self) -> u64 {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        nanos.clamp(BUSY + 1, CUT - 1)
    }

    /// Counts one more waiting connection, and evicts one if there are too many.
    fn waits(&self, most: usize) {
        let idle = self.idle.fetch_add(1, Ordering::Relaxed) + 1;
        if idle > most {
            self.cut_one();
        }
    }

    /// Evicts one of the connections that have waited longest for a request.
    #[cold]
    fn cut_one(&self) {
        let mut taken = self.taken.lock();
        let slots = taken.slots.capacity();
        let (mut oldest, mut found, mut looked) = (None, 0, 0);
        while looked < slots
            && found < EVICTION_SAMPLE_CONNECTIONS
            && (looked < MAX_EVICTION_LOOKS || found == 0)
        {
            let key = (taken.hand + looked) % slots;
            looked += 1;
            let Some(slot) = taken.slots.get(key) else {
                continue;
            };
            let since = slot.state.0.load(Ordering::Relaxed);
            if since != BUSY && since != CUT {
                found += 1;
                if oldest.is_none_or(|(_, before)| since < before) {
                    oldest = Some((key, since));
                }
            }
        }
        taken.hand = (taken.hand + looked) % slots.max(1);
        let Some(slot) = oldest.and_then(|(key, _)| taken.slots.get_mut(key)) else {
            return;
        };
        // If a request has arrived just now, the next eviction takes another connection.
        let since = oldest.map_or(BUSY, |(_, since)| since);
        if !slot.state.change(since, CUT) {
            return;
        }
        let waker = slot.waker.take();
        drop(taken);
        self.idle.fetch_sub(1, Ordering::Relaxed);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl IdleState {
    fn change(&self, from: u64, to: u64) -> bool {
        let (set, get) = (Ordering::AcqRel, Ordering::Relaxed);
        self.0.compare_exchange(from, to, set, get).is_ok()
    }
}

/// Handle with which a connection reports whether it waits for a request.
#[derive(Clone, Debug)]
pub(super) struct IdleHandle {
    registry: Arc<ConnectionRegistry>,
    state: Arc<IdleState>,
    most_idle: usize,
}

impl IdleHandle {
    /// Reports that a request has arrived. `false`: too late, the connection is being evicted.
    pub(super) fn busy(&self) -> bool {
        loop {
            match self.state.0.load(Ordering::Relaxed) {
                BUSY => return true,
                CUT => return false,
                since if self.state.change(since, BUSY) => {
                    self.registry.idle.fetch_sub(1, Ordering::Relaxed);
                    return true;
                }
                _ => {}
            }
        }
    }

    /// Reports that the request has been answered.
    pub(super) fn idle(&self) {
        if self.state.change(BUSY, self.registry.now()) {
            self.registry.waits(self.most_idle);
        }
    }

    /// Whether the connection was evicted because too many wait.
    pub(super) fn is_cut(&self) -> bool {
        self.state.0.load(Ordering::Acquire) == CUT
    }

    /// Time since the connection began to wait.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        match self.state.0.load(Ordering::Relaxed) {
            BUSY | CUT => None,
            since => Some(Duration::from_nanos(
                self.registry.now().saturating_sub(since),
            )),
        }
    }
}

/// Slot of one connection, which waits for a request at first.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    handle: IdleHandle,
    group: Arc<Group>,
    key: usize,
    registered: bool,
}

/// Reason for which a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseSignal {
    /// The server shuts down: end as soon as no request is in progress.
    Stop,
    /// Too many connections wait for a request: end at once.
    Cut,
}

impl ConnectionSlot {
    pub(super) fn new(registry: &Arc<ConnectionRegistry>, group: &Arc<Group>) -> ConnectionSlot {
        let state = Arc::new(IdleState(AtomicU64::new(registry.now())));
        group.connections.fetch_add(1, Ordering::Relaxed);
        let key = registry.taken.lock().slots.insert(Registered {
            waker: None,
            state: state.clone(),
            group: group.clone(),
        });
        registry.waits(group.most_idle);
        let handle = IdleHandle {
            registry: registry.clone(),
            state,
            most_idle: group.most_idle,
        };
        ConnectionSlot {
            handle,
            group: group.clone(),
            key,
            registered: false,
        }
    }

    pub(super) fn handle(&self) -> &IdleHandle {
        &self.handle
    }

    /// Returns the signal if the connection has to end. Otherwise registers the task to be woken by it; every call has
    /// to come from the same task.
    pub(super) fn called(&mut self, cx: &Context<'_>) -> Option<CloseSignal> {
        let registry = &self.handle.registry;
        if !self.registered {
            self.registered = true;
            if let Some(slot) = registry.taken.lock().slots.get_mut(self.key) {
                slot.waker = Some(cx.waker().clone());
            }
        }
        if self.handle.is_cut() {
            return Some(CloseSignal::Cut);
        }
        let stopping = self.group.stopping.load(Ordering::Acquire);
        stopping.then_some(CloseSignal::Stop)
    }

    /// Waits until the connection has to end.
    pub(super) async fn until_called(&mut self) -> CloseSignal {
        poll_fn(|cx| self.called(cx).map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        let IdleHandle {
            registry, state, ..
        } = &self.handle;
        // Changes through other handles to this connection have no effect from here on.
        if !matches!(state.0.swap(CUT, Ordering::AcqRel), BUSY | CUT) {
            registry.idle.fetch_sub(1, Ordering::Relaxed);
        }
        let registered = registry.taken.lock().slots.try_remove(self.key);
        drop(registered);
        if self.group.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.group.gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(slots: &[ConnectionSlot]) -> Vec<usize> {
        let cut = |(n, slot): (usize, &ConnectionSlot)| slot.handle.is_cut().then_some(n);
        slots.iter().enumerate().filter_map(cut).collect()
    }

    #[test]
    fn the_one_that_has_waited_longest_is_cut() {
        let all = Arc::new(ConnectionRegistry::default());
        let (group, other) = (Group::new(3), Group::new(3));
        let mut slots = vec![
            ConnectionSlot::new(&all, &group),
            ConnectionSlot::new(&all, &other),
        ];
        slots.push(ConnectionSlot::new(&all, &group));
        assert!(cut(&slots).is_empty());
        assert!(slots[0].handle.busy());
        slots.push(ConnectionSlot::new(&all, &group));
        assert!(cut(&slots).is_empty(), "who is busy does not wait");
        slots.push(ConnectionSlot::new(&all, &group));
        assert_eq!(cut(&slots), [1]);
        assert!(!slots[1].handle.busy(), "too late");
        slots[0].handle.idle();
        assert_eq!(cut(&slots), [1, 2], "who has just been busy stays");
        assert!(slots[0].handle.idle_for().is_some());
        slots.clear();
        assert_eq!(all.idle.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_more_wait_than_may() {
        let (all, group) = (Arc::new(ConnectionRegistry::default()), Group::new(10));
        let slots: Vec<ConnectionSlot> = (0..5000)
            .map(|_| ConnectionSlot::new(&all, &group))
            .collect();
        let wait = slots.iter().filter(|slot| !slot.handle.is_cut()).count();
        assert_eq!((wait, all.idle.load(Ordering::Relaxed)), (10, 10));
        let left = slots[4000].handle.clone();
        drop(slots);
        left.idle();
        assert!(!left.busy());
        assert_eq!(all.idle.load(Ordering::Relaxed), 0, "nobody is there");
    }

    #[test]
    fn who_is_cut_is_told() {
        struct Told(AtomicBool);
        impl std::task::Wake for Told {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let told = Arc::new(Told(AtomicBool::new(false)));
        let waker = Waker::from(told.clone());
        let cx = Context::from_waker(&waker);
        let (all, group) = (Arc::new(ConnectionRegistry::default()), Group::new(1));
        let mut first = ConnectionSlot::new(&all, &group);
        assert_eq!(first.called(&cx), None);
        let mut second = ConnectionSlot::new(&all, &group);
        assert_eq!(
            (first.called(&cx), told.0.load(Ordering::Relaxed)),
            (Some(CloseSignal::Cut), true)
        );
        let mut other = ConnectionSlot::new(&all, &Group::new(10));
        all.stop(&group);
        assert_eq!(second.called(&cx), Some(CloseSignal::Stop));
        assert_eq!(other.called(&cx), None);
    }
}
