//! Fair shares of resources that all clients share.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};

/// Owner of a share: resources that outlive a connection are counted for its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    /// An address; of IPv6 the /64 network, which is what one subscriber has.
    Network(IpAddr),
    /// Key that the application assigned, see [`share_key`](crate::SocketIoBuilder::share_key), as its hash.
    Key(u64),
    /// All connections whose address is not known, together.
    Unknown,
    /// The other servers of a cluster and their clients, together.
    Cluster,
}

impl Owner {
    pub(crate) fn of(address: Option<IpAddr>) -> Self {
        match address.map(|address| address.to_canonical()) {
            Some(IpAddr::V6(v6)) => {
                let [a, b, c, d, ..] = v6.segments();
                Self::Network(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            Some(v4) => Self::Network(v4),
            None => Self::Unknown,
        }
    }
}

/// A resource of a fixed capacity (namespaces, sessions, bytes) that many owners share. Every operation takes
/// logarithmic time, and an owner that holds nothing costs nothing.
///
/// There are two ways to use it:
///
/// - A resource that cannot be reclaimed is acquired with [`take`](Self::take), which keeps a reserve for others: an
///   owner gets more only while it holds no more than what is still free. One owner alone reaches half of the capacity
///   (and one more), two reach a third each, and a newcomer gets something as long as the owners before it were few.
/// - A resource that can be reclaimed is counted with [`charge`](Self::charge). While the sum is [over](Self::is_over)
///   the capacity, the [heaviest](Self::heaviest) owner is evicted first: no owner loses anything to one that holds
///   more.
///
/// Both are paired with [`release`](Self::release).
#[derive(Debug)]
pub(crate) struct FairShare<K> {
    capacity: usize,
    used: usize,
    held: HashMap<K, usize, foldhash::quality::RandomState>,
    by_weight: BTreeSet<(usize, K)>,
}

impl<K: Clone + Ord + Hash> FairShare<K> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            used: 0,
            held: HashMap::default(),
            by_weight: BTreeSet::new(),
        }
    }

    /// Takes `amount` for an owner if that leaves a fair share for others; `false` if not.
    pub(crate) fn take(&mut self, owner: &K, amount: usize) -> bool {
        let free = self.capacity.saturating_sub(self.used);
        let fits = amount <= free && self.held(owner) <= free;
        if fits {
            self.charge(owner, amount);
        }
        fits
    }

    /// Counts `amount` for an owner, even beyond the capacity.
    pub(crate) fn charge(&mut self, owner: &K, amount: usize) {
        let before = self.held(owner);
        self.set(owner, before, before.saturating_add(amount));
    }

    /// Returns `amount` from an owner.
    pub(crate) fn release(&mut self, owner: &K, amount: usize) {
        let before = self.held(owner);
        self.set(owner, before, before.saturating_sub(amount));
    }

    fn set(&mut self, owner: &K, before: usize, after: usize) {
        self.used = self.used.saturating_sub(before).saturating_add(after);
        self.by_weight.remove(&(before, owner.clone()));
        if after > 0 {
            self.by_weight.insert((after, owner.clone()));
            self.held.insert(owner.clone(), after);
            return;
        }
        self.held.remove(owner);
        if self.held.capacity() > 64 && self.held.len() < self.held.capacity() / 4 {
            self.held.shrink_to_fit();
        }
    }

    /// Returns the amount that an owner holds.
    pub(crate) fn held(&self, owner: &K) -> usize {
        self.held.get(owner).copied().unwrap_or(0)
    }

    /// Returns the amount that all owners hold.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    /// Whether the owners hold more than the capacity.
    pub(crate) fn is_over(&self) -> bool {
        self.excess() > 0
    }

    /// Returns the amount by which the owners exceed the capacity.
    pub(crate) fn excess(&self) -> usize {
        self.used.saturating_sub(self.capacity)
    }

    /// Returns the owner that holds most.
    pub(crate) fn heaviest(&self) -> Option<&K> {
        self.by_weight.last().map(|(_, owner)| owner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(text: &str) -> Owner {
        Owner::of(Some(text.parse().unwrap()))
    }

    /// Returns the number that an owner gets if it takes one after the other.
    fn greedy(shares: &mut FairShare<u8>, owner: u8) -> usize {
        std::iter::from_fn(|| shares.take(&owner, 1).then_some(())).count()
    }

    #[test]
    fn an_owner_is_an_address_or_a_network() {
        assert_eq!(owner("2001:db8::1"), owner("2001:db8::2"));
        assert_ne!(owner("2001:db8::1"), owner("2001:db8:0:1::1"));
        assert_eq!(owner("::ffff:1.2.3.4"), owner("1.2.3.4"));
        assert_ne!(owner("1.2.3.4"), owner("1.2.3.5"));
        assert_eq!(Owner::of(None), Owner::Unknown);
    }

    #[test]
    fn whoever_takes_all_it_can_leaves_room_for_others() {
        let mut shares = FairShare::new(100);
        assert_eq!(greedy(&mut shares, 1), 51);
        assert_eq!(greedy(&mut shares, 2), 25);
        assert_eq!(greedy(&mut shares, 3), 13);
        assert_eq!(greedy(&mut shares, 1), 0);
        assert!(shares.take(&4, 1));
        shares.release(&1, 51);
        assert!(greedy(&mut shares, 2) > 0);
    }

    #[test]
    fn small_capacities_can_be_used() {
        for (capacity, one) in [(0, 0), (1, 1), (2, 2), (3, 2), (4, 3)] {
            let mut shares = FairShare::new(capacity);
            assert_eq!(greedy(&mut shares, 1), one, "of {capacity}");
        }
        let mut shares = FairShare::new(10);
        assert!(!shares.take(&1, 11), "more than there is");
        assert!(shares.take(&1, 10));
    }

    /// An owner that fills everything again and again evicts only its own entries.
    #[test]
    fn the_heaviest_gives_way() {
        let mut shares = FairShare::new(10);
        shares.charge(&"quiet", 3);
        for _ in 0..1000 {
            shares.charge(&"loud", 1);
            while shares.is_over() {
                let heaviest = *shares.heaviest().unwrap();
                shares.release(&heaviest, 1);
            }
        }
        assert_eq!((shares.held(&"quiet"), shares.held(&"loud")), (3, 7));
    }

    proptest! {
        #[test]
        fn the_sums_agree(steps in prop::collection::vec((0..5u8, 0..20usize, 0..3u8), 0..200)) {
            let mut shares = FairShare::new(100);
            let mut model = std::collections::BTreeMap::<u8, usize>::new();
            for (owner, amount, kind) in steps {
                let held = model.entry(owner).or_default();
                match kind {
                    0 => if shares.take(&owner, amount) {
                        *held += amount;
                    },
                    1 => {
                        shares.charge(&owner, amount);
                        *held += amount;
                    }
                    _ => {
                        let amount = amount.min(*held);
                        shares.release(&owner, amount);
                        *held -= amount;
                    }
                }
                prop_assert_eq!(shares.held(&owner), model[&owner]);
                prop_assert_eq!(shares.used(), model.values().sum::<usize>());
                prop_assert_eq!(shares.is_over(), shares.used() > 100);
                let most = model.values().max().copied().unwrap_or(0);
                prop_assert_eq!(shares.heaviest().map_or(0, |owner| model[owner]), most);
            }
        }
    }
}
