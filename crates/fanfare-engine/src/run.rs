//! Broadcasts to one audience in a row, shared by the outboxes of all recipients.
//!
//! Sixteen broadcasts of one batch would otherwise be copied sixteen times into every outbox. The first makes a run and
//! puts it at the end of each outbox; as long as it is the end of all of them, further ones are appended to the run
//! itself, which costs the same however many recipients there are.
//!
//! What keeps the order: a run is *sealed*, under its own lock, by whoever is about to put something behind it in any
//! of the outboxes, or to take it out of one. A sealed run never grows. So appending to one that is not sealed does,
//! for all recipients in the same moment, what appending to each outbox would do; and every thread sees it.

use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use parking_lot::Mutex;

/// A run is not made longer than this, in bytes.
const LONGEST: usize = 32 * 1024;

/// Frames that stand at the same place, the end, of several outboxes.
pub(crate) struct Run {
    open: Mutex<Open>,
    sealed: OnceLock<Sealed>,
}

#[derive(Debug, Default)]
struct Open {
    frames: Vec<u8>,
    packets: u32,
    sealed: bool,
}

/// What a run has become.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) frames: Bytes,
    pub(crate) packets: u32,
}

/// How much more fits into the fullest of the outboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) packets: usize,
}

impl Room {
    pub(crate) const ALL: Room = Room {
        bytes: usize::MAX,
        packets: usize::MAX,
    };

    pub(crate) fn least(self, other: Room) -> Room {
        Room {
            bytes: self.bytes.min(other.bytes),
            packets: self.packets.min(other.packets),
        }
    }

    fn less(self, bytes: usize, packets: u32) -> Option<Room> {
        Some(Room {
            bytes: self.bytes.checked_sub(bytes)?,
            packets: self.packets.checked_sub(packets as usize)?,
        })
    }
}

impl Run {
    pub(crate) fn new(frames: &[u8], packets: u32) -> Run {
        // A run that is made is likely to grow.
        let mut first = Vec::with_capacity((frames.len() * 4).min(LONGEST).max(frames.len()));
        first.extend_from_slice(frames);
        Run {
            open: Mutex::new(Open {
                frames: first,
                packets,
                sealed: false,
            }),
            sealed: OnceLock::new(),
        }
    }

    /// Adds frames for all recipients, if the run is the end of their outboxes still, and they fit. `room` is what the
    /// outboxes had left; it is brought up to date.
    pub(crate) fn append(&self, frames: &[u8], packets: u32, room: &mut Room) -> bool {
        let Some(left) = room.less(frames.len(), packets) else {
            return false;
        };
        let mut open = self.open.lock();
        if open.sealed || open.frames.len() + frames.len() > LONGEST {
            return false;
        }
        open.frames.extend_from_slice(frames);
        open.packets += packets;
        *room = left;
        true
    }

    /// Ends the run: from now on it does not grow.
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

    /// Bytes and packets so far.
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

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run").field("size", &self.size()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOME: Room = Room {
        bytes: 100,
        packets: 3,
    };

    #[test]
    fn a_sealed_run_does_not_grow() {
        let run = Run::new(b"ab", 1);
        let mut room = SOME;
        assert!(run.append(b"cd", 1, &mut room));
        assert_eq!(
            room,
            Room {
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
        let run = Run::new(b"ab", 1);
        let mut room = SOME;
        assert!(!run.append(&[0; 101], 1, &mut room));
        assert!(!run.append(b"a", 4, &mut room));
        assert!(!run.append(
            &[0; LONGEST],
            1,
            &mut Room {
                bytes: usize::MAX,
                packets: 9
            }
        ));
        assert_eq!((run.size(), room), ((2, 1), SOME));
    }

    /// Whatever was appended before the run was sealed is in it, and nothing else.
    #[test]
    fn sealing_and_appending_exclude_each_other() {
        for _ in 0..200 {
            let run = Run::new(b"x", 1);
            let appended = std::thread::scope(|scope| {
                let appending = scope.spawn(|| {
                    let mut room = Room::ALL;
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
