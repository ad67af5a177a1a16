//! Acknowledgements of a broadcast.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use fanfare_protocol::socket::ArgsBuf;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::kept::{Answer, AnswerBudget};
use crate::clock;
use crate::id::SocketId;
use crate::limits::Owner;
use crate::socket::Socket;

/// Collects one answer from each recipient.
#[derive(Debug)]
pub(crate) struct Collector {
    asked: Instant,
    state: Mutex<State>,
    done: Notify,
    budget: Arc<AnswerBudget>,
    /// Callback that receives each answer, in place of this collector.
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
    responses: Vec<Answer>,
    /// Number of answers that were discarded because the limit was reached.
    not_kept: usize,
    disconnected: usize,
}

/// Outcome of a broadcast with acknowledgements.
pub(super) struct Collected {
    pub(super) responses: Vec<Answer>,
    pub(super) not_kept: usize,
    /// Number of recipients that are still connected and have not answered.
    pub(super) missing: usize,
}

impl Collector {
    pub(crate) fn new(
        recipients: impl IntoIterator<Item = SocketId>,
        budget: &Arc<AnswerBudget>,
    ) -> Arc<Self> {
        Self::create(recipients, budget, None)
    }

    /// Returns a collector that passes each answer on as it arrives.
    pub(crate) fn forwarding(
        recipients: impl IntoIterator<Item = SocketId>,
        budget: &Arc<AnswerBudget>,
        forward: impl Fn(ArgsBuf) + Send + Sync + 'static,
    ) -> Arc<Self> {
        Self::create(recipients, budget, Some(Forward(Box::new(forward))))
    }

    fn create(
        recipients: impl IntoIterator<Item = SocketId>,
        budget: &Arc<AnswerBudget>,
        forward: Option<Forward>,
    ) -> Arc<Self> {
        let pending = recipients.into_iter().collect();
        Arc::new(Self {
            state: Mutex::new(State {
                pending,
                ..State::default()
            }),
            done: Notify::new(),
            budget: budget.clone(),
            forward,
            asked: clock::now(),
        })
    }

    fn strike(&self, id: &SocketId, payload: Option<(Owner, ArgsBuf)>) {
        let mut state = self.state.lock();
        if !state.pending.remove(id) {
            return;
        }
        let mut handed_on = None;
        if payload.is_some() {
            crate::stats::acknowledged(clock::now().saturating_duration_since(self.asked));
        }
        match (payload, &self.forward) {
            (Some((_, payload)), Some(forward)) => handed_on = Some((forward, payload)),
            (Some((owner, payload)), None) => match self.budget.answer(owner, payload) {
                Ok(answer) => state.responses.push(answer),
                Err(_) => state.not_kept += 1,
            },
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

    /// Waits until every recipient has answered or disconnected.
    pub(crate) async fn finished(&self) {
        while !self.state.lock().pending.is_empty() {
            self.done.notified().await;
        }
    }

    pub(super) fn take(&self) -> Collected {
        let mut state = self.state.lock();
        Collected {
            responses: std::mem::take(&mut state.responses),
            not_kept: state.not_kept,
            missing: state.pending.len(),
        }
    }
}

/// Broadcasts of a namespace whose acknowledgements are pending.
#[derive(Debug)]
pub(crate) struct BroadcastAcks {
    active: Mutex<HashMap<u64, Arc<Collector>>>,
    budget: Arc<AnswerBudget>,
}

impl BroadcastAcks {
    pub(crate) fn new(budget: &Arc<AnswerBudget>) -> Self {
        Self {
            active: Mutex::default(),
            budget: budget.clone(),
        }
    }

    /// Returns the budget for answers, shared by all namespaces of the server.
    pub(crate) fn budget(&self) -> &Arc<AnswerBudget> {
        &self.budget
    }

    pub(crate) fn register(&self, id: u64, collector: Arc<Collector>) {
        self.active.lock().insert(id, collector);
    }

    pub(crate) fn forget(&self, id: u64) {
        self.active.lock().remove(&id);
    }

    pub(crate) fn resolve(
        &self,
        id: u64,
        from: &Socket,
        payload: impl FnOnce() -> ArgsBuf,
    ) -> bool {
        let collector = self.active.lock().get(&id).cloned();
        collector.is_some_and(|collector| {
            collector.strike(&from.0.id, Some((from.owner(), payload())));
            true
        })
    }

    /// Stops waiting for a socket that has disconnected.
    pub(crate) fn gone(&self, id: &SocketId) {
        let active: Vec<_> = self.active.lock().values().cloned().collect();
        for collector in active {
            collector.strike(id, None);
        }
    }
}
