//! Sending to many: rooms, exceptions, flags.

mod cluster;
mod names;
mod operator;

pub use names::RoomNames;
pub use operator::{BroadcastOperator, BroadcastReport};
