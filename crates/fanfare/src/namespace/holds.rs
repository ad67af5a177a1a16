//! Rooms that are kept open for clients that are absent.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Rooms of clients that may come back, or are about to join: their events are received although no socket here is in
/// them. Number of holders by name.
#[derive(Debug, Default)]
pub(crate) struct HeldRooms(Mutex<HashMap<Arc<str>, usize>>);

impl HeldRooms {
    pub(super) fn hold(&self, room: &Arc<str>) {
        *self.0.lock().entry(room.clone()).or_default() += 1;
    }

    pub(super) fn release(&self, room: &Arc<str>) {
        let mut held = self.0.lock();
        if let Some(holders) = held.get_mut(room) {
            *holders -= 1;
            if *holders == 0 {
                held.remove(room);
            }
        }
        if held.is_empty() {
            held.shrink_to_fit();
        }
    }

    pub(crate) fn has(&self, room: &str) -> bool {
        self.0.lock().contains_key(room)
    }
}
