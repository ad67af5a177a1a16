//! Socket.IO packets: namespaces, events, acknowledgements.
//!
//! A packet is text, `type[attachments-][/namespace,][ack id][JSON]`, followed by its attachments, one binary message
//! each. [`decode`] and [`Decoder`] read it in one pass that validates the JSON, finds the event's name and records the
//! bounds of each argument; the arguments are deserialized later, directly into the handler's types ([`Args::decode`]).
//! The `encode_*` functions append to a buffer of the caller.

pub(crate) mod args;
mod args_error;
mod decode_args;
mod decoder;
pub(crate) mod encode;
mod error;
mod header;
mod into_args;
pub(crate) mod json;
pub(crate) mod node;
pub(crate) mod packet;
pub(crate) mod packet_type;
pub(crate) mod placeholders;
mod public_message;
pub(crate) mod scan;
mod spread;
pub(crate) mod weigh;

pub mod v4;

pub use args::{Args, ArgsBuf};
pub use args_error::ArgsError;
pub(crate) use args_error::BrokenRule;
pub(crate) use decode_args::TYPED;
pub use decode_args::{AllArgs, decode_args, decode_value};
pub use decoder::{Assembled, Decoder};
pub use encode::{
    encode_ack, encode_connect, encode_connect_error, encode_connect_reply, encode_disconnect,
    encode_event,
};
pub use error::{DecodeError, JsonErrorKind};
pub use header::Header;
pub use into_args::{ArgWriter, IntoArgs, JsonArgs, RawArgs};
pub use json::EncodeError;
pub use packet::{Ack, Connect, ConnectError, ConnectErrorBody, Event, Packet, decode};
pub use packet_type::{PacketType, RESERVED_EVENTS, is_reserved_event};
pub use spread::Spread;
pub(crate) use spread::spread_struct;
