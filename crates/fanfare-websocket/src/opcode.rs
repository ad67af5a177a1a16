//! Kinds of frames ([`OpCode`]) and ends of a connection ([`Role`]).

/// Kind of a frame (RFC 6455, section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum OpCode {
    /// Continues the fragmented message that is in progress.
    Continuation = 0x0,
    /// A message, or its first fragment, of UTF-8 text.
    Text = 0x1,
    /// A message, or its first fragment, of bytes.
    Binary = 0x2,
    /// Starts or answers the closing handshake.
    Close = 0x8,
    /// Asks for a [`OpCode::Pong`] with the same payload.
    Ping = 0x9,
    /// Answers a ping, or is a heartbeat in one direction.
    Pong = 0xA,
}

impl OpCode {
    /// Returns the opcode of these four bits, or `None` if RFC 6455 reserves them.
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<OpCode> {
        Some(match bits {
            0x0 => OpCode::Continuation,
            0x1 => OpCode::Text,
            0x2 => OpCode::Binary,
            0x8 => OpCode::Close,
            0x9 => OpCode::Ping,
            0xA => OpCode::Pong,
            _ => return None,
        })
    }

    /// The four bits on the wire.
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Whether this is a control frame: never fragmented, at most 125 bytes (RFC 6455, section 5.5).
    #[inline]
    pub const fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// Our end of the connection, which determines whose frames are masked (RFC 6455, section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads masked frames, writes unmasked ones.
    Server,
    /// Reads unmasked frames, writes masked ones.
    Client,
}
