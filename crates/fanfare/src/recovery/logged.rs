//! Events of the log of a namespace.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_engine::EncodedMessage;
use fanfare_protocol::EncodedEvent;
use fanfare_protocol::recovery::Position;
use parking_lot::Mutex;

use crate::id::SocketId;

/// An event of the log.
#[derive(Clone)]
pub(crate) struct LoggedPacket {
    pub(super) message: EncodedMessage,
    /// The event without its position, if other servers may ask for it.
    pub(super) event: Option<EncodedEvent>,
    pub(super) identity: Identity,
}

/// Identity of an event on all servers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Identity {
    /// No other server has the event.
    #[default]
    Local,
    Numbered(u64),
    /// The event was sent by a server or emitter that does not number events, such as those of Node.js.
    Unnumbered,
}

impl Identity {
    pub(crate) fn number(self) -> Option<u64> {
        match self {
            Self::Numbered(number) => Some(number),
            Self::Local | Self::Unnumbered => None,
        }
    }
}

/// Numbers of events are less than this, so that JavaScript can read them.
const MAX_NUMBER: u64 = 1 << 53;

/// Whether an event is kept for clients that miss it: then for those in the rooms of the first list but in none of the
/// second.
pub(crate) enum Keep<'a> {
    For(&'a [&'a str], &'a [&'a str], Identity),
    No,
}

impl LoggedPacket {
    /// Bytes that it takes in memory.
    pub(super) fn size(&self) -> usize {
        let event = self.event.as_ref().map_or(0, |e| e.data().byte_len());
        self.message.len() + event
    }
}

/// Numbers of the events of a namespace, from a random one on, and those that are just being published.
///
/// An event is first recorded in the log of this server, then published. So the log has it before another server asks for
/// it; and a server that restores a client knows which of its own events may reach the lender after its request.
pub(super) struct Numbers {
    next: AtomicU64,
    /// Position of the newest event of the log, or of an earlier one.
    newest: AtomicU64,
    /// Numbers of events that are not published yet, with a position before theirs.
    unpublished: Mutex<HashMap<u64, Position>>,
}

/// Marks an event as not published until it is dropped.
pub(crate) struct Unpublished<'a> {
    numbers: &'a Numbers,
    pub(crate) number: u64,
}

impl Drop for Unpublished<'_> {
    fn drop(&mut self) {
        self.numbers.unpublished.lock().remove(&self.number);
    }
}

impl Numbers {
    pub(super) fn new() -> Self {
        let id = SocketId::random();
        let mixed = id.bytes();
        let mixed = mixed.fold(0u64, |sum, byte| sum.rotate_left(6) ^ u64::from(byte));
        Self {
            next: AtomicU64::new(mixed % MAX_NUMBER),
            newest: AtomicU64::new(0),
            unpublished: Mutex::default(),
        }
    }

    /// Numbers an event that is about to be recorded and published.
    pub(super) fn next(&self) -> Unpublished<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed) % MAX_NUMBER;
        let before = self.newest.load(Ordering::Acquire);
        self.unpublished.lock().insert(number, before);
        Unpublished {
            numbers: self,
            number,
        }
    }

    pub(super) fn logged(&self, position: Position) {
        self.newest.store(position, Ordering::Release);
    }

    /// Returns the events that are not published yet.
    pub(super) fn unpublished(&self) -> HashMap<u64, Position> {
        self.unpublished.lock().clone()
    }
}
