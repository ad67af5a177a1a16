//! The acknowledgements that a socket waits for.

use std::collections::HashMap;

use fanfare_protocol::socket::ArgsBuf;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Made when the socket first asks for an acknowledgement.
#[derive(Debug, Default)]
pub(crate) struct PendingAcks {
    waiting: Mutex<HashMap<u64, oneshot::Sender<ArgsBuf>>>,
}

impl PendingAcks {
    /// `None` if `limit` are pending already.
    pub(crate) fn register(&self, id: u64, limit: usize) -> Option<oneshot::Receiver<ArgsBuf>> {
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

    /// Hands over the answer; `false` if nobody waits for it.
    pub(crate) fn resolve(&self, id: u64, payload: impl FnOnce() -> ArgsBuf) -> bool {
        let Some(tx) = self.waiting.lock().remove(&id) else {
            return false;
        };
        let _ = tx.send(payload()); // whoever waited has stopped waiting
        true
    }

    /// Fails everything that is pending: the socket is gone.
    pub(crate) fn clear(&self) {
        self.waiting.lock().clear();
    }
}
