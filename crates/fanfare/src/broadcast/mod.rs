//! Broadcasts: rooms, exceptions, flags.

mod cluster;
mod deliver;
mod names;
pub(crate) mod operator;
mod output;

pub(crate) use names::RoomList;
pub use names::RoomNames;
pub(crate) use operator::BroadcastOperator;
pub use operator::BroadcastReport;

pub use crate::error::TooManyRooms;
