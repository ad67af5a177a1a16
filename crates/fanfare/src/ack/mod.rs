//! Acknowledgements in both directions.

mod collector;
mod future;
mod pending;
mod sender;

pub(crate) use collector::{BroadcastAcks, Collector};
pub use future::{AckError, AckFuture, BroadcastAckError, BroadcastAckFuture};
pub(crate) use pending::PendingAcks;
pub use sender::AckSender;
pub(crate) use sender::Answered;
