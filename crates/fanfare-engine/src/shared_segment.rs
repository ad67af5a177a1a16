//! Shared segments: consecutive broadcasts to one audience, shared by the outboxes of all recipients.
//!
//! Sixteen broadcasts of one batch would otherwise be copied sixteen times into every outbox. The first one creates a
//! shared segment and puts it at the end of each outbox; as long as it is the end of all of them, further ones are
//! appended to the segment itself, which costs the same for any number of recipients.
//!
//! The order holds because a thread *seals* the segment, under the segment's lock, before it puts something behind it
//! in any of the outboxes, or takes it out of one. A sealed segment never grows. So an append to a segment that is not
//! sealed does, for all recipients at the same time, what an append to each outbox would do; and every thread sees it.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use parking_lot::Mutex;

/// Maximum length of a shared segment, in bytes.
const MAX_SEGMENT_BYTES: usize = 32 * 1024;

/// Frames at the end of several outboxes.
pub(crate) struct SharedSegment {
    open: Mutex<Open>,
    sealed: OnceLock<Sealed>,
}

#[derive(Debug, Default)]
struct Open {
    frames: Vec<u8>,
    packets: u32,
    sealed: bool,
}

/// Content of a sealed segment.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) frames: Bytes,
    pub(crate) packets: u32,
}

/// Remaining capacity of the fullest of the outboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) bytes: usize,
    pub(crate) packets: usize,
}

impl Capacity {
    pub(crate) const ALL: Capacity = Capacity {
        bytes: usize::MAX,
        packets: usize::MAX,
    };

    pub(crate) fn least(self, other: Capacity) -> Capacity {
        Capacity {
            bytes: self.bytes.min(other.bytes),
            packets: self.packets.min(other.packets),
        }
    }

    fn less(self, bytes: usize, packets: u32) -> Option<Capacity> {
        Some(Capacity {
            bytes: self.bytes.checked_sub(bytes)?,
            packets: self.packets.checked_sub(packets as usize)?,
        })
    }
}

impl SharedSegment {
    pub(crate) fn new(frames: &[u8], packets: u32) -> SharedSegment {
        // A new segment is likely to grow.
        let mut first =
            Vec::with_capacity((frames.len() * 4).min(MAX_SEGMENT_BYTES).max(frames.len()));
        first.extend_from_slice(frames);
        SharedSegment {
            open: Mutex::new(Open {
                frames: first,
                packets,
                sealed: false,
            }),
            sealed: OnceLock::new(),
        }
    }

    /// Appends frames for all recipients, if the segment is still the end of their outboxes, and they fit. `room` is
    /// the remaining capacity of the outboxes; it is updated.
    pub(crate) fn append(&self, frames: &[u8], packets: u32, room: &mut Capacity) -> bool {
        let Some(left) = room.less(frames.len(), packets) else {
            return false;
        };
        let mut open = self.open.lock();
        if open.sealed || open.frames.len() + frames.len() > MAX_SEGMENT_BYTES {
            return false;
        }
        open.frames.extend_from_slice(frames);
        open.packets += packets;
        *room = left;
        true
    }

    /// Seals the segment: it does not grow any more.
    #[inline]
    pub(crate) fn seal(&self) -> &Sealed {
        self.sealed.get_or_init(|| {
            let mut open = self.open.lock();
            open.sealed = true;
            Sealed {
                frames: std::mem::take(&mut open.frames).into(),
                packets: open.packets,
            }
        })
    }

    /// Number of bytes and packets so far.
    pub(crate) fn size(&self) -> (usize, u32) {
        match self.sealed.get() {
            Some(sealed) => (sealed.frames.len(), sealed.packets),
            None => {
                let open = self.open.lock();
                match open.sealed {
                    false => (open.frames.len(), open.packets),
                    // Another thread is about to publish it.
                    true => {
                        drop(open);
                        let sealed = self.seal();
                        (sealed.frames.len(), sealed.packets)
                    }
                }
            }
        }
    }
}

impl fmt::Debug for SharedSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSegment")
            .field("size", &self.size())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Capacity = Capacity {
        bytes: 100,
        packets: 3,
    };

    #[test]
    fn a_sealed_run_does_not_grow() {
        let run = SharedSegment::new(b"ab", 1);
        let mut room = SOME;
        assert!(run.append(b"cd", 1, &mut room));
        assert_eq!(
            room,
            Capacity {
                bytes: 98,
                packets: 2
            }
        );
        assert_eq!(run.size(), (4, 2));
        assert_eq!(&run.seal().frames[..], b"abcd");
        assert!(!run.append(b"ef", 1, &mut room));
        assert_eq!(
            (&run.seal().frames[..], run.seal().packets),
            (&b"abcd"[..], 2)
        );
        assert_eq!(run.size(), (4, 2));
    }

    #[test]
    fn what_does_not_fit_into_the_fullest_outbox_is_not_appended() {
        let run = SharedSegment::new(b"ab", 1);
        let mut room = SOME;
        assert!(!run.append(&[0; 101], 1, &mut room));
        assert!(!run.append(b"a", 4, &mut room));
        assert!(!run.append(
            &[0; MAX_SEGMENT_BYTES],
            1,
            &mut Capacity {
                bytes: usize::MAX,
                packets: 9
            }
        ));
        assert_eq!((run.size(), room), ((2, 1), SOME));
    }

    /// A sealed segment contains exactly what was appended before the seal.
    #[test]
    fn sealing_and_appending_exclude_each_other() {
        for _ in 0..200 {
            let run = SharedSegment::new(b"x", 1);
            let appended = std::thread::scope(|scope| {
                let appending = scope.spawn(|| {
                    let mut room = Capacity::ALL;
                    (0..50)
                        .take_while(|_| run.append(b"y", 1, &mut room))
                        .count()
                });
                run.seal();
                appending.join().unwrap()
            });
            assert_eq!(run.seal().frames.len(), 1 + appended);
            assert_eq!(run.seal().packets as usize, 1 + appended);
        }
    }
}
