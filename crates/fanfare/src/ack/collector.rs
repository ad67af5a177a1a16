//! The acknowledgements of a broadcast.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use fanfare_protocol::socket::ArgsBuf;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::id::SocketId;

/// Gathers one answer from each recipient.
#[derive(Debug)]
pub(crate) struct Collector {
    asked: Instant,
    state: Mutex<State>,
    done: Notify,
    /// Gets the answers instead.
    forward: Option<Forward>,
}

struct Forward(Box<dyn Fn(ArgsBuf) + Send + Sync>);

impl std::fmt::Debug for Forward {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Forward")
    }
}

#[derive(Debug, Default)]
struct State {
    pending: HashSet<SocketId>,
    responses: Vec<ArgsBuf>,
    disconnected: usize,
}

impl Collector {
    pub(crate) fn new(recipients: impl IntoIterator<Item = SocketId>) -> Arc<Self> {
        Self::create(recipients, None)
    }

    /// Hands each answer on as it comes.
    pub(crate) fn forwarding(
        recipients: impl IntoIterator<Item = SocketId>,
        forward: impl Fn(ArgsBuf) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::create(recipients, Some(Forward(Box::new(forward))))
    }

    fn create(
        recipients: impl IntoIterator<Item = SocketId>,
        forward: Option<Forward>,
    ) -> Arc<Self> {
        let pending = recipients.into_iter().collect();
        Arc::new(Self {
            state: Mutex::new(State {
                pending,
                ..State::default()
            }),
            done: Notify::new(),
            forward,
            asked: Instant::now(),
        })
    }

    fn strike(&self, id: &SocketId, payload: Option<ArgsBuf>) {
        let mut state = self.state.lock();
        if !state.pending.remove(id) {
            return;
        }
        let mut handed_on = None;
        if payload.is_some() {
            crate::stats::acknowledged(self.asked.elapsed());
        }
        match (payload, &self.forward) {
            (Some(payload), Some(forward)) => handed_on = Some((forward, payload)),
            (Some(payload), None) => state.responses.push(payload),
            (None, _) => state.disconnected += 1,
        }
        let last = state.pending.is_empty();
        drop(state);
        if let Some((Forward(forward), payload)) = handed_on {
            forward(payload);
        }
        if last {
            self.done.notify_one();
        }
    }

    /// Waits until every recipient has answered or is gone.
    pub(crate) async fn finished(&self) {
        while !self.state.lock().pending.is_empty() {
            self.done.notified().await;
        }
    }

    /// The answers, and how many recipients have not answered and how many have gone.
    pub(crate) fn take(&self) -> (Vec<ArgsBuf>, usize, usize) {
        let mut state = self.state.lock();
        (
            std::mem::take(&mut state.responses),
            state.pending.len(),
            state.disconnected,
        )
    }
}

/// The broadcasts of a namespace whose acknowledgements are awaited.
#[derive(Debug, Default)]
pub(crate) struct BroadcastAcks {
    active: Mutex<HashMap<u64, Arc<Collector>>>,
}

impl BroadcastAcks {
    pub(crate) fn register(&self, id: u64, collector: Arc<Collector>) {
        self.active.lock().insert(id, collector);
    }

    pub(crate) fn forget(&self, id: u64) {
        self.active.lock().remove(&id);
    }

    pub(crate) fn resolve(
        &self,
        id: u64,
        from: &SocketId,
        payload: impl FnOnce() -> ArgsBuf,
    ) -> bool {
        let collector = self.active.lock().get(&id).cloned();
        collector.is_some_and(|collector| {
            collector.strike(from, Some(payload()));
            true
        })
    }

    /// A socket is gone: nobody waits for it any longer.
    pub(crate) fn gone(&self, id: &SocketId) {
        let active: Vec<_> = self.active.lock().values().cloned().collect();
        for collector in active {
            collector.strike(id, None);
        }
    }
}
