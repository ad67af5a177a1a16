//! WebSocket (RFC 6455) with permessage-deflate (RFC 7692) as a sans-IO codec, and with a small tokio `WebSocket` on
//! top (feature `tokio`).
//!
//! The codec does no I/O and depends on no runtime:
//!
//! - [`handshake`] checks and answers opening handshakes ([`ServerHandshake`]) and makes them ([`ClientHandshake`]);
//! - [`Decoder`] decodes frames in place from a buffer that the caller lends, and owns no memory while idle;
//! - [`frame`] encodes frames, also once for many connections ([`frame::prepare`]);
//! - [`deflate`] compresses and decompresses messages.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod close;
mod decoder;
pub mod deflate;
pub mod frame;
pub mod handshake;
#[cfg(feature = "tokio")]
mod io;
pub mod mask;
mod opcode;

pub use close::{CloseCode, CloseFrame};
pub use decoder::{Decoded, Decoder, DecoderConfig, Event, ProtocolError};
pub use handshake::{ClientHandshake, ServerHandshake};
#[cfg(feature = "tokio")]
pub use io::{
    AcceptError, ConnectError, Error, HeadError, Message, Options, WebSocket, connect, connect_with,
};
pub use opcode::{OpCode, Role};
