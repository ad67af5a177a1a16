//! Socket.IO: namespaces, events, acknowledgements, in packets.
//!
//! A packet is text, `type[attachments-][/namespace,][ack id][JSON]`, followed by as many binary messages as it has
//! attachments. [`decode`] and [`Decoder`] read it in one pass that validates the JSON, finds the event's name and
//! remembers where each argument lies; the arguments are deserialised later, straight into the types that want them
//! ([`Args::decode`]). The `encode_*` functions append to a buffer of the caller.

pub(crate) mod args;
mod decode_args;
mod decoder;
mod encode;
mod error;
pub(crate) mod header;
mod into_args;
pub(crate) mod node;
mod packet;
pub(crate) mod scan;
mod spread;

pub mod v4;

pub use args::{Args, ArgsBuf};
pub(crate) use decode_args::TYPED;
pub use decode_args::{AllArgs, ArgsError, decode_args};
pub use decoder::{Assembled, Decoder};
pub use encode::{
    EncodeError, encode_ack, encode_connect, encode_connect_error, encode_connect_reply,
    encode_disconnect, encode_event,
};
pub use error::{DecodeError, JsonErrorKind};
pub use header::{Header, PacketType, RESERVED_EVENTS, is_reserved_event};
pub use into_args::{ArgWriter, IntoArgs, JsonArgs, RawArgs};
pub use packet::{Ack, Connect, ConnectError, ConnectErrorBody, Event, Packet, decode};
pub use spread::Spread;
pub(crate) use spread::spread_struct;
