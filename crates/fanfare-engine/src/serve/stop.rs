//! Telling connections that the server shuts down, and waiting for them.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::Notify;

/// Set once, when the server shuts down. Asking costs a connection one load, not a lock.
#[derive(Debug, Default)]
pub(super) struct Stop {
    set: AtomicBool,
    seats: Mutex<Slab<Option<Waker>>>,
    gone: Notify,
}

impl Stop {
    pub(super) fn set(&self) {
        self.set.store(true, Ordering::Release);
        let wakers: Vec<Waker> = self
            .seats
            .lock()
            .iter_mut()
            .filter_map(|(_, seat)| seat.take())
            .collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until no seat is taken.
    pub(super) async fn all_gone(&self) {
        loop {
            let gone = self.gone.notified();
            if self.seats.lock().is_empty() {
                return;
            }
            gone.await;
        }
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    stop: Arc<Stop>,
    key: usize,
    registered: bool,
}

impl Seat {
    pub(super) fn new(stop: &Arc<Stop>) -> Seat {
        Seat {
            stop: stop.clone(),
            key: stop.seats.lock().insert(None),
            registered: false,
        }
    }

    /// Whether the server shuts down. If not, the task is woken when it does; it has to be always the same task.
    pub(super) fn is_stopping(&mut self, cx: &Context<'_>) -> bool {
        if !self.registered {
            self.registered = true;
            if let Some(seat) = self.stop.seats.lock().get_mut(self.key) {
                *seat = Some(cx.waker().clone());
            }
        }
        self.stop.set.load(Ordering::Acquire)
    }

    /// Waits until the server shuts down.
    pub(super) async fn stopping(&mut self) {
        poll_fn(|cx| match self.is_stopping(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.stop.seats.lock();
        seats.try_remove(self.key);
        if seats.is_empty() && self.stop.set.load(Ordering::Acquire) {
            self.stop.gone.notify_waiters();
        }
    }
}
