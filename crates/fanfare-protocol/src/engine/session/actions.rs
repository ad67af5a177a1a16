//! Inputs and outputs of a session.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

use crate::engine::{Packet, PacketType};

/// Set of tasks for the driver of a [`Session`](super::Session).
///
/// To be carried out in the order of the constants here.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[must_use = "the session relies on its driver"]
pub struct Actions(u16);

impl Actions {
    /// The empty set.
    pub const NONE: Actions = Actions(0);
    /// Hand the message to the layer above.
    pub const DELIVER: Actions = Actions(1);
    /// Send `3probe` on the probed WebSocket.
    pub const PROBE_PONG: Actions = Actions(1 << 1);
    /// Use the probed WebSocket as transport from now on: the queue goes there.
    pub const SWITCH: Actions = Actions(1 << 2);
    /// Queue a `ping` packet.
    pub const PING: Actions = Actions(1 << 3);
    /// Queue a `pong` packet (revision 3 only).
    pub const PONG: Actions = Actions(1 << 4);
    /// Write the queue.
    pub const FLUSH: Actions = Actions(1 << 5);
    /// Ask [`Session::answer`](super::Session::answer) for the answer to the pending GET.
    pub const ANSWER: Actions = Actions(1 << 6);
    /// Close the probed WebSocket, which never became the transport.
    pub const CLOSE_PROBE: Actions = Actions(1 << 7);
    /// Send a close frame on the WebSocket that is the transport, and close it.
    pub const CLOSE_WEBSOCKET: Actions = Actions(1 << 8);
    /// The session has ended: drop the queue, report [`Session::reason`](super::Session::reason) to the layer above.
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

    /// Whether the set is empty.
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

/// Kind of a received packet, as far as it matters to the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Received {
    /// Message for the layer above, text or binary.
    Message,
    /// Ping without the word `probe`.
    Ping,
    /// The ping `2probe`.
    Probe,
    /// A pong.
    Pong,
    /// The client has switched to the probed transport.
    Upgrade,
    /// The client ends the session.
    Close,
    /// `open` or `noop`, which a server ignores.
    Ignored,
    /// Invalid packet.
    Invalid,
}

impl Received {
    /// Returns the meaning of this packet to a session.
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

/// Answer to a pending GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the queued packets go into the answer.
    pub packets: bool,
    /// Last packet of the answer.
    pub tail: Tail,
    /// Further actions, after the answer.
    pub actions: Actions,
}

/// Last packet in the answer to a GET.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// No additional packet: the queued packets are the answer.
    Nothing,
    /// A `noop` packet, so that the client polls again or continues its upgrade.
    Noop,
    /// A `close` packet.
    Close,
    /// No packet: the request is rejected because the session has ended.
    Rejected,
}

/// Reason for which a request of a session is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionRejection {
    /// The session has moved to WebSocket (`TRANSPORT_MISMATCH`).
    #[error("the session has moved to another transport")]
    TransportMismatch,
    /// A request of this kind is pending already; the session is closed for it.
    #[error("a request of this kind is under way")]
    Overlap,
    /// The session has ended.
    #[error("the session is closed")]
    Closed,
    /// An upgrade is in progress or done, or upgrades are not allowed: the new WebSocket is closed at once.
    #[error("the session is upgrading or upgraded")]
    Upgrading,
}
