//! The connections of a server: which of them wait for a request, and telling them all that it shuts down.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

/// Of so many that wait the one is cut that has waited longest: to look at all would take too long.
const SAMPLE: usize = 16;
/// So many seats are looked at for that, and more only as long as none of them waits.
const LOOK: usize = 256;

/// The states of a [`Place`] beside the moment since when it waits.
const BUSY: u64 = 0;
const CUT: u64 = u64::MAX;

/// The seats of all connections. What a connection asks costs it an atomic operation, not a lock.
#[derive(Debug)]
pub(super) struct Seats {
    stopping: AtomicBool,
    taken: Mutex<Taken>,
    gone: Notify,
    /// How many wait for a request.
    idle: AtomicUsize,
    most_idle: usize,
    start: Instant,
}

#[derive(Debug, Default)]
struct Taken {
    seats: Slab<(Option<Waker>, Arc<Place>)>,
    /// Where the next look for one to be cut begins.
    hand: usize,
}

/// Whether a connection waits for a request: the nanoseconds since the server's start at which it began to, or
/// [`BUSY`], or [`CUT`].
#[derive(Debug)]
struct Place(AtomicU64);

impl Seats {
    /// Of more than `most_idle` connections that wait for a request, some are cut.
    pub(super) fn new(most_idle: usize) -> Seats {
        Seats {
            stopping: AtomicBool::new(false),
            taken: Mutex::default(),
            gone: Notify::new(),
            idle: AtomicUsize::new(0),
            most_idle: most_idle.max(1),
            start: Instant::now(),
        }
    }

    /// The server shuts down.
    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let mut taken = self.taken.lock();
        let wakers = taken.seats.iter_mut().filter_map(|(_, seat)| seat.0.take());
        let wakers: Vec<Waker> = wakers.collect();
        drop(taken);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until no seat is taken.
    pub(super) async fn all_gone(&self) {
        loop {
            let gone = self.gone.notified();
            if self.taken.lock().seats.is_empty() {
                return;
            }
            gone.await;
        }
    }

    fn now(&self) -> u64 {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        nanos.clamp(BUSY + 1, CUT - 1)
    }

    /// One more waits; too many are not left to.
    fn waits(&self) {
        let idle = self.idle.fetch_add(1, Ordering::Relaxed) + 1;
        if idle > self.most_idle {
            self.cut_one();
        }
    }

    /// Cuts one of those that have waited longest for a request.
    #[cold]
    fn cut_one(&self) {
        let mut taken = self.taken.lock();
        let slots = taken.seats.capacity();
        let (mut oldest, mut found, mut looked) = (None, 0, 0);
        while looked < slots && found < SAMPLE && (looked < LOOK || found == 0) {
            let key = (taken.hand + looked) % slots;
            looked += 1;
            let Some((_, place)) = taken.seats.get(key) else {
                continue;
            };
            let since = place.0.load(Ordering::Relaxed);
            if since != BUSY && since != CUT {
                found += 1;
                if oldest.is_none_or(|(_, before)| since < before) {
                    oldest = Some((key, since));
                }
            }
        }
        taken.hand = (taken.hand + looked) % slots.max(1);
        let Some((waker, place)) = oldest.and_then(|(key, _)| taken.seats.get_mut(key)) else {
            return;
        };
        // Should a request have come just now, another one's turn comes with the next.
        let since = oldest.map_or(BUSY, |(_, since)| since);
        if !place.change(since, CUT) {
            return;
        }
        let waker = waker.take();
        drop(taken);
        self.idle.fetch_sub(1, Ordering::Relaxed);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Place {
    fn change(&self, from: u64, to: u64) -> bool {
        let (set, get) = (Ordering::AcqRel, Ordering::Relaxed);
        self.0.compare_exchange(from, to, set, get).is_ok()
    }
}

/// Says for a connection whether it waits for a request.
#[derive(Clone, Debug)]
pub(super) struct Occupant {
    seats: Arc<Seats>,
    place: Arc<Place>,
}

impl Occupant {
    /// A request has come. `false`: too late, the connection is to be cut.
    pub(super) fn busy(&self) -> bool {
        loop {
            match self.place.0.load(Ordering::Relaxed) {
                BUSY => return true,
                CUT => return false,
                since if self.place.change(since, BUSY) => {
                    self.seats.idle.fetch_sub(1, Ordering::Relaxed);
                    return true;
                }
                _ => {}
            }
        }
    }

    /// The request has been answered.
    pub(super) fn idle(&self) {
        if self.place.change(BUSY, self.seats.now()) {
            self.seats.waits();
        }
    }

    /// Whether it has to go, because too many wait.
    pub(super) fn is_cut(&self) -> bool {
        self.place.0.load(Ordering::Acquire) == CUT
    }

    /// For how long it has been waiting.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        match self.place.0.load(Ordering::Relaxed) {
            BUSY | CUT => None,
            since => Some(Duration::from_nanos(self.seats.now().saturating_sub(since))),
        }
    }
}

/// The place of one connection, which waits for a request at first.
#[derive(Debug)]
pub(super) struct Seat {
    occupant: Occupant,
    key: usize,
    registered: bool,
}

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// The server shuts down: as soon as no request is under way.
    Stop,
    /// Too many wait for a request: at once.
    Cut,
}

impl Seat {
    pub(super) fn new(seats: &Arc<Seats>) -> Seat {
        let place = Arc::new(Place(AtomicU64::new(seats.now())));
        let key = seats.taken.lock().seats.insert((None, place.clone()));
        seats.waits();
        let occupant = Occupant {
            seats: seats.clone(),
            place,
        };
        Seat {
            occupant,
            key,
            registered: false,
        }
    }

    pub(super) fn occupant(&self) -> &Occupant {
        &self.occupant
    }

    /// Whether the connection has to end. If not, the task is woken when it has to; it has to be always the same task.
    pub(super) fn called(&mut self, cx: &Context<'_>) -> Option<Call> {
        let seats = &self.occupant.seats;
        if !self.registered {
            self.registered = true;
            if let Some((waker, _)) = seats.taken.lock().seats.get_mut(self.key) {
                *waker = Some(cx.waker().clone());
            }
        }
        if self.occupant.is_cut() {
            return Some(Call::Cut);
        }
        let stopping = seats.stopping.load(Ordering::Acquire);
        stopping.then_some(Call::Stop)
    }

    /// Waits until the connection has to end.
    pub(super) async fn until_called(&mut self) -> Call {
        poll_fn(|cx| self.called(cx).map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Occupant { seats, place } = &self.occupant;
        // Whoever else says something for this connection is not heard any more.
        if !matches!(place.0.swap(CUT, Ordering::AcqRel), BUSY | CUT) {
            seats.idle.fetch_sub(1, Ordering::Relaxed);
        }
        let mut taken = seats.taken.lock();
        taken.seats.try_remove(self.key);
        if taken.seats.is_empty() && seats.stopping.load(Ordering::Acquire) {
            seats.gone.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(seats: &[Seat]) -> Vec<usize> {
        let cut = |(n, seat): (usize, &Seat)| seat.occupant.is_cut().then_some(n);
        seats.iter().enumerate().filter_map(cut).collect()
    }

    #[test]
    fn the_one_that_has_waited_longest_is_cut() {
        let all = Arc::new(Seats::new(3));
        let mut seats: Vec<Seat> = (0..3).map(|_| Seat::new(&all)).collect();
        assert!(cut(&seats).is_empty());
        assert!(seats[0].occupant.busy());
        seats.push(Seat::new(&all));
        assert!(cut(&seats).is_empty(), "who is busy does not wait");
        seats.push(Seat::new(&all));
        assert_eq!(cut(&seats), [1]);
        assert!(!seats[1].occupant.busy(), "too late");
        seats[0].occupant.idle();
        assert_eq!(cut(&seats), [1, 2], "who has just been busy stays");
        assert!(seats[0].occupant.idle_for().is_some());
        seats.clear();
        assert_eq!(all.idle.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_more_wait_than_may() {
        let all = Arc::new(Seats::new(10));
        let seats: Vec<Seat> = (0..5000).map(|_| Seat::new(&all)).collect();
        let wait = seats.iter().filter(|seat| !seat.occupant.is_cut()).count();
        assert_eq!((wait, all.idle.load(Ordering::Relaxed)), (10, 10));
        let left = seats[4000].occupant.clone();
        drop(seats);
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
        let all = Arc::new(Seats::new(1));
        let mut first = Seat::new(&all);
        assert_eq!(first.called(&cx), None);
        let mut second = Seat::new(&all);
        assert_eq!(
            (first.called(&cx), told.0.load(Ordering::Relaxed)),
            (Some(Call::Cut), true)
        );
        all.stop();
        assert_eq!(second.called(&cx), Some(Call::Stop));
    }
}
