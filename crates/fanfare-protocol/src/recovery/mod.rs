//! Connection state recovery: the log of sent events, and the memberships of sessions that may be recovered.
//!
//! A [`Log`] belongs to one namespace. It numbers the events that are sent there and keeps them within limits of bytes
//! and time; the number of an event is sent to the client as its [`Offset`], the last argument. When a client
//! reconnects after an involuntary disconnection, [`Log::missed`] finds the events it missed, by the rooms it was in
//! ([`Memberships`]), without scanning the events of other rooms.
//!
//! Nothing here has a clock: callers pass [`Instant`](std::time::Instant)s.

mod log;
mod memberships;
mod offset;
#[cfg(test)]
mod tests;

pub use log::{Log, LogLimits, Truncated};
pub use memberships::Memberships;
pub use offset::Offset;

/// Number of an event in its log: 1, 2, 3, … 0 stands for the time before the first.
pub type Position = u64;
