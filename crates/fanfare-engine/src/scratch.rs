//! Read buffer of a thread.

use std::cell::RefCell;

/// Size of the buffer in bytes.
pub(crate) const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    static READ: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Lends the buffer. (If `f` borrows it as well, the nested call gets another one.)
#[inline]
pub(crate) fn with_scratch<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut scratch = READ.take();
    if scratch.len() < SCRATCH_BYTES {
        scratch.resize(SCRATCH_BYTES, 0);
    }
    let result = f(&mut scratch);
    READ.replace(scratch);
    result
}
