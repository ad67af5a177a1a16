//! Values and events that are encoded once and used in several places: in the packets of clients, in messages between
//! the servers of a cluster, by listeners.
//!
//! Each holds JSON with attachments, or MessagePack, or both. What is missing is made from the other when it is first
//! asked for, in time proportional to its length and without a tree of values. A conversion makes
//! at most eight bytes of one, and of each binary value, of which there are at most [`EncodedValue::MAX_BINARIES`] in a
//! message that was received, a placeholder of up to 48 bytes.

mod event;
#[cfg(test)]
mod tests;
mod value;

pub use event::EncodedEvent;
pub use value::EncodedValue;
