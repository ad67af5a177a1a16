//! permessage-deflate (RFC 7692): negotiation ([`Config`], [`Params`]), [`Compressor`], [`Decompressor`], and
//! [`compress_shared`] for one compressed frame that goes to many connections.

mod compress;
mod decompress;
mod negotiate;

pub use compress::{Compressor, compress_shared, compress_shared_into};
pub use decompress::{Decompressor, InflateError};
pub use negotiate::{Config, NegotiationError, Params};

/// Bytes that end every flushed block, and are left out on the wire (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

#[cfg(test)]
mod tests;
