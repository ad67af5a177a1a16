//! Broadcasts of this node that are in the stream, or on the way to it.

use std::collections::BTreeMap;

use fanfare::adapter::{Broadcast, ClusterHandle, PendingDelivery};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::id::StreamId;

/// Merge of the broadcasts of this node and of other nodes, in the order of the stream.
///
/// The position of a broadcast of this node arrives with the reply to `XADD`, on another connection than the entries
/// that are read. So the reader waits for the reply when it reaches an entry of this node; a broadcast whose entry has
/// been read already is delivered with the reply.
#[derive(Debug, Default)]
pub(super) struct Order {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Number of this node's broadcasts that wait for a reply.
    sent: usize,
    /// This node's broadcasts that have a position, and have not been read.
    appended: BTreeMap<StreamId, PendingDelivery>,
    /// Position of the last entry that was read.
    read: StreamId,
}

impl Order {
    /// Counts a broadcast that is sent.
    pub(super) fn send(&self) {
        self.state.lock().sent += 1;
    }

    /// Records the end of a broadcast that was sent: its position, or that it has none.
    pub(super) fn replied(&self, position: Option<(StreamId, PendingDelivery)>) {
        let late = {
            let mut state = self.state.lock();
            state.sent = state.sent.saturating_sub(1);
            match position {
                Some((id, pending)) if id > state.read => {
                    state.appended.insert(id, pending);
                    None
                }
                late => late,
            }
        };
        if let Some((id, pending)) = late {
            pending.deliver(&id.position());
        }
        self.changed.notify_waiters();
    }

    /// Sets the position from which entries are read, and delivers this node's earlier broadcasts.
    pub(super) fn reads_from(&self, id: StreamId) {
        let before = {
            let mut state = self.state.lock();
            state.read = id;
            let after = state.appended.split_off(&id.next());
            std::mem::replace(&mut state.appended, after)
        };
        deliver(before);
    }

    /// Returns the position of the last entry that was read.
    pub(super) fn read(&self) -> StreamId {
        self.state.lock().read
    }

    /// Delivers this node's broadcast of an entry, and those before it. Returns `false` if its reply has not arrived.
    pub(super) fn own(&self, id: StreamId) -> bool {
        {
            let state = self.state.lock();
            if state.sent > 0 && !state.appended.contains_key(&id) {
                return false;
            }
        }
        self.reads_from(id);
        true
    }

    /// Waits until [`own`](Self::own) delivers the broadcast of an entry, and those before it.
    pub(super) async fn own_replied(&self, id: StreamId) {
        loop {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            // Registered before the state is read, so that no change is missed.
            changed.as_mut().enable();
            if self.own(id) {
                return;
            }
            changed.await;
        }
    }

    /// Delivers the broadcast of another node.
    pub(super) fn foreign(
        &self,
        id: StreamId,
        cluster: &ClusterHandle,
        namespace: &str,
        broadcast: Broadcast,
    ) {
        // This node's broadcasts whose entries were trimmed before they were read come first.
        self.reads_from(id);
        cluster.receive_logged(namespace, broadcast, &id.position());
    }

    /// Drops the pending broadcasts, which delivers them without positions.
    pub(super) fn lose(&self) {
        let lost = std::mem::take(&mut self.state.lock().appended);
        drop(lost);
    }
}

/// Delivers broadcasts in their order, without a lock.
fn deliver(all: BTreeMap<StreamId, PendingDelivery>) {
    for (id, pending) in all {
        pending.deliver(&id.position());
    }
}
