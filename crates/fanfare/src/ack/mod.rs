//! Acknowledgements in both directions.

mod collector;
pub(crate) mod future;
mod kept;
mod pending;
mod sender;
mod server_side;

pub(crate) use collector::{BroadcastAcks, Collector};
pub(crate) use future::AckError;
pub use future::{AckFuture, BroadcastAckError, BroadcastAckFuture};
pub(crate) use kept::{AnswerBudget, Kept};
pub(crate) use pending::PendingAcks;
pub use sender::AckSender;
pub(crate) use sender::Answered;
pub use server_side::ServerSideAckFuture;
