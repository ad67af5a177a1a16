//! Values and events that are encoded once and used in several places: in the packets of clients, in messages between
//! the servers of a cluster, by listeners.
//!
//! Each holds JSON with attachments, or MessagePack, or both. A missing encoding is made from the other one when it is
//! first requested, in time proportional to its length and without a tree of values. A conversion makes at most eight
//! bytes of one, and of each binary value, of which there are at most [`EncodedValue::MAX_BINARIES`] in a received
//! message, a placeholder of up to 48 bytes.

mod event;
#[cfg(test)]
mod tests;
mod value;

pub use event::EncodedEvent;
pub use value::EncodedValue;
