//! What goes into a session and what comes out of it.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::engine::{Packet, PacketType};

/// What the driver of a [`Session`](super::Session) has to do, as a set.
///
/// To be carried out in the order of the constants here.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "the session relies on its driver"]
pub struct Actions(u16);

impl Actions {
    /// Nothing.
    pub const NONE: Actions = Actions(0);
    /// Hand the message to the layer above.
    pub const DELIVER: Actions = Actions(1);
    /// Send `3probe` on the probed WebSocket.
    pub const PROBE_PONG: Actions = Actions(1 << 1);
    /// The probed WebSocket is the transport from now on: what is queued goes there.
    pub const SWITCH: Actions = Actions(1 << 2);
    /// Queue a `ping` packet.
    pub const PING: Actions = Actions(1 << 3);
    /// Queue a `pong` packet (revision 3 only).
    pub const PONG: Actions = Actions(1 << 4);
    /// Write what is queued.
    pub const FLUSH: Actions = Actions(1 << 5);
    /// Ask [`Session::answer`](super::Session::answer) what the waiting GET is answered with.
    pub const ANSWER: Actions = Actions(1 << 6);
    /// Close the probed WebSocket; it never became the transport.
    pub const CLOSE_PROBE: Actions = Actions(1 << 7);
    /// Send a close frame on the WebSocket that is the transport, and close it.
    pub const CLOSE_WEBSOCKET: Actions = Actions(1 << 8);
    /// The session is over: forget the queue, tell the layer above [`Session::reason`](super::Session::reason).
    pub const CLOSED: Actions = Actions(1 << 9);
    /// [`Session::next_deadline`](super::Session::next_deadline) may be sooner than it was.
    pub const RESCHEDULE: Actions = Actions(1 << 10);

    const NAMES: [&'static str; 11] = [
        "DELIVER",
        "PROBE_PONG",
        "SWITCH",
        "PING",
        "PONG",
        "FLUSH",
        "ANSWER",
        "CLOSE_PROBE",
        "CLOSE_WEBSOCKET",
        "CLOSED",
        "RESCHEDULE",
    ];

    /// Whether all of `other` is in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Actions) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing to do.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Actions {
    type Output = Actions;

    #[inline]
    fn bitor(self, other: Actions) -> Actions {
        Actions(self.0 | other.0)
    }
}

impl BitOrAssign for Actions {
    #[inline]
    fn bitor_assign(&mut self, other: Actions) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Actions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for (bit, name) in Self::NAMES.iter().enumerate() {
            if self.0 & (1 << bit) != 0 {
                set.entry(&format_args!("{name}"));
            }
        }
        set.finish()
    }
}

/// A packet that arrived, as far as the session cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Received {
    /// A message for the layer above, text or binary.
    Message,
    /// A ping without the word `probe`.
    Ping,
    /// The ping `2probe`.
    Probe,
    /// A pong.
    Pong,
    /// The client has switched to the probed transport.
    Upgrade,
    /// The client ends the session.
    Close,
    /// `open` or `noop`: nothing to a server.
    Ignored,
    /// No packet at all.
    Invalid,
}

impl Received {
    /// What this packet is to a session.
    #[must_use]
    pub fn of(packet: &Packet<'_>) -> Received {
        match packet.kind {
            PacketType::Message => Received::Message,
            PacketType::Ping if packet.data.as_text() == Some("probe") => Received::Probe,
            PacketType::Ping => Received::Ping,
            PacketType::Pong => Received::Pong,
            PacketType::Upgrade => Received::Upgrade,
            PacketType::Close => Received::Close,
            PacketType::Open | PacketType::Noop => Received::Ignored,
        }
    }
}

/// How a waiting GET is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the queued packets go into the answer.
    pub packets: bool,
    /// What comes after them.
    pub tail: Tail,
    /// What else is to be done, after the answer.
    pub actions: Actions,
}

/// The last packet in the answer to a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing: the queued packets say it all.
    Nothing,
    /// A `noop` packet, so that the client polls again or goes on with its upgrade.
    Noop,
    /// A `close` packet.
    Close,
}

/// Why a request of a session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The session has moved to WebSocket (`TRANSPORT_MISMATCH`).
    #[error("the session has moved to another transport")]
    TransportMismatch,
    /// There is a request of this kind already; the session is closed for it.
    #[error("a request of this kind is under way")]
    Overlap,
    /// The session is over.
    #[error("the session is closed")]
    Closed,
    /// An upgrade is under way or done, or upgrades are not allowed: the new WebSocket is closed at once.
    #[error("the session is upgrading or upgraded")]
    Upgrading,
}
