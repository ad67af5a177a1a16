//! Detection of messages that arrive twice.

use std::collections::HashMap;

/// Number of message numbers, up to the highest one, that are remembered for each sender.
const WINDOW: u64 = 1024;
const WORD_BITS: u64 = 64;
const WORDS: usize = (WINDOW / WORD_BITS) as usize;

/// Filter of messages that arrive twice, for wire formats in which each sender numbers its messages.
///
/// A broker or its client may send a message again when a connection breaks, and copies may arrive in any order. The
/// filter remembers the last 1024 numbers of each sender; a message with an older number counts as a copy. Gaps are
/// normal: a node receives only the messages that concern it.
///
/// ```
/// use fanfare_cluster::DuplicateFilter;
///
/// let mut filter = DuplicateFilter::new(100);
/// assert!(filter.is_new("a", 1));
/// assert!(filter.is_new("a", 3));
/// assert!(filter.is_new("a", 2));
/// assert!(!filter.is_new("a", 3));
/// assert!(filter.is_new("b", 3));
/// ```
#[derive(Debug)]
pub struct DuplicateFilter {
    senders: HashMap<String, Window>,
    max_senders: usize,
}

#[derive(Debug)]
struct Window {
    highest: u64,
    /// Bit `n % WINDOW` of number `n`, for the numbers of the window.
    seen: [u64; WORDS],
}

impl Window {
    fn bit(number: u64) -> (usize, u64) {
        let at = number % WINDOW;
        ((at / WORD_BITS) as usize, 1 << (at % WORD_BITS))
    }

    /// Records a number; returns `false` if it was recorded before, or is too old to tell.
    fn record(&mut self, number: u64) -> bool {
        if number > self.highest {
            match number - self.highest {
                WINDOW.. => self.seen = [0; WORDS],
                _ => {
                    for skipped in self.highest + 1..number {
                        let (word, bit) = Self::bit(skipped);
                        self.seen[word] &= !bit;
                    }
                }
            }
            self.highest = number;
        } else {
            let (word, bit) = Self::bit(number);
            if self.highest - number >= WINDOW || self.seen[word] & bit != 0 {
                return false;
            }
        }
        let (word, bit) = Self::bit(number);
        self.seen[word] |= bit;
        true
    }
}

impl DuplicateFilter {
    /// Creates a filter for at most `max_senders` senders; messages of further senders are not filtered.
    #[must_use]
    pub fn new(max_senders: usize) -> Self {
        Self {
            senders: HashMap::new(),
            max_senders,
        }
    }

    /// Records a message. Returns whether it arrives for the first time.
    pub fn is_new(&mut self, sender: &str, number: u64) -> bool {
        if let Some(window) = self.senders.get_mut(sender) {
            return window.record(number);
        }
        if self.senders.len() < self.max_senders {
            let mut window = Window {
                highest: number,
                seen: [0; WORDS],
            };
            let (word, bit) = Window::bit(number);
            window.seen[word] = bit;
            self.senders.insert(sender.to_owned(), window);
        }
        true
    }

    /// Forgets a sender, as when it [left](crate::MembershipEvent::Left).
    pub fn forget(&mut self, sender: &str) {
        self.senders.remove(sender);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn senders_are_bounded_and_can_be_forgotten() {
        let mut filter = DuplicateFilter::new(1);
        assert!(filter.is_new("a", u64::MAX) && !filter.is_new("a", u64::MAX));
        assert!(!filter.is_new("a", 0), "too old to know");
        assert!(filter.is_new("b", 1) && filter.is_new("b", 1));
        filter.forget("a");
        assert!(filter.is_new("b", 1) && !filter.is_new("b", 1));
    }

    proptest! {
        /// Compares the filter with a set of all numbers, within the window.
        #[test]
        fn is_a_set(steps in proptest::collection::vec((0..3000u64, 0..1100u64), 0..300)) {
            let (mut filter, mut all) = (DuplicateFilter::new(9), HashSet::new());
            let (mut highest, mut base) = (None, 5000u64);
            for (forward, back) in steps {
                base += forward / 20;
                let number = base - back;
                let is_old = highest.is_some_and(|highest: u64| highest >= number + WINDOW);
                let expected = !is_old && all.insert(number);
                prop_assert_eq!(filter.is_new("a", number), expected, "{}", number);
                highest = highest.max(Some(number));
            }
        }
    }
}
