//! Header of a frame (RFC 6455, section 5.2).

use super::ProtocolError;
use crate::{OpCode, Role};

pub(super) struct Head {
    pub(super) fin: bool,
    pub(super) rsv1: bool,
    pub(super) opcode: OpCode,
    pub(super) key: Option<[u8; 4]>,
    /// Length of the header itself, in bytes.
    pub(super) size: usize,
    /// Length of the payload, in bytes.
    pub(super) len: u64,
}

pub(super) enum Parsed {
    /// The input must have at least this length.
    Need(usize),
    Head(Head),
}

/// Parses a header, failing as early as the bytes allow.
pub(super) fn parse(input: &[u8], role: Role) -> Result<Parsed, ProtocolError> {
    let smallest = match role {
        Role::Server => 6,
        Role::Client => 2,
    };
    let &[first, second, ref rest @ ..] = input else {
        return Ok(Parsed::Need(smallest));
    };
    let rsv = (first >> 4) & 0b111;
    if rsv & 0b011 != 0 {
        return Err(ProtocolError::ReservedBits(rsv));
    }
    let opcode =
        OpCode::from_bits(first & 0x0F).ok_or(ProtocolError::UnknownOpCode(first & 0x0F))?;
    let fin = first & 0x80 != 0;
    let masked = second & 0x80 != 0;
    match (role, masked) {
        (Role::Server, false) => return Err(ProtocolError::Unmasked),
        (Role::Client, true) => return Err(ProtocolError::Masked),
        _ => {}
    }
    let short = second & 0x7F;
    if opcode.is_control() {
        if rsv != 0 {
            return Err(ProtocolError::ReservedBits(rsv));
        }
        if !fin {
            return Err(ProtocolError::FragmentedControl);
        }
        if short > 125 {
            return Err(ProtocolError::ControlTooLong);
        }
    }
    // A length encoding longer than needed is accepted: it is unambiguous, and Node's `ws` accepts it.
    let (extended, len) = match short {
        126 => match rest.first_chunk::<2>() {
            Some(len) => (2, u64::from(u16::from_be_bytes(*len))),
            None => return Ok(Parsed::Need(smallest + 2)),
        },
        127 => match rest.first_chunk::<8>() {
            Some(len) => (8, u64::from_be_bytes(*len)),
            None => return Ok(Parsed::Need(smallest + 8)),
        },
        len => (0, u64::from(len)),
    };
    if len >> 63 != 0 {
        return Err(ProtocolError::InvalidLength(len));
    }
    let key = if masked {
        match rest
            .get(extended..)
            .and_then(|rest| rest.first_chunk::<4>())
        {
            Some(key) => Some(*key),
            None => return Ok(Parsed::Need(smallest + extended)),
        }
    } else {
        None
    };
    Ok(Parsed::Head(Head {
        fin,
        rsv1: rsv & 0b100 != 0,
        opcode,
        key,
        size: smallest + extended,
        len,
    }))
}
