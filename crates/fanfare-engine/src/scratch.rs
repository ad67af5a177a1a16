//! A thread's buffer for reading.

use std::cell::RefCell;

/// Its size in bytes.
pub(crate) const SCRATCH: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the buffer. (Should `f` borrow it as well, that gets another one.)
#[inline]
pub(crate) fn with_scratch<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = READ.take();
    if scratch.len() < SCRATCH {
        scratch.resize(SCRATCH, 0);
    }
    let result = f(&mut scratch);
    READ.replace(scratch);
    result
}
