//! Types of packets, and names of events that are reserved.

/// Event names that a peer may not send and an application may not emit.
pub const RESERVED_EVENTS: [&str; 6] = [
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// Whether the name is one of [`RESERVED_EVENTS`].
#[must_use]
pub fn is_reserved_event(name: &str) -> bool {
    reserved(name).is_some()
}

pub(crate) fn reserved(name: &str) -> Option<&'static str> {
    // All of them start with one of these letters, and nearly no other event does.
    if !matches!(name.as_bytes().first(), Some(b'c' | b'd' | b'n' | b'r')) {
        return None;
    }
    RESERVED_EVENTS
        .into_iter()
        .find(|&reserved| reserved == name)
}

/// Type of a Socket.IO packet; the discriminant is the digit on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    /// Joins a namespace, or answers that it is joined.
    Connect = 0,
    /// Leaves a namespace.
    Disconnect = 1,
    /// An event.
    Event = 2,
    /// The answer to an event.
    Ack = 3,
    /// The server rejected the request to join a namespace.
    ConnectError = 4,
    /// An event with attachments.
    BinaryEvent = 5,
    /// An answer with attachments.
    BinaryAck = 6,
}

impl PacketType {
    /// Returns the digit on the wire, in ASCII.
    #[must_use]
    pub const fn digit(self) -> u8 {
        b'0' + self as u8
    }

    /// Returns the type written as this ASCII digit.
    #[must_use]
    pub const fn from_digit(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Connect,
            b'1' => Self::Disconnect,
            b'2' => Self::Event,
            b'3' => Self::Ack,
            b'4' => Self::ConnectError,
            b'5' => Self::BinaryEvent,
            b'6' => Self::BinaryAck,
            _ => return None,
        })
    }

    /// Returns the protocol's name for the type.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Disconnect => "DISCONNECT",
            Self::Event => "EVENT",
            Self::Ack => "ACK",
            Self::ConnectError => "CONNECT_ERROR",
            Self::BinaryEvent => "BINARY_EVENT",
            Self::BinaryAck => "BINARY_ACK",
        }
    }

    /// Whether attachments may follow.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::BinaryEvent | Self::BinaryAck)
    }
}
