//! Acknowledgements that a socket waits for.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::kept::{Answer, NotKept};

/// Pending acknowledgements of a socket, created when it first asks for one.
#[derive(Debug, Default)]
pub(crate) struct PendingAcks {
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Answer, NotKept>>>>,
}

impl PendingAcks {
    /// Registers an acknowledgement; returns `None` if `limit` are already pending.
    pub(crate) fn register(
        &self,
        id: u64,
        limit: usize,
    ) -> Option<oneshot::Receiver<Result<Answer, NotKept>>> {
        let mut waiting = self.waiting.lock();
        if waiting.len() >= limit {
            return None;
        }
        let (tx, rx) = oneshot::channel();
        waiting.insert(id, tx);
        Some(rx)
    }

    pub(crate) fn forget(&self, id: u64) {
        self.waiting.lock().remove(&id);
    }

    /// Delivers the answer; returns `false` if no acknowledgement with this id is pending.
    pub(crate) fn resolve(&self, id: u64, keep: impl FnOnce() -> Result<Answer, NotKept>) -> bool {
        let Some(tx) = self.waiting.lock().remove(&id) else {
            return false;
        };
        let _ = tx.send(keep()); // fails if the waiting future has been dropped
        true
    }

    /// Fails everything that is pending, because the socket has disconnected.
    pub(crate) fn clear(&self) {
        self.waiting.lock().clear();
    }
}
