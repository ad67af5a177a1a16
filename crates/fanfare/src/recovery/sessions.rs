//! Sessions of clients that may reconnect.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use crate::limits::{FairShare, Owner};

struct Stored<S> {
    session: S,
    owner: Owner,
    expires: Instant,
    size: usize,
    turn: u64,
}

/// Sessions of a server that may be resumed, by a key that only their clients know. `S` is the state to restore.
///
/// They share a budget in bytes. If it is exhausted, the owner that holds most loses its oldest session. Evicted
/// sessions are returned, because they may hold values of the application, which must be dropped while no lock is held.
pub(crate) struct Sessions<S> {
    stored: HashMap<Arc<str>, Stored<S>>,
    shares: FairShare<Owner>,
    /// Sessions of each owner, oldest first.
    by_owner: HashMap<Owner, BTreeMap<u64, Arc<str>>>,
    by_expiry: BTreeMap<(Instant, u64), Arc<str>>,
    next_turn: u64,
}

impl<S> Sessions<S> {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            stored: HashMap::new(),
            shares: FairShare::new(max_bytes),
            by_owner: HashMap::new(),
            by_expiry: BTreeMap::new(),
            next_turn: 0,
        }
    }

    /// Keeps a session of about `size` bytes until `expires`.
    #[must_use = "it may hold values of the application"]
    pub(crate) fn put(
        &mut self,
        key: &str,
        owner: Owner,
        size: usize,
        expires: Instant,
        session: S,
    ) -> Vec<S> {
        let mut gone: Vec<S> = self
            .take(key)
            .map(|(session, _)| session)
            .into_iter()
            .collect();
        let turn = self.next_turn;
        self.next_turn += 1;
        let key: Arc<str> = key.into();
        self.shares.charge(&owner, size);
        let own = self.by_owner.entry(owner).or_default();
        own.insert(turn, key.clone());
        self.by_expiry.insert((expires, turn), key.clone());
        let stored = Stored {
            session,
            owner,
            expires,
            size,
            turn,
        };
        self.stored.insert(key, stored);
        while self.shares.is_over() {
            let heaviest = self.shares.heaviest();
            let oldest = heaviest.and_then(|owner| self.by_owner.get(owner)?.values().next());
            let Some((session, _)) = oldest.cloned().and_then(|key| self.take(&key)) else {
                break;
            };
            gone.push(session);
        }
        gone
    }

    /// Returns a session that is kept.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<(&mut S, Instant)> {
        let stored = self.stored.get_mut(key)?;
        Some((&mut stored.session, stored.expires))
    }

    /// Whether a session is kept that fulfils a condition.
    pub(crate) fn any(&self, condition: impl Fn(&S) -> bool) -> bool {
        let mut stored = self.stored.values();
        stored.any(|stored| condition(&stored.session))
    }

    /// Removes a session and returns it, with the time until which it is kept.
    pub(crate) fn take(&mut self, key: &str) -> Option<(S, Instant)> {
        let stored = self.stored.remove(key)?;
        self.shares.release(&stored.owner, stored.size);
        self.by_expiry.remove(&(stored.expires, stored.turn));
        if let Some(own) = self.by_owner.get_mut(&stored.owner) {
            own.remove(&stored.turn);
            if own.is_empty() {
                self.by_owner.remove(&stored.owner);
            }
        }
        if self.stored.is_empty() {
            self.stored.shrink_to_fit();
            self.by_owner.shrink_to_fit();
        }
        Some((stored.session, stored.expires))
    }

    /// Removes the expired sessions and returns them.
    #[must_use = "they may hold values of the application"]
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<S> {
        let mut gone = Vec::new();
        while let Some((&(expires, _), key)) = self.by_expiry.first_key_value()
            && expires <= now
        {
            let key = key.clone();
            gone.extend(self.take(&key).map(|(session, _)| session));
        }
        gone
    }
}

impl<S> fmt::Debug for Sessions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions")
            .field("len", &self.stored.len())
            .field("bytes", &self.shares.used())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn owner(address: &str) -> Owner {
        Owner::of(Some(address.parse().unwrap()))
    }

    fn assert_empty(sessions: &Sessions<u32>) {
        assert_eq!(sessions.stored.len() + sessions.by_owner.len(), 0);
        assert_eq!(sessions.by_expiry.len() + sessions.shares.used(), 0);
    }

    #[test]
    fn sessions_are_taken_once_and_expire() {
        let (mut sessions, now) = (Sessions::new(100), Instant::now());
        let owner = Owner::Unknown;
        assert!(sessions.put("a", owner, 10, now + SECOND, 1).is_empty());
        assert!(sessions.put("b", owner, 10, now + 2 * SECOND, 2).is_empty());
        assert_eq!(sessions.take("a"), Some((1, now + SECOND)));
        assert_eq!(sessions.take("a"), None);
        assert!(sessions.expire(now + SECOND).is_empty());
        assert_eq!(sessions.expire(now + 2 * SECOND), [2]);
        assert_empty(&sessions);
    }

    #[test]
    fn a_session_that_is_put_back_takes_the_place_of_what_was_there() {
        let (mut sessions, now) = (Sessions::new(100), Instant::now());
        assert!(
            sessions
                .put("a", owner("192.0.2.1"), 10, now + SECOND, 1)
                .is_empty()
        );
        assert_eq!(sessions.put("a", owner("192.0.2.2"), 20, now, 2), [1]);
        assert_eq!(sessions.shares.used(), 20);
        assert_eq!(sessions.expire(now), [2]);
        assert_empty(&sessions);
    }

    #[test]
    fn whoever_leaves_many_sessions_behind_loses_its_own_oldest() {
        let (mut sessions, now) = (Sessions::new(100), Instant::now());
        let gone = sessions.put("quiet", owner("192.0.2.1"), 10, now + SECOND, 0);
        assert!(gone.is_empty());
        let mut gone = Vec::new();
        for i in 1..=1000 {
            let key = format!("s{i}");
            gone.extend(sessions.put(&key, owner("192.0.2.2"), 10, now + SECOND, i));
            assert!(sessions.stored.len() <= 10);
        }
        assert_eq!(gone, (1..=991).collect::<Vec<_>>());
        assert!(sessions.take("quiet").is_some());
        assert!(sessions.take("s992").is_some());
        assert_eq!(
            sessions.put("huge", owner("192.0.2.3"), 1000, now, 7).len(),
            1
        );
        assert_eq!(sessions.stored.len(), 8);
    }
}
