//! Resources of the process: bytes, file descriptors (sockets), tasks.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, Ordering};

static LIVE: AtomicIsize = AtomicIsize::new(0);

/// System allocator that counts the bytes in use.
struct Counting;

fn count(bytes: usize, sign: isize) {
    let bytes = isize::try_from(bytes).unwrap_or(0);
    LIVE.fetch_add(sign * bytes, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Resources in use at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) bytes: isize,
    /// Number of file descriptors; `None` where `/proc` is missing.
    pub(crate) descriptors: Option<usize>,
    pub(crate) tasks: usize,
}

impl Held {
    pub(crate) fn now() -> Self {
        Self {
            bytes: LIVE.load(Ordering::Relaxed),
            descriptors: std::fs::read_dir("/proc/self/fd")
                .ok()
                .map(std::iter::Iterator::count),
            tasks: tokio::runtime::Handle::current()
                .metrics()
                .num_alive_tasks(),
        }
    }

    /// Whether no more is in use than before, except for `bytes` that other allocators may keep.
    pub(crate) fn is_no_more_than(&self, before: &Self, bytes: isize) -> bool {
        self.tasks <= before.tasks
            && self.descriptors <= before.descriptors
            && self.bytes <= before.bytes.saturating_add(bytes)
    }
}
