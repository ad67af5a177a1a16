//! Those who may come back.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Instant;

pub(super) struct Stored<S> {
    session: S,
    expires: Instant,
    size: usize,
    turn: u64,
}

/// Those who left and may come back, by a key only they know. `S` is what is restored.
pub struct Sessions<S> {
    stored: HashMap<Box<str>, Stored<S>>,
    /// Oldest first; those that were taken are still named here, with a turn that no longer fits.
    pub(super) order: VecDeque<(u64, Box<str>)>,
    next_turn: u64,
    pub(super) bytes: usize,
    max_bytes: usize,
}

impl<S> Sessions<S> {
    /// None yet; together they may have so many bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            stored: HashMap::new(),
            order: VecDeque::new(),
            next_turn: 0,
            bytes: 0,
            max_bytes,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stored.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stored.is_empty()
    }

    /// Keeps a session of about `size` bytes until `expires`. If there is no room, the oldest go.
    pub fn put(&mut self, key: &str, size: usize, expires: Instant, session: S) {
        self.remove(key);
        let turn = self.next_turn;
        self.next_turn += 1;
        self.bytes += size;
        self.order.push_back((turn, key.into()));
        let stored = Stored {
            session,
            expires,
            size,
            turn,
        };
        self.stored.insert(key.into(), stored);
        while self.bytes > self.max_bytes && self.drop_oldest() {}
        if self.order.len() > 2 * self.stored.len() + 32 {
            let stored = &self.stored;
            self.order
                .retain(|(turn, key)| stored.get(key).is_some_and(|s| s.turn == *turn));
        }
    }

    /// Takes a session out, if it is there and its time is not over; with the time until which it was kept.
    pub fn take(&mut self, now: Instant, key: &str) -> Option<(S, Instant)> {
        let stored = self.remove(key)?;
        (stored.expires > now).then_some((stored.session, stored.expires))
    }

    fn remove(&mut self, key: &str) -> Option<Stored<S>> {
        let stored = self.stored.remove(key)?;
        self.bytes -= stored.size;
        Some(stored)
    }

    fn drop_oldest(&mut self) -> bool {
        while let Some((turn, key)) = self.order.pop_front() {
            if self.stored.get(&key).is_some_and(|s| s.turn == turn) {
                self.remove(&key);
                return true;
            }
        }
        false
    }

    /// Drops those whose time is over.
    pub fn expire(&mut self, now: Instant) {
        let mut gone = 0;
        self.stored.retain(|_, stored| {
            let keep = stored.expires > now;
            gone += if keep { 0 } else { stored.size };
            keep
        });
        self.bytes -= gone;
        if self.stored.is_empty() {
            self.order.clear();
        }
    }
}

impl<S> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("len", &self.stored.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
