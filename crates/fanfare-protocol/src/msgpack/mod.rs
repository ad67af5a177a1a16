//! The packet form of `socket.io-msgpack-parser`: one binary message per packet, attachments inside.
//!
//! A packet is a map `{type, nsp, data?, id?}` in MessagePack, as the npm package `notepack.io` writes it. That is plain
//! MessagePack with an extension type 0 for what JSON does not know: 1 byte is `undefined`, 8 bytes are a `Date` (read as
//! its ISO 8601 text, which is what a `Date` becomes in JSON), any other length in the `ext` form is an `ArrayBuffer`.
//!
//! Packets come out as the same [`Packet`](crate::socket::Packet) that text is decoded to, so that what stands behind
//! does not care which parser is in use.

mod date;
mod decode;
mod encode;
mod read;

pub use decode::decode;
pub use encode::{
    encode_ack, encode_connect, encode_connect_error, encode_connect_reply, encode_disconnect,
    encode_error, encode_event,
};

pub(crate) use decode::node;
pub(crate) use encode::write_head;
