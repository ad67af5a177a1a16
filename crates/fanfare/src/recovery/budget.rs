//! Memory budget for recovery, shared by all namespaces of a server.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use fanfare_protocol::Limits;
use parking_lot::Mutex;

use super::sessions::Sessions;
use super::state::Session;
use super::store::State;
use crate::limits::{FairShare, Owner};

/// Number of bytes that one log drops before the heaviest log is determined again.
const STEP_BYTES: usize = 64 * 1024;

/// Account for which the packets of a namespace are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Account {
    /// A namespace of the application has a separate account.
    Namespace(u64),
    /// Namespaces that one client created share an account, however many they are.
    Client(Owner),
}

/// Budget of a server. Its locks are acquired after all others, and no other work is done under them.
pub(crate) struct Budget {
    pub(super) sessions: Mutex<Sessions<Session>>,
    packets: Mutex<Packets>,
    next: AtomicU64,
}

struct Packets {
    accounts: FairShare<Account>,
    /// Namespaces of each account, by their numbers.
    logs: HashMap<Account, FairShare<u64>>,
    states: HashMap<u64, Weak<Mutex<State>>>,
}

/// Entry of a namespace's log in the budget of the server.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Arc<Budget>,
    account: Account,
    number: u64,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            sessions: Mutex::new(Sessions::new(limits.recovery_session_bytes)),
            packets: Mutex::new(Packets {
                accounts: FairShare::new(limits.recovery_bytes),
                logs: HashMap::new(),
                states: HashMap::new(),
            }),
            next: AtomicU64::new(0),
        })
    }

    /// Whether a client that left after this time has not come back, and another server may ask for its session.
    pub(crate) fn has_absent(&self, since: Instant) -> bool {
        let sessions = self.sessions.lock();
        sessions.any(|session| session.hold.is_some() && session.left_at >= since)
    }

    /// Opens the entry of a namespace that `client` created, or the application if it is `None`.
    pub(super) fn open(self: &Arc<Self>, client: Option<Owner>) -> Charge {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Charge {
            budget: self.clone(),
            account: client.map_or(Account::Namespace(number), Account::Client),
            number,
            bytes: 0,
        }
    }

    /// Makes the heaviest logs drop their oldest packets until the sum is within the budget. The caller must not hold a
    /// namespace's lock.
    pub(super) fn reclaim(&self) {
        loop {
            let (excess, heaviest) = {
                let packets = self.packets.lock();
                let excess = packets.accounts.excess();
                if excess == 0 {
                    return;
                }
                (excess, packets.heaviest())
            };
            // If the state is just being dropped, so is its content.
            let Some(state) = heaviest.and_then(|state| state.upgrade()) else {
                return;
            };
            if !state.lock().give_up(excess.min(STEP_BYTES)) {
                return;
            }
        }
    }
}

impl Packets {
    fn heaviest(&self) -> Option<Weak<Mutex<State>>> {
        let account = self.accounts.heaviest()?;
        let number = self.logs.get(account)?.heaviest()?;
        self.states.get(number).cloned()
    }
}

impl Charge {
    /// Records that the log holds this many bytes. `state` gives access to the log when it has to drop some. Returns
    /// `true` if all logs together exceed the budget.
    pub(super) fn set(&mut self, bytes: usize, state: &Weak<Mutex<State>>) -> bool {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if before == bytes {
            return false;
        }
        let (account, number) = (self.account, self.number);
        let mut packets = self.budget.packets.lock();
        let Packets {
            accounts,
            logs,
            states,
        } = &mut *packets;
        let log = logs.entry(account).or_insert_with(|| FairShare::new(0));
        if bytes > before {
            accounts.charge(&account, bytes - before);
            log.charge(&number, bytes - before);
        } else {
            accounts.release(&account, before - bytes);
            log.release(&number, before - bytes);
        }
        if log.used() == 0 {
            logs.remove(&account);
        }
        if bytes == 0 {
            states.remove(&number);
        } else if before == 0 {
            states.insert(number, state.clone());
        }
        accounts.is_over()
    }

    /// Counts the same bytes for another client.
    pub(super) fn hand_over(&mut self, client: Owner, state: &Weak<Mutex<State>>) {
        let bytes = self.bytes;
        self.set(0, state);
        self.account = Account::Client(client);
        self.set(bytes, state);
    }
}

/// Removes the entry when the namespace is dropped.
impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0, &Weak::new());
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("sessions", &self.sessions.lock())
            .field("packets", &self.packets.lock().accounts.used())
            .finish_non_exhaustive()
    }
}
