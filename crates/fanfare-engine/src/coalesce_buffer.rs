//! Buffers that collect small frames, and those that each thread keeps for reuse.

use std::cell::{Cell, RefCell};

use crate::sync::thread_local;

/// Maximum capacity of a coalesce buffer that is kept for the next batch, and of all kept ones together, in bytes.
const MAX_KEPT_COALESCE_BYTES: usize = 64 * 1024;
const MAX_KEPT_COALESCE_TOTAL_BYTES: usize = 4 << 20;

/// Small frames, collected in one buffer.
#[derive(Debug, Default)]
pub(crate) struct CoalesceBuffer {
    pub(crate) frames: Vec<u8>,
    pub(crate) packets: u32,
}

impl CoalesceBuffer {
    /// Memory that the buffer takes, in bytes.
    pub(crate) fn size(&self) -> usize {
        size_of::<CoalesceBuffer>() + self.frames.capacity()
    }
}

/// Buffers of one thread that no outbox uses.
struct Spare {
    #[allow(
        clippy::vec_box,
        reason = "the boxes move between here and the outboxes"
    )]
    buffers: RefCell<Vec<Box<CoalesceBuffer>>>,
    /// Total capacity of the buffers, in bytes.
    bytes: Cell<usize>,
}

thread_local! {
    static SPARE: Spare = const {
        Spare {
            buffers: RefCell::new(Vec::new()),
            bytes: Cell::new(0),
        }
    };
}

/// Returns an empty buffer.
pub(crate) fn take() -> Box<CoalesceBuffer> {
    SPARE
        .with(|spare| {
            let buffer = spare.buffers.borrow_mut().pop()?;
            spare.bytes.set(spare.bytes.get() - buffer.size());
            Some(buffer)
        })
        .unwrap_or_default()
}

/// Keeps a buffer for reuse.
pub(crate) fn keep(mut buffer: Box<CoalesceBuffer>) {
    let size = buffer.size();
    if size > MAX_KEPT_COALESCE_BYTES {
        return;
    }
    buffer.frames.clear();
    buffer.packets = 0;
    SPARE.with(|spare| {
        let all = spare.bytes.get() + size;
        if all <= MAX_KEPT_COALESCE_TOTAL_BYTES {
            spare.bytes.set(all);
            spare.buffers.borrow_mut().push(buffer);
        }
    });
}
