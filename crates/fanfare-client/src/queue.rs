//! Queues of incoming events: bounded in number and bytes, except for what must not get lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::event::SocketEvent;

/// How much may wait for a slow handler or stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) count: usize,
    pub(crate) bytes: usize,
}

#[derive(Debug, Default)]
struct Held {
    count: AtomicUsize,
    bytes: AtomicUsize,
    lagged: AtomicU64,
}

/// The sending half.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    tx: UnboundedSender<Take>,
    held: Arc<Held>,
    bounds: Bounds,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Receiver {
    rx: UnboundedReceiver<Take>,
    held: Arc<Held>,
    pending: Option<Take>,
}

/// An event that counts against the bounds until it is taken.
#[derive(Debug)]
pub(crate) struct Take {
    event: Option<SocketEvent>,
    bytes: usize,
    held: Option<Arc<Held>>,
}

impl Take {
    pub(crate) fn into_inner(mut self) -> SocketEvent {
        // Always there: only `drop` runs after this.
        self.event.take().unwrap_or(SocketEvent::Lagged(0))
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        if let Some(held) = &self.held {
            held.count.fetch_sub(1, Ordering::AcqRel);
            held.bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        }
    }
}

pub(crate) fn queue(bounds: Bounds) -> (Sender, Receiver) {
    let (tx, rx) = mpsc::unbounded_channel();
    let held = Arc::new(Held::default());
    (
        Sender {
            tx,
            held: held.clone(),
            bounds,
        },
        Receiver {
            rx,
            held,
            pending: None,
        },
    )
}

impl Sender {
    /// Queues something. Events beyond the bounds are dropped and counted; everything else is rare and always kept.
    /// `false` when the receiver is gone.
    pub(crate) fn push(&self, event: SocketEvent) -> bool {
        let mut take = Take {
            event: None,
            bytes: 0,
            held: None,
        };
        if let SocketEvent::Event(event) = &event {
            let bytes = event.inner.byte_len();
            let count = self.held.count.load(Ordering::Acquire);
            let held = self.held.bytes.load(Ordering::Acquire);
            if count >= self.bounds.count
                || (count > 0 && held.saturating_add(bytes) > self.bounds.bytes)
            {
                self.held.lagged.fetch_add(1, Ordering::AcqRel);
                return !self.tx.is_closed();
            }
            self.held.count.fetch_add(1, Ordering::AcqRel);
            self.held.bytes.fetch_add(bytes, Ordering::AcqRel);
            take.bytes = bytes;
            take.held = Some(self.held.clone());
        }
        take.event = Some(event);
        self.tx.send(take).is_ok()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tx.is_closed()
    }
}

impl Receiver {
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Take>> {
        if let Some(take) = self.pending.take() {
            return Poll::Ready(Some(take));
        }
        let next = self.rx.poll_recv(cx);
        let lagged = match &next {
            // What was dropped came after everything that is queued.
            Poll::Ready(Some(_)) if !self.rx.is_empty() => 0,
            _ => self.held.lagged.swap(0, Ordering::AcqRel),
        };
        if lagged == 0 {
            return next;
        }
        let report = Take {
            event: Some(SocketEvent::Lagged(lagged)),
            bytes: 0,
            held: None,
        };
        match next {
            Poll::Ready(Some(take)) => {
                self.pending = Some(report);
                Poll::Ready(Some(take))
            }
            _ => Poll::Ready(Some(report)),
        }
    }
}
