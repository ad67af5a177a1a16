//! Packet encoding of `socket.io-msgpack-parser`: one binary message per packet, attachments inside.
//!
//! A packet is a map `{type, nsp, data?, id?}` in MessagePack, as the npm package `notepack.io` writes it. That is
//! plain MessagePack with an extension type 0 for values that JSON lacks: 1 byte is `undefined`, 8 bytes are a `Date`
//! (read as its ISO 8601 text, which is what a `Date` becomes in JSON), any other length in the `ext` encoding is an
//! `ArrayBuffer`.
//!
//! [`Reader`] and the `write_` functions are for messages that hold events and have another shape, such as those between
//! the nodes of a cluster.
//!
//! Decoding returns the same [`Packet`](crate::socket::Packet) as for text, so that later stages do not depend on the
//! parser in use.

mod date;
mod decode;
mod encode;
mod from_json;
mod read;
mod to_json;

pub use decode::decode;
pub use encode::{
    OpenEvent, encode_ack, encode_connect, encode_connect_error, encode_connect_reply,
    encode_disconnect, encode_error, encode_event, open_event, write_array, write_bool, write_map,
    write_text, write_uint,
};
pub use read::{Head, Reader};

pub(crate) use decode::{node, weigh};
pub(crate) use encode::{MsgpackArgs, write_head};
pub(crate) use from_json::from_json;
pub(crate) use to_json::{first_text, inspect, split_array, to_json};
