//! Connection state recovery: the log of what was sent, and the sessions that may come back for it.
//!
//! A [`Log`] belongs to one namespace. It numbers the events that are sent there and keeps them within bounds of bytes
//! and time; the number of an event travels to the client as its [`Offset`], the last argument. [`Sessions`] keeps, for
//! a time, who left unwillingly. When one of them comes back, [`Log::missed`] finds what it has not got, by the rooms it
//! was in ([`Memberships`]), without a look at what went elsewhere.
//!
//! Nothing here has a clock: callers pass [`Instant`](std::time::Instant)s.

mod log;
mod memberships;
mod offset;
mod sessions;
#[cfg(test)]
mod tests;

pub use log::{Log, LogLimits, Truncated};
pub use memberships::Memberships;
pub use offset::Offset;
pub use sessions::Sessions;

/// The number of an event in its log: 1, 2, 3, … 0 stands for the time before the first.
pub type Position = u64;
