//! Counters that many threads add to without contention.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Number of shards; threads beyond this number share them.
const SHARDS: usize = 8;

static THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SHARD: Cell<usize> = const { Cell::new(usize::MAX) };
}

#[inline]
fn shard() -> usize {
    SHARD.with(|shard| match shard.get() {
        usize::MAX => first_use(shard),
        number => number,
    })
}

#[cold]
fn first_use(shard: &Cell<usize>) -> usize {
    let number = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
    shard.set(number);
    number
}

/// A group of `N` counters: the shard of one thread lies in a separate cache line.
#[derive(Debug)]
pub(crate) struct Sharded<const N: usize>([Line<N>; SHARDS]);

#[derive(Debug)]
#[repr(align(64))]
struct Line<const N: usize>([AtomicU64; N]);

impl<const N: usize> Default for Sharded<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| {
            Line(std::array::from_fn(|_| AtomicU64::new(0)))
        }))
    }
}

impl<const N: usize> Sharded<N> {
    #[inline]
    pub(crate) fn add(&self, counter: usize, n: u64) {
        self.0[shard()].0[counter].fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn sum(&self, counter: usize) -> u64 {
        self.0
            .iter()
            .map(|line| line.0[counter].load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        let counters = Sharded::<2>::default();
        std::thread::scope(|scope| {
            for _ in 0..12 {
                scope.spawn(|| (0..1000).for_each(|_| counters.add(0, 2)));
            }
        });
        assert_eq!((counters.sum(0), counters.sum(1)), (24_000, 0));
    }
}
