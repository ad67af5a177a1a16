//! Facts about a connection that are read without its lock.

use crate::sync::{AtomicU8, Ordering};

/// A set of bits that any thread may read and change.
#[derive(Debug)]
pub(crate) struct Flags(AtomicU8);

impl Flags {
    /// The session is over.
    pub(crate) const CLOSED: u8 = 1;
    /// No more messages are accepted: closing or closed.
    pub(crate) const CLOSING: u8 = 1 << 1;
    /// A thread is calling the handler for this connection.
    pub(crate) const BUSY: u8 = 1 << 2;
    /// The transport is WebSocket.
    pub(crate) const WEBSOCKET: u8 = 1 << 3;
    /// The connection's task has to flush the outbox.
    pub(crate) const BLOCKED: u8 = 1 << 4;
    /// The client wants binary messages as base64 (Engine.IO v3 with `b64`).
    pub(crate) const BASE64: u8 = 1 << 5;
    /// The session has a deadline for a heartbeat of the client.
    pub(crate) const TIMED: u8 = 1 << 6;
    /// Reading from the client is paused.
    pub(crate) const PAUSED: u8 = 1 << 7;

    pub(crate) const fn new(bits: u8) -> Flags {
        Flags(AtomicU8::new(bits))
    }

    #[inline]
    pub(crate) fn get(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }

    #[inline]
    pub(crate) fn has(&self, bits: u8) -> bool {
        self.get() & bits != 0
    }

    /// Sets bits and returns what was set before.
    #[inline]
    pub(crate) fn set(&self, bits: u8) -> u8 {
        self.0.fetch_or(bits, Ordering::AcqRel)
    }

    /// Clears bits and returns what was set before.
    #[inline]
    pub(crate) fn clear(&self, bits: u8) -> u8 {
        self.0.fetch_and(!bits, Ordering::AcqRel)
    }
}
